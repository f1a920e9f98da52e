//! What ends a command early, and the one place that prints it.

use std::error::Error;
use std::fmt;
use std::io;

use super::ui::Ui;
use crate::dump::LoadError;
use crate::input::ReadError;

/// Why a command gave no answer.
#[derive(Debug)]
pub(super) struct CliError {
    kind: Kind,
    message: String,
    source: Option<Box<dyn Error + Send + Sync>>,
    hints: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Arguments that contradict each other or make no sense.
    Usage,
    /// Input that can't be read.
    Input,
    /// Who reads the output has seen enough.
    BrokenPipe,
}

impl CliError {
    pub(super) fn usage(message: impl Into<String>) -> Self {
        Self { kind: Kind::Usage, message: message.into(), source: None, hints: Vec::new() }
    }

    pub(super) fn input(message: impl Into<String>) -> Self {
        Self { kind: Kind::Input, ..Self::usage(message) }
    }

    pub(super) fn caused_by(mut self, source: impl Error + Send + Sync + 'static) -> Self {
        self.source = Some(Box::new(source));
        self
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Prints the error and gives the exit code.
    pub(super) fn report(&self, ui: &mut Ui) -> u8 {
        if self.kind == Kind::BrokenPipe {
            return 0;
        }
        ui.error("error", &self.message);
        let mut source = self.source.as_ref().map(|source| -> &dyn Error { source.as_ref() });
        while let Some(error) = source {
            ui.error("caused by", &error.to_string());
            source = error.source();
        }
        for hint in &self.hints {
            ui.hint(hint);
        }
        if self.kind == Kind::Usage {
            ui.hint("xdsight --help and xdsight COMMAND --help say more");
        }
        2
    }
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<io::Error> for CliError {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self { kind: Kind::BrokenPipe, ..Self::usage("") };
        }
        Self::input("the output can't be written").caused_by(error)
    }
}

impl From<ReadError> for CliError {
    fn from(error: ReadError) -> Self {
        let hint = error.kind.hint();
        let cli = Self::input(error.to_string());
        match hint {
            Some(hint) => cli.hint(hint),
            None => cli,
        }
    }
}

impl From<LoadError> for CliError {
    fn from(error: LoadError) -> Self {
        let cli = Self::input(error.to_string());
        match error.hint {
            Some(hint) => cli.hint(hint),
            None => cli,
        }
    }
}

impl From<crate::istioctl::Unprintable> for CliError {
    fn from(error: crate::istioctl::Unprintable) -> Self {
        Self::input("the text can't be printed").caused_by(error)
    }
}

impl From<serde_json::Error> for CliError {
    fn from(error: serde_json::Error) -> Self {
        Self::input("the answer can't be written as JSON").caused_by(error)
    }
}

impl From<serde_saphyr::ser::Error> for CliError {
    fn from(error: serde_saphyr::ser::Error) -> Self {
        Self::input("the answer can't be written as YAML").caused_by(error)
    }
}
