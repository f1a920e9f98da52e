//! Envoy's command operators, as far as a request decides them: `%REQ(x)%`, `%DOWNSTREAM_LOCAL_ADDRESS%` …

use serde_json::Value;

use super::context::Stream;
use super::matcher::metadata::lookup;
use super::matcher::query::decoded_parameter;
use super::outcome::Outcome;
use super::request::{Protocol, path_only};
use super::walk::Walk;

/// The text with its operators replaced; `None` where a value isn't known (named as missing).
pub(crate) fn evaluate(walk: &mut Walk, text: &str, stream: &Stream) -> Option<String> {
    match try_evaluate(&walk.outcome, text, stream) {
        Ok(text) => Some(text),
        Err(operator) => {
            walk.missing(format!("the value of %{operator}%"));
            None
        }
    }
}

/// The text with its operators replaced, or the first operator of which the value isn't known.
pub(crate) fn try_evaluate<'a>(outcome: &Outcome, text: &'a str, stream: &Stream) -> Result<String, &'a str> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find('%') {
        let (before, after) = rest.split_at(start);
        out.push_str(before);
        let after = after.get(1..).unwrap_or_default();
        if let Some(literal) = after.strip_prefix('%') {
            out.push('%');
            rest = literal;
            continue;
        }
        let Some(end) = operator_end(after) else {
            out.push('%');
            rest = after;
            continue;
        };
        let operator = after.get(..end).unwrap_or_default();
        match operator_value(outcome, operator, stream) {
            Some(value) => out.push_str(&value),
            None => return Err(operator),
        }
        rest = after.get(end + 1..).unwrap_or_default();
    }
    out.push_str(rest);
    Ok(out)
}

/// The closing `%`, outside parentheses.
fn operator_end(text: &str) -> Option<usize> {
    let mut depth = 0_u32;
    for (at, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            '%' if depth == 0 => return Some(at),
            _ => {}
        }
    }
    None
}

/// The value of an operator; empty where Envoy has none while the request goes up, `None` if it isn't known here.
fn operator_value(outcome: &Outcome, operator: &str, stream: &Stream) -> Option<String> {
    let (name, rest) = operator.split_once('(').unwrap_or((operator, ""));
    let (argument, length) = rest.rsplit_once(')').unwrap_or_default();
    // Without an argument the length follows the name.
    let (name, length) =
        name.split_once(':').map_or((name, length.trim_start_matches(':')), |(name, length)| (name, length));
    let connection = &stream.connection;
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let value = match name {
        "REQ" | "REQUEST_HEADER" => {
            let (first, second) = argument.split_once('?').unwrap_or((argument, ""));
            stream.headers.get(first).or_else(|| stream.headers.get(second)).unwrap_or_default().to_owned()
        }
        "PATH" => path(argument, stream)?,
        "QUERY_PARAM" => decoded_parameter(stream.headers.path(), argument).unwrap_or_default(),
        "QUERY_PARAMS" if argument.is_empty() || argument == "ORIG" => {
            stream.headers.path().split_once('?').map_or(String::new(), |(_, query)| query.to_owned())
        }
        "PROTOCOL" => match stream.protocol {
            Protocol::Http10 => "HTTP/1.0",
            Protocol::Http1 | Protocol::Tcp => "HTTP/1.1",
            Protocol::Http2 => "HTTP/2",
        }
        .to_owned(),
        "DOWNSTREAM_LOCAL_ADDRESS" => connection.local.to_string(),
        "DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT" => connection.local.ip().to_string(),
        "DOWNSTREAM_LOCAL_PORT" => connection.local.port().to_string(),
        "DOWNSTREAM_REMOTE_ADDRESS" => stream.remote.to_string(),
        "DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT" => stream.remote.ip().to_string(),
        "DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT" => connection.direct_remote.ip().to_string(),
        "REQUESTED_SERVER_NAME" => match argument {
            "" | "SNI_ONLY" => text(&connection.server_name),
            "SNI_FIRST" if connection.server_name.is_some() => text(&connection.server_name),
            "SNI_FIRST" | "HOST_FIRST" => stream.headers.authority().to_owned(),
            _ => return None,
        },
        "DOWNSTREAM_PEER_URI_SAN" => connection.peer.as_ref().map(|p| p.uri_sans.join(",")).unwrap_or_default(),
        "DOWNSTREAM_PEER_SUBJECT" => connection.peer.as_ref().map(|p| p.subject.clone()).unwrap_or_default(),
        "DOWNSTREAM_TLS_VERSION"
        | "DOWNSTREAM_TLS_CIPHER"
        | "DOWNSTREAM_LOCAL_SUBJECT"
        | "DOWNSTREAM_LOCAL_URI_SAN"
            if !connection.tls =>
        {
            String::new()
        }
        "FILTER_STATE" | "PER_REQUEST_STATE" => {
            let key = argument.split(':').next().unwrap_or_default();
            stream.filter_state(key).unwrap_or_default().to_owned()
        }
        "DYNAMIC_METADATA" => dynamic_metadata(argument, stream),
        "ROUTE_NAME" => text(&outcome.route_name),
        "UPSTREAM_CLUSTER" | "UPSTREAM_CLUSTER_RAW" => text(&outcome.cluster),
        "FILTER_CHAIN_NAME" => text(&outcome.filter_chain),
        "RESPONSE_CODE" | "BYTES_SENT" => "0".to_owned(),
        "RESPONSE_FLAGS" | "RESPONSE_FLAGS_LONG" => "-".to_owned(),
        _ if IN_THE_FUTURE.contains(&name) => String::new(),
        _ => return None,
    };
    match length.parse::<usize>() {
        Ok(most) => Some(value.chars().take(most).collect()),
        Err(_) => Some(value),
    }
}

/// Operators that have no value before the upstream answers.
const IN_THE_FUTURE: &[&str] = &[
    "CONNECTION_TERMINATION_DETAILS",
    "GRPC_STATUS",
    "LOCAL_REPLY_BODY",
    "RESP",
    "RESPONSE_CODE_DETAILS",
    "TRAILER",
    "UPSTREAM_HOST",
    "UPSTREAM_PROTOCOL",
    "UPSTREAM_REMOTE_ADDRESS",
    "UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT",
    "UPSTREAM_REMOTE_PORT",
    "UPSTREAM_TRANSPORT_FAILURE_REASON",
];

/// `PATH(WQ:ORIG)`: with or without the query, of the request or as it was before a rewrite.
fn path(argument: &str, stream: &Stream) -> Option<String> {
    let (query, which) = argument.split_once(':').unwrap_or((argument, ""));
    let original = stream.headers.get("x-envoy-original-path");
    let path = match which {
        "" | "ORIG_OR_PATH" => original.unwrap_or(stream.headers.path()),
        "ORIG" => original.unwrap_or_default(),
        "PATH" => stream.headers.path(),
        _ => return None,
    };
    Some(if query == "NQ" { path_only(path) } else { path }.to_owned())
}

fn dynamic_metadata(argument: &str, stream: &Stream) -> String {
    let mut keys = argument.split(':');
    let namespace = keys.next().unwrap_or_default();
    match lookup(&stream.metadata, namespace, keys) {
        Some(Value::String(text)) => text.clone(),
        Some(value) => value.to_string(),
        None => String::new(),
    }
}
