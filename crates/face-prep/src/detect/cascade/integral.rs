//! Integral images: sums of pixels that make every rectangle's sum four look-ups.

/// How many windows are evaluated at once.
pub(super) const LANES: usize = 16;

/// How many entries of a table may be looked at from a window's own: every place in a window is named by 16 bits, and a block of
/// lanes may be read there. Tables are this much longer than they need be.
pub(super) const SPAN: usize = (1 << 16) + LANES;

/// Rows of tables are no longer than this, so that those under a row of windows stay in the fastest cache.
const LONGEST_ROW: usize = 512;

/// A strip is worked through in bands of so many rows of windows, so that its tables stay in the second cache.
const BAND: usize = 128;

/// How the tables of a strip of windows lie in memory. Where only every other window is looked at (`step` 2), even columns stand
/// first and odd columns after them, so that neighbouring windows are neighbours in memory at any feature's offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) step: usize,
    stride: usize,
    window: (usize, usize),
}

impl Layout {
    /// For windows of this width and height, of at most 255 pixels.
    pub(super) fn new(step: usize, window: (usize, usize)) -> Self {
        // Offsets in a window take 16 bits; a multiple of 32 keeps both halves of a row aligned with the lanes.
        let longest = (1 << 16) / (window.1 + 1) / 32 * 32;
        Self { step, stride: longest.min(LONGEST_ROW), window }
    }

    /// Where a column lies in its row.
    #[inline(always)]
    fn column(self, column: usize) -> usize {
        if self.step == 2 { column / 2 + (column % 2) * (self.stride / 2) } else { column }
    }

    /// How far a place in the window lies from the window's own entry.
    pub(super) fn offset(self, x: usize, y: usize) -> u16 {
        (y * self.stride + self.column(x)) as u16
    }

    /// The entry of window number `index` of row number `row`.
    #[inline(always)]
    pub(super) fn entry(self, index: usize, row: usize) -> usize {
        row * self.step * self.stride + index
    }

    /// The largest strip: windows in a row, and rows.
    pub(super) fn strip(self) -> (usize, usize) {
        // One column and one row more than pixels.
        let most = (self.stride - self.window.0 - 1) / self.step + 1;
        (if most > LANES { most / LANES * LANES } else { most }, BAND)
    }

    /// The pixels under so many windows one way.
    fn pixels(self, windows: usize, side: usize) -> usize {
        (windows - 1) * self.step + side
    }
}

/// The part of a level under a strip of windows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Strip {
    /// The first window's number in its row, and the first row's number.
    pub(super) first: (usize, usize),
    /// How many windows there are in a row, and how many rows.
    pub(super) windows: (usize, usize),
}

/// The tables of one strip. Reused from strip to strip.
#[derive(Debug, Default)]
pub(super) struct Integral {
    /// Sums of pixels. All sums wrap around, and so do their differences, which come out right.
    sums: Vec<u32>,
    /// The lower halves of the same, for rectangles whose sums fit.
    low: Vec<u16>,
    /// Sums of squares.
    squares: Vec<u32>,
    /// Sums over tilted triangles, where features ask for them.
    tilted: Vec<u32>,
    /// The sum and the sum of squares of each column so far.
    columns: [Vec<u32>; 2],
    /// Three rows of tilted sums in plain order.
    plain: Vec<u32>,
}

/// The tables as seen from one window, or from the first of a block.
#[derive(Debug, Clone, Copy)]
pub(super) struct View<'a> {
    pub(super) sums: &'a [u32; SPAN],
    pub(super) low: &'a [u16; SPAN],
    pub(super) squares: &'a [u32; SPAN],
    pub(super) tilted: &'a [u32; SPAN],
}

#[inline(always)]
fn span<T>(table: &[T], entry: usize) -> &[T; SPAN] {
    table[entry..].first_chunk().expect("tables are a span longer than their last window")
}

impl Integral {
    #[inline(always)]
    pub(super) fn view(&self, entry: usize) -> View<'_> {
        View {
            sums: span(&self.sums, entry),
            low: span(&self.low, entry),
            squares: span(&self.squares, entry),
            tilted: span(&self.tilted, entry),
        }
    }

    /// Fills the tables from the part of a grey picture of the given width that lies under a strip.
    #[inline(always)]
    pub(super) fn compute(&mut self, pixels: &[u8], picture: usize, layout: Layout, strip: Strip, tilted: bool) {
        let width = layout.pixels(strip.windows.0, layout.window.0);
        let height = layout.pixels(strip.windows.1, layout.window.1);
        let pixels = &pixels[strip.first.1 * layout.step * picture + strip.first.0 * layout.step..];
        self.reserve(layout.stride * (height + 1));
        self.sums[..layout.stride].fill(0);
        self.squares[..layout.stride].fill(0);
        self.low[..layout.stride].fill(0);
        for columns in &mut self.columns {
            columns.clear();
            columns.resize(width, 0);
        }
        let [column_sums, column_squares] = &mut self.columns;
        for (y, row) in pixels.chunks(picture).take(height).enumerate() {
            // Down the columns first, which vector instructions can do, then along the row, which they cannot.
            for ((sum, square), &pixel) in column_sums.iter_mut().zip(column_squares.iter_mut()).zip(row) {
                let pixel = u32::from(pixel);
                *sum = sum.wrapping_add(pixel);
                *square = square.wrapping_add(pixel * pixel);
            }
            let line = (y + 1) * layout.stride..(y + 2) * layout.stride;
            let row = (&mut self.sums[line.clone()], &mut self.low[line.clone()], &mut self.squares[line]);
            fill_row((column_sums, column_squares), row, layout);
        }
        if tilted {
            self.compute_tilted(pixels, picture, (width, height), layout);
        }
    }

    fn reserve(&mut self, entries: usize) {
        for table in [&mut self.sums, &mut self.squares, &mut self.tilted] {
            table.resize(table.len().max(entries + SPAN), 0);
        }
        self.low.resize(self.low.len().max(entries + SPAN), 0);
    }

    /// OpenCV's tilted integral: entry (X, Y) is the sum of the pixels of the rows above Y within |x − X + 1| ≤ Y − y − 1, a
    /// triangle that stands on its tip at (X − 1, Y − 1). Each is made from three above it (Lienhart & Maydt 2002).
    fn compute_tilted(&mut self, pixels: &[u8], picture: usize, (width, height): (usize, usize), layout: Layout) {
        let columns = width + 1;
        // Three rows in plain order: Y - 2, Y - 1, Y.
        self.plain.clear();
        self.plain.resize(3 * columns, 0);
        let (mut before, rest) = self.plain.split_at_mut(columns);
        let (mut above, mut current) = rest.split_at_mut(columns);
        self.tilted[..layout.stride].fill(0);
        for y in 1..=height {
            let row = &pixels[(y - 1) * picture..][..width];
            let upper = if y > 1 { &pixels[(y - 2) * picture..][..width] } else { &[] };
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
                self.tilted[y * layout.stride + layout.column(x)] = current[x];
            }
            (before, above, current) = (above, current, before);
        }
    }
}

/// Sums up along a row of columns into a row of each table.
#[inline(always)]
fn fill_row(
    (column_sums, column_squares): (&[u32], &[u32]),
    (sums, low, squares): (&mut [u32], &mut [u16], &mut [u32]),
    layout: Layout,
) {
    let (mut sum, mut square) = (0u32, 0u32);
    (sums[0], low[0], squares[0]) = (0, 0, 0);
    if layout.step == 1 {
        let tables = sums[1..].iter_mut().zip(&mut low[1..]).zip(&mut squares[1..]);
        for (((sums, low), squares), (column_sum, column_square)) in tables.zip(column_sums.iter().zip(column_squares))
        {
            sum = sum.wrapping_add(*column_sum);
            square = square.wrapping_add(*column_square);
            (*sums, *low, *squares) = (sum, sum as u16, square);
        }
        return;
    }
    let half = layout.stride / 2;
    let (even_sums, odd_sums) = sums.split_at_mut(half);
    let (even_low, odd_low) = low.split_at_mut(half);
    let (even_squares, odd_squares) = squares.split_at_mut(half);
    let even = even_sums[1..].iter_mut().zip(&mut even_low[1..]).zip(&mut even_squares[1..]);
    let odd = odd_sums.iter_mut().zip(odd_low).zip(odd_squares);
    let columns = column_sums.chunks(2).zip(column_squares.chunks(2));
    for ((((odd_sum, odd_low), odd_square), ((even_sum, even_low), even_square)), (sums, squares)) in
        odd.zip(even).zip(columns)
    {
        sum = sum.wrapping_add(sums[0]);
        square = square.wrapping_add(squares[0]);
        (*odd_sum, *odd_low, *odd_square) = (sum, sum as u16, square);
        if let (Some(&next_sum), Some(&next_square)) = (sums.get(1), squares.get(1)) {
            sum = sum.wrapping_add(next_sum);
            square = square.wrapping_add(next_square);
            (*even_sum, *even_low, *even_square) = (sum, sum as u16, square);
        }
    }
}
