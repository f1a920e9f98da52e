//! `xdsight proxy-config eds`

use super::super::error::CliError;
use super::super::format::Format;
use super::super::ui::Ui;
use super::{Common, Verdict};
use crate::inventory::{self, EndpointFilter};
use crate::istioctl::Verb;
use crate::render;

/// List the endpoints that EDS has delivered, by cluster
#[derive(Debug, clap::Args)]
#[command(hide = true)]
pub(super) struct EdsArgs {
    #[command(flatten)]
    common: Common,

    /// Only endpoints on this address and port, such as 10.0.0.1:80
    #[arg(long, value_name = "ADDRESS:PORT")]
    address: Option<String>,

    /// Only endpoints on this port
    #[arg(long, value_name = "PORT")]
    port: Option<u32>,

    /// Only endpoints of the cluster of this name
    #[arg(long, value_name = "NAME")]
    cluster: Option<String>,

    /// Only endpoints of this status
    #[arg(long, value_name = "STATUS")]
    status: Option<String>,
}

impl EdsArgs {
    fn filter(&self) -> EndpointFilter {
        EndpointFilter {
            address: self.address.clone(),
            port: self.port,
            cluster: self.cluster.clone(),
            status: self.status.clone(),
        }
    }

    /// The same question to istioctl.
    pub(super) fn query(&self) -> (&str, Format, Verb) {
        (self.common.name(), self.common.output, Verb::Eds(self.filter()))
    }
}

pub(super) fn run(ui: &mut Ui, args: &EdsArgs) -> Result<Verdict, CliError> {
    super::without_records(args.common.output)?;
    let proxy = args.common.load(ui)?;
    match args.common.output {
        format @ (Format::Json | Format::Yaml) => {
            let kept = inventory::matching_assignments(&proxy, &args.filter());
            super::resources(ui, format, &kept)?;
        }
        _ => {
            let listing = inventory::discovered(&proxy, &args.filter());
            ui.table(render::discovered(&listing.rows))?;
            return Ok(super::verdict(ui, &listing.forget()));
        }
    }
    Ok(Verdict::Clean)
}
