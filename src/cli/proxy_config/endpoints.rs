//! `xdsight proxy-config endpoints`

use super::super::error::CliError;
use super::super::format::Format;
use super::super::suggest::closest;
use super::super::ui::Ui;
use super::{Common, Verdict};
use crate::cli::input;
use crate::dump::{Proxy, cluster_statuses};
use crate::inventory::{self, EndpointFilter, EndpointRow};
use crate::render;

/// List the endpoints of the clusters
///
/// Health and ejections are Envoy's own where the input holds /clusters?format=json, alone or beside the dump. With a
/// dump alone, endpoints are those that the control plane sent (capture it with include_eds), and STATUS is its opinion.
#[derive(Debug, clap::Args)]
#[command(visible_aliases = ["endpoint", "ep"])]
pub(super) struct EndpointsArgs {
    #[command(flatten)]
    common: Common,

    /// Only endpoints on this address
    #[arg(long, value_name = "ADDRESS")]
    address: Option<String>,

    /// Only endpoints on this port
    #[arg(long, value_name = "PORT")]
    port: Option<u32>,

    /// Only endpoints of the cluster of this name
    #[arg(long, value_name = "NAME")]
    cluster: Option<String>,

    /// Only endpoints of this status: healthy, unhealthy, draining, timeout, degraded or unknown
    #[arg(long, value_name = "STATUS")]
    status: Option<String>,
}

pub(super) fn run(ui: &mut Ui, args: &EndpointsArgs) -> Result<Verdict, CliError> {
    let filter = EndpointFilter {
        address: args.address.clone(),
        port: args.port,
        cluster: args.cluster.clone(),
        status: args.status.clone(),
    };
    let artifacts = input::read(args.common.name())?;
    if let Some(statuses) = cluster_statuses(&artifacts) {
        let statuses = statuses?;
        let listing = inventory::live_resources(&statuses, &filter);
        print(ui, args.common.output, &inventory::live_endpoints(&statuses, &filter), &listing.rows)?;
        return Ok(super::verdict(ui, &listing.warnings));
    }
    let proxy = Proxy::load(&artifacts)?;
    input::warn(ui, &proxy);
    let listing = inventory::endpoints(&proxy, &filter);
    let resources = match args.common.output {
        Format::Json | Format::Yaml => inventory::endpoint_resources(&proxy, &filter).rows,
        _ => Vec::new(),
    };
    print(ui, args.common.output, &listing.rows, &resources)?;
    if let (Some(name), true) = (&args.cluster, listing.rows.is_empty()) {
        let names = proxy.clusters().iter().map(|cluster| cluster.name.as_str());
        if let Some(close) = closest(name, names).filter(|close| !close.eq_ignore_ascii_case(name)) {
            ui.hint(&format!("there is no endpoint of cluster {name:?}; did you mean {close:?}?"));
        }
    }
    if !proxy.has_cluster_statuses() && !proxy.has_endpoints_section() {
        ui.warn("the dump has no endpoints section: endpoints of EDS clusters aren't known");
        ui.hint("capture /config_dump?include_eds, or /clusters?format=json");
    }
    Ok(super::verdict(ui, &listing.warnings))
}

fn print(ui: &mut Ui, format: Format, rows: &[EndpointRow], resources: &[serde_json::Value]) -> Result<(), CliError> {
    match format {
        Format::Json | Format::Yaml => super::document(ui, format, &resources),
        Format::Wide => ui.answer(&render::endpoints_wide(rows).render()),
        _ => ui.answer(&render::endpoints(rows).render()),
    }
}
