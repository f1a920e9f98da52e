//! `xdsight completions`

use super::error::CliError;
use super::ui::Ui;
use super::{Verdict, definition};

/// Print completions for a shell
///
/// For example: xdsight completions bash > /etc/bash_completion.d/xdsight
#[derive(Debug, clap::Args)]
pub(super) struct CompletionsArgs {
    /// Shell to complete in
    shell: clap_complete::Shell,
}

pub(super) fn run(ui: &mut Ui, args: &CompletionsArgs) -> Result<Verdict, CliError> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut definition(), "xdsight", &mut script);
    ui.answer(&String::from_utf8_lossy(&script))?;
    Ok(Verdict::Clean)
}
