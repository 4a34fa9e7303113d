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

/// A window that passed, and the sum of the last stage's votes on it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Hit {
    pub(super) window: Window,
    pub(super) weight: f64,
}

/// Similar windows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Group {
    /// Their mean.
    pub(super) window: Window,
    /// How many they are.
    pub(super) count: u32,
    /// The largest weight among them.
    pub(super) weight: f64,
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

/// Every group of more than `min_neighbors` similar windows, without those that lie inside a stronger group. With 0 every window stands for itself.
pub(super) fn group(hits: &mut [Hit], min_neighbors: u32) -> Vec<Group> {
    if min_neighbors == 0 {
        return hits.iter().map(|&Hit { window, weight }| Group { window, count: 1, weight }).collect();
    }
    // The order of the windows does not change the groups, and sorted by x only near ones need be compared.
    hits.sort_unstable_by_key(|hit| hit.window);
    let groups: Vec<Group> = means(hits).into_iter().filter(|group| group.count > min_neighbors).collect();
    let covered = |index: usize, Group { window, count, .. }: Group| {
        groups.iter().enumerate().any(|(place, &Group { window: other, count: others, .. })| {
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

/// The classes of the transitive closure of "similar".
fn means(hits: &[Hit]) -> Vec<Group> {
    let mut parents: Vec<usize> = (0..hits.len()).collect();
    let widest = hits.iter().map(|hit| hit.window.width.max(hit.window.height)).max().unwrap_or(0);
    // No two similar windows lie further apart than this.
    let reach = (f64::from(widest) * EPS).ceil() as i32;
    for (index, Hit { window, .. }) in hits.iter().enumerate() {
        for (other, Hit { window: later, .. }) in hits.iter().enumerate().skip(index + 1) {
            if later.x - window.x > reach {
                break;
            }
            if window.similar(later) {
                let (first, second) = (root(&mut parents, index), root(&mut parents, other));
                parents[second] = first;
            }
        }
    }
    let mut sums: Vec<([i64; 4], u32, f64)> = vec![([0; 4], 0, f64::NEG_INFINITY); hits.len()];
    for (index, Hit { window, weight }) in hits.iter().enumerate() {
        let (sum, count, largest) = &mut sums[root(&mut parents, index)];
        for (sum, value) in sum.iter_mut().zip([window.x, window.y, window.width, window.height]) {
            *sum += i64::from(value);
        }
        *count += 1;
        *largest = largest.max(*weight);
    }
    sums.retain(|&(_, count, _)| count > 0);
    sums.into_iter()
        .map(|(sum, count, weight)| {
            // In single precision and by the reciprocal, as OpenCV does: the rounding is part of the contract.
            let scale = 1.0 / count as f32;
            let [x, y, width, height] = sum.map(|sum| (sum as f32 * scale).round_ties_even() as i32);
            Group { window: Window { x, y, width, height }, count, weight }
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

    fn square(x: i32, y: i32, side: i32) -> Hit {
        Hit { window: Window { x, y, width: side, height: side }, weight: f64::from(x) }
    }

    #[test]
    fn near_windows_become_their_mean_and_lone_ones_vanish() {
        let mut hits = [square(10, 10, 40), square(12, 10, 40), square(14, 13, 40), square(200, 5, 40)];
        assert_eq!(group(&mut hits, 2), [Group { window: square(12, 11, 40).window, count: 3, weight: 14.0 }]);
        assert_eq!(group(&mut hits, 0).len(), 4);
        assert_eq!(group(&mut [], 3), []);
    }

    #[test]
    fn a_weak_group_inside_a_strong_one_is_dropped() {
        let mut hits: Vec<_> = (0..6).map(|shift| square(10 + shift, 10, 100)).collect();
        hits.extend((0..3).map(|shift| square(30 + shift, 30, 40)));
        assert_eq!(group(&mut hits, 2).len(), 1);
    }
}
