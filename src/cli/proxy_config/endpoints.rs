//! `xdsight proxy-config endpoints`

use super::super::error::CliError;
use super::super::format::Format;
use super::super::suggest::closest;
use super::super::ui::Ui;
use super::{Common, Verdict};
use crate::inventory::{self, EndpointFilter};
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
    let proxy = args.common.load(ui)?;
    let filter = EndpointFilter {
        address: args.address.clone(),
        port: args.port,
        cluster: args.cluster.clone(),
        status: args.status.clone(),
    };
    let listing = inventory::endpoints(&proxy, &filter);
    match args.common.output {
        format @ (Format::Json | Format::Yaml) => super::document(ui, format, &listing.rows)?,
        Format::Wide => ui.answer(&render::endpoints_wide(&listing.rows).render())?,
        _ => ui.answer(&render::endpoints(&listing.rows).render())?,
    }
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
