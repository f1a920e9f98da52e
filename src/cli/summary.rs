//! `xdsight summary`

use jiff::Timestamp;

use super::error::CliError;
use super::format::Format;
use super::ui::Ui;
use super::{Verdict, input};
use crate::{inventory, render};

/// Show who a proxy is, what it holds and what stands out
#[derive(Debug, clap::Args)]
pub(super) struct SummaryArgs {
    /// Dump of the proxy: a file, - or a folder of admin answers
    input: String,

    /// Count ages to this time instead of the newest in the input (RFC 3339)
    #[arg(long, value_name = "TIME")]
    as_of: Option<Timestamp>,

    /// Form of the answer
    #[arg(short, long, value_name = "FORMAT", default_value = "short",
        value_parser = Format::among(&[Format::Short, Format::Json, Format::Yaml]))]
    output: Format,
}

pub(super) fn run(ui: &mut Ui, args: &SummaryArgs) -> Result<Verdict, CliError> {
    let proxy = input::load(&args.input)?;
    let summary = inventory::summary(&proxy, args.as_of);
    let text = match args.output {
        Format::Json => format!("{}\n", render::pretty(&summary, 2)?),
        Format::Yaml => render::yaml(&summary)?,
        _ => render::summary(&summary),
    };
    ui.answer(&text)?;
    Ok(Verdict::Clean)
}
