//! A recorded case: its dump, its requests, and what a real Envoy made of them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};
use xdsight::dump::Proxy;
use xdsight::input::{self, Limits};
use xdsight::render::TraceAnswer;
use xdsight::trace::{Assumptions, ClientCertificate, ClientTls, Protocol, ProxyHeader, Request, Tracer, from_latin1};

/// Admin answers that a case may hold.
const ARTIFACTS: &[&str] = &["config_dump.json", "clusters.json", "listeners.json", "server_info.json", "runtime.json"];

/// The way that a request takes: what a dump can tell whatever the upstream does.
const WAY: &[&str] = &["listener", "filter_chain", "vhost", "route", "route_name", "cluster"];

/// Where it ends.
const END: &[&str] =
    &["upstream_host", "status", "flags", "details", "termination", "location", "upstream_path", "upstream_authority"];

/// An outcome as far as it is compared.
type Outcome = BTreeMap<String, Value>;

/// The folder of all cases.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/semantics")
}

/// Traces the requests of a case, and compares: each outcome that Envoy showed must be among those held possible, and
/// these must not differ but in what the request declares as random. `unknown` names requests that can't be decided
/// from the case's files (`start*` means all that start so), each with words of the reason.
#[track_caller]
pub(crate) fn agrees(name: &str, unknown: &[(&str, &str)]) {
    let faults = disagreements(&root().join(name), unknown);
    assert!(faults.is_empty(), "{name}:\n  {}", faults.join("\n  "));
}

/// What the tracer says otherwise of the case in a folder.
pub(crate) fn disagreements(folder: &Path, unknown: &[(&str, &str)]) -> Vec<String> {
    let files = ARTIFACTS.iter().map(|file| folder.join(file)).filter(|file| file.exists());
    let artifacts: Vec<_> =
        files.flat_map(|file| input::read(&file.to_string_lossy(), Limits::default()).unwrap()).collect();
    let proxy = Proxy::load(&artifacts).unwrap();
    let tracer = Tracer::new(&proxy);
    let requests = lines(&folder.join("requests.jsonl"));
    let truth = lines(&folder.join("truth.jsonl"));
    assert_eq!(requests.len(), truth.len(), "requests.jsonl and truth.jsonl aren't of one recording");
    let mut faults = Vec::new();
    let mut unsettled: BTreeSet<&str> = unknown.iter().map(|(id, _)| *id).collect();
    for (request, truth) in requests.iter().zip(&truth) {
        let id = text(request, "id");
        let trace = tracer.trace(&read(request));
        let answer = serde_json::to_value(TraceAnswer::exchange(&trace)).unwrap();
        let observed = observed(truth);
        let fields = compared(&truth["request"], &observed);
        if let Some(fault) = judge(&truth["request"], &observed, &answer, &fields) {
            faults.push(format!("{id}: {fault}"));
        }
        if let Some(assumed) = upstream(&truth["request"], &observed) {
            // What no dump says once said, everything follows.
            let mut assumptions = Assumptions::default();
            assumptions.add(&format!("upstream={assumed}")).unwrap();
            let trace = Tracer::new(&proxy).assuming(assumptions).trace(&read(request));
            let answer = serde_json::to_value(TraceAnswer::exchange(&trace)).unwrap();
            let mut fields: Vec<&str> = WAY.iter().chain(END).copied().collect();
            // It answers with its own words instead of what it received.
            fields.retain(|field| !field.starts_with("upstream_") || *field == "upstream_host");
            if let Some(fault) = judge(&truth["request"], &observed, &answer, &fields) {
                faults.push(format!("{id} with upstream={assumed}: {fault}"));
            }
        }
        let is_meant = |pattern: &str| match pattern.strip_suffix('*') {
            Some(start) => id.starts_with(start),
            None => id == pattern,
        };
        match unknown.iter().find(|(pattern, _)| is_meant(pattern)) {
            Some((pattern, reason)) if trace.unknown.iter().any(|given| given.what.contains(reason)) => {
                unsettled.remove(pattern);
            }
            Some((_, reason)) => faults.push(format!("{id}: {:?} doesn't say {reason:?}", trace.unknown)),
            None if trace.unknown.is_empty() => {}
            None => faults.push(format!("{id}: not decided: {:?}", trace.unknown)),
        }
    }
    faults.extend(unsettled.iter().map(|id| format!("{id}: no such request is undecided")));
    faults
}

/// The shares of the outcomes of one request, by what they have in a field.
pub(crate) fn shares(name: &str, id: &str, field: &str) -> BTreeMap<String, f64> {
    let folder = root().join(name);
    let artifacts = input::read(&folder.join("config_dump.json").to_string_lossy(), Limits::default()).unwrap();
    let proxy = Proxy::load(&artifacts).unwrap();
    let requests = lines(&folder.join("requests.jsonl"));
    let request = requests.iter().find(|request| text(request, "id") == id).unwrap();
    let answer = serde_json::to_value(TraceAnswer::exchange(&Tracer::new(&proxy).trace(&read(request)))).unwrap();
    let mut out = BTreeMap::new();
    for outcome in answer["outcomes"].as_array().unwrap() {
        *out.entry(outcome[field].to_string()).or_default() += outcome["share"].as_f64().unwrap();
    }
    out
}

/// Every outcome that Envoy showed.
fn observed(truth: &Value) -> Vec<&Value> {
    match truth.get("outcomes") {
        Some(outcomes) => outcomes.as_array().unwrap().iter().collect(),
        None => vec![&truth["outcome"]],
    }
}

/// What is wrong with an answer; for one that isn't certain, only whether Envoy's outcome is in it.
fn judge(request: &Value, observed: &[&Value], answer: &Value, fields: &[&str]) -> Option<String> {
    let predicted: BTreeSet<String> =
        answer["outcomes"].as_array().unwrap().iter().map(|outcome| shown(&normal(outcome, fields))).collect();
    for outcome in observed {
        let outcome = shown(&normal(outcome, fields));
        if !predicted.contains(&outcome) {
            let predicted: Vec<&str> = predicted.iter().map(String::as_str).collect();
            return Some(format!("Envoy: {outcome}\n    held possible: {}", predicted.join("\n    or ")));
        }
    }
    let is_certain = answer["unknown"].as_array().unwrap().is_empty();
    let random: Vec<&str> = list(request, "tolerance").iter().filter_map(|field| field.as_str()).collect();
    let outcomes: Vec<Outcome> =
        answer["outcomes"].as_array().unwrap().iter().map(|outcome| normal(outcome, fields)).collect();
    let differs = |field: &&&str| outcomes.iter().any(|outcome| outcome.get(**field) != outcomes[0].get(**field));
    let loose: Vec<&&str> = fields.iter().filter(|field| !random.contains(*field)).filter(differs).collect();
    (is_certain && !loose.is_empty()).then(|| format!("held possible with more than one {loose:?}"))
}

/// What the upstream did that no dump says: it was told to by the client, or nothing listens there.
fn upstream(request: &Value, observed: &[&Value]) -> Option<String> {
    let told = list(request, "headers").iter().find(|header| header[0] == "x-oracle-respond" && header[1] != "200");
    let is_one = observed.iter().all(|outcome| is_refused(outcome));
    told.map(|header| header[1].as_str().unwrap().to_owned()).or_else(|| is_one.then(|| "refused".to_owned()))
}

/// Whether the address of an endpoint took no connection; that of an internal listener is in the dump.
fn is_refused(outcome: &Value) -> bool {
    let has_flag = text(outcome, "flags").split(',').any(|flag| flag == "UF");
    has_flag && text(outcome, "upstream_host").parse::<SocketAddr>().is_ok()
}

/// The fields that can be known from a dump.
fn compared(request: &Value, observed: &[&Value]) -> Vec<&'static str> {
    let is_told = list(request, "headers").iter().any(|header| header[0] == "x-oracle-respond" && header[1] != "200");
    let is_refused = observed.iter().any(|outcome| is_refused(outcome));
    let is_connect = request["method"] == "CONNECT";
    // Who closes a tunnel first is a race.
    let is_tunnel = observed
        .iter()
        .any(|o| o["status"] == 101 || is_connect && o["status"] == 200 && o.get("upstream_host").is_some());
    let more: &[&str] = match () {
        () if is_told => &[],
        () if is_refused => &["upstream_host"],
        () if is_tunnel => &["upstream_host", "status"],
        () => END,
    };
    WAY.iter().chain(more).copied().collect()
}

/// An outcome in the form that is compared: flags as a set, details up to the first brace.
fn normal(outcome: &Value, fields: &[&str]) -> Outcome {
    let mut out = Outcome::new();
    for field in fields {
        let value = match outcome.get(field) {
            None | Some(Value::Null) => continue,
            Some(Value::String(flags)) if *field == "flags" => {
                let flags: BTreeSet<&str> = flags.split(',').collect();
                Value::from(Vec::from_iter(flags).join(","))
            }
            Some(Value::String(details)) if *field == "details" => {
                Value::from(details.split('{').next().unwrap_or_default())
            }
            Some(value) => value.clone(),
        };
        out.insert((*field).to_owned(), value);
    }
    out
}

fn shown(outcome: &Outcome) -> String {
    serde_json::to_string(outcome).unwrap()
}

fn lines(path: &Path) -> Vec<Value> {
    fs::read_to_string(path).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn text(object: &Value, field: &str) -> String {
    object.get(field).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn list<'a>(object: &'a Value, field: &str) -> &'a [Value] {
    object.get(field).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// A recorded request as the client sent it.
fn read(recorded: &Value) -> Request {
    let fields: &Map<String, Value> = recorded.as_object().unwrap();
    let port = |name: &str| fields.get(name).map(|port| u16::try_from(port.as_u64().unwrap()).unwrap());
    let connect = list(recorded, "connect");
    let address = connect[0].as_str().unwrap().parse().unwrap();
    let is_http1 = !matches!(text(recorded, "protocol").as_str(), "h2" | "tcp");
    let sent = |text: &str| if is_http1 { from_latin1(text).into_owned() } else { text.to_owned() };
    let mut headers: Vec<(String, String)> = list(recorded, "headers")
        .iter()
        .map(|header| (sent(header[0].as_str().unwrap()), sent(header[1].as_str().unwrap())))
        .collect();
    if text(recorded, "protocol") == "h2" && recorded["method"] == "CONNECT" && recorded["path"] == "" {
        headers.insert(0, (":path".to_owned(), String::new()));
    }
    Request {
        id: text(recorded, "id"),
        protocol: match text(recorded, "protocol").as_str() {
            "h2" => Protocol::Http2,
            "tcp" => Protocol::Tcp,
            _ => Protocol::Http1,
        },
        connect: Some(SocketAddr::new(address, u16::try_from(connect[1].as_u64().unwrap()).unwrap())),
        redirected_to: port("redirected_to"),
        source: text(recorded, "source").parse().unwrap(),
        source_port: port("source_port"),
        proxy: fields.get("proxy").map(|proxy| ProxyHeader {
            is_v2: false,
            source: text(proxy, "src").parse().unwrap(),
            destination: text(proxy, "dst").parse().unwrap(),
        }),
        tls: fields.get("tls").map(|tls| ClientTls {
            sni: Some(text(tls, "sni")).filter(|sni| !sni.is_empty()),
            alpn: list(tls, "alpn").iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            certificate: (tls.get("client_cert") == Some(&Value::Bool(true))).then(certificate),
        }),
        method: text(recorded, "method"),
        authority: fields.get("authority").and_then(Value::as_str).map(sent),
        headers,
        ..Request::get(&sent(&text(recorded, "path")))
    }
}

/// The certificate that the recording's client presents.
fn certificate() -> ClientCertificate {
    ClientCertificate {
        uri_sans: vec!["spiffe://cluster.local/ns/default/sa/client".to_owned()],
        dns_sans: Vec::new(),
        subject: "CN=client,O=oracle".to_owned(),
    }
}
