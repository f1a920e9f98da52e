//! `xdsight proxy-status`

mod files;

use std::fmt::Write as _;

use jiff::Timestamp;

use super::Verdict;
use super::cluster_flags::{ClusterFlags, XdsFlags};
use super::error::CliError;
use super::format::Format;
use super::suggest::closest;
use super::ui::Ui;
use crate::inventory::{self, ProxyStatus};
use crate::istioctl::{Document, Form, compare};
use crate::{input, render};
use files::{Files, text};

/// Show which proxies have what istiod sent them
///
/// Takes istiod's answers to istioctl proxy-status or its /debug/syncz, of one or more instances, and dumps of proxies; or
/// a folder with both, such as an unpacked bug-report. The last column says what isn't synced and since when; where a
/// proxy rejected a push, it has the proxy's own words. With dumps it also says which proxies istiod doesn't know, and of
/// which there is no dump.
///
/// With --file, compares a proxy's dump with istiod's own of that proxy, which is then the input.
#[derive(Debug, clap::Args)]
#[command(visible_alias = "ps", after_help = EXAMPLES)]
pub(super) struct ProxyStatusArgs {
    /// istiod's answers and dumps of proxies: files, folders or -; what is no file is the name of a proxy
    #[arg(required = true, value_name = "INPUT… [PROXY]")]
    inputs: Vec<String>,

    /// Only proxies of this namespace
    #[arg(short, long, value_name = "NAMESPACE")]
    namespace: Option<String>,

    /// Dump of the proxy, to be compared with istiod's of it
    #[arg(long, value_name = "FILE")]
    file: Option<String>,

    /// 1 for a column for each type of resources, with the age of its last push
    #[arg(short, long, value_name = "LEVEL", default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=1))]
    verbosity: u8,

    /// Count ages to this time instead of the newest in the input (RFC 3339)
    #[arg(long, value_name = "TIME")]
    as_of: Option<Timestamp>,

    /// Form of the answer: json and yaml are istiod's own, jsonl has a line for each proxy and each istiod
    #[arg(short, long, value_name = "FORMAT", default_value = "short",
        value_parser = Format::among(&[Format::Short, Format::Table, Format::Wide, Format::Json, Format::Yaml, Format::Jsonl]))]
    output: Format,

    #[command(flatten)]
    _cluster: ClusterFlags,

    #[command(flatten)]
    _xds: XdsFlags,
}

const EXAMPLES: &str = "\
Examples:
  xdsight proxy-status syncz.json
  xdsight proxy-status istiod-1/syncz.json istiod-2/syncz.json -n shop
  xdsight proxy-status syncz.json -v 1 --as-of 2026-11-23T18:00:00Z
  xdsight proxy-status bug-report/ -o wide
  xdsight proxy-status bug-report/ cart-v1-b2.shop
  xdsight proxy-status istiod_config_dump.json --file config_dump.json

To capture istiod's: kubectl exec -n istio-system ISTIOD -- pilot-discovery request GET /debug/syncz > syncz.json
and of one proxy: … request GET '/debug/config_dump?proxyID=POD.NAMESPACE' > istiod_config_dump.json";

pub(super) fn run(ui: &mut Ui, args: &ProxyStatusArgs, as_istioctl: bool) -> Result<Verdict, CliError> {
    let (names, mut proxies): (Vec<&str>, Vec<&str>) =
        args.inputs.iter().map(String::as_str).partition(|name| input::exists(name));
    if names.is_empty() || proxies.len() > 1 {
        // The error of the operating system about it.
        let absent = proxies.first().copied().unwrap_or_default();
        return Files::read([absent]).map(|_| Verdict::Clean);
    }
    let files = Files::read(names)?;
    if let Some(file) = &args.file {
        return diff(ui, &files, file, as_istioctl);
    }
    let dumps = if as_istioctl { &[] } else { files.dumps.as_slice() };
    let as_of = args.as_of.or_else(|| inventory::newest_push(&files.planes, dumps));
    let mut status = inventory::proxy_status(&files.planes, dumps, args.namespace.as_deref());
    let is_one = match proxies.pop() {
        Some(name) => choose(&mut status, name).map(|()| true)?,
        None => false,
    };
    if files.planes.is_empty() {
        ui.hint("istiod's /debug/syncz beside the dumps tells what it sent");
    }
    let answer = match args.output {
        format @ (Format::Json | Format::Yaml) => documents(&files, args.namespace.as_deref(), format)?,
        Format::Jsonl => lines(&status, as_of)?,
        Format::Wide => {
            let wide = render::proxy_status_wide(&status, as_of).render();
            format!("{wide}\n{}", render::istiods(&status).render())
        }
        _ if args.verbosity > 0 => render::proxy_status_types(&status, as_of).render(),
        _ if as_istioctl => render::proxy_status_istioctl(&status).render(),
        _ => {
            let table = render::proxy_status(&status, as_of).render();
            let has_load = status.has_dumps && !status.istiods.is_empty() && !is_one;
            if has_load { format!("{table}\n{}", render::istiods(&status).render()) } else { table }
        }
    };
    ui.answer(&answer)?;
    Ok(Verdict::Clean)
}

/// Keeps the proxy of that name: `POD.NAMESPACE`, `POD`, `pod/POD`, or the beginning of one.
fn choose(status: &mut ProxyStatus, name: &str) -> Result<(), CliError> {
    let wanted = name.rsplit('/').next().unwrap_or(name);
    let names: Vec<&str> = status.rows.iter().map(|row| row.client.name.as_str()).collect();
    let pod = |name: &str| name.rsplit_once('.').map_or(name.to_owned(), |(pod, _)| pod.to_owned());
    let tests: [&dyn Fn(&str) -> bool; 3] =
        [&|name| name == wanted, &|name| pod(name) == wanted, &|name| name.starts_with(wanted)];
    let found = tests.iter().map(|test| names.iter().copied().filter(|name| test(name)).collect::<Vec<_>>());
    let mut found = found.into_iter().find(|found| !found.is_empty()).unwrap_or_default();
    found.dedup();
    match found.as_slice() {
        [one] => {
            let one = (*one).to_owned();
            status.rows.retain(|row| row.client.name == one);
            Ok(())
        }
        [] => {
            let error = CliError::input(format!("there is neither a file nor a proxy {name:?}"));
            Err(match closest(wanted, names.iter().copied()) {
                Some(close) => error.hint(format!("did you mean {close:?}?")),
                None => error,
            })
        }
        several => Err(CliError::input(format!("more than one proxy is {name:?}"))
            .hint(format!("choose one of {}", several.join(", ")))),
    }
}

/// istiod's own answers, one after the other.
fn documents(files: &Files, namespace: Option<&str>, format: Format) -> Result<String, CliError> {
    let mut out = String::new();
    for (plane, artifact) in files.planes.iter().zip(&files.texts) {
        let made;
        let text = if plane.is_response {
            text(artifact)
        } else {
            made = plane.response().to_string();
            made.as_bytes()
        };
        let document = Document::proxy_status(text, namespace)?;
        let printed = if format == Format::Yaml { document.yaml() } else { document.json(Form::Jsonpb) };
        let _ = writeln!(out, "{printed}");
    }
    Ok(out)
}

/// A line of JSON for each proxy and each istiod.
fn lines(status: &ProxyStatus, as_of: Option<Timestamp>) -> Result<String, CliError> {
    let mut out = String::new();
    for row in status.answers(as_of) {
        let _ = writeln!(out, "{}", render::compact(&row)?);
    }
    for istiod in status.istiod_answers() {
        let _ = writeln!(out, "{}", render::compact(&istiod)?);
    }
    Ok(out)
}

/// istioctl's comparison of what a proxy has with what istiod means it to have.
fn diff(ui: &mut Ui, files: &Files, file: &str, as_istioctl: bool) -> Result<Verdict, CliError> {
    let [istiod] = files.expected.as_slice() else {
        return Err(CliError::usage("with --file, the input is istiod's dump of that proxy")
            .hint("capture it with: pilot-discovery request GET '/debug/config_dump?proxyID=POD.NAMESPACE'"));
    };
    let envoy = super::input::read(file)?;
    let envoy = envoy.iter().find(|artifact| artifact.kind == input::ArtifactKind::Dump).or(envoy.first());
    let answer = compare(text(istiod), envoy.map(text).unwrap_or_default());
    ui.bytes(&answer.stdout)?;
    match answer.error {
        None => Ok(Verdict::Clean),
        Some(error) => {
            ui.tell(&error);
            Ok(if as_istioctl { Verdict::Istioctl(answer.exit) } else { Verdict::Unreadable })
        }
    }
}
