//! `xdsight ztunnel-config`

use clap::{Args, Subcommand};
use jiff::Timestamp;
use serde::Serialize;

use super::cluster_flags::{ClusterFlags, PodNamespace};
use super::error::CliError;
use super::format::Format;
use super::ui::Ui;
use super::{Verdict, input};
use crate::dump::ztunnel::ZtunnelDump;
use crate::inventory::{self, ConnectionFilter, WorkloadFilter};
use crate::istioctl::{Document, Form, json_to_yaml};
use crate::render;

/// List what a ztunnel holds, in the tables of istioctl ztunnel-config
#[derive(Debug, Args)]
#[command(visible_alias = "zc")]
pub(super) struct ZtunnelConfigArgs {
    #[command(subcommand)]
    command: ZtunnelConfig,
}

#[derive(Debug, Subcommand)]
enum ZtunnelConfig {
    /// List workloads
    #[command(visible_aliases = ["workloads", "w"])]
    Workload(WorkloadArgs),
    /// List services
    #[command(visible_aliases = ["services", "svc", "s"])]
    Service(ServiceArgs),
    /// List authorization policies
    #[command(visible_aliases = ["policies", "pol", "p"])]
    Policy(PolicyArgs),
    /// List certificates
    #[command(visible_aliases = ["certificates", "certs", "cert"])]
    Certificate(CertificateArgs),
    /// List open connections
    #[command(visible_alias = "cons")]
    Connections(ConnectionsArgs),
    /// List all of these
    All(AllArgs),
}

/// What every list takes.
#[derive(Debug, Args)]
struct Common {
    /// Dump of a ztunnel: a file or -
    #[arg(required_unless_present = "file", conflicts_with = "file")]
    input: Option<String>,

    /// The same, as istioctl takes it
    #[arg(short, long, value_name = "FILE")]
    file: Option<String>,

    /// Form of the answer
    #[arg(short, long, value_name = "FORMAT", default_value = "short",
        value_parser = Format::among(&[Format::Short, Format::Wide, Format::Json, Format::Yaml]))]
    output: Format,

    #[command(flatten)]
    _cluster: ClusterFlags,

    #[command(flatten)]
    _namespace: PodNamespace,
}

#[derive(Debug, Args)]
struct WorkloadArgs {
    #[command(flatten)]
    common: Common,

    /// Only the workload of this address
    #[arg(long, value_name = "ADDR")]
    address: Option<String>,

    /// Only workloads of this namespace
    #[arg(long, value_name = "NAMESPACE")]
    workload_namespace: Option<String>,

    /// Only workloads of this node
    #[arg(long, value_name = "NODE")]
    workload_node: Option<String>,
}

#[derive(Debug, Args)]
struct ServiceArgs {
    #[command(flatten)]
    common: Common,

    /// Only services of this namespace
    #[arg(long, value_name = "NAMESPACE")]
    service_namespace: Option<String>,
}

#[derive(Debug, Args)]
struct PolicyArgs {
    #[command(flatten)]
    common: Common,

    /// Only policies of this namespace
    #[arg(long, value_name = "NAMESPACE")]
    policy_namespace: Option<String>,
}

#[derive(Debug, Args)]
struct CertificateArgs {
    #[command(flatten)]
    common: Common,

    /// Judge certificates at this time instead of now (RFC 3339)
    #[arg(long, value_name = "TIME")]
    as_of: Option<Timestamp>,
}

#[derive(Debug, Args)]
struct ConnectionsArgs {
    #[command(flatten)]
    common: Common,

    /// Only inbound or outbound connections
    #[arg(long, value_name = "DIRECTION")]
    direction: Option<String>,

    /// Show addresses as they are, not by name
    #[arg(long)]
    raw: bool,

    /// Only connections of workloads in this namespace
    #[arg(long, value_name = "NAMESPACE")]
    workload_namespace: Option<String>,
}

#[derive(Debug, Args)]
struct AllArgs {
    #[command(flatten)]
    common: Common,

    /// Put a title above each list
    #[arg(long)]
    with_headers: bool,

    /// Judge certificates at this time instead of now (RFC 3339)
    #[arg(long, value_name = "TIME")]
    as_of: Option<Timestamp>,
}

pub(super) fn run(ui: &mut Ui, args: &ZtunnelConfigArgs, as_istioctl: bool) -> Result<Verdict, CliError> {
    match &args.command {
        ZtunnelConfig::Workload(args) => workloads(ui, args, as_istioctl),
        ZtunnelConfig::Service(args) => services(ui, args, as_istioctl),
        ZtunnelConfig::Policy(args) => policies(ui, args, as_istioctl),
        ZtunnelConfig::Certificate(args) => certificates(ui, args, as_istioctl),
        ZtunnelConfig::Connections(args) => connections(ui, args, as_istioctl),
        ZtunnelConfig::All(args) => all(ui, args, as_istioctl),
    }
}

impl Common {
    /// The text of the dump.
    fn text(&self) -> Result<(String, Vec<u8>), CliError> {
        let name = self.input.as_deref().or(self.file.as_deref()).unwrap_or("-");
        let artifacts = input::read(name)?;
        let artifact = artifacts
            .first()
            .filter(|_| artifacts.len() == 1)
            .ok_or_else(|| CliError::usage(format!("{name}: a dump of one ztunnel is needed, not a folder")))?;
        let bytes = artifact.source.bytes().get(artifact.start..).unwrap_or_default();
        Ok((artifact.source.file().to_owned(), bytes.to_vec()))
    }

    fn load(&self, as_istioctl: bool) -> Result<ZtunnelDump, CliError> {
        let (file, text) = self.text()?;
        parse(&file, &text, as_istioctl)
    }

    fn is_table(&self) -> bool {
        matches!(self.output, Format::Short | Format::Wide)
    }

    fn document(&self, ui: &mut Ui, value: &impl Serialize) -> Result<(), CliError> {
        let text = serde_json::to_vec(value)?;
        let document = Document::json_text(&text)?;
        let text = if self.output == Format::Yaml { document.yaml() } else { document.json(Form::List) };
        ui.bytes(format!("{text}\n").as_bytes())
    }
}

/// Reads a dump. istioctl doesn't know the forms of older releases.
fn parse(file: &str, text: &[u8], as_istioctl: bool) -> Result<ZtunnelDump, CliError> {
    let dump = ZtunnelDump::parse(text)
        .map_err(|error| CliError::input(format!("{file}: no dump of a ztunnel")).caused_by(error))?;
    if as_istioctl {
        return Ok(dump);
    }
    if !dump.has_member() {
        let error = CliError::input(format!("{file}: no dump of a ztunnel: nothing that a ztunnel holds is in it"));
        return Err(error.hint("for an Envoy's dump there are xdsight summary and xdsight proxy-config"));
    }
    Ok(dump.lifted())
}

fn workloads(ui: &mut Ui, args: &WorkloadArgs, as_istioctl: bool) -> Result<Verdict, CliError> {
    let dump = args.common.load(as_istioctl)?;
    let filter = WorkloadFilter {
        address: args.address.clone(),
        namespace: args.workload_namespace.clone(),
        node: args.workload_node.clone(),
    };
    if args.common.is_table() {
        let rows = inventory::ztunnel_workloads(&dump, &filter);
        let table = match args.common.output {
            Format::Wide => render::ztunnel_workloads_wide(&rows),
            _ => render::ztunnel_workloads(&rows),
        };
        ui.answer(&table.render())?;
    } else {
        let listed: Vec<_> = dump.workloads.iter().filter(|workload| filter.takes(workload)).collect();
        args.common.document(ui, &listed)?;
    }
    Ok(Verdict::Clean)
}

fn services(ui: &mut Ui, args: &ServiceArgs, as_istioctl: bool) -> Result<Verdict, CliError> {
    let dump = args.common.load(as_istioctl)?;
    let rows = inventory::ztunnel_services(&dump, args.service_namespace.as_deref());
    if args.common.is_table() {
        ui.answer(&render::ztunnel_services(&rows).render())?;
    } else {
        args.common.document(ui, &rows.iter().map(|row| row.service).collect::<Vec<_>>())?;
    }
    Ok(Verdict::Clean)
}

fn policies(ui: &mut Ui, args: &PolicyArgs, as_istioctl: bool) -> Result<Verdict, CliError> {
    let dump = args.common.load(as_istioctl)?;
    let policies = inventory::ztunnel_policies(&dump, args.policy_namespace.as_deref());
    if args.common.is_table() {
        ui.answer(&render::ztunnel_policies(&policies).render())?;
    } else {
        args.common.document(ui, &policies)?;
    }
    Ok(Verdict::Clean)
}

fn certificates(ui: &mut Ui, args: &CertificateArgs, as_istioctl: bool) -> Result<Verdict, CliError> {
    let dump = args.common.load(as_istioctl)?;
    if args.common.is_table() {
        let rows = judged(ui, &dump, args.as_of);
        ui.answer(&render::ztunnel_certificates(&rows).render())?;
    } else {
        args.common.document(ui, &dump.certificates)?;
    }
    Ok(Verdict::Clean)
}

/// The dump has no time of its own, so without another one certificates are judged by the clock.
fn judged(ui: &mut Ui, dump: &ZtunnelDump, as_of: Option<Timestamp>) -> Vec<inventory::IdentityRow> {
    let as_of = as_of.unwrap_or_else(Timestamp::now);
    let (rows, warnings) = inventory::ztunnel_certificates(dump, as_of);
    for warning in warnings {
        ui.warn(&warning);
    }
    rows
}

fn connections(ui: &mut Ui, args: &ConnectionsArgs, as_istioctl: bool) -> Result<Verdict, CliError> {
    let dump = args.common.load(as_istioctl)?;
    let filter = ConnectionFilter {
        direction: args.direction.clone(),
        namespace: args.workload_namespace.clone(),
        raw: args.raw,
    };
    if args.common.is_table() {
        let rows = inventory::ztunnel_connections(&dump, &filter);
        ui.answer(&render::ztunnel_connections(&rows).render())?;
    } else {
        args.common.document(ui, &inventory::workload_states(&dump, &filter))?;
    }
    Ok(Verdict::Clean)
}

fn all(ui: &mut Ui, args: &AllArgs, as_istioctl: bool) -> Result<Verdict, CliError> {
    let (file, text) = args.common.text()?;
    let dump = parse(&file, &text, as_istioctl)?;
    if args.common.is_table() {
        let workloads = inventory::ztunnel_workloads(&dump, &WorkloadFilter::default());
        let services = inventory::ztunnel_services(&dump, None);
        let policies = inventory::ztunnel_policies(&dump, None);
        let certificates = judged(ui, &dump, args.as_of);
        let connections = inventory::ztunnel_connections(&dump, &ConnectionFilter::default());
        let lists = [
            ("WORKLOAD", render::ztunnel_workloads(&workloads)),
            ("SERVICE", render::ztunnel_services(&services)),
            ("POLICY", render::ztunnel_policies(&policies)),
            ("SECRET", render::ztunnel_certificates(&certificates)),
            ("CONNECTIONS", render::ztunnel_connections(&connections)),
        ];
        for (title, table) in lists {
            let title = if args.with_headers { format!("------ {title} INFO ------\n\n") } else { String::new() };
            ui.answer(&format!("\n{title}{}", table.render()))?;
        }
    } else if args.common.output == Format::Json {
        // As it is: what istioctl does, and nothing is lost.
        ui.answer(&format!("{}\n", String::from_utf8_lossy(&text)))?;
    } else {
        let yaml = json_to_yaml(&String::from_utf8_lossy(&text))
            .map_err(|error| CliError::input(format!("{file}: no JSON")).caused_by(error))?;
        ui.bytes(format!("{yaml}\n").as_bytes())?;
    }
    Ok(Verdict::Clean)
}
