//! `xdsight proxy-config`

mod bootstrap;
mod clusters;
mod endpoints;
mod listeners;
mod routes;
mod secrets;

use clap::{Args, Subcommand};

use super::error::CliError;
use super::format::Format;
use super::ui::Ui;
use super::{Verdict, input};
use crate::dump::{DecodeError, Proxy};
use crate::render;

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
}

pub(super) fn run(ui: &mut Ui, args: &ProxyConfigArgs) -> Result<Verdict, CliError> {
    match &args.command {
        ProxyConfig::Listeners(args) => listeners::run(ui, args),
        ProxyConfig::Routes(args) => routes::run(ui, args),
        ProxyConfig::Clusters(args) => clusters::run(ui, args),
        ProxyConfig::Endpoints(args) => endpoints::run(ui, args),
        ProxyConfig::Secrets(args) => secrets::run(ui, args),
        ProxyConfig::Bootstrap(args) => bootstrap::run(ui, args),
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

    /// Form of the answer
    #[arg(short, long, value_name = "FORMAT", default_value = "short",
        value_parser = Format::among(&[Format::Short, Format::Wide, Format::Json, Format::Yaml]))]
    output: Format,
}

impl Common {
    fn name(&self) -> &str {
        self.input.as_deref().or(self.file.as_deref()).unwrap_or("-")
    }

    fn load(&self, ui: &mut Ui) -> Result<Proxy, CliError> {
        let proxy = input::load(self.name())?;
        input::warn(ui, &proxy);
        Ok(proxy)
    }
}

/// Prints resources as one document.
fn resources(
    ui: &mut Ui,
    format: Format,
    resources: impl Iterator<Item = Result<serde_json::Value, DecodeError>>,
) -> Result<(), CliError> {
    let mut values = Vec::new();
    for resource in resources {
        match resource {
            Ok(value) => values.push(value),
            Err(error) => ui.warn(&format!("left out: {error}")),
        }
    }
    document(ui, format, &values)
}

/// What a resource says, or nothing and a word about why.
fn or_default<T: Default>(ui: &mut Ui, detail: Result<T, DecodeError>) -> T {
    detail.unwrap_or_else(|error| {
        ui.warn(&format!("details are left out: {error}"));
        T::default()
    })
}

/// Prints one document, indented as istioctl does.
fn document(ui: &mut Ui, format: Format, value: &impl serde::Serialize) -> Result<(), CliError> {
    let text = match format {
        Format::Yaml => render::yaml(value)?,
        _ => format!("{}\n", render::pretty(value, 4)?),
    };
    ui.answer(&text)
}

/// What couldn't be listed makes the answer incomplete: it is told, and the exit code says so.
fn verdict(ui: &mut Ui, warnings: &[String]) -> Verdict {
    for warning in warnings {
        ui.warn(warning);
    }
    if warnings.is_empty() { Verdict::Clean } else { Verdict::Unreadable }
}
