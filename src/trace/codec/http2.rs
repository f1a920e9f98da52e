//! HTTP/2: which fields a request may have, and what becomes of cookies and extended CONNECT (measured on 1.40).

use super::{ProtocolError, Settings, is_host_char, is_token};
use crate::trace::octets;
use crate::trace::request::{Headers, Request};
use crate::trace::walk::Walk;

const INVALID_FIELD: &str = "http2.invalid.header.field";
const VIOLATION: &str = "http2.violation.of.messaging.rule";

/// Takes over what the client sends; fields are checked in their order.
pub(super) fn read(
    walk: &mut Walk,
    request: &Request,
    settings: &Settings,
    headers: &mut Headers,
) -> Result<(), ProtocolError> {
    // A CONNECT names its target once; who gives a path besides sends it.
    let fields = fields(request, request.path.is_empty() || request.authority.is_none());
    let mut seen = Headers::default();
    let mut size = 0;
    for (nth, (name, value)) in fields.iter().enumerate() {
        let follows = nth > 0 && fields.get(nth - 1).is_some_and(|(before, _)| before.starts_with(':'));
        if !is_valid(name, value, follows, settings, &seen) {
            return Err(ProtocolError::reset("DPE", INVALID_FIELD, format!("{name}: {value:?} can't be sent")));
        }
        seen.add(name, value);
        if settings.rejects_underscores && name.contains('_') {
            let why = format!("{name} has an underscore, which the connection manager rejects");
            return Err(ProtocolError::reset("DR", "http2.unexpected_underscore", why));
        }
        size += octets::bytes(name).len() + octets::bytes(value).len();
    }
    settings.count(walk, "http2.too_many_headers", fields.len(), false)?;
    settings.size(walk, "http2.header_list_size_too_large", size, false)?;
    let has_path = fields.iter().any(|(name, _)| *name == ":path");
    let is_asterisk = request.method == "OPTIONS" && request.path == "*";
    if has_path && (!request.path.starts_with('/') && !is_asterisk || is_plain_connect(request)) {
        let why = format!("{} {} breaks the rules of HTTP/2", request.method, request.path);
        return Err(ProtocolError::reset("DPE", VIOLATION, why));
    }
    if seen.contains(":protocol") && request.method != "CONNECT" {
        let why = format!("only an extended CONNECT has a :protocol, and this is {}", request.method);
        return Err(ProtocolError::reset("DPE", VIOLATION, why));
    }
    if let Some(length) = seen.get("content-length").filter(|length| length.bytes().any(|digit| digit != b'0')) {
        let why = format!("content-length is {length}, and the request ends without a body");
        return Err(ProtocolError::reset("DPE", VIOLATION, why));
    }
    take_fields(&fields, headers);
    Ok(())
}

/// Takes over what another hop of this proxy sends, which is well-formed.
pub(super) fn take(request: &Request, headers: &mut Headers) {
    take_fields(&fields(request, true), headers);
}

fn take_fields(fields: &[(&str, &str)], headers: &mut Headers) {
    for (name, value) in fields {
        let value = value.trim_matches([' ', '\t']);
        match *name {
            // Only a request without `:authority` is for `host`.
            "host" if headers.contains(":authority") => {}
            "host" => headers.add(":authority", value),
            name => headers.add(name, value),
        }
    }
    join_cookies(headers);
    from_extended_connect(headers);
}

/// Names and values in the order sent; `has_no_path` if a CONNECT is written as it should be.
fn fields(request: &Request, has_no_path: bool) -> Vec<(&str, &str)> {
    let mut fields = vec![(":method", request.method.as_str())];
    if is_plain_connect(request) && has_no_path {
        fields.push((":authority", request.authority.as_deref().unwrap_or(&request.path)));
    } else {
        fields.push((":scheme", if request.tls.is_some() { "https" } else { "http" }));
        fields.push((":path", request.path.as_str()));
        fields.extend(request.authority.as_deref().map(|authority| (":authority", authority)));
    }
    fields.extend(request.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    fields
}

fn is_plain_connect(request: &Request) -> bool {
    request.method == "CONNECT" && !request.headers.iter().any(|(name, _)| name == ":protocol")
}

fn is_valid(name: &str, value: &str, follows_pseudo: bool, settings: &Settings, seen: &Headers) -> bool {
    let is_host = |value: &str| !value.is_empty() && value.chars().all(is_host_char);
    let name = name.to_ascii_lowercase();
    match name.as_str() {
        ":method" => is_token(value),
        ":scheme" if !seen.contains(":scheme") => true,
        ":path" if !seen.contains(":path") => {
            !value.is_empty() && value.chars().all(|c| c.is_ascii_graphic() || !c.is_ascii())
        }
        ":authority" if !seen.contains(":authority") => is_host(value),
        ":protocol" => {
            settings.allow_extended_connect && follows_pseudo && !seen.contains(":protocol") && !value.is_empty()
        }
        "connection" | "upgrade" | "keep-alive" | "proxy-connection" | "transfer-encoding" => false,
        "te" => value.eq_ignore_ascii_case("trailers"),
        "content-length" => {
            !seen.contains("content-length")
                && !value.is_empty()
                && value.bytes().all(|b| b.is_ascii_digit())
                && value.parse::<u64>().is_ok()
        }
        "host" => !seen.iter().any(|(name, _)| name == "host") && is_host(value),
        name => is_token(name) && !value.chars().any(|c| c.is_ascii_control() && c != '\t'),
    }
}

/// HTTP/2 clients may send a cookie in crumbs; Envoy puts them together, and drops a cookie that stays empty.
fn join_cookies(headers: &mut Headers) {
    let joined = headers.all("cookie").fold(String::new(), |joined, crumb| {
        if joined.is_empty() { crumb.to_owned() } else { format!("{joined}; {crumb}") }
    });
    if joined.is_empty() {
        headers.remove("cookie");
    } else {
        headers.set("cookie", &joined);
    }
}

/// An extended CONNECT is an upgrade, and Envoy writes it as HTTP/1 would.
fn from_extended_connect(headers: &mut Headers) {
    if headers.method() != "CONNECT" {
        return;
    }
    let Some(protocol) = headers.get(":protocol").map(str::to_owned) else { return };
    headers.set(":method", "GET");
    headers.remove(":protocol");
    headers.set("upgrade", &protocol);
    headers.set("connection", "upgrade");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crumbs_make_one_cookie_and_an_empty_one_none() {
        let cookie = |crumbs: &[&str]| {
            let mut request = Request::get("/");
            request.headers = crumbs.iter().map(|crumb| ("cookie".to_owned(), (*crumb).to_owned())).collect();
            let mut headers = Headers::default();
            take(&request, &mut headers);
            headers.get("cookie").map(str::to_owned)
        };
        assert_eq!(cookie(&["a=1", "b=2"]).as_deref(), Some("a=1; b=2"));
        assert_eq!(cookie(&["", "b=2"]).as_deref(), Some("b=2"));
        assert_eq!(cookie(&[""]), None);
        assert_eq!(cookie(&[]), None);
    }
}
