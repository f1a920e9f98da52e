//! `xdsight proxy-config endpoints`

use std::mem::ManuallyDrop;

use super::super::error::CliError;
use super::super::format::Format;
use super::super::suggest::closest;
use super::super::ui::Ui;
use super::{Common, Verdict};
use crate::cli::input;
use crate::dump::{Proxy, cluster_statuses};
use crate::input::{Artifact, ArtifactKind};
use crate::inventory::{self, EndpointFilter, EndpointRow};
use crate::istioctl::{Document, Verb};
use crate::proto::envoy::admin::v3::ClusterStatus;
use crate::render;

/// List the endpoints of the clusters
///
/// Health and ejections are Envoy's own where the input holds /clusters, as JSON or text, alone or beside the dump. With a
/// dump alone, endpoints are those that the control plane sent (capture it with include_eds), and STATUS is its opinion.
/// With both, EDS has a column of its own, and ABSENT stands on the side that doesn't have an endpoint.
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

impl EndpointsArgs {
    fn filter(&self) -> EndpointFilter {
        EndpointFilter {
            address: self.address.clone(),
            port: self.port,
            cluster: self.cluster.clone(),
            status: self.status.clone(),
        }
    }

    /// Tells that no endpoint is what the flags ask for, and which statuses there are.
    fn hint_if_empty(&self, ui: &mut Ui, is_empty: bool) {
        const STATUSES: [&str; 7] = ["healthy", "unhealthy", "draining", "timeout", "degraded", "unknown", "absent"];
        let Some(status) = &self.status else {
            let asked = [("--address", &self.address), ("--cluster", &self.cluster)];
            return super::hint_if_empty(ui, is_empty, &asked, self.port);
        };
        if is_empty {
            let is_known = STATUSES.iter().any(|known| known.eq_ignore_ascii_case(status));
            let known = if is_known { String::new() } else { format!("; status is one of {}", STATUSES.join(", ")) };
            ui.hint(&format!("nothing matches --status {status}{known}"));
        }
    }

    /// The same question to istioctl.
    pub(super) fn query(&self) -> (&str, Format, Verb) {
        (self.common.name(), self.common.output, Verb::Endpoints(self.filter()))
    }
}

pub(super) fn run(ui: &mut Ui, args: &EndpointsArgs) -> Result<Verdict, CliError> {
    let filter = args.filter();
    let artifacts = input::read(args.common.name())?;
    let is_list = matches!(args.common.output, Format::Json | Format::Yaml);
    if let Some(statuses) = cluster_statuses(&artifacts) {
        let statuses = statuses?;
        if is_list {
            print_statuses(ui, args.common.output, &artifacts, &statuses, &filter)?;
        } else {
            let rows = inventory::live_endpoints(&statuses, &filter);
            print(ui, args.common.output, &rows, None)?;
            args.hint_if_empty(ui, rows.is_empty());
        }
        return Ok(Verdict::Clean);
    }
    let proxy = ManuallyDrop::new(Proxy::load(&artifacts)?);
    input::warn(ui, &proxy);
    let listing = inventory::endpoints(&proxy, &filter);
    if !is_list {
        print(ui, args.common.output, &listing.rows, Some(&proxy))?;
    } else if proxy.has_cluster_statuses() {
        let statuses: Vec<ClusterStatus> = proxy.cluster_statuses().cloned().collect();
        print_statuses(ui, args.common.output, &artifacts, &statuses, &filter)?;
    } else {
        super::resources(ui, args.common.output, &inventory::matching_assignments(&proxy, &filter))?;
    }
    if let (Some(name), true) = (&args.cluster, listing.rows.is_empty()) {
        let names = proxy.clusters().iter().map(|cluster| cluster.name.as_str());
        if let Some(close) = closest(name, names).filter(|close| !close.eq_ignore_ascii_case(name)) {
            ui.hint(&format!("there is no endpoint of cluster {name:?}; did you mean {close:?}?"));
        }
    }
    args.hint_if_empty(ui, listing.rows.is_empty());
    if !proxy.has_cluster_statuses() && !proxy.has_endpoints_section() {
        ui.warn("the dump has no endpoints section: endpoints of EDS clusters aren't known");
        ui.hint("capture /config_dump?include_eds, or /clusters?format=json");
    }
    Ok(super::verdict(ui, &listing.forget()))
}

/// Prints clusters of `/clusters`, as they stand there where it is a file of its own.
fn print_statuses(
    ui: &mut Ui,
    format: Format,
    artifacts: &[Artifact],
    statuses: &[ClusterStatus],
    filter: &EndpointFilter,
) -> Result<(), CliError> {
    const NAME: &str = "envoy.admin.v3.ClusterStatus";
    let places = inventory::matching_statuses(statuses, filter);
    let file = artifacts.iter().find(|artifact| artifact.kind == ArtifactKind::Clusters);
    let text = file.and_then(|file| file.source.bytes().get(file.start..)).unwrap_or_default();
    let whole = Document::elements("envoy.admin.v3.Clusters", "clusterStatuses", text).unwrap_or_default();
    super::print_list(ui, format, &places, |place, element| {
        if whole.len() == statuses.len()
            && let Some(document) = whole.get(*place)
        {
            return Ok(element(document));
        }
        let text = statuses.get(*place).and_then(|status| serde_json::to_vec(status).ok()).unwrap_or_default();
        Ok(element(&Document::message(NAME, &text)?))
    })
}

fn print(ui: &mut Ui, format: Format, rows: &[EndpointRow], proxy: Option<&Proxy>) -> Result<(), CliError> {
    let has_eds = proxy.is_some_and(inventory::has_both_sides);
    match format {
        Format::Wide | Format::Jsonl => {
            let details = inventory::endpoint_details(proxy, rows);
            ui.answer(&match format {
                Format::Jsonl => render::endpoint_records(rows, &details)?,
                _ => render::endpoints_wide(rows, &details, has_eds).render(),
            })
        }
        _ => ui.table(render::endpoints(rows, has_eds)),
    }
}
