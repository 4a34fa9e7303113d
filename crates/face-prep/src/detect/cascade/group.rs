//! Many overlapping hits become one face: OpenCV's `groupRectangles`.

/// How alike two rectangles must be, as a share of their size (`GROUP_EPS`).
const EPS: f64 = 0.2;

/// A window that passed, in whole pixels of the picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Window {
    pub(super) x: i32,
    pub(super) y: i32,
    pub(super) width: i32,
    pub(super) height: i32,
}

impl Window {
    fn similar(&self, other: &Self) -> bool {
        let delta = EPS * f64::from(self.width.min(other.width) + self.height.min(other.height)) * 0.5;
        let near = |first: i32, second: i32| f64::from((first - second).abs()) <= delta;
        near(self.x, other.x)
            && near(self.y, other.y)
            && near(self.x + self.width, other.x + other.width)
            && near(self.y + self.height, other.y + other.height)
    }
}

/// The mean of every group of more than `min_neighbors` similar windows, without those that lie inside a stronger group, each with
/// the number of its windows. With 0 every window stands for itself.
pub(super) fn group(windows: &mut [Window], min_neighbors: u32) -> Vec<(Window, u32)> {
    if min_neighbors == 0 {
        return windows.iter().map(|&window| (window, 1)).collect();
    }
    // The order of the windows does not change the groups, and sorted by x only near ones need be compared.
    windows.sort_unstable();
    let groups: Vec<(Window, u32)> = means(windows).into_iter().filter(|&(_, count)| count > min_neighbors).collect();
    let covered = |index: usize, (window, count): (Window, u32)| {
        groups.iter().enumerate().any(|(place, &(other, others))| {
            let dx = (f64::from(other.width) * EPS).round_ties_even() as i32;
            let dy = (f64::from(other.height) * EPS).round_ties_even() as i32;
            place != index
                && window.x >= other.x - dx
                && window.y >= other.y - dy
                && window.x + window.width <= other.x + other.width + dx
                && window.y + window.height <= other.y + other.height + dy
                && (others > count.max(3) || count < 3)
        })
    };
    groups
        .iter()
        .copied()
        .enumerate()
        .filter(|&(index, group)| !covered(index, group))
        .map(|(_, group)| group)
        .collect()
}

/// The classes of the transitive closure of "similar", each as its mean and size.
fn means(windows: &[Window]) -> Vec<(Window, u32)> {
    let mut parents: Vec<usize> = (0..windows.len()).collect();
    let widest = windows.iter().map(|window| window.width.max(window.height)).max().unwrap_or(0);
    // No two similar windows lie further apart than this.
    let reach = (f64::from(widest) * EPS).ceil() as i32;
    for (index, window) in windows.iter().enumerate() {
        for (other, later) in windows.iter().enumerate().skip(index + 1) {
            if later.x - window.x > reach {
                break;
            }
            if window.similar(later) {
                let (first, second) = (root(&mut parents, index), root(&mut parents, other));
                parents[second] = first;
            }
        }
    }
    let mut sums: Vec<([i64; 4], u32)> = vec![([0; 4], 0); windows.len()];
    for (index, window) in windows.iter().enumerate() {
        let (sum, count) = &mut sums[root(&mut parents, index)];
        for (sum, value) in sum.iter_mut().zip([window.x, window.y, window.width, window.height]) {
            *sum += i64::from(value);
        }
        *count += 1;
    }
    sums.retain(|&(_, count)| count > 0);
    sums.into_iter()
        .map(|(sum, count)| {
            // In single precision and by the reciprocal, as OpenCV does: the rounding is part of the contract.
            let scale = 1.0 / count as f32;
            let [x, y, width, height] = sum.map(|sum| (sum as f32 * scale).round_ties_even() as i32);
            (Window { x, y, width, height }, count)
        })
        .collect()
}

fn root(parents: &mut [usize], mut index: usize) -> usize {
    while parents[index] != index {
        parents[index] = parents[parents[index]];
        index = parents[index];
    }
    index
}

#[cfg(test)]
mod tests {
    use super::*;

    fn square(x: i32, y: i32, side: i32) -> Window {
        Window { x, y, width: side, height: side }
    }

    #[test]
    fn near_windows_become_their_mean_and_lone_ones_vanish() {
        let mut windows = [square(10, 10, 40), square(12, 10, 40), square(14, 13, 40), square(200, 5, 40)];
        assert_eq!(group(&mut windows, 2), [(square(12, 11, 40), 3)]);
        assert_eq!(group(&mut windows, 0).len(), 4);
        assert_eq!(group(&mut [], 3), []);
    }

    #[test]
    fn a_weak_group_inside_a_strong_one_is_dropped() {
        let mut windows: Vec<_> = (0..6).map(|shift| square(10 + shift, 10, 100)).collect();
        windows.extend((0..3).map(|shift| square(30 + shift, 30, 40)));
        assert_eq!(group(&mut windows, 2).len(), 1);
    }
}
