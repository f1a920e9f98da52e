//! Tables in columns, as Go's `text/tabwriter` lays them out for istioctl (spec/istioctl.md §0.1).
//!
//! The width of a column is that of its longest cell, header included, plus the padding; the last cell of a row is
//! never padded. Cells are measured in code points.

use std::borrow::Cow;

use rayon::prelude::*;

use super::escape::escape;
use super::style::HEAD;

/// A table whose rows all have as many cells as the header.
#[derive(Debug)]
pub struct Table<'a> {
    header: Vec<Cow<'a, str>>,
    /// Row after row.
    cells: Vec<Cow<'a, str>>,
    padding: usize,
}

impl<'a> Table<'a> {
    /// An empty table; `padding` spaces are the least between columns.
    #[must_use]
    pub fn new(header: &[&'static str], padding: usize) -> Self {
        Self::with_header(header.iter().map(|cell| Cow::Borrowed(*cell)).collect(), padding)
    }

    /// The same where the columns depend on what is shown.
    #[must_use]
    pub fn with_header(header: Vec<Cow<'a, str>>, padding: usize) -> Self {
        Self { header, cells: Vec::new(), padding }
    }

    /// Adds a row.
    pub fn row(&mut self, cells: impl IntoIterator<Item = Cow<'a, str>>) {
        let before = self.cells.len();
        self.cells.extend(cells.into_iter().map(|cell| match escape(&cell) {
            Cow::Borrowed(_) => cell,
            Cow::Owned(escaped) => Cow::Owned(escaped),
        }));
        // A row of another length would shift all that follow.
        self.cells.resize(before + self.header.len(), Cow::Borrowed(""));
    }

    /// The same with a text in front of each first cell.
    #[must_use]
    pub fn with_prefix(mut self, prefix: &str) -> Self {
        let columns = self.header.len().max(1);
        for cell in self.cells.iter_mut().step_by(columns) {
            *cell = format!("{prefix}{cell}").into();
        }
        self
    }

    /// The text, one line a row.
    #[must_use]
    pub fn render(&self) -> String {
        // Rows that one thread takes at a time.
        const SOME: usize = 2048;
        let columns = self.header.len().max(1);
        let header = || self.header.iter().map(|cell| measure(cell)).collect::<Vec<usize>>();
        let wider = |mut widths: Vec<usize>, others: &[usize]| {
            widths.iter_mut().zip(others).for_each(|(width, other)| *width = (*width).max(*other));
            widths
        };
        let pieces = || self.cells.par_chunks(SOME * columns);
        let of_piece = |piece: &[Cow<'_, str>]| {
            let mut widths = header();
            for row in piece.chunks(columns) {
                widths.iter_mut().zip(row).for_each(|(width, cell)| *width = (*width).max(measure(cell)));
            }
            widths
        };
        let widths = pieces().map(of_piece).reduce(header, |one, other| wider(one, &other));
        let line: usize = widths.iter().map(|width| width + self.padding).sum();
        let rendered = pieces().map(|piece| {
            let mut out = String::with_capacity(line * (piece.len() / columns) + 16);
            for row in piece.chunks(columns) {
                self.line(&mut out, &widths, row.iter().map(AsRef::as_ref));
                out.push('\n');
            }
            out
        });
        let mut head = HEAD.render().to_string();
        self.line(&mut head, &widths, self.header.iter().map(AsRef::as_ref));
        head.push_str(&HEAD.render_reset().to_string());
        head.push('\n');
        let rendered: Vec<String> = std::iter::once(head).chain(rendered.collect::<Vec<_>>()).collect();
        rendered.concat()
    }

    fn line<'c>(&self, out: &mut String, widths: &[usize], cells: impl ExactSizeIterator<Item = &'c str>) {
        let last = cells.len().saturating_sub(1);
        for (nth, (cell, width)) in cells.zip(widths).enumerate() {
            out.push_str(cell);
            if nth != last {
                pad(out, width + self.padding - measure(cell));
            }
        }
    }
}

/// Adds spaces, many at a time: they are most of a wide table.
fn pad(out: &mut String, mut count: usize) {
    const SPACES: &str = "                                                                ";
    while count > 0 {
        let some = SPACES.get(..count).unwrap_or(SPACES);
        out.push_str(some);
        count -= some.len();
    }
}

fn measure(cell: &str) -> usize {
    if cell.is_ascii() { cell.len() } else { cell.chars().count() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(table: &Table<'_>, expected: &str) {
        assert_eq!(anstream::adapter::strip_str(&table.render()).to_string(), expected);
    }

    #[test]
    fn the_last_cell_is_not_padded() {
        let mut table = Table::new(&["A", "B"], 2);
        check(&table, "A  B\n");
        table.row(["ü".into(), "x".into()]);
        table.row(["long".into(), "".into()]);
        check(&table, "A     B\nü     x\nlong  \n");
    }

    #[test]
    fn cells_cannot_break_the_line() {
        let mut table = Table::new(&["A"], 1);
        table.row(["x\ny\u{1b}[2J".into()]);
        check(&table, "A\nx\\ny\\u{1b}[2J\n");
    }
}
