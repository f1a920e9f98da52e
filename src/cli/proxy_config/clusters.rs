//! `xdsight proxy-config clusters`

use super::super::error::CliError;
use super::super::format::Format;
use super::super::ui::Ui;
use super::{Common, Verdict};
use crate::inventory::{self, ClusterFilter, EndpointCounts, Tunnels};
use crate::istioctl::Verb;
use crate::render;

/// List the clusters in force
#[derive(Debug, clap::Args)]
#[command(visible_aliases = ["cluster", "c"])]
pub(super) struct ClustersArgs {
    #[command(flatten)]
    common: Common,

    /// Only clusters with this in their name, such as the host of a service
    #[arg(long, value_name = "TEXT")]
    fqdn: Option<String>,

    /// Only clusters of this port of a service
    #[arg(long, value_name = "PORT")]
    port: Option<u32>,

    /// Only clusters with this in their name, such as a subset
    #[arg(long, value_name = "TEXT")]
    subset: Option<String>,

    /// Only clusters with this in their name: inbound or outbound
    #[arg(long, value_name = "TEXT")]
    direction: Option<String>,

    /// Show what refers to each of these clusters, and from which listeners it is reached
    #[arg(long)]
    why: bool,
}

impl ClustersArgs {
    fn filter(&self) -> ClusterFilter {
        ClusterFilter {
            fqdn: self.fqdn.clone(),
            port: self.port,
            subset: self.subset.clone(),
            direction: self.direction.clone(),
        }
    }

    /// The same question to istioctl.
    pub(super) fn query(&self) -> (&str, Format, Verb) {
        (self.common.name(), self.common.output, Verb::Clusters(self.filter()))
    }
}

pub(super) fn run(ui: &mut Ui, args: &ClustersArgs) -> Result<Verdict, CliError> {
    let proxy = args.common.load(ui)?;
    let listing = match args.common.output {
        _ if args.why => inventory::all_clusters(&proxy, &args.filter()),
        format if super::is_wide(format) => inventory::all_clusters(&proxy, &args.filter()),
        _ => inventory::clusters(&proxy, &args.filter()),
    };
    let asked = [("--fqdn", &args.fqdn), ("--subset", &args.subset), ("--direction", &args.direction)];
    super::hint_if_empty(ui, listing.rows.is_empty(), &asked, args.port);
    if args.why {
        let names: Vec<&str> = listing.rows.iter().map(|row| row.resource.name.as_str()).collect();
        super::why::print(ui, args.common.output, &inventory::why_cluster(&proxy, &names))?;
        return Ok(super::verdict(ui, &listing.warnings));
    }
    match args.common.output {
        format @ (Format::Json | Format::Yaml) => {
            let resources: Vec<_> = listing.rows.iter().map(|row| row.resource).collect();
            super::resources(ui, format, &resources)?;
        }
        format @ (Format::Wide | Format::Jsonl) => {
            let (counts, tunnels) = (EndpointCounts::of(&proxy), Tunnels::of(Some(&proxy)));
            let details = listing.rows.iter().map(|row| inventory::cluster_detail(row.resource, &counts, &tunnels));
            let details: Vec<_> = details.map(|detail| super::or_default(ui, detail)).collect();
            ui.answer(&match format {
                Format::Jsonl => render::cluster_records(&listing.rows, &details)?,
                _ => render::clusters_wide(&listing.rows, &details).render(),
            })?;
        }
        _ => ui.table(render::clusters(&listing.rows))?,
    }
    Ok(super::verdict(ui, &listing.forget()))
}
