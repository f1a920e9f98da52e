//! Any request on any configuration that loads is traced to its ends, the same ones each time.
//!
//! An input is either a line with a request and a dump after it, or bytes of which both are made ([`generated`]).

use std::net::SocketAddr;

use serde_json::Value;
use xdsight::dump::Proxy;
use xdsight::input::{Source, recognise};
use xdsight::render::{self, TraceAnswer};
use xdsight::trace::{ClientCertificate, ClientTls, Protocol, ProxyHeader, Request, Trace, Tracer};

use super::generated;

pub(crate) fn run(bytes: &[u8]) {
    let end = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
    let (line, dump) = bytes.split_at(end);
    let written =
        serde_json::from_slice(line).ok().filter(Value::is_object).map(|line| (request(&line), dump.to_vec()));
    let Some((request, dump)) = written.or_else(|| generated::case(bytes)) else { return };
    if let Some(proxy) = load(dump) {
        check(&proxy, &request);
    }
}

pub(crate) fn load(dump: Vec<u8>) -> Option<Proxy> {
    let artifact = recognise(Source::from_bytes("fuzz", dump)).ok()?;
    Proxy::load(&[artifact]).ok()
}

/// Traces a request, and holds the answer against what is true of every answer.
pub(crate) fn check(proxy: &Proxy, request: &Request) -> Trace {
    let trace = Tracer::new(proxy).trace(request);
    assert_eq!(Tracer::new(proxy).trace(request), trace);
    assert!(!trace.branches.is_empty());
    for (nth, branch) in trace.branches.iter().enumerate() {
        assert!(branch.outcome.disposition.is_some(), "{branch:?}");
        // Thousands would take long.
        let before = &trace.branches[..nth.min(100)];
        assert!(before.iter().all(|other| other.outcome != branch.outcome), "twice: {branch:?}");
    }
    let shares: Option<f64> = trace.branches.iter().map(|branch| branch.share).sum();
    let is_cut = trace.unknown.iter().any(|unknown| unknown.what.starts_with("more than "));
    assert!(is_cut || shares.is_none_or(|sum| (sum - 1.0).abs() < 1e-6), "{shares:?}");
    let answer = TraceAnswer::new(request, &trace);
    let _ = render::trace(&answer);
    render::compact(&answer).unwrap();
    trace
}

/// A request of the exchange format; what isn't readable has its default.
pub(crate) fn request(line: &Value) -> Request {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let port = |value: &Value| value.as_u64().and_then(|port| u16::try_from(port).ok());
    let address = |value: &Value| Some(SocketAddr::new(value[0].as_str()?.parse().ok()?, port(&value[1])?));
    let list = |value: &Value| value.as_array().map(Vec::as_slice).unwrap_or_default().to_vec();
    let mut request = Request::get(line["path"].as_str().unwrap_or("/"));
    request.protocol = match line["protocol"].as_str() {
        Some("h2") => Protocol::Http2,
        Some("http1.0") => Protocol::Http10,
        Some("tcp") => Protocol::Tcp,
        _ => Protocol::Http1,
    };
    request.connect = address(&line["connect"]);
    request.redirected_to = port(&line["redirected_to"]);
    request.source = line["source"].as_str().and_then(|ip| ip.parse().ok()).unwrap_or(request.source);
    request.source_port = port(&line["source_port"]);
    request.authority = text(&line["authority"]);
    request.method = text(&line["method"]).unwrap_or(request.method);
    request.headers =
        list(&line["headers"]).iter().filter_map(|pair| Some((text(&pair[0])?, text(&pair[1])?))).collect();
    let proxy = address(&line["proxy"]["src"]).zip(address(&line["proxy"]["dst"]));
    request.proxy = proxy.map(|(source, destination)| ProxyHeader { is_v2: false, source, destination });
    request.tls = line["tls"].is_object().then(|| {
        let tls = &line["tls"];
        let san = "spiffe://cluster.local/ns/default/sa/client".to_owned();
        let certificate = ClientCertificate { uri_sans: vec![san], ..ClientCertificate::default() };
        ClientTls {
            sni: text(&tls["sni"]),
            alpn: list(&tls["alpn"]).iter().filter_map(text).collect(),
            certificate: (tls["client_cert"] == Value::Bool(true)).then_some(certificate),
        }
    });
    request
}
