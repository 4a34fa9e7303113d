//! Integral images: sums of pixels that make every rectangle's sum four look-ups.

/// How many windows are evaluated at once. Tables are this much longer than they need be, so that a whole block may be read at
/// the last window.
pub(super) const LANES: usize = 16;

/// How the columns of a table lie in memory. Where only every other window is looked at (`step` 2), even columns stand first and
/// odd columns after them, so that neighbouring windows are neighbours in memory at any feature's offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) step: usize,
    pub(super) stride: usize,
    /// Where the tilted sums begin, behind the upright ones.
    pub(super) tilted: usize,
}

impl Layout {
    /// For pictures of at most this size. One layout serves all levels of a picture that share a step.
    pub(super) fn new(step: usize, width: usize, height: usize) -> Self {
        // Tables have one column and one row more than the picture; a multiple of 32 keeps both halves aligned with the lanes.
        let stride = (width + 1).next_multiple_of(32);
        Self { step, stride, tilted: stride * (height + 1) }
    }

    /// Where a column lies in its row.
    #[inline]
    fn column(self, column: usize) -> usize {
        if self.step == 2 { column / 2 + (column % 2) * (self.stride / 2) } else { column }
    }

    /// How far a place in the window lies from the window's own entry.
    pub(super) fn offset(self, x: usize, y: usize) -> usize {
        y * self.stride + self.column(x)
    }

    /// The entry of window number `index` of the row at `y`.
    pub(super) fn entry(self, index: usize, y: usize) -> usize {
        y * self.stride + index
    }
}

/// The tables of one level of the pyramid. Reused from level to level.
#[derive(Debug, Default)]
pub(super) struct Integral {
    /// Sums of pixels; behind them, where asked for, sums over tilted triangles. All sums wrap around, and so do their differences,
    /// which come out right.
    pub(super) sum: Vec<u32>,
    /// Sums of squares.
    pub(super) squares: Vec<u32>,
    plain: Vec<u32>,
}

impl Integral {
    /// Fills the tables from a grey picture of `width`×`height`.
    pub(super) fn compute(&mut self, pixels: &[u8], width: usize, height: usize, layout: Layout, what: Tables) {
        // A block of lanes may be read at the last place of the last table.
        let tables = if what == Tables::Tilted { 2 } else { 1 };
        self.sum.resize(self.sum.len().max(layout.tilted * tables + LANES), 0);
        self.sum[..layout.stride].fill(0);
        let squares = what != Tables::Sums;
        if squares {
            self.squares.resize(self.squares.len().max(layout.tilted + LANES), 0);
            self.squares[..layout.stride].fill(0);
        }
        for (y, row) in pixels.chunks_exact(width).enumerate() {
            let rows = y * layout.stride..(y + 2) * layout.stride;
            fill_row(row, &mut self.sum[rows.clone()], layout, |pixel| pixel);
            if squares {
                fill_row(row, &mut self.squares[rows], layout, |pixel| pixel * pixel);
            }
        }
        if what == Tables::Tilted {
            self.compute_tilted(pixels, width, height, layout);
        }
    }

    /// OpenCV's tilted integral: entry (X, Y) is the sum of the pixels of the rows above Y within |x − X + 1| ≤ Y − y − 1, a
    /// triangle that stands on its tip at (X − 1, Y − 1). Each is made from three above it (Lienhart & Maydt 2002).
    fn compute_tilted(&mut self, pixels: &[u8], width: usize, height: usize, layout: Layout) {
        let columns = width + 1;
        // Three rows in plain order: Y - 2, Y - 1, Y.
        self.plain.clear();
        self.plain.resize(3 * columns, 0);
        let (mut before, rest) = self.plain.split_at_mut(columns);
        let (mut above, mut current) = rest.split_at_mut(columns);
        let table = &mut self.sum[layout.tilted..];
        table[..layout.stride].fill(0);
        for y in 1..=height {
            let row = &pixels[(y - 1) * width..y * width];
            let upper = if y > 1 { &pixels[(y - 2) * width..(y - 1) * width] } else { &[] };
            for x in 0..columns {
                // Beyond the sides a triangle holds what the next one inside holds a row higher.
                let left = if x > 0 { above[x - 1] } else { before[0] };
                let right = if x < width { above[x + 1] } else { before[width] };
                let tip = if x > 0 {
                    u32::from(row[x - 1]) + upper.get(x - 1).map_or(0, |&pixel| u32::from(pixel))
                } else {
                    0
                };
                current[x] = left.wrapping_add(right).wrapping_sub(before[x]).wrapping_add(tip);
                table[y * layout.stride + layout.column(x)] = current[x];
            }
            (before, above, current) = (above, current, before);
        }
    }
}

/// Which tables a cascade needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tables {
    Sums,
    Squares,
    Tilted,
}

/// Fills the second of two rows: the sums along this row of pixels plus the row above.
fn fill_row(pixels: &[u8], rows: &mut [u32], layout: Layout, value: impl Fn(u32) -> u32) {
    let (above, row) = rows.split_at_mut(layout.stride);
    let mut sum = 0u32;
    row[0] = 0;
    if layout.step == 1 {
        for ((entry, &above), &pixel) in row[1..].iter_mut().zip(&above[1..]).zip(pixels) {
            sum = sum.wrapping_add(value(u32::from(pixel)));
            *entry = above.wrapping_add(sum);
        }
        return;
    }
    let half = layout.stride / 2;
    let (even_above, odd_above) = above.split_at(half);
    let (even, odd) = row.split_at_mut(half);
    let pairs = pixels.chunks(2);
    for ((((pair, odd), even), &odd_above), &even_above) in
        pairs.zip(odd).zip(&mut even[1..]).zip(odd_above).zip(&even_above[1..])
    {
        sum = sum.wrapping_add(value(u32::from(pair[0])));
        *odd = odd_above.wrapping_add(sum);
        if let Some(&second) = pair.get(1) {
            sum = sum.wrapping_add(value(u32::from(second)));
            *even = even_above.wrapping_add(sum);
        }
    }
}
