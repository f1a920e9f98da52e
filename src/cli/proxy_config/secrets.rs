//! `xdsight proxy-config secrets`

use jiff::Timestamp;

use super::super::error::CliError;
use super::super::format::Format;
use super::super::ui::Ui;
use super::{Common, Verdict};
use crate::{inventory, render};

/// List the secrets that wait or are in force, and the certificates in them
#[derive(Debug, clap::Args)]
#[command(visible_aliases = ["secret", "s"])]
pub(super) struct SecretsArgs {
    #[command(flatten)]
    common: Common,

    /// Judge certificates at this time instead of the newest in the input (RFC 3339)
    #[arg(long, value_name = "TIME")]
    as_of: Option<Timestamp>,
}

pub(super) fn run(ui: &mut Ui, args: &SecretsArgs) -> Result<Verdict, CliError> {
    let proxy = args.common.load(ui)?;
    let listing = inventory::secrets(&proxy, args.as_of);
    match args.common.output {
        format @ (Format::Json | Format::Yaml) => {
            super::resources(ui, format, proxy.secrets().iter().map(crate::dump::Resource::json))?;
        }
        _ if listing.rows.is_empty() => ui.answer("No active or warming secrets found.\n")?,
        Format::Wide => ui.answer(&render::secrets_wide(&listing.rows).render())?,
        _ => ui.answer(&render::secrets(&listing.rows).render())?,
    }
    Ok(super::verdict(ui, &listing.warnings))
}
