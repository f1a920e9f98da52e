//! `xdsight proxy-config routes`

use super::super::error::CliError;
use super::super::format::Format;
use super::super::suggest::closest;
use super::super::ui::Ui;
use super::{Common, Verdict};
use crate::inventory::{self, RouteFilter};
use crate::istioctl::Verb;
use crate::render;

/// List the route configurations in force, their virtual hosts and routes
#[derive(Debug, clap::Args)]
#[command(visible_aliases = ["route", "r"])]
pub(super) struct RoutesArgs {
    #[command(flatten)]
    common: Common,

    /// Only the route configuration of this name
    #[arg(long, value_name = "NAME")]
    name: Option<String>,

    /// Show each route; with =false one line a route configuration
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value_t = true,
        default_missing_value = "true", action = clap::ArgAction::Set)]
    verbose: bool,

    /// Show what refers to each of these route configurations, and from which listeners it is reached
    #[arg(long)]
    why: bool,
}

impl RoutesArgs {
    /// The same question to istioctl.
    pub(super) fn query(&self) -> (&str, Format, Verb) {
        (self.common.name(), self.common.output, Verb::Routes(self.name.clone(), self.verbose))
    }
}

pub(super) fn run(ui: &mut Ui, args: &RoutesArgs) -> Result<Verdict, CliError> {
    let proxy = args.common.load(ui)?;
    let filter = RouteFilter { name: args.name.clone() };
    let listing = inventory::routes(&proxy, &filter);
    if args.why && !listing.rows.is_empty() {
        let mut names: Vec<&str> = listing.rows.iter().map(|row| row.resource.name.as_str()).collect();
        names.dedup();
        super::why::print(ui, args.common.output, &inventory::why_route(&proxy, &names))?;
        return Ok(super::verdict(ui, &listing.warnings));
    }
    match args.common.output {
        format @ (Format::Json | Format::Yaml) => {
            let resources: Vec<_> = listing.rows.iter().map(|row| row.resource).collect();
            super::resources(ui, format, &resources)?;
        }
        format @ (Format::Wide | Format::Jsonl) => {
            let details = listing.rows.iter().map(|row| inventory::route_details(row.resource));
            let details: Vec<_> = details.map(|detail| super::or_default(ui, detail)).collect();
            ui.answer(&match format {
                Format::Jsonl => render::route_records(&listing.rows, &details)?,
                _ => render::routes_wide(&listing.rows, &details).render(),
            })?;
        }
        _ if args.verbose => ui.table(render::routes(&listing.rows))?,
        _ => ui.table(render::routes_brief(&listing.rows))?,
    }
    if let (Some(name), true) = (&args.name, listing.rows.is_empty()) {
        let names = proxy.routes().iter().map(|route| route.name.as_str());
        if let Some(close) = closest(name, names) {
            ui.hint(&format!("there is no route configuration {name:?} in force; did you mean {close:?}?"));
        }
    }
    Ok(super::verdict(ui, &listing.forget()))
}
