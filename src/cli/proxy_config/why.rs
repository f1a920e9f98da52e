//! `--why`: what refers to the resources that are listed.

use serde::Serialize;

use super::super::error::CliError;
use super::super::format::Format;
use super::super::ui::Ui;
use crate::inventory::Why;
use crate::render;

/// The answer as data.
#[derive(Serialize)]
struct Answer<'a> {
    /// `xdsight.why/1`.
    schema: &'static str,
    /// In the order of the table.
    references: &'a [Why],
}

/// Prints references to resources.
pub(super) fn print(ui: &mut Ui, format: Format, references: &[Why]) -> Result<(), CliError> {
    let answer = Answer { schema: "xdsight.why/1", references };
    let text = match format {
        Format::Json => format!("{}\n", render::pretty(&answer, 2)?),
        Format::Jsonl => format!("{}\n", render::compact(&answer)?),
        Format::Yaml => render::yaml(&answer)?,
        _ => render::why(references).render(),
    };
    ui.answer(&text)
}
