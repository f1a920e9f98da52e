//! What Envoy does to `:path` and `:authority` before routing (semantics §4.1).

use super::context::Context;
use super::matcher::query::percent_decode;
use super::request::Headers;
use super::version::Rule;
use super::walk::Walk;
use crate::proto::envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager;
use crate::proto::envoy::extensions::filters::network::http_connection_manager::v3::http_connection_manager::PathWithEscapedSlashesAction;

/// What becomes of a path.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Normalized {
    /// It goes on, with the header changed or not.
    Continue,
    /// 400.
    Reject,
    /// 307 to this path.
    Redirect(String),
}

/// Host and port that the path of a CONNECT-UDP names (RFC 9298), as they take the place of the authority; `None` if it
/// isn't such a path, which Envoy refuses.
pub(crate) fn target_of_connect_udp(path: &str) -> Option<String> {
    let target = path.strip_prefix("/.well-known/masque/udp/")?.strip_suffix('/')?;
    let (host, port) = target.split_once('/').filter(|(host, port)| !host.is_empty() && !port.is_empty())?;
    if port.contains('/') || !path.chars().all(|c| c.is_ascii_graphic()) {
        return None;
    }
    let host = percent_decode(host);
    Some(if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") })
}

/// Normalizes `:path` as the HCM is told to.
pub(crate) fn normalize(
    cx: &Context<'_>,
    walk: &mut Walk,
    hcm: &HttpConnectionManager,
    headers: &mut Headers,
) -> Normalized {
    let Some(mut path) = headers.get(":path").map(str::to_owned) else { return Normalized::Continue };
    if let Some(at) = path.find('#') {
        if cx.follows(Rule::RejectsFragment) {
            return Normalized::Reject;
        }
        if cx.follows(Rule::StripsFragment) {
            path.truncate(at);
        }
    }
    let mut redirect = false;
    let action = hcm.path_with_escaped_slashes_action;
    if action > PathWithEscapedSlashesAction::KeepUnchanged as i32
        && let Some(unescaped) = unescape_slashes(&path)
    {
        if action == PathWithEscapedSlashesAction::RejectRequest as i32 {
            return Normalized::Reject;
        }
        redirect = action == PathWithEscapedSlashesAction::UnescapeAndRedirect as i32;
        path = unescaped;
    }
    if hcm.normalize_path.is_some_and(|v| v.value) {
        if split_query(&path).0.contains("%00") {
            return Normalized::Reject;
        }
        path = cx.settle(
            walk,
            Rule::StripsParametersOfDotSegments,
            |_| canonical(&path),
            |_| canonical(&plain_dot_segments(&path)),
        );
    }
    if hcm.merge_slashes {
        path = merge_slashes(&path);
    }
    headers.set(":path", &path);
    if redirect { Normalized::Redirect(path) } else { Normalized::Continue }
}

/// Splits off the query.
fn split_query(path: &str) -> (&str, &str) {
    path.find('?').map_or((path, ""), |at| path.split_at(at))
}

/// `%2F` and `%5C` unescaped in the path part; `None` if there are none.
fn unescape_slashes(path: &str) -> Option<String> {
    let (path, query) = split_query(path);
    let mut out = String::with_capacity(path.len());
    let mut rest = path;
    let mut found = false;
    while let Some(at) = rest.find('%') {
        let (before, after) = rest.split_at(at);
        out.push_str(before);
        let unescaped = match after.get(1..3) {
            Some(hex) if hex.eq_ignore_ascii_case("2f") => Some('/'),
            Some(hex) if hex.eq_ignore_ascii_case("5c") => Some('\\'),
            _ => None,
        };
        if let Some(slash) = unescaped {
            out.push(slash);
            found = true;
            rest = after.get(3..).unwrap_or_default();
        } else {
            out.push('%');
            rest = after.get(1..).unwrap_or_default();
        }
    }
    out.push_str(rest);
    found.then(|| out + query)
}

/// Dot segments removed, unreserved characters unescaped, others that a path can't hold escaped, `\` read as `/`.
pub(crate) fn canonical(path: &str) -> String {
    let (path, query) = split_query(path);
    let unescaped = unescape_unreserved(&path.replace('\\', "/"));
    let mut segments: Vec<&str> = Vec::new();
    let body = unescaped.strip_prefix('/').unwrap_or(&unescaped);
    let mut pieces = body.split('/').peekable();
    let mut trailing = false;
    while let Some(piece) = pieces.next() {
        let is_last = pieces.peek().is_none();
        match piece {
            "." => trailing = is_last,
            ".." => {
                segments.pop();
                trailing = is_last;
            }
            other => {
                segments.push(other);
                trailing = false;
            }
        }
    }
    let mut out = String::from("/");
    out.push_str(&segments.join("/"));
    if trailing && !segments.is_empty() {
        out.push('/');
    }
    out + query
}

/// `..;x` and `.;x` as the dot segments that they stand for; escaped ones are left alone.
fn plain_dot_segments(path: &str) -> String {
    let (path, query) = split_query(path);
    let segments: Vec<&str> = path
        .split('/')
        .map(|segment| match segment.split_once(';') {
            Some((dots @ ("." | ".."), _)) => dots,
            _ => segment,
        })
        .collect();
    segments.join("/") + query
}

fn unescape_unreserved(path: &str) -> String {
    let bytes = path.as_bytes();
    let mut out = String::with_capacity(path.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at).copied() {
        let escaped =
            (byte == b'%').then(|| path.get(at + 1..at + 3).and_then(|hex| u8::from_str_radix(hex, 16).ok())).flatten();
        match escaped {
            Some(value) if value.is_ascii_alphanumeric() || matches!(value, b'-' | b'.' | b'_' | b'~') => {
                out.push(char::from(value));
                at += 3;
            }
            _ => {
                if byte <= b' ' || byte >= 0x7f || matches!(byte, b'"' | b'<' | b'>' | b'`' | b'{' | b'|' | b'}' | b'^')
                {
                    out.push_str(&format!("%{byte:02X}"));
                } else {
                    out.push(char::from(byte));
                }
                at += 1;
            }
        }
    }
    out
}

/// Runs of `/` become one; the query is left alone.
fn merge_slashes(path: &str) -> String {
    let (path, query) = split_query(path);
    let mut out = String::with_capacity(path.len() + query.len());
    for c in path.chars() {
        if c != '/' || !out.ends_with('/') {
            out.push(c);
        }
    }
    out + query
}

/// Start of the `:port` of an authority, outside the brackets of an IPv6 literal.
pub(crate) fn port_start(host: &str) -> Option<usize> {
    let colon = host.rfind(':')?;
    match host.rfind(']') {
        Some(bracket) if bracket > colon => None,
        _ => Some(colon),
    }
}

/// Strips a trailing dot and the port from `:authority` as the HCM is told to.
pub(crate) fn normalize_host(cx: &Context<'_>, hcm: &HttpConnectionManager, local_port: u16, headers: &mut Headers) {
    use crate::proto::envoy::extensions::filters::network::http_connection_manager::v3::http_connection_manager::StripPortMode;
    let Some(mut host) = headers.get(":authority").map(str::to_owned) else { return };
    if hcm.strip_trailing_host_dot {
        let port = port_start(&host).unwrap_or(host.len());
        if host.get(..port).is_some_and(|name| name.ends_with('.')) {
            host.remove(port - 1);
        }
    }
    let any = matches!(hcm.strip_port_mode, Some(StripPortMode::StripAnyHostPort(true)));
    let keeps_port = headers.method() == "CONNECT" && !cx.follows(Rule::StripsPortOfConnect);
    if (any || hcm.strip_matching_host_port)
        && !keeps_port
        && let Some(colon) = port_start(&host)
        && let Some(Ok(port)) = host.get(colon + 1..).map(str::parse::<u32>)
        && (any || port == u32::from(local_port))
    {
        host.truncate(colon);
    }
    headers.set(":authority", &host);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::trace::matcher::fixture::{answer, headers, message, proxy, proxy_with};

    /// What becomes of a path in a proxy: what is routed, or `None` where it is refused.
    fn routed(proxy: &crate::dump::Proxy, path: &str) -> Option<String> {
        let hcm: HttpConnectionManager = message(json!({"normalize_path": true}));
        answer(proxy, |cx, walk| {
            let mut headers = headers(&[(":path", path)]);
            (normalize(cx, walk, &hcm, &mut headers) == Normalized::Continue).then(|| headers.path().to_owned())
        })
    }

    #[test]
    fn fragments_stayed_then_were_refused() {
        let with = |minor, guards: serde_json::Value| routed(&proxy_with(minor, &guards, &json!({})), "/a#b");
        let reject = "envoy.reloadable_features.http_reject_path_with_fragment";
        let strip = "envoy.reloadable_features.http_strip_fragment_from_path_unsafe_if_disabled";
        assert_eq!(with(15, json!({})).as_deref(), Some("/a#b"));
        assert_eq!(with(20, json!({})), None);
        assert_eq!(with(20, json!({reject: false})).as_deref(), Some("/a"));
        assert_eq!(with(26, json!({reject: false, strip: false})).as_deref(), Some("/a#b"));
        assert_eq!(with(27, json!({reject: false, strip: false})).as_deref(), Some("/a"));
    }

    #[test]
    fn dot_segments_may_have_parameters() {
        for (path, before, after) in [
            ("/a/..;x=1/b", "/a/..;x=1/b", "/b"),
            ("/a/.;x/../b", "/a/b", "/b"),
            ("/a/b/..;x?q=/..;y", "/a/b/..;x?q=/..;y", "/a/?q=/..;y"),
            ("/a/.;", "/a/.;", "/a/"),
            ("/a/...;x/b", "/a/...;x/b", "/a/...;x/b"),
            ("/a/%2e%2e;x/b", "/a/..;x/b", "/a/..;x/b"),
            ("/a\\..;x/b", "/a/..;x/b", "/a/..;x/b"),
            ("/a/..;x\\b/c", "/a/..;x/b/c", "/c"),
        ] {
            assert_eq!(routed(&proxy(39), path).as_deref(), Some(before), "{path}");
            assert_eq!(routed(&proxy(40), path).as_deref(), Some(after), "{path}");
        }
        let off = json!({"envoy.reloadable_features.strip_dotdot_segments_with_parameters": false});
        assert_eq!(routed(&proxy_with(40, &off, &json!({})), "/a/..;x/b").as_deref(), Some("/a/..;x/b"));
    }

    #[test]
    fn the_port_of_a_connect_stayed() {
        let hcm: HttpConnectionManager = message(json!({"strip_any_host_port": true}));
        let authority = |minor, method: &str| {
            answer(&proxy(minor), |cx, _| {
                let mut headers = headers(&[(":method", method), (":authority", "a:443")]);
                normalize_host(cx, &hcm, 80, &mut headers);
                headers.authority().to_owned()
            })
        };
        assert_eq!((authority(18, "CONNECT").as_str(), authority(18, "GET").as_str()), ("a:443", "a"));
        assert_eq!(authority(19, "CONNECT"), "a");
    }

    #[test]
    fn dot_segments_go_and_escaped_slashes_stay() {
        for (path, expected) in [
            ("/x/../a/b", "/a/b"),
            ("/a/%62", "/a/b"),
            ("/a\\b", "/a/b"),
            ("/a%2Fb", "/a%2Fb"),
            ("/a//b", "/a//b"),
            ("/%2e/a/b", "/a/b"),
            ("/a/..", "/"),
            ("/a/b/.", "/a/b/"),
            ("/../../a?x=/../y", "/a?x=/../y"),
            ("/", "/"),
            ("/a/", "/a/"),
            ("/%zz", "/%zz"),
        ] {
            assert_eq!(canonical(path), expected, "{path}");
        }
    }

    #[test]
    fn escaped_slashes_are_unescaped_in_the_path_only() {
        assert_eq!(unescape_slashes("/a%2Fb%5cc?x=%2F").as_deref(), Some("/a/b\\c?x=%2F"));
        assert_eq!(unescape_slashes("/a%20b"), None);
        assert_eq!(merge_slashes("//a///b?x=//"), "/a/b?x=//");
    }

    #[test]
    fn ports_stand_outside_brackets() {
        assert_eq!(port_start("[::1]:80"), Some(5));
        assert_eq!(port_start("[::1]"), None);
        assert_eq!(port_start("a:80"), Some(1));
    }
}
