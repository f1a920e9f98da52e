//! What the HTTP codec makes of the bytes: a request, or a protocol error (semantics §3.1, §8.3).

use super::context::Context;
use super::request::{Headers, Protocol, Request};
use super::request_target as target;
use super::version::Rule;

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

/// Whether the HTTP/1 parser takes this method.
fn is_known_method(cx: &Context<'_>, method: &str) -> bool {
    METHODS.contains(&method) || (method == "QUERY" && cx.follows(Rule::QueryIsAMethod))
}

/// Whether http_inspector takes a request line with this method for HTTP.
pub(crate) fn is_inspected_as_http(cx: &Context<'_>, method: &str) -> bool {
    if cx.follows(Rule::InspectorTakesAnyMethod) {
        return !method.is_empty()
            && method.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b));
    }
    match method {
        "MSEARCH" => false,
        "M-SEARCH" => !cx.follows(Rule::InspectorForgotMSearch),
        method => METHODS.contains(&method),
    }
}

/// A protocol error: flag DPE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ProtocolError {
    /// Status that the client reads, if it can.
    pub(crate) status: Option<u16>,
    /// Response code details.
    pub(crate) details: &'static str,
    /// In plain words.
    pub(crate) why: String,
}

/// What the codec is told.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Settings {
    /// Whether a whole URL may stand in the request line.
    pub(crate) allow_absolute_url: bool,
    /// Whether this is an edge proxy (`use_remote_address`) on a connection without TLS: it refuses `https` URLs.
    pub(crate) is_plain_edge: bool,
}

/// Reads the request line and headers as HTTP/1.
pub(crate) fn http1(
    cx: &Context<'_>,
    request: &Request,
    settings: Settings,
    headers: &mut Headers,
) -> Result<(), ProtocolError> {
    let error = |status, details, why: String| Err(ProtocolError { status: Some(status), details, why });
    if !is_known_method(cx, &request.method) {
        return error(
            400,
            "http1.codec_error",
            format!("{} is no method that the HTTP/1 parser knows", request.method),
        );
    }
    let path = request.path.as_str();
    let is_connect = request.method == "CONNECT";
    if path.contains(|c: char| c.is_ascii_whitespace() || c.is_ascii_control())
        || !target::is_readable(path, is_connect)
    {
        return error(400, "http1.codec_error", format!("{path:?} can't stand in a request line"));
    }
    headers.add(":method", &request.method);
    let relative = !is_connect && path.starts_with('/') || request.method == "OPTIONS" && path.starts_with('*');
    if relative || (!settings.allow_absolute_url && !is_connect) {
        headers.add(":path", path);
        add_authority(request, headers);
    } else if is_connect {
        if !is_host_and_port(path) {
            return error(400, "http1.invalid_url", format!("{path} is no host:port, which CONNECT wants"));
        }
        headers.add(":authority", path);
    } else {
        let Some(url) = target::url(path) else {
            return error(400, "http1.invalid_url", format!("{path} is neither a path nor a URL"));
        };
        let validates = cx.follows(Rule::ValidatesScheme);
        let has_right_case = path.starts_with(&url.scheme) || cx.follows(Rule::AbsoluteUrlInAnyCase);
        if validates && !(has_right_case && matches!(url.scheme.as_str(), "http" | "https")) {
            return error(400, "http1.invalid_scheme", format!("{path} is no http URL"));
        }
        if validates && url.scheme == "https" && settings.is_plain_edge {
            return error(
                403,
                "http1.https_url_on_plaintext_connection",
                format!("{path} is an https URL on a plain-text connection"),
            );
        }
        headers.add(":scheme", &url.scheme);
        headers.add(":authority", url.authority);
        headers.add(":path", url.path);
    }
    add_fields(request, headers);
    Ok(())
}

/// Takes the request over as HTTP/2 sends it; headers that belong to a connection of HTTP/1 have no place there.
pub(crate) fn http2(request: &Request, headers: &mut Headers) -> Result<(), ProtocolError> {
    let is_misplaced = |(name, value): &&(String, String)| match name.to_ascii_lowercase().as_str() {
        "connection" | "keep-alive" | "proxy-connection" | "transfer-encoding" | "upgrade" => true,
        "te" => !value.trim().eq_ignore_ascii_case("trailers"),
        _ => false,
    };
    if let Some((name, _)) = request.headers.iter().find(is_misplaced) {
        let why = format!("{name} is a header of HTTP/1, which HTTP/2 doesn't allow");
        return Err(ProtocolError { status: None, details: "http2.invalid.header.field", why });
    }
    headers.add(":method", &request.method);
    if request.method == "CONNECT" && !request.headers.iter().any(|(name, _)| name == ":protocol") {
        headers.add(":authority", request.authority.as_deref().unwrap_or(&request.path));
    } else {
        headers.add(":scheme", if request.tls.is_some() { "https" } else { "http" });
        headers.add(":path", &request.path);
        add_authority(request, headers);
    }
    add_fields(request, headers);
    join_cookies(headers);
    Ok(())
}

fn add_authority(request: &Request, headers: &mut Headers) {
    if let Some(authority) = &request.authority {
        headers.add(":authority", authority);
    }
}

fn add_fields(request: &Request, headers: &mut Headers) {
    for (name, value) in &request.headers {
        if name.eq_ignore_ascii_case("host") && headers.contains(":authority") {
            continue;
        }
        headers.add(if name.eq_ignore_ascii_case("host") { ":authority" } else { name }, value.trim());
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

fn is_host_and_port(target: &str) -> bool {
    super::path::port_start(target).is_some_and(|colon| {
        colon > 0 && target.get(colon + 1..).is_some_and(|port| port.parse::<u16>().is_ok()) && !target.contains('/')
    })
}

/// What the client asks to upgrade to: `websocket`, `CONNECT` …
pub(crate) fn upgrade(protocol: Protocol, headers: &Headers) -> Option<String> {
    if headers.method() == "CONNECT" {
        return Some(headers.get(":protocol").unwrap_or("CONNECT").to_owned());
    }
    let asks = protocol == Protocol::Http1
        && headers
            .all("connection")
            .flat_map(|value| value.split(','))
            .any(|token| token.trim().eq_ignore_ascii_case("upgrade"));
    headers.get("upgrade").filter(|_| asks).filter(|upgrade| !upgrade.eq_ignore_ascii_case("h2c")).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::matcher::fixture::{answer, proxy};

    fn request(method: &str, path: &str) -> Request {
        Request { method: method.to_owned(), ..Request::get(path) }
    }

    /// Details of the protocol error that a request line is.
    fn refused(minor: u32, method: &str, path: &str) -> Option<&'static str> {
        let settings = Settings { allow_absolute_url: true, is_plain_edge: true };
        let request = request(method, path);
        answer(&proxy(minor), |cx, _| {
            http1(cx, &request, settings, &mut Headers::default()).err().map(|error| error.details)
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

    #[test]
    fn crumbs_make_one_cookie_and_an_empty_one_none() {
        let cookie = |crumbs: &[&str]| {
            let mut request = Request::get("/");
            request.headers = crumbs.iter().map(|crumb| ("cookie".to_owned(), (*crumb).to_owned())).collect();
            let mut headers = Headers::default();
            http2(&request, &mut headers).unwrap();
            headers.get("cookie").map(str::to_owned)
        };
        assert_eq!(cookie(&["a=1", "b=2"]).as_deref(), Some("a=1; b=2"));
        assert_eq!(cookie(&["", "b=2"]).as_deref(), Some("b=2"));
        assert_eq!(cookie(&[""]), None);
        assert_eq!(cookie(&[]), None);
    }
}
