//! `xdsight proxy-config bootstrap`

use super::super::error::CliError;
use super::super::format::Format;
use super::super::ui::Ui;
use super::{Verdict, document};
use crate::cli::input;
use crate::{inventory, render};

/// Show the bootstrap, or with -o short its versions
#[derive(Debug, clap::Args)]
#[command(visible_alias = "b")]
pub(super) struct BootstrapArgs {
    /// Dump of the proxy: a file, - or a folder of admin answers
    #[arg(required_unless_present = "file", conflicts_with = "file")]
    input: Option<String>,

    /// The same, as istioctl takes it
    #[arg(short, long, value_name = "FILE")]
    file: Option<String>,

    /// Form of the answer
    #[arg(short, long, value_name = "FORMAT", default_value = "json",
        value_parser = Format::among(&[Format::Short, Format::Json, Format::Yaml]))]
    output: Format,
}

pub(super) fn run(ui: &mut Ui, args: &BootstrapArgs) -> Result<Verdict, CliError> {
    let proxy = input::load(args.input.as_deref().or(args.file.as_deref()).unwrap_or("-"))?;
    input::warn(ui, &proxy);
    let Some(bootstrap) = proxy.bootstrap_json() else {
        let error = CliError::input(format!("{}: there is no bootstrap in it", proxy.file()));
        return Err(error.hint("capture a whole /config_dump, without mask or resource"));
    };
    match args.output {
        Format::Short | Format::Wide | Format::Jsonl => ui.answer(&render::versions(&inventory::versions(&proxy)))?,
        format => {
            let bootstrap = bootstrap.map_err(|error| CliError::input(error.to_string()))?;
            document(ui, format, &serde_json::json!({ "bootstrap": bootstrap }))?;
        }
    }
    Ok(Verdict::Clean)
}
