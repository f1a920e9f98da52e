//! `xdsight describe`

use clap::{Args, Subcommand};

use super::Verdict;
use super::error::CliError;
use super::format::Format;
use super::suggest::closest;
use super::ui::Ui;
use crate::input::{Limits, files};
use crate::mesh::Mesh;
use crate::mesh::describe::{self, DescribeOptions, Description, NotFound};
use crate::render;

/// Describe a pod or a service: its place in the mesh, and the Istio objects that shape its traffic
///
/// Reads the objects of the cluster and the config_dumps of proxies, all files together. What the answer would need
/// and the files lack is named at its end.
#[derive(Debug, Args)]
#[command(visible_alias = "des", after_help = EXAMPLES)]
pub(super) struct DescribeArgs {
    #[command(subcommand)]
    command: Describe,
}

const EXAMPLES: &str = "\
Examples:
  xdsight describe pod catalog-v1-a1.shop objects.yaml config_dump.json
  xdsight describe service catalog -n shop capture/

To capture what it reads:
  kubectl get pods,services,configmaps,namespaces -A -o yaml > objects.yaml
  kubectl get virtualservices,destinationrules,gateways.networking.istio.io,peerauthentications -A -o yaml > istio.yaml
  kubectl exec POD -c istio-proxy -- pilot-agent request GET config_dump > POD.NAMESPACE.json";

#[derive(Debug, Subcommand)]
enum Describe {
    /// Describe a pod, its services and what its proxy was configured by
    #[command(visible_alias = "po")]
    Pod(Subject),
    /// Describe a service, by the proxy of one of its pods
    #[command(visible_alias = "svc")]
    Service(Subject),
}

#[derive(Debug, Args)]
struct Subject {
    /// NAME or NAME.NAMESPACE
    name: String,

    /// Objects (YAML or JSON) and config_dumps: files, folders with all in them, or -
    #[arg(required = true)]
    inputs: Vec<String>,

    /// Namespace of names without one
    #[arg(short, long, value_name = "NAMESPACE", default_value = "default")]
    namespace: String,

    /// Namespace of the control plane
    #[arg(short, long = "istioNamespace", value_name = "NAMESPACE", default_value = "istio-system")]
    istio_namespace: String,

    /// Say nothing of pods that aren't in the mesh
    #[arg(long = "ignoreUnmeshed")]
    ignore_unmeshed: bool,

    /// Form of the answer
    #[arg(short, long, value_name = "FORMAT", default_value = "short",
        value_parser = Format::among(&[Format::Short, Format::Json, Format::Yaml]))]
    output: Format,
}

pub(super) fn run(ui: &mut Ui, args: &DescribeArgs, as_istioctl: bool) -> Result<Verdict, CliError> {
    let (Describe::Pod(subject) | Describe::Service(subject)) = &args.command;
    let mut sources = Vec::new();
    for input in &subject.inputs {
        sources.extend(files(input, Limits::default())?);
    }
    let mesh = Mesh::load(sources);
    for warning in mesh.warnings() {
        ui.warn(warning);
    }
    let options = DescribeOptions {
        namespace: subject.namespace.clone(),
        istio_namespace: subject.istio_namespace.clone(),
        ignore_unmeshed: subject.ignore_unmeshed,
        as_istioctl,
    };
    let description = match &args.command {
        Describe::Pod(subject) => describe::pod(&mesh, &subject.name, &options),
        Describe::Service(subject) => describe::service(&mesh, &subject.name, &options),
    };
    match description {
        Ok(description) => answer(ui, subject, &description),
        Err(error) if as_istioctl => {
            ui.tell(&format!("Error: {error}"));
            Ok(Verdict::Istioctl(1))
        }
        Err(error) => Err(not_found(&error)),
    }
}

fn answer(ui: &mut Ui, subject: &Subject, description: &Description) -> Result<Verdict, CliError> {
    let text = match subject.output {
        Format::Json => format!("{}\n", render::pretty(description, 2)?),
        Format::Yaml => render::yaml(description)?,
        _ => render::description(description),
    };
    ui.answer(&text)?;
    match &description.error {
        Some(error) if description.is_crashed => {
            ui.tell(&format!("panic: {error}"));
            Ok(Verdict::Istioctl(2))
        }
        Some(error) => {
            ui.tell(&format!("Error: {error}"));
            Ok(Verdict::Istioctl(1))
        }
        None => Ok(Verdict::Clean),
    }
}

fn not_found(error: &NotFound) -> CliError {
    let cli = CliError::input(format!("{error} in the input"));
    if error.names.is_empty() {
        return cli.hint(format!("the input has no {} at all: add the file that has them", error.plural));
    }
    let same = format!("{}.", error.name);
    let of_name: Vec<&String> = error.names.iter().filter(|name| name.starts_with(&same)).collect();
    if !of_name.is_empty() {
        return of_name.into_iter().fold(cli, |cli, name| cli.hint(format!("there is {name}")));
    }
    match closest(&error.name, error.names.iter().map(String::as_str)) {
        Some(near) => cli.hint(format!("did you mean {near}?")),
        None => cli.hint(format!("it has {} {}; -n names the namespace", error.names.len(), error.plural)),
    }
}
