//! Envoy's command operators, as far as a request decides them: `%REQ(x)%`, `%DOWNSTREAM_LOCAL_ADDRESS%` …

use super::context::Stream;
use super::walk::Walk;

/// The text with its operators replaced; `None` where a value isn't known (named as missing).
pub(crate) fn evaluate(walk: &mut Walk, text: &str, stream: &Stream) -> Option<String> {
    match try_evaluate(text, stream) {
        Ok(text) => Some(text),
        Err(operator) => {
            walk.missing(format!("the value of %{operator}%"));
            None
        }
    }
}

/// The text with its operators replaced, or the first operator of which the value isn't known.
pub(crate) fn try_evaluate<'a>(text: &'a str, stream: &Stream) -> Result<String, &'a str> {
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
        match operator_value(operator, stream) {
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

fn operator_value(operator: &str, stream: &Stream) -> Option<String> {
    let (name, rest) = operator.split_once('(').unwrap_or((operator, ""));
    let (argument, length) = rest.rsplit_once(')').unwrap_or((rest, ""));
    let value = match name {
        "REQ" => {
            let (first, second) = argument.split_once('?').unwrap_or((argument, ""));
            stream.headers.get(first).or_else(|| stream.headers.get(second)).unwrap_or_default().to_owned()
        }
        "DOWNSTREAM_LOCAL_ADDRESS" => stream.connection.local.to_string(),
        "DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT" => stream.connection.local.ip().to_string(),
        "DOWNSTREAM_LOCAL_PORT" => stream.connection.local.port().to_string(),
        "DOWNSTREAM_REMOTE_ADDRESS" => stream.remote.to_string(),
        "DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT" => stream.remote.ip().to_string(),
        "DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT" => stream.connection.direct_remote.ip().to_string(),
        "REQUESTED_SERVER_NAME" => stream.connection.server_name.clone().unwrap_or_default(),
        "DOWNSTREAM_PEER_URI_SAN" => stream.connection.peer.as_ref().map(|p| p.uri_sans.join(",")).unwrap_or_default(),
        "DOWNSTREAM_PEER_SUBJECT" => stream.connection.peer.as_ref().map(|p| p.subject.clone()).unwrap_or_default(),
        "FILTER_STATE" | "PER_REQUEST_STATE" => {
            let key = argument.split(':').next().unwrap_or_default();
            stream.filter_state(key).unwrap_or_default().to_owned()
        }
        _ => return None,
    };
    match length.strip_prefix(':').and_then(|n| n.parse::<usize>().ok()) {
        Some(most) => Some(value.chars().take(most).collect()),
        None => Some(value),
    }
}
