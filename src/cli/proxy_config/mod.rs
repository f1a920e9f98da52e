//! `xdsight proxy-config`

mod all;
mod bootstrap;
mod clusters;
mod ecds;
mod eds;
mod endpoints;
mod istioctl;
mod listeners;
mod log;
mod rootca_compare;
mod routes;
mod secrets;
mod why;

use std::mem::ManuallyDrop;

use clap::{Args, Subcommand};
use rayon::prelude::*;

use super::cluster_flags::{ClusterFlags, PodNamespace};
use super::error::CliError;
use super::format::Format;
use super::ui::Ui;
use super::{Verdict, input};
use crate::dump::{DecodeError, Proxy, Resource};
use crate::istioctl::{Document, Unprintable};

pub(in crate::cli) use istioctl::code as istioctl_code;

/// List what a proxy holds, in the tables of istioctl proxy-config
#[derive(Debug, Args)]
#[command(visible_alias = "pc")]
pub(super) struct ProxyConfigArgs {
    #[command(subcommand)]
    command: ProxyConfig,
}

#[derive(Debug, Subcommand)]
enum ProxyConfig {
    Listeners(listeners::ListenersArgs),
    Routes(routes::RoutesArgs),
    Clusters(clusters::ClustersArgs),
    Endpoints(endpoints::EndpointsArgs),
    Secrets(secrets::SecretsArgs),
    Bootstrap(bootstrap::BootstrapArgs),
    Ecds(ecds::EcdsArgs),
    Eds(eds::EdsArgs),
    All(all::AllArgs),
    Log(log::LogArgs),
    RootcaCompare(rootca_compare::RootcaCompareArgs),
}

pub(super) fn run(ui: &mut Ui, args: &ProxyConfigArgs, as_istioctl: bool) -> Result<Verdict, CliError> {
    // istioctl needs a cluster for the last two, and the first is right as it is.
    let is_ours = match &args.command {
        ProxyConfig::Listeners(args) => args.waypoint,
        ProxyConfig::Log(_) | ProxyConfig::RootcaCompare(_) => true,
        _ => false,
    };
    if as_istioctl && !is_ours {
        return istioctl::run(ui, &args.command);
    }
    match &args.command {
        ProxyConfig::Listeners(args) => listeners::run(ui, args),
        ProxyConfig::Routes(args) => routes::run(ui, args),
        ProxyConfig::Clusters(args) => clusters::run(ui, args),
        ProxyConfig::Endpoints(args) => endpoints::run(ui, args),
        ProxyConfig::Secrets(args) => secrets::run(ui, args),
        ProxyConfig::Bootstrap(args) => bootstrap::run(ui, args),
        ProxyConfig::Ecds(args) => ecds::run(ui, args),
        ProxyConfig::Eds(args) => eds::run(ui, args),
        ProxyConfig::All(args) => all::run(ui, args),
        ProxyConfig::Log(args) => log::run(ui, args),
        ProxyConfig::RootcaCompare(args) => rootca_compare::run(ui, args),
    }
}

/// What every list takes.
#[derive(Debug, Args)]
struct Common {
    /// Dump of the proxy: a file, - or a folder of admin answers
    #[arg(required_unless_present = "file", conflicts_with = "file")]
    input: Option<String>,

    /// The same, as istioctl takes it
    #[arg(short, long, value_name = "FILE")]
    file: Option<String>,

    /// Form of the answer: json and yaml are the resources, jsonl is the wide table, one row a line
    #[arg(short, long, value_name = "FORMAT", default_value = "short",
        value_parser = Format::among(&[Format::Short, Format::Wide, Format::Json, Format::Yaml, Format::Jsonl]))]
    output: Format,

    #[command(flatten)]
    _cluster: ClusterFlags,

    #[command(flatten)]
    _namespace: PodNamespace,
}

impl Common {
    fn name(&self) -> &str {
        self.input.as_deref().or(self.file.as_deref()).unwrap_or("-")
    }

    fn load(&self, ui: &mut Ui) -> Result<ManuallyDrop<Proxy>, CliError> {
        let proxy = input::load(self.name())?;
        input::warn(ui, &proxy);
        Ok(proxy)
    }
}

/// Whether the form of an answer has what istioctl leaves out.
fn is_wide(format: Format) -> bool {
    matches!(format, Format::Wide | Format::Jsonl)
}

/// A list that has no wide table.
fn without_records(format: Format) -> Result<(), CliError> {
    match format {
        Format::Jsonl => Err(CliError::usage("-o jsonl is for listeners, routes, clusters, endpoints and secrets")),
        _ => Ok(()),
    }
}

/// Resources that are printed at a time: many for the cores, few for the memory.
const CHUNK: usize = 256;

/// Prints resources as one list, as istioctl does.
fn resources<T: Send + Sync>(ui: &mut Ui, format: Format, resources: &[&Resource<T>]) -> Result<(), CliError> {
    print_list(ui, format, resources, |resource, element| {
        let text = resource.printable();
        Ok(element(&Document::message(resource.kind().message(), &text)?))
    })
}

/// What a resource says, or nothing and a word about why.
fn or_default<T: Default>(ui: &mut Ui, detail: Result<T, DecodeError>) -> T {
    detail.unwrap_or_else(|error| {
        ui.warn(&format!("details are left out: {error}"));
        T::default()
    })
}

/// Prints a list, a chunk at a time. What can't be printed is told and left out.
fn print_list<T: Sync>(
    ui: &mut Ui,
    format: Format,
    rows: &[T],
    print: impl Fn(&T, &dyn Fn(&Document<'_>) -> String) -> Result<String, Unprintable> + Sync,
) -> Result<(), CliError> {
    let is_yaml = format == Format::Yaml;
    let element = |document: &Document<'_>| {
        if is_yaml { document.yaml_element() } else { document.json_element() }
    };
    let mut is_first = true;
    for chunk in rows.chunks(CHUNK) {
        let printed: Vec<Result<String, Unprintable>> = chunk.par_iter().map(|row| print(row, &element)).collect();
        for text in printed {
            match text {
                Ok(text) => {
                    let before = if is_yaml { "" } else { if is_first { "[\n" } else { ",\n" } };
                    ui.bytes(before.as_bytes())?;
                    ui.bytes(text.as_bytes())?;
                    is_first = false;
                }
                Err(error) => ui.warn(&format!("left out: {error}")),
            }
        }
    }
    ui.bytes(match (is_yaml, is_first) {
        (true, true) => b"[]\n\n",
        (true, false) => b"\n",
        (false, true) => b"[]\n",
        (false, false) => b"\n]\n",
    })
}

/// Tells that nothing is what the flags ask for.
fn hint_if_empty(ui: &mut Ui, is_empty: bool, asked: &[(&str, &Option<String>)], port: Option<u32>) {
    let asked = asked.iter().filter_map(|(flag, value)| value.as_ref().map(|value| format!("{flag} {value}")));
    let asked: Vec<String> = asked.chain(port.map(|port| format!("--port {port}"))).collect();
    if is_empty && !asked.is_empty() {
        ui.hint(&format!("nothing matches {}", asked.join(" ")));
    }
}

/// What couldn't be listed makes the answer incomplete: it is told, and the exit code says so.
fn verdict(ui: &mut Ui, warnings: &[String]) -> Verdict {
    for warning in warnings {
        ui.warn(warning);
    }
    if warnings.is_empty() { Verdict::Clean } else { Verdict::Unreadable }
}
