//! `xdsight proxy-config listeners`

use super::super::error::CliError;
use super::super::format::Format;
use super::super::ui::Ui;
use super::{Common, Verdict};
use crate::inventory::{self, ListenerFilter};
use crate::render;

/// List the listeners in force and where their filter chains lead
#[derive(Debug, clap::Args)]
#[command(visible_aliases = ["listener", "l"])]
pub(super) struct ListenersArgs {
    #[command(flatten)]
    common: Common,

    /// Only listeners on this address
    #[arg(long, value_name = "ADDRESS")]
    address: Option<String>,

    /// Only listeners on this port
    #[arg(long, value_name = "PORT")]
    port: Option<u32>,

    /// Only listeners of this type: HTTP, TCP, HTTP+TCP or UNKNOWN
    #[arg(long = "type", value_name = "TYPE")]
    kind: Option<String>,

    /// Show each filter chain; with =false one line a listener
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value_t = true,
        default_missing_value = "true", action = clap::ArgAction::Set)]
    verbose: bool,
}

pub(super) fn run(ui: &mut Ui, args: &ListenersArgs) -> Result<Verdict, CliError> {
    let proxy = args.common.load(ui)?;
    let filter = ListenerFilter { address: args.address.clone(), port: args.port, kind: args.kind.clone() };
    let mut listing = inventory::listeners(&proxy, &filter);
    match args.common.output {
        format @ (Format::Json | Format::Yaml) => {
            super::resources(ui, format, listing.rows.iter().map(|row| row.resource.json()))?;
        }
        format => {
            inventory::sort_listeners(&mut listing.rows);
            let table = if format == Format::Wide {
                render::listeners_wide(&listing.rows)
            } else if args.verbose {
                render::listeners(&listing.rows)
            } else {
                render::listeners_brief(&listing.rows)
            };
            ui.answer(&table.render())?;
        }
    }
    Ok(super::verdict(ui, &listing.warnings))
}
