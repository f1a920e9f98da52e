//! What the tests of matchers and filters start from: a proxy, and a walk on it.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::dump::Proxy;
use crate::input::{Artifact, ArtifactKind, Source};
use crate::proto::Message;
use crate::trace::assume::Assumptions;
use crate::trace::cache::Cache;
use crate::trace::context::{Context, Stream};
use crate::trace::request::{ClientCertificate, Connection, Headers};
use crate::trace::walk::{Walk, explore};

/// A proxy without resources, of Envoy 1.`minor`.
pub(crate) fn proxy(minor: u32) -> Proxy {
    proxy_with(minor, &serde_json::json!({}), &serde_json::json!({}))
}

/// A proxy of Envoy 1.`minor` with runtime values and static resources.
pub(crate) fn proxy_with(minor: u32, runtime: &serde_json::Value, resources: &serde_json::Value) -> Proxy {
    let dump = serde_json::json!({"configs": [{
        "@type": "type.googleapis.com/envoy.admin.v3.BootstrapConfigDump",
        "bootstrap": {
            "node": {"user_agent_build_version": {"version": {"major_number": 1, "minor_number": minor}}},
            "layered_runtime": {"layers": [{"name": "static", "static_layer": runtime}]},
            "static_resources": resources,
        },
    }]});
    let source = Source::from_bytes("dump.json", dump.to_string().into_bytes());
    Proxy::load(&[Artifact { kind: ArtifactKind::Dump, source: source.into(), start: 0 }]).unwrap()
}

/// A proxy of Envoy 1.40 with static listeners and clusters.
pub(crate) fn proxy_of(listeners: &[serde_json::Value], clusters: &[serde_json::Value]) -> Proxy {
    let listeners: Vec<_> = listeners.iter().map(|listener| serde_json::json!({"listener": listener})).collect();
    let clusters: Vec<_> = clusters.iter().map(|cluster| serde_json::json!({"cluster": cluster})).collect();
    let dump = serde_json::json!({"configs": [
        {"@type": "type.googleapis.com/envoy.admin.v3.BootstrapConfigDump", "bootstrap": {
            "node": {"user_agent_build_version": {"version": {"major_number": 1, "minor_number": 40}}},
        }},
        {"@type": "type.googleapis.com/envoy.admin.v3.ListenersConfigDump", "static_listeners": listeners},
        {"@type": "type.googleapis.com/envoy.admin.v3.ClustersConfigDump", "static_clusters": clusters},
    ]});
    let source = Source::from_bytes("dump.json", dump.to_string().into_bytes());
    Proxy::load(&[Artifact { kind: ArtifactKind::Dump, source: source.into(), start: 0 }]).unwrap()
}

/// A proxy whose dump doesn't say of which release it is.
pub(crate) fn proxy_without_version() -> Proxy {
    let source = Source::from_bytes(
        "dump.json",
        br#"{"configs": [{"@type": "type.googleapis.com/envoy.admin.v3.BootstrapConfigDump", "bootstrap": {}}]}"#
            .to_vec(),
    );
    Proxy::load(&[Artifact { kind: ArtifactKind::Dump, source: source.into(), start: 0 }]).unwrap()
}

/// Every answer that `look` gives over all walks, and what was missing.
pub(crate) fn answers<T: Ord>(
    proxy: &Proxy,
    mut look: impl FnMut(&Context<'_>, &mut Walk) -> T,
) -> (Vec<T>, Vec<String>) {
    let cache = Cache::default();
    let assumptions = Assumptions::default();
    let cx = Context { proxy, cache: &cache, assumptions: &assumptions };
    let mut found = Vec::new();
    let explored = explore(&Arc::default(), |walk| found.push(look(&cx, walk)));
    found.sort();
    found.dedup();
    (found, explored.unknown.into_iter().map(|unknown| unknown.what).collect())
}

/// The one answer that `look` gives.
#[track_caller]
pub(crate) fn answer<T: Ord + std::fmt::Debug>(proxy: &Proxy, look: impl FnMut(&Context<'_>, &mut Walk) -> T) -> T {
    let (mut found, unknown) = answers(proxy, look);
    assert_eq!((found.len(), unknown.len()), (1, 0), "{found:?} {unknown:?}");
    found.pop().unwrap()
}

/// A message from its JSON.
#[track_caller]
pub(crate) fn message<T: Message>(json: serde_json::Value) -> T {
    crate::dump::decode(json.to_string().as_bytes()).unwrap()
}

/// Headers of a request.
pub(crate) fn headers(pairs: &[(&str, &str)]) -> Headers {
    let mut headers = Headers::default();
    for (name, value) in pairs {
        headers.add(name, value);
    }
    headers
}

/// A plain-text connection from 10.1.1.1 to 10.2.2.2:80.
pub(crate) fn connection() -> Connection {
    Connection::new("10.2.2.2:80".parse().unwrap(), "10.1.1.1:5000".parse().unwrap())
}

/// A connection whose client presented a certificate with one URI SAN.
pub(crate) fn mutual_tls(uri: &str) -> Connection {
    let peer = ClientCertificate { uri_sans: vec![uri.to_owned()], ..ClientCertificate::default() };
    Connection { tls: true, peer: Some(peer), peer_validated: true, ..connection() }
}

/// A `GET` of a path on a connection.
pub(crate) fn stream(connection: Connection, path: &str, more: &[(&str, &str)]) -> Stream {
    let mut headers = headers(&[(":method", "GET"), (":authority", "example.com"), (":path", path)]);
    for (name, value) in more {
        headers.add(name, value);
    }
    Stream {
        remote: connection.remote,
        connection,
        headers,
        metadata: BTreeMap::new(),
        filter_state: BTreeMap::new(),
        is_internal: false,
        protocol: crate::trace::request::Protocol::Http1,
        sent: Headers::default(),
    }
}
