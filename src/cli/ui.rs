//! The terminal: the answer goes to standard output, everything else to standard error.

use std::io::{self, Write};
use std::mem::ManuallyDrop;

use anstyle::{AnsiColor, Style};

use super::error::CliError;
use crate::render::{Table, escape};

const ERROR: Style = AnsiColor::Red.on_default().bold();
const WARNING: Style = AnsiColor::Yellow.on_default().bold();
const HINT: Style = AnsiColor::Cyan.on_default().bold();

/// When to use colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum ColorChoice {
    /// On a terminal that can, unless NO_COLOR is set
    Auto,
    /// Also into files and pipes
    Always,
    /// Not at all
    Never,
}

/// Where a command writes.
pub(super) struct Ui {
    stdout: io::Stdout,
    /// Whether styles stay in the answer.
    styled: bool,
    stderr: anstream::AutoStream<io::Stderr>,
}

impl Ui {
    pub(super) fn new(color: ColorChoice) -> Self {
        let choice = match color {
            ColorChoice::Auto => anstream::ColorChoice::Auto,
            ColorChoice::Always => anstream::ColorChoice::AlwaysAnsi,
            ColorChoice::Never => anstream::ColorChoice::Never,
        };
        #[expect(clippy::disallowed_methods, reason = "this is the one place that prints")]
        let (stdout, stderr) = (io::stdout(), io::stderr());
        let styled = match choice {
            anstream::ColorChoice::Auto => anstream::AutoStream::choice(&stdout) != anstream::ColorChoice::Never,
            choice => choice != anstream::ColorChoice::Never,
        };
        Self { stdout, styled, stderr: anstream::AutoStream::new(stderr, choice) }
    }

    /// Writes a piece of the answer as it is.
    pub(super) fn answer(&mut self, text: &str) -> Result<(), CliError> {
        if self.styled {
            return Ok(self.stdout.write_all(text.as_bytes())?);
        }
        // Only up to the line of the last style is there anything to strip: of a long table that is its head.
        let last =
            text.rfind('\u{1b}').map_or(0, |at| at + text.get(at..).and_then(|rest| rest.find('\n')).unwrap_or(0));
        let last = if text.get(last..).is_some_and(|rest| rest.contains('\u{1b}')) { text.len() } else { last };
        let (head, rest) = text.split_at(last);
        if !head.is_empty() {
            self.stdout.write_all(anstream::adapter::strip_str(head).to_string().as_bytes())?;
        }
        Ok(self.stdout.write_all(rest.as_bytes())?)
    }

    /// Writes a table. It isn't dropped, which for a large one takes as long as writing it; the process ends soon.
    pub(super) fn table(&mut self, table: Table<'_>) -> Result<(), CliError> {
        self.answer(&ManuallyDrop::new(table).render())
    }

    /// Writes bytes of the answer that have no styles.
    pub(super) fn bytes(&mut self, bytes: &[u8]) -> Result<(), CliError> {
        Ok(self.stdout.write_all(bytes)?)
    }

    /// Writes what is still held back.
    pub(super) fn finish(&mut self) -> Result<(), CliError> {
        Ok(self.stdout.flush()?)
    }

    /// Something that the reader of the answer should know.
    pub(super) fn warn(&mut self, text: &str) {
        self.line(WARNING, "warning", text);
    }

    /// Something to try next.
    pub(super) fn hint(&mut self, text: &str) {
        self.line(HINT, "hint", text);
    }

    /// A line of an error.
    pub(super) fn error(&mut self, label: &str, text: &str) {
        self.line(ERROR, label, text);
    }

    /// A line of an error in somebody else's words.
    pub(super) fn tell(&mut self, text: &str) {
        let _ = writeln!(self.stderr, "{}", escape(text));
    }

    fn line(&mut self, style: Style, label: &str, text: &str) {
        // Nothing is left to tell the user if standard error is gone.
        let _ = writeln!(self.stderr, "{style}{label}:{style:#} {}", escape(text));
    }
}
