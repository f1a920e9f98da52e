//! Running text in styles, wrapped at a column with a hanging indentation.

use anstyle::Style;

use super::escape::escape;

/// Lines are filled up to this column; a word that is longer stands alone on its line.
const WIDTH: usize = 100;

/// One paragraph under construction.
pub(super) struct Flow<'o> {
    out: &'o mut String,
    column: usize,
    indent: usize,
    /// Whether anything stands on this line after the indentation.
    filled: bool,
}

impl<'o> Flow<'o> {
    /// Starts a paragraph whose lines after the first begin at column `indent`.
    pub(super) fn new(out: &'o mut String, indent: usize) -> Self {
        Self { out, column: 0, indent, filled: false }
    }

    /// Writes a label at `at` and moves on to the indentation.
    pub(super) fn label(mut self, at: usize, style: Style, label: &str) -> Self {
        let label = escape(label);
        self.space(at);
        self.out.push_str(&format!("{style}{label}{style:#}"));
        self.column += label.chars().count();
        let gap = self.indent.saturating_sub(self.column).max(1);
        self.space(gap);
        self.filled = false;
        self
    }

    /// Starts at the indentation, without a label.
    pub(super) fn hang(mut self) -> Self {
        let gap = self.indent.saturating_sub(self.column);
        self.space(gap);
        self
    }

    /// Adds words in a style.
    pub(super) fn text(mut self, style: Style, text: &str) -> Self {
        let text = escape(text);
        let mut open = false;
        for word in text.split(' ').filter(|word| !word.is_empty()) {
            let length = word.chars().count();
            let gap = usize::from(self.filled);
            if self.filled && self.column + gap + length > WIDTH {
                if open {
                    self.out.push_str(&style.render_reset().to_string());
                    open = false;
                }
                self.out.push('\n');
                self.column = 0;
                self.space(self.indent);
            } else {
                self.space(gap);
            }
            if !open {
                self.out.push_str(&style.render().to_string());
                open = true;
            }
            self.out.push_str(word);
            self.column += length;
            self.filled = true;
        }
        if open {
            self.out.push_str(&style.render_reset().to_string());
        }
        self
    }

    /// Ends the paragraph.
    pub(super) fn end(self) {
        self.out.push('\n');
    }

    fn space(&mut self, count: usize) {
        self.out.extend(std::iter::repeat_n(' ', count));
        self.column += count;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_hang_and_long_words_stand_alone() {
        let mut out = String::new();
        let long = "x".repeat(99);
        Flow::new(&mut out, 6).label(2, Style::new(), "a").text(Style::new(), &format!("b {long} c")).end();
        assert_eq!(out, format!("  a   b\n      {long}\n      c\n"));
    }
}
