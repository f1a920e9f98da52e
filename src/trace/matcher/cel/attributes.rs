//! The attributes that Envoy offers to expressions: `request`, `connection`, `metadata` …

use std::collections::BTreeMap;
use std::net::SocketAddr;

use super::value::Value;
use crate::trace::context::{Stream, Subject};
use crate::trace::matcher::metadata;
use crate::trace::request::path_only;

/// The value of a top-level name; `None` if Envoy has none of that name.
pub(super) fn attribute(subject: Subject<'_>, name: &str) -> Option<Value> {
    let members: Vec<(&str, Option<Value>)> = match name {
        "request" => subject.stream.map(request).unwrap_or_default(),
        "source" => peer("source", subject.stream.map_or(subject.connection.remote, |stream| stream.remote)),
        "destination" => peer("destination", subject.connection.local),
        "connection" => connection(subject),
        "metadata" => vec![("filter_metadata", Some(filter_metadata(subject)))],
        "filter_state" => return Some(filter_state(subject)),
        // Neither has a member before the request is answered.
        "response" | "upstream" | "upstream_filter_state" => Vec::new(),
        "xds" | "node" => return Some(Value::Unknown(format!("attribute {name}"))),
        _ => return None,
    };
    Some(Value::Map(members.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect()))
}

fn unknown(name: &str) -> Option<Value> {
    Some(Value::Unknown(format!("attribute {name}")))
}

fn text(value: &str) -> Option<Value> {
    Some(Value::Text(value.to_owned()))
}

fn request(stream: &Stream) -> Vec<(&'static str, Option<Value>)> {
    let header = |name: &str| stream.headers.get(name).and_then(text);
    let path = stream.headers.get(":path");
    // Nothing of the body has arrived when filters decide.
    let length = stream.headers.get("content-length").and_then(|text| text.parse().ok());
    let mut headers: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in stream.headers.iter() {
        match headers.get_mut(name) {
            Some(joined) => {
                joined.push(',');
                joined.push_str(value);
            }
            None => {
                headers.insert(name.to_owned(), value.to_owned());
            }
        }
    }
    vec![
        ("path", header(":path")),
        ("url_path", path.map(path_only).and_then(text)),
        ("query", path.and_then(|path| text(path.split_once('?').map_or("", |(_, query)| query)))),
        ("host", header(":authority")),
        ("scheme", header(":scheme")),
        ("method", header(":method")),
        ("referer", header("referer")),
        ("useragent", header("user-agent")),
        ("id", header("x-request-id").or_else(|| unknown("request.id"))),
        ("headers", Some(Value::Headers(headers))),
        ("protocol", unknown("request.protocol")),
        ("time", unknown("request.time")),
        ("size", Some(Value::Int(length.unwrap_or_default()))),
        ("total_size", unknown("request.total_size")),
        ("duration", None),
    ]
}

fn peer(name: &str, address: SocketAddr) -> Vec<(&'static str, Option<Value>)> {
    // Port 0 stands for one that the client's kernel chooses.
    if address.port() == 0 {
        return vec![("address", unknown(&format!("{name}.address"))), ("port", unknown(&format!("{name}.port")))];
    }
    vec![("address", text(&address.to_string())), ("port", Some(Value::Int(i64::from(address.port()))))]
}

fn connection(subject: Subject<'_>) -> Vec<(&'static str, Option<Value>)> {
    let connection = subject.connection;
    let peer = connection.peer.as_ref();
    let of_tls = |name: &str| if connection.tls { unknown(name) } else { None };
    let first = |names: &[String]| names.first().cloned().unwrap_or_default();
    let with_tls =
        |value: Option<String>| if connection.tls { Some(Value::Text(value.unwrap_or_default())) } else { None };
    vec![
        ("mtls", Some(Value::Bool(connection.tls && peer.is_some()))),
        ("requested_server_name", text(connection.server_name.as_deref().unwrap_or_default())),
        ("uri_san_peer_certificate", with_tls(peer.map(|peer| first(&peer.uri_sans)))),
        ("dns_san_peer_certificate", with_tls(peer.map(|peer| first(&peer.dns_sans)))),
        ("subject_peer_certificate", with_tls(peer.map(|peer| peer.subject.clone()))),
        ("sha256_peer_certificate_digest", of_tls("connection.sha256_peer_certificate_digest")),
        ("uri_san_local_certificate", of_tls("connection.uri_san_local_certificate")),
        ("dns_san_local_certificate", of_tls("connection.dns_san_local_certificate")),
        ("subject_local_certificate", of_tls("connection.subject_local_certificate")),
        ("tls_version", of_tls("connection.tls_version")),
        ("id", unknown("connection.id")),
    ]
}

fn filter_metadata(subject: Subject<'_>) -> Value {
    let namespaces = subject.stream.map(|stream| &stream.metadata);
    let entries = namespaces.into_iter().flatten().map(|(namespace, members)| {
        let members = members.fields.iter().map(|(key, value)| (key.clone(), Value::from(value))).collect();
        (namespace.clone(), Value::Map(members))
    });
    Value::Map(entries.collect())
}

/// Filter state objects in their serialized form, which is bytes.
fn filter_state(subject: Subject<'_>) -> Value {
    let of_stream = subject.stream.map(|stream| &stream.filter_state);
    let mut entries: BTreeMap<String, Value> = BTreeMap::new();
    for (key, value) in subject.connection.filter_state.iter().chain(of_stream.into_iter().flatten()) {
        entries.insert(key.clone(), Value::Bytes(value.clone().into_bytes()));
    }
    Value::Map(entries)
}

/// Whether a missing key of a map may be there in a running proxy.
pub(super) fn may_be_set(of: &str, key: &str) -> bool {
    of == "filter_state" && metadata::is_set_elsewhere(key)
}
