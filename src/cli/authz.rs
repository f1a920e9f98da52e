//! `xdsight authz`

use clap::{Args, Subcommand};
use serde::Serialize;

use super::cluster_flags::{ClusterFlags, PodNamespace};
use super::error::CliError;
use super::format::Format;
use super::ui::Ui;
use super::{Verdict, input};
use crate::inventory::PolicyRow;
use crate::{inventory, render};

/// Show the authorization policies that a proxy enforces
#[derive(Debug, Args)]
pub(super) struct AuthzArgs {
    #[command(subcommand)]
    command: Authz,
}

#[derive(Debug, Subcommand)]
enum Authz {
    /// List policies by action, with the number of their rules
    Check(CheckArgs),
}

#[derive(Debug, Args)]
struct CheckArgs {
    /// Dump of the proxy: a file, - or a folder of admin answers
    #[arg(required_unless_present = "file", conflicts_with = "file")]
    input: Option<String>,

    /// The same, as istioctl takes it
    #[arg(short, long, value_name = "FILE")]
    file: Option<String>,

    /// Form of the answer
    #[arg(short, long, value_name = "FORMAT", default_value = "short",
        value_parser = Format::among(&[Format::Short, Format::Json, Format::Yaml]))]
    output: Format,

    #[command(flatten)]
    _cluster: ClusterFlags,

    #[command(flatten)]
    _namespace: PodNamespace,
}

/// The answer as data.
#[derive(Debug, Serialize)]
struct Answer<'a> {
    /// `xdsight.authz/1`.
    schema: &'static str,
    /// In the order of the table.
    policies: &'a [PolicyRow],
}

pub(super) fn run(ui: &mut Ui, args: &AuthzArgs, as_istioctl: bool) -> Result<Verdict, CliError> {
    let Authz::Check(args) = &args.command;
    let proxy = input::load(args.input.as_deref().or(args.file.as_deref()).unwrap_or("-"))?;
    input::warn(ui, &proxy);
    let listing = inventory::authorization_policies(&proxy, as_istioctl);
    let policies = listing.as_ref().map(|listing| listing.rows.as_slice()).unwrap_or_default();
    let answer = Answer { schema: "xdsight.authz/1", policies };
    match args.output {
        Format::Json => ui.answer(&format!("{}\n", render::pretty(&answer, 2)?))?,
        Format::Yaml => ui.answer(&render::yaml(&answer)?)?,
        // As istioctl, no table where there is no listener.
        _ if listing.is_some() => ui.answer(&render::authorization_policies(policies).render())?,
        _ => {}
    }
    for warning in listing.iter().flat_map(|listing| &listing.warnings) {
        ui.warn(warning);
    }
    Ok(Verdict::Clean)
}
