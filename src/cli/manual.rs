//! `xdsight manual`

use super::error::CliError;
use super::ui::Ui;
use super::{Verdict, definition};
use crate::cli::suggest::closest;

/// Print the manual page of xdsight, or of one of its commands, in troff
#[derive(Debug, clap::Args)]
#[command(hide = true)]
pub(super) struct ManualArgs {
    /// Command whose page to print
    command: Option<String>,
}

pub(super) fn run(ui: &mut Ui, args: &ManualArgs) -> Result<Verdict, CliError> {
    let mut command = definition();
    command.build();
    if let Some(name) = &args.command {
        let Some(found) = command.find_subcommand(name) else {
            let error = CliError::usage(format!("there is no command {name}"));
            let names = command.get_subcommands().map(clap::Command::get_name);
            return Err(match closest(name, names) {
                Some(close) => error.hint(format!("did you mean {close}?")),
                None => error,
            });
        };
        command = found.clone();
    }
    let mut page = Vec::new();
    clap_mangen::Man::new(command).render(&mut page)?;
    ui.answer(&String::from_utf8_lossy(&page))?;
    Ok(Verdict::Clean)
}
