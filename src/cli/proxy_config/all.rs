//! `xdsight proxy-config all`

use jiff::Timestamp;

use super::super::error::CliError;
use super::super::format::Format;
use super::super::ui::Ui;
use super::{Common, Verdict};
use crate::dump::Proxy;
use crate::inventory::{self, ClusterFilter, EndpointFilter, ListenerFilter, RouteFilter};
use crate::istioctl::{self, All, Verb};
use crate::render;

/// Show everything: the tables one after the other, or the dump itself as JSON or YAML
#[derive(Debug, clap::Args)]
#[command(visible_alias = "a")]
pub(super) struct AllArgs {
    #[command(flatten)]
    common: Common,

    /// Only clusters with this in their name, such as the host of a service
    #[arg(long, value_name = "TEXT")]
    fqdn: Option<String>,

    /// Only clusters with this in their name: inbound or outbound
    #[arg(long, value_name = "TEXT")]
    direction: Option<String>,

    /// Only clusters with this in their name, such as a subset
    #[arg(long, value_name = "TEXT")]
    subset: Option<String>,

    /// Only clusters, listeners and endpoints of this port
    #[arg(long, value_name = "PORT")]
    port: Option<u32>,

    /// Only listeners on this address, and endpoints on this address and port
    #[arg(long, value_name = "ADDRESS")]
    address: Option<String>,

    /// Only listeners of this type: HTTP, TCP, HTTP+TCP or UNKNOWN
    #[arg(long = "type", value_name = "TYPE")]
    kind: Option<String>,

    /// Only the route configuration of this name
    #[arg(long, value_name = "NAME")]
    name: Option<String>,

    /// Show each filter chain and route; with =false one line a listener and route configuration
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value_t = true,
        default_missing_value = "true", action = clap::ArgAction::Set)]
    verbose: bool,

    /// Write a title over each table
    #[arg(long)]
    with_headers: bool,

    /// Judge certificates at this time instead of the newest in the input (RFC 3339)
    #[arg(long, value_name = "TIME")]
    as_of: Option<Timestamp>,
}

impl AllArgs {
    fn filters(&self) -> All {
        All {
            clusters: ClusterFilter {
                fqdn: self.fqdn.clone(),
                port: self.port,
                subset: self.subset.clone(),
                direction: self.direction.clone(),
            },
            listeners: ListenerFilter { address: self.address.clone(), port: self.port, kind: self.kind.clone() },
            route: self.name.clone(),
            endpoints: EndpointFilter { address: self.address.clone(), port: self.port, cluster: None, status: None },
            verbose: self.verbose,
            with_headers: self.with_headers,
        }
    }

    /// The same question to istioctl, and the time that is given.
    pub(super) fn query(&self) -> (&str, Format, Verb, Option<Timestamp>) {
        (self.common.name(), self.common.output, Verb::All(Box::new(self.filters())), self.as_of)
    }
}

pub(super) fn run(ui: &mut Ui, args: &AllArgs) -> Result<Verdict, CliError> {
    super::without_records(args.common.output)?;
    let proxy = args.common.load(ui)?;
    match args.common.output {
        format @ (Format::Json | Format::Yaml) => {
            let Some(text) = proxy.printable() else {
                return Err(CliError::input(format!("{}: not all of it is JSON", proxy.file())));
            };
            let text = String::from_utf8_lossy(&text);
            let text = match format {
                Format::Yaml => istioctl::json_to_yaml(&text)?,
                _ => istioctl::safe(text.into_owned()),
            };
            ui.bytes(text.as_bytes())?;
            ui.bytes(b"\n")?;
            Ok(Verdict::Clean)
        }
        _ => tables(ui, args, &proxy),
    }
}

fn tables(ui: &mut Ui, args: &AllArgs, proxy: &Proxy) -> Result<Verdict, CliError> {
    let filters = args.filters();
    let mut warnings = Vec::new();
    let title = |ui: &mut Ui, text: &str, is_first: bool| -> Result<(), CliError> {
        let title = if args.with_headers { format!("------ {text} INFO ------\n\n") } else { String::new() };
        ui.bytes(format!("{}{title}", if is_first { "" } else { "\n" }).as_bytes())
    };
    title(ui, "BOOTSTRAP", true)?;
    ui.answer(&render::versions(&inventory::versions(proxy)))?;

    title(ui, "CLUSTER", false)?;
    let clusters = inventory::clusters(proxy, &filters.clusters);
    ui.table(render::clusters_named(&clusters.rows))?;
    warnings.extend(clusters.forget());

    title(ui, "LISTENER", false)?;
    let mut listeners = inventory::listeners(proxy, &filters.listeners);
    inventory::sort_listeners(&mut listeners.rows);
    ui.table(render::listeners_named(&listeners.rows, filters.verbose))?;
    warnings.extend(listeners.forget());

    title(ui, "ROUTE", false)?;
    let routes = inventory::routes(proxy, &RouteFilter { name: filters.route.clone() });
    let table = if filters.verbose { render::routes(&routes.rows) } else { render::routes_brief(&routes.rows) };
    ui.table(table.with_prefix("route/"))?;
    warnings.extend(routes.forget());

    title(ui, "SECRET", false)?;
    let secrets = inventory::secrets(proxy, args.as_of);
    if secrets.rows.is_empty() {
        ui.answer("No active or warming secrets found.\n")?;
    } else {
        ui.table(render::secrets(&secrets.rows).with_prefix("secret/"))?;
    }
    warnings.extend(secrets.warnings);

    title(ui, "ENDPOINTS", false)?;
    let endpoints = inventory::discovered(proxy, &filters.endpoints);
    ui.table(render::discovered(&endpoints.rows).with_prefix("endpoint/"))?;
    warnings.extend(endpoints.forget());
    Ok(super::verdict(ui, &warnings))
}
