//! `xdsight proxy-config eds`

use super::super::error::CliError;
use super::super::format::Format;
use super::super::ui::Ui;
use super::{Common, Verdict};
use crate::dump::Proxy;
use crate::inventory::{self, EndpointFilter};
use crate::istioctl::{self, Document, Verb};

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
    let proxy = args.common.load(ui)?;
    match args.common.output {
        format @ (Format::Json | Format::Yaml) => {
            let kept = inventory::matching_assignments(&proxy, &args.filter());
            super::resources(ui, format, &kept)?;
        }
        _ => ui.bytes(table(&proxy, &args.filter(), false)?.as_bytes())?,
    }
    Ok(Verdict::Clean)
}

/// The table of the load assignments in force.
pub(super) fn table(proxy: &Proxy, filter: &EndpointFilter, is_named: bool) -> Result<String, CliError> {
    let in_force = proxy.load_assignments().iter().filter(|assignment| assignment.state.is_in_force());
    let texts: Vec<_> = in_force.map(|assignment| (assignment.kind().message(), assignment.printable())).collect();
    let documents: Result<Vec<_>, _> = texts.iter().map(|(name, text)| Document::read_as(name, text)).collect();
    Ok(istioctl::eds_table(&documents?, filter, is_named))
}
