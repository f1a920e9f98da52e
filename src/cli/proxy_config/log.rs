//! `xdsight proxy-config log`

use std::collections::BTreeMap;

use serde::Serialize;

use super::super::error::CliError;
use super::super::format::Format;
use super::super::ui::Ui;
use super::Verdict;
use crate::input::{Limits, files};
use crate::mesh::Mesh;
use crate::render;

/// Show the log levels of a proxy, from its saved answer to /logging
#[derive(Debug, clap::Args)]
#[command(visible_alias = "o")]
pub(super) struct LogArgs {
    /// The answer as text: a file, -, or a folder with it; a config_dump beside it names the proxy
    input: String,

    /// Form of the answer
    #[arg(short, long, value_name = "FORMAT", default_value = "short",
        value_parser = Format::among(&[Format::Short, Format::Json, Format::Yaml]))]
    output: Format,
}

/// First line of the answer.
const HEAD: &str = "active loggers:";

/// Levels by logger.
#[derive(Serialize)]
struct Answer {
    /// Name and version of this form.
    schema: &'static str,
    /// `POD.NAMESPACE` of the proxy, or the file where that isn't known.
    proxy: String,
    /// Level of each logger: `trace`, `debug`, `info`, `warning`, `error`, `critical` or `off`.
    loggers: BTreeMap<String, String>,
}

pub(super) fn run(ui: &mut Ui, args: &LogArgs) -> Result<Verdict, CliError> {
    let sources = files(&args.input, Limits::default())?;
    let found = sources.iter().filter_map(|source| source.as_ref().ok()).find_map(|source| {
        let text = String::from_utf8_lossy(source.bytes());
        let start = text.find(HEAD).filter(|at| *at == 0 || text.as_bytes().get(at - 1) == Some(&b'\n'))?;
        Some((source.file().to_owned(), text.get(start + HEAD.len()..)?.to_owned()))
    });
    let Some((file, text)) = found else {
        return Err(CliError::input(format!("{}: no answer to /logging in it", args.input)).hint(
            "a config_dump doesn't hold log levels; capture them with: kubectl exec POD -c istio-proxy -- \
             pilot-agent request POST logging > logging.txt",
        ));
    };
    let loggers: Vec<(String, String)> = text
        .lines()
        .filter_map(|line| line.trim().split_once(": "))
        .map(|(name, level)| (name.to_owned(), level.to_owned()))
        .collect();
    let mesh = Mesh::load(sources);
    let names: Vec<String> = mesh
        .members()
        .iter()
        .filter_map(|member| Some(format!("{}.{}", member.pod.as_ref()?, member.namespace.as_ref()?)))
        .collect();
    let proxy = match names.as_slice() {
        [name] => name.clone(),
        _ => file,
    };
    let text = match args.output {
        format @ (Format::Json | Format::Yaml) => {
            let answer = Answer { schema: "xdsight.log/1", proxy, loggers: loggers.into_iter().collect() };
            match format {
                Format::Yaml => render::yaml(&answer)?,
                _ => format!("{}\n", render::pretty(&answer, 2)?),
            }
        }
        _ => {
            let lines =
                loggers.iter().map(|(name, level)| format!("  {}: {}\n", render::escape(name), render::escape(level)));
            format!("{}:\n{HEAD}\n{}", render::escape(&proxy), lines.collect::<String>())
        }
    };
    ui.answer(&text)?;
    Ok(Verdict::Clean)
}
