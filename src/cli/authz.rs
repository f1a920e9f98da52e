//! `xdsight authz`

use clap::{Args, Subcommand};

use super::cluster_flags::{ClusterFlags, PodNamespace};
use super::error::CliError;
use super::ui::Ui;
use super::{Verdict, input};
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

    #[command(flatten)]
    _cluster: ClusterFlags,

    #[command(flatten)]
    _namespace: PodNamespace,
}

pub(super) fn run(ui: &mut Ui, args: &AuthzArgs) -> Result<Verdict, CliError> {
    let Authz::Check(args) = &args.command;
    let proxy = input::load(args.input.as_deref().or(args.file.as_deref()).unwrap_or("-"))?;
    input::warn(ui, &proxy);
    if let Some(listing) = inventory::authorization_policies(&proxy) {
        ui.answer(&render::authorization_policies(&listing.rows).render())?;
        for warning in &listing.warnings {
            ui.warn(warning);
        }
    }
    Ok(Verdict::Clean)
}
