//! `xdsight proxy-status`

use jiff::Timestamp;
use serde::Serialize;

use super::error::CliError;
use super::format::Format;
use super::ui::Ui;
use super::{Verdict, input};
use crate::dump::sync::ControlPlane;
use crate::inventory::{self, ProxyStatusAnswer};
use crate::render;

/// Show which proxies have what istiod sent them
///
/// Takes istiod's answer to istioctl proxy-status, or its /debug/syncz, of one or more instances. The last column says
/// what isn't synced and since when; where a proxy rejected a push, it has the proxy's own words.
#[derive(Debug, clap::Args)]
#[command(visible_alias = "ps", after_help = EXAMPLES)]
pub(super) struct ProxyStatusArgs {
    /// istiod's answers: files, or -
    #[arg(required = true)]
    inputs: Vec<String>,

    /// Only proxies of this namespace
    #[arg(short, long, value_name = "NAMESPACE")]
    namespace: Option<String>,

    /// 1 for a column for each type of resources, with the age of its last push
    #[arg(short, long, value_name = "LEVEL", default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=1))]
    verbosity: u8,

    /// Count ages to this time instead of the newest in the input (RFC 3339)
    #[arg(long, value_name = "TIME")]
    as_of: Option<Timestamp>,

    /// Form of the answer
    #[arg(short, long, value_name = "FORMAT", default_value = "short",
        value_parser = Format::among(&[Format::Short, Format::Json, Format::Yaml]))]
    output: Format,
}

const EXAMPLES: &str = "\
Examples:
  xdsight proxy-status syncz.json
  xdsight proxy-status istiod-1/syncz.json istiod-2/syncz.json -n shop
  xdsight proxy-status syncz.json -v 1 --as-of 2026-11-23T18:00:00Z

To capture one: kubectl exec -n istio-system ISTIOD -- pilot-discovery request GET /debug/syncz > syncz.json";

#[derive(Serialize)]
struct Answer {
    schema: &'static str,
    proxies: Vec<ProxyStatusAnswer>,
}

pub(super) fn run(ui: &mut Ui, args: &ProxyStatusArgs) -> Result<Verdict, CliError> {
    let mut planes = Vec::new();
    for name in &args.inputs {
        for artifact in input::read(name)? {
            let text = artifact.source.bytes().get(artifact.start..).unwrap_or_default();
            let file = artifact.source.file();
            let plane = ControlPlane::parse(text, instance(file))
                .map_err(|error| CliError::input(format!("{file}: nothing about proxies in it")).caused_by(error))?;
            planes.push(plane);
        }
    }
    let as_of = args.as_of.or_else(|| inventory::newest_push(&planes));
    let status = inventory::proxy_status(&planes, args.namespace.as_deref());
    let text = match args.output {
        format @ (Format::Json | Format::Yaml) => {
            let answer = Answer { schema: "xdsight.proxy-status/1", proxies: status.answers() };
            match format {
                Format::Yaml => render::yaml(&answer)?,
                _ => format!("{}\n", render::pretty(&answer, 2)?),
            }
        }
        _ if args.verbosity > 0 => render::proxy_status_types(&status, as_of).render(),
        _ => render::proxy_status(&status, as_of).render(),
    };
    ui.answer(&text)?;
    Ok(Verdict::Clean)
}

/// `/debug/syncz` doesn't name the instance; bug-reports keep it in a folder of that name: `POD/debug/syncz`.
fn instance(file: &str) -> Option<&str> {
    let folders: Vec<&str> = file.rsplit('/').skip(1).collect();
    match folders.as_slice() {
        ["debug", pod, ..] => Some(pod),
        [folder, ..] if folder.starts_with("istiod-") => Some(folder),
        _ => None,
    }
}
