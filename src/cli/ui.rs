//! The terminal: the answer goes to standard output, everything else to standard error.

use std::io::{self, Write};

use anstyle::{AnsiColor, Style};

use super::error::CliError;
use crate::render::escape;

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
    stdout: anstream::AutoStream<io::Stdout>,
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
        Self { stdout: anstream::AutoStream::new(stdout, choice), stderr: anstream::AutoStream::new(stderr, choice) }
    }

    /// Writes a piece of the answer as it is.
    pub(super) fn answer(&mut self, text: &str) -> Result<(), CliError> {
        Ok(self.stdout.write_all(text.as_bytes())?)
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

    fn line(&mut self, style: Style, label: &str, text: &str) {
        // Nothing is left to tell the user if standard error is gone.
        let _ = writeln!(self.stderr, "{style}{label}:{style:#} {}", escape(text));
    }
}
