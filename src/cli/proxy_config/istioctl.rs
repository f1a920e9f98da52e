//! `xdsight --istioctl proxy-config`: istioctl's bytes and exit codes.

use std::io;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use jiff::Timestamp;

use super::super::error::CliError;
use super::super::format::Format;
use super::super::ui::Ui;
use super::{ProxyConfig, Verdict};
use crate::cli::input;
use crate::dump::Proxy;
use crate::input::{Artifact, ArtifactKind, Limits, ReadErrorKind, Source, recognise};
use crate::inventory;
use crate::istioctl::{Output, Query, Verb, answer};

pub(super) fn run(ui: &mut Ui, command: &ProxyConfig) -> Result<Verdict, CliError> {
    let without_time = |(name, format, verb)| (name, format, verb, None);
    let (name, format, verb, as_of) = match command {
        ProxyConfig::Listeners(args) => without_time(args.query()),
        ProxyConfig::Routes(args) => without_time(args.query()),
        ProxyConfig::Clusters(args) => without_time(args.query()),
        ProxyConfig::Endpoints(args) => without_time(args.query()),
        ProxyConfig::Secrets(args) => args.query(),
        ProxyConfig::Bootstrap(args) => without_time(args.query()),
        ProxyConfig::Ecds(args) => without_time(args.query()),
        ProxyConfig::Eds(args) => without_time(args.query()),
        ProxyConfig::All(args) => args.query(),
        ProxyConfig::Log(_) | ProxyConfig::RootcaCompare(_) => return Ok(Verdict::Clean),
    };
    let kind = if matches!(verb, Verb::Endpoints(_)) { ArtifactKind::Clusters } else { ArtifactKind::Dump };
    let (source, artifacts);
    let bytes = match crate::input::source(name, Limits::default()) {
        Ok(file) => {
            source = file;
            source.bytes()
        }
        Err(error) if matches!(&error.kind, ReadErrorKind::Io(error) if error.kind() == io::ErrorKind::NotFound) => {
            ui.tell(&format!("Error: open {name}: no such file or directory"));
            return Ok(Verdict::Istioctl(1));
        }
        // A folder, which istioctl doesn't take.
        Err(_) => {
            artifacts = input::read(name)?;
            first(&artifacts, &kind)
        }
    };
    let needs_time = matches!((&verb, format), (Verb::Secrets | Verb::All(_), Format::Short));
    let as_of = as_of.or_else(|| if needs_time { newest(bytes) } else { None });
    let output = match format {
        Format::Short => Output::Short,
        Format::Json => Output::Json,
        Format::Yaml => Output::Yaml,
        other => Output::Other(other.name().to_owned()),
    };
    let answer = answer(bytes, &Query { verb, output, as_of });
    ui.bytes(&answer.stdout)?;
    if let Some(error) = answer.error {
        ui.tell(&error);
    }
    Ok(if answer.exit == 0 { Verdict::Clean } else { Verdict::Istioctl(answer.exit) })
}

/// The bytes of the first artifact of a kind.
fn first<'a>(artifacts: &'a [Artifact], kind: &ArtifactKind) -> &'a [u8] {
    let found = artifacts.iter().find(|artifact| artifact.kind == *kind).or(artifacts.first());
    found.and_then(|found| found.source.bytes().get(found.start..)).unwrap_or_default()
}

/// The newest time in a dump. istioctl looks at the clock instead.
fn newest(bytes: &[u8]) -> Option<Timestamp> {
    let artifact = recognise(Source::from_bytes("", bytes.to_vec())).ok()?;
    inventory::newest(&Proxy::load(&[artifact]).ok()?)
}

/// istioctl's exit code for a command line that can't be used.
pub(in crate::cli) fn code(error: &clap::Error) -> u8 {
    let is_output = |error: &clap::Error| {
        let argument = error.get(ContextKind::InvalidArg);
        matches!(argument, Some(ContextValue::String(text)) if text.contains("--output"))
    };
    match error.kind() {
        // It shows the help of the group.
        ErrorKind::InvalidSubcommand | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => 0,
        // It looks at the form of the answer when it has one.
        ErrorKind::InvalidValue if is_output(error) => 1,
        ErrorKind::MissingRequiredArgument | ErrorKind::ArgumentConflict => 1,
        _ => 64,
    }
}
