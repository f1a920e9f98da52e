//! `xdsight proxy-config listeners`

use rayon::prelude::*;

use super::super::error::CliError;
use super::super::format::Format;
use super::super::ui::Ui;
use super::{Common, Verdict};
use crate::dump::Proxy;
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

    /// Show what leads to each filter chain of a waypoint, without filters
    #[arg(long)]
    pub(super) waypoint: bool,
}

impl ListenersArgs {
    fn filter(&self) -> ListenerFilter {
        ListenerFilter { address: self.address.clone(), port: self.port, kind: self.kind.clone() }
    }

    fn hint_if_empty(&self, ui: &mut Ui, is_empty: bool) {
        super::hint_if_empty(ui, is_empty, &[("--address", &self.address), ("--type", &self.kind)], self.port);
    }

    /// The same question to istioctl.
    pub(super) fn query(&self) -> (&str, Format, Verb) {
        (self.common.name(), self.common.output, Verb::Listeners(self.filter(), self.verbose))
    }
}

pub(super) fn run(ui: &mut Ui, args: &ListenersArgs) -> Result<Verdict, CliError> {
    let proxy = args.common.load(ui)?;
    if args.waypoint {
        return waypoint(ui, &proxy);
    }
    if super::is_wide(args.common.output) {
        return wide(ui, &proxy, args);
    }
    let mut listing = inventory::listeners(&proxy, &args.filter());
    args.hint_if_empty(ui, listing.rows.is_empty());
    match args.common.output {
        format @ (Format::Json | Format::Yaml) => {
            let resources: Vec<_> = listing.rows.iter().map(|row| row.resource).collect();
            super::resources(ui, format, &resources)?;
        }
        _ => {
            inventory::sort_listeners(&mut listing.rows);
            let table =
                if args.verbose { render::listeners(&listing.rows) } else { render::listeners_brief(&listing.rows) };
            ui.answer(&table.render())?;
        }
    }
    Ok(super::verdict(ui, &listing.warnings))
}

/// Every state of each listener, and all that its chains ask for.
fn wide(ui: &mut Ui, proxy: &Proxy, args: &ListenersArgs) -> Result<Verdict, CliError> {
    let mut listing = inventory::all_listeners(proxy, &args.filter());
    args.hint_if_empty(ui, listing.rows.is_empty());
    inventory::sort_listeners(&mut listing.rows);
    let details: Vec<_> = listing.rows.par_iter().map(|row| inventory::listener_detail(row.resource)).collect();
    let details: Vec<_> = details.into_iter().map(|detail| super::or_default(ui, detail)).collect();
    ui.answer(&match args.common.output {
        Format::Jsonl => render::listener_records(&listing.rows, &details)?,
        _ => render::listeners_wide(&listing.rows, &details).render(),
    })?;
    Ok(super::verdict(ui, &listing.warnings))
}

/// istioctl's table of a waypoint.
fn waypoint(ui: &mut Ui, proxy: &Proxy) -> Result<Verdict, CliError> {
    let mut listing = inventory::listeners(proxy, &ListenerFilter::default());
    inventory::sort_listeners(&mut listing.rows);
    let chains = inventory::waypoint_chains(&listing.rows);
    let chains = super::or_default(ui, chains);
    ui.answer(&render::waypoint_chains(&chains).render())?;
    Ok(super::verdict(ui, &listing.warnings))
}
