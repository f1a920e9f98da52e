//! HTTP/1: request line and fields, as Envoy's parser takes or refuses them (measured on 1.40).

use super::{ProtocolError, Settings, connection, is_host_char, is_token, url};
use crate::trace::context::Context;
use crate::trace::octets;
use crate::trace::request::{Headers, Protocol, Request};
use crate::trace::version::Rule;
use crate::trace::walk::Walk;

/// Methods that Envoy's HTTP/1 parser knows unless custom ones are allowed.
const METHODS: &[&str] = &[
    "ACL",
    "BIND",
    "CHECKOUT",
    "CONNECT",
    "COPY",
    "DELETE",
    "GET",
    "HEAD",
    "LINK",
    "LOCK",
    "MERGE",
    "MKACTIVITY",
    "MKCALENDAR",
    "MKCOL",
    "MOVE",
    "MSEARCH",
    "NOTIFY",
    "OPTIONS",
    "PATCH",
    "POST",
    "PROPFIND",
    "PROPPATCH",
    "PURGE",
    "PUT",
    "REBIND",
    "REPORT",
    "SEARCH",
    "SOURCE",
    "SUBSCRIBE",
    "TRACE",
    "UNBIND",
    "UNLINK",
    "UNLOCK",
    "UNSUBSCRIBE",
];

/// Whether http_inspector takes a request line with this method for HTTP.
pub(crate) fn is_inspected_as_http(cx: &Context<'_>, method: &str) -> bool {
    if cx.follows(Rule::InspectorTakesAnyMethod) {
        return is_token(method);
    }
    match method {
        "MSEARCH" => false,
        "M-SEARCH" => !cx.follows(Rule::InspectorForgotMSearch),
        method => METHODS.contains(&method),
    }
}

const CODEC_ERROR: &str = "http1.codec_error";

/// Reads the request line and fields.
pub(super) fn read(
    walk: &mut Walk,
    request: &Request,
    settings: &Settings,
    headers: &mut Headers,
) -> Result<(), ProtocolError> {
    let fields = fields(request);
    size(walk, request, &fields, settings)?;
    let texts = fields.iter().flat_map(|(name, value)| [*name, *value]);
    if texts.chain([request.method.as_str(), request.path.as_str()]).any(has_control) {
        return Err(ProtocolError::replied(
            400,
            "http1.invalid_characters",
            "a control character can't stand in a request",
        ));
    }
    request_line(request, settings)?;
    for (name, value) in &fields {
        field(name, value, headers)?;
    }
    settings.count(walk, "http1.too_many_headers", fields.len(), true)?;
    if settings.rejects_underscores && fields.iter().any(|(name, _)| name.contains('_')) {
        let why = "a header's name has an underscore, which the connection manager rejects";
        return Err(ProtocolError::replied(400, "http1.unexpected_underscore", why));
    }
    transfer(settings, headers)?;
    connection::sanitize(headers)?;
    target(request, settings, headers)?;
    if request.protocol == Protocol::Http10 && !settings.accept_http_10 {
        return Err(ProtocolError::replied(426, "low_version", "HTTP/1.0 isn't accepted (accept_http_10)"));
    }
    match headers.get(":authority") {
        Some(host) if !host.chars().all(|c| is_host_char(c) || c == '@') => {
            Err(ProtocolError::replied(400, "http.invalid_authority", format!("{host:?} is no host")))
        }
        _ => Ok(()),
    }
}

/// Names and values in the order sent; a name ends at its first colon.
fn fields(request: &Request) -> Vec<(&str, &str)> {
    let host = request.authority.as_deref().map(|host| ("host", host));
    let others = request.headers.iter().map(|(name, value)| match name.split_once(':') {
        // A client that sends `x:b: v` sends the header `x` with the value `b: v`.
        Some((name, _)) => (name, value.as_str()),
        None => (name.as_str(), value.as_str()),
    });
    host.into_iter().chain(others).map(|(name, value)| (name, value.trim_matches([' ', '\t']))).collect()
}

/// The head as it is on the wire: request line, fields, and the empty line.
fn size(walk: &mut Walk, request: &Request, fields: &[(&str, &str)], settings: &Settings) -> Result<(), ProtocolError> {
    let length = |text: &str| octets::bytes(text).len();
    let line = length(&request.method) + length(&request.path) + " ".len() + " HTTP/1.1\r\n".len();
    let fields: usize = fields.iter().map(|(name, value)| length(name) + length(value) + ": \r\n".len()).sum();
    settings.size(walk, "http1.headers_too_large", line + fields + "\r\n".len(), true)
}

fn has_control(text: &str) -> bool {
    text.chars().any(|c| c.is_ascii_control() && c != '\t')
}

/// The target without the blanks around it, which the parser takes for those that part it from its neighbours.
fn target_of(request: &Request) -> &str {
    request.path.trim_matches([' ', '\t'])
}

fn request_line(request: &Request, settings: &Settings) -> Result<(), ProtocolError> {
    let method = request.method.as_str();
    let is_known = METHODS.contains(&method)
        || method == "QUERY" && settings.allow_query
        || settings.allow_custom_methods && is_token(method);
    if !is_known {
        let why = format!("{} is no method that the HTTP/1 parser knows", request.method);
        return Err(ProtocolError::replied(400, CODEC_ERROR, why));
    }
    let target = target_of(request);
    if !target.is_empty() && !url::is_target(target, method == "CONNECT") || target.is_empty() && method != "CONNECT" {
        return Err(ProtocolError::replied(
            400,
            CODEC_ERROR,
            format!("{:?} can't stand in a request line", request.path),
        ));
    }
    Ok(())
}

fn field(name: &str, value: &str, headers: &mut Headers) -> Result<(), ProtocolError> {
    if !is_token(name) {
        return Err(ProtocolError::replied(400, CODEC_ERROR, format!("{name:?} is no name of a header")));
    }
    if name.eq_ignore_ascii_case("content-length") && (headers.contains(name) || value.parse::<u64>().is_err()) {
        let why = format!("content-length {value:?} is no length, or not the only one");
        return Err(ProtocolError::replied(400, CODEC_ERROR, why));
    }
    if name.eq_ignore_ascii_case("content-length") && !value.starts_with(|c: char| c.is_ascii_digit()) {
        return Err(ProtocolError::replied(400, CODEC_ERROR, format!("content-length {value:?} is no length")));
    }
    if name.eq_ignore_ascii_case("host") {
        // All of them count: `a` and `b` are read as `a,b`.
        headers.append(":authority", value);
    } else {
        headers.add(name, value);
    }
    Ok(())
}

fn transfer(settings: &Settings, headers: &mut Headers) -> Result<(), ProtocolError> {
    let Some(encoding) = joined(headers, "transfer-encoding") else { return Ok(()) };
    if headers.contains("content-length") {
        if !settings.allow_chunked_length || headers.method() == "CONNECT" {
            let why = "the request has both content-length and transfer-encoding";
            return Err(ProtocolError::replied(400, "http1.content_length_and_chunked_not_allowed", why));
        }
        headers.remove("content-length");
    }
    if !encoding.eq_ignore_ascii_case("chunked") {
        let why = format!("transfer-encoding {encoding:?} is none that Envoy implements");
        return Err(ProtocolError::replied(501, "http1.invalid_transfer_encoding", why));
    }
    Ok(())
}

/// All values of a header in one, as Envoy keeps some; `None` if there are none.
pub(super) fn joined(headers: &Headers, name: &str) -> Option<String> {
    let values: Vec<&str> = headers.all(name).collect();
    (!values.is_empty()).then(|| values.join(","))
}

/// Method, path, scheme and authority of the request line.
fn target(request: &Request, settings: &Settings, headers: &mut Headers) -> Result<(), ProtocolError> {
    let mut first = Headers::default();
    first.add(":method", &request.method);
    let target = target_of(request);
    let is_connect = request.method == "CONNECT";
    let is_path = target.starts_with('/') || request.method == "OPTIONS" && target.starts_with('*');
    if !is_connect && (is_path || !settings.allow_absolute_url) {
        first.add(":path", target);
    } else {
        let Some(url) = url::Url::read(target, is_connect) else {
            let what = if is_connect { "host:port, which CONNECT wants" } else { "path or URL" };
            return Err(ProtocolError::replied(400, "http1.invalid_url", format!("{target} is no {what}")));
        };
        headers.set(":authority", url.authority);
        if !is_connect {
            let scheme = url.scheme.to_ascii_lowercase();
            let has_right_case = settings.takes_any_case || url.scheme == scheme;
            let is_http = matches!(scheme.as_str(), "http" | "https");
            if settings.validates_scheme && !(is_http && has_right_case) {
                let why = format!("{scheme} is no scheme that Envoy forwards");
                return Err(ProtocolError::replied(400, "http1.invalid_scheme", why));
            }
            if settings.validates_scheme && scheme == "https" && settings.is_plain_edge {
                let why = format!("{target} is an https URL on a plain-text connection");
                return Err(ProtocolError::replied(403, "http1.https_url_on_plaintext_connection", why));
            }
            first.add(":scheme", &scheme);
            first.add(":path", url.path);
        }
    }
    headers.put_first(first);
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::trace::codec;
    use crate::trace::matcher::fixture::{answer, connection, message, proxy};

    /// Details of the protocol error that a request line is.
    fn refused(minor: u32, method: &str, path: &str) -> Option<&'static str> {
        let hcm = message(json!({"use_remote_address": true}));
        let request = Request { method: method.to_owned(), authority: Some("h".to_owned()), ..Request::get(path) };
        answer(&proxy(minor), |cx, walk| {
            let settings = Settings::of(cx, &hcm, &connection());
            codec::http1(walk, &request, &settings, &mut Headers::default()).err().map(|error| error.details)
        })
    }

    #[test]
    fn query_became_a_method() {
        assert_eq!((refused(39, "QUERY", "/"), refused(40, "QUERY", "/")), (Some("http1.codec_error"), None));
        assert_eq!((refused(40, "MSEARCH", "/"), refused(40, "M-SEARCH", "/")), (None, Some("http1.codec_error")));
    }

    #[test]
    fn schemes_of_whole_urls_came_to_be_checked() {
        assert_eq!(refused(40, "GET", "ftp://a/"), Some("http1.invalid_scheme"));
        assert_eq!((refused(17, "GET", "ftp://a/"), refused(17, "GET", "https://a/")), (None, None));
        assert_eq!(refused(18, "GET", "https://a/"), Some("http1.https_url_on_plaintext_connection"));
        assert_eq!(refused(26, "GET", "HTTP://a/"), Some("http1.invalid_scheme"));
        assert_eq!(refused(27, "GET", "HTTP://a/"), None);
    }

    #[test]
    fn http_inspector_takes_what_its_parser_does() {
        let takes = |minor, method: &str| answer(&proxy(minor), |cx, _| is_inspected_as_http(cx, method));
        for (method, on_37, on_38, on_39) in [
            ("GET", true, true, true),
            ("BREW", false, false, true),
            ("FOO-BAR", false, false, true),
            ("G@T", false, false, false),
            ("MSEARCH", false, false, true),
            ("M-SEARCH", true, false, true),
        ] {
            assert_eq!((takes(37, method), takes(38, method), takes(39, method)), (on_37, on_38, on_39), "{method}");
        }
    }
}
