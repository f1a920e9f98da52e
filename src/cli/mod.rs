//! Arguments in, exit code out: one file a command.
//!
//! A command's doc comment is its help; its `run` function parses, calls the rooms to the left, renders, and says how
//! it went. Errors are printed in one place (`error`). This room and `input` alone touch the terminal and
//! the environment, and this one knows nothing of what the configuration means.

mod authz;
mod cluster_flags;
mod completions;
mod describe;
mod error;
mod format;
mod graph;
mod input;
mod manual;
mod proxy_config;
mod proxy_status;
mod suggest;
mod summary;
mod trace;
mod ui;
mod ztunnel_config;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use ui::{ColorChoice, Ui};

const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  done: a request isn't delivered, or roots differ
  2  bad usage or unreadable input

INPUT is a config_dump (JSON, also .gz or .zst), - for standard input, or a folder with the admin answers of one proxy
(config_dump.json, clusters.json, listeners.json, server_info.json, certs.json … whatever is there, known by content).";

/// Answer questions about Envoy and Istio from saved files: where does this request go, and why?
///
/// Reads config_dumps and other saved admin answers of Envoy proxies. Needs no cluster and no network.
#[derive(Debug, Parser)]
#[command(name = "xdsight", version, after_help = EXIT_CODES, max_term_width = 100)]
pub struct Cli {
    /// When to use colour; NO_COLOR is honoured
    #[arg(long, global = true, value_enum, default_value_t = ColorChoice::Auto, value_name = "WHEN")]
    color: ColorChoice,

    /// Answer in istioctl's bytes, its faults and exit codes included, where istioctl has the command
    #[arg(long, global = true)]
    istioctl: bool,

    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Summary(summary::SummaryArgs),
    Trace(Box<trace::TraceArgs>),
    ProxyConfig(proxy_config::ProxyConfigArgs),
    ProxyStatus(proxy_status::ProxyStatusArgs),
    Authz(authz::AuthzArgs),
    Describe(describe::DescribeArgs),
    /// The same under the name that istioctl has for it
    #[command(subcommand, hide = true, visible_alias = "x")]
    Experimental(Experimental),
    ZtunnelConfig(ztunnel_config::ZtunnelConfigArgs),
    Graph(graph::GraphArgs),
    Completions(completions::CompletionsArgs),
    Manual(manual::ManualArgs),
}

/// Commands that istioctl keeps apart.
#[derive(Debug, Subcommand)]
enum Experimental {
    Authz(authz::AuthzArgs),
    Describe(describe::DescribeArgs),
}

/// How a command that did its work ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// Nothing to report.
    Clean,
    /// Findings, differences, or a request that isn't delivered.
    Found,
    /// Part of the input couldn't be read; the rest was answered.
    Unreadable,
    /// As istioctl ends.
    Istioctl(u8),
}

impl From<Verdict> for u8 {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Clean => 0,
            Verdict::Found => 1,
            Verdict::Unreadable => 2,
            Verdict::Istioctl(code) => code,
        }
    }
}

/// Runs the command line of this process.
#[must_use]
pub fn main() -> ExitCode {
    ExitCode::from(run(std::env::args_os()))
}

fn run(arguments: impl IntoIterator<Item = OsString>) -> u8 {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let cli = match Cli::try_parse_from(&arguments) {
        Ok(cli) => cli,
        Err(error) => {
            // A closed pipe is no failure of `--help | head`.
            let _ = error.print();
            let is_istioctl = arguments.iter().any(|argument| argument == "--istioctl");
            return match error.use_stderr() {
                false => 0,
                true if is_istioctl => proxy_config::istioctl_code(&error),
                true => 2,
            };
        }
    };
    let mut ui = Ui::new(cli.color);
    let result = match &cli.command {
        Command::Summary(args) => summary::run(&mut ui, args),
        Command::Trace(args) => trace::run(&mut ui, args),
        Command::ProxyConfig(args) => proxy_config::run(&mut ui, args, cli.istioctl),
        Command::Authz(args) | Command::Experimental(Experimental::Authz(args)) => {
            authz::run(&mut ui, args, cli.istioctl)
        }
        Command::Describe(args) | Command::Experimental(Experimental::Describe(args)) => {
            describe::run(&mut ui, args, cli.istioctl)
        }
        Command::ProxyStatus(args) => proxy_status::run(&mut ui, args, cli.istioctl),
        Command::ZtunnelConfig(args) => ztunnel_config::run(&mut ui, args, cli.istioctl),
        Command::Graph(args) => graph::run(&mut ui, args),
        Command::Completions(args) => completions::run(&mut ui, args),
        Command::Manual(args) => manual::run(&mut ui, args),
    };
    match result.and_then(|verdict| ui.finish().map(|()| verdict)) {
        Ok(verdict) => verdict.into(),
        Err(error) => match error.report(&mut ui) {
            2 if cli.istioctl => 1,
            code => code,
        },
    }
}

/// The definition of the command line, for completions and the manual.
fn definition() -> clap::Command {
    Cli::command()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_sound() {
        definition().debug_assert();
    }
}
