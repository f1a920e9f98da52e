//! `xdsight proxy-config listeners`

use super::super::error::CliError;
use super::super::format::Format;
use super::super::ui::Ui;
use super::{Common, Verdict};
use crate::inventory::{self, ListenerFilter};
use crate::istioctl::Verb;
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

impl ListenersArgs {
    fn filter(&self) -> ListenerFilter {
        ListenerFilter { address: self.address.clone(), port: self.port, kind: self.kind.clone() }
    }

    /// The same question to istioctl.
    pub(super) fn query(&self) -> (&str, Format, Verb) {
        (self.common.name(), self.common.output, Verb::Listeners(self.filter(), self.verbose))
    }
}

pub(super) fn run(ui: &mut Ui, args: &ListenersArgs) -> Result<Verdict, CliError> {
    let proxy = args.common.load(ui)?;
    let mut listing = inventory::listeners(&proxy, &args.filter());
    match args.common.output {
        format @ (Format::Json | Format::Yaml) => {
            let resources: Vec<_> = listing.rows.iter().map(|row| row.resource).collect();
            super::resources(ui, format, &resources)?;
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
