//! The target of an HTTP/1 request line: a path, a whole URL, or host and port (semantics §3.1).

/// A URL of a request line, as Envoy takes it apart.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Url<'a> {
    /// In lower case.
    pub(super) scheme: String,
    /// Host and port, as written; user information is dropped.
    pub(super) authority: &'a str,
    /// Path and query.
    pub(super) path: &'a str,
}

/// Whether the parser gets past the target: a path, or a scheme and a host, of the characters allowed there. Only the
/// target of CONNECT begins with a host.
pub(super) fn is_readable(target: &str, is_connect: bool) -> bool {
    let of_path = |text: &str| text.bytes().all(|c| matches!(c, b'\t' | 0x0c | b'!'..=b'~'));
    if target.starts_with(['/', '*']) {
        return of_path(target);
    }
    let rest = if is_connect {
        Some(target)
    } else {
        let of_scheme = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
        target
            .strip_prefix(|c: char| c.is_ascii_alphabetic())
            .and_then(|rest| rest.trim_start_matches(of_scheme).strip_prefix("://"))
    };
    let Some(rest) = rest.filter(|_| !target.is_empty()) else { return false };
    let (host, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let of_host = |c: u8| c.is_ascii_alphanumeric() || b"!$%&'()*+,-.:;=@[]_~".contains(&c);
    host.bytes().all(of_host) && !host.contains("@@") && of_path(path)
}

/// Takes a URL apart; `None` if it isn't one.
pub(super) fn url(target: &str) -> Option<Url<'_>> {
    let (scheme, rest) = target.split_once("://")?;
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let authority = authority.split_once('@').map_or(authority, |(_, host)| host);
    is_authority(authority).then(|| Url {
        scheme: scheme.to_ascii_lowercase(),
        authority,
        path: if path.is_empty() { "/" } else { path },
    })
}

/// Whether this is a host, with a port or without: an IPv6 address stands in brackets and has no zone.
fn is_authority(text: &str) -> bool {
    let (host, port) = match super::path::port_start(text) {
        Some(colon) => text.split_at(colon),
        None => (text, ""),
    };
    let is_host = match host.strip_prefix('[') {
        Some(rest) => rest
            .strip_suffix(']')
            .is_some_and(|ip| ip.bytes().all(|c| c.is_ascii_hexdigit() || matches!(c, b':' | b'.'))),
        None => !host.contains([':', '@', '[', ']']),
    };
    !host.is_empty() && is_host && (port.is_empty() || port.get(1..).is_some_and(|port| port.parse::<u16>().is_ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_parser_reads() {
        for target in ["/", "*", "*x", "/a?b#c", "http://a", "a+b-c.d://x/y", "http://u@h:80?q", "http:///x"] {
            assert!(is_readable(target, false), "{target}");
        }
        for target in ["", "x/y", "a:80", "1http://a", "http:/a", "http://a{b", "http://a@@b", "/é", "/a b"] {
            assert!(!is_readable(target, false), "{target}");
        }
        assert!(is_readable("a:80", true) && !is_readable("a b:80", true));
    }

    #[test]
    fn urls_are_taken_apart() {
        let authority = |target| url(target).map(|url| url.authority);
        assert_eq!(authority("http://u@b.test:80/p"), Some("b.test:80"));
        assert_eq!(authority("http://[::1]:80/p"), Some("[::1]:80"));
        assert_eq!(url("HTTP://B.test").map(|url| (url.scheme, url.path)), Some(("http".to_owned(), "/")));
        assert_eq!(url("http://b?q").map(|url| url.path), Some("?q"));
        for target in ["/p", "http:///x", "http://a@b@c/", "http://a:x/", "http://a:70000/", "http://[::1%25lo]/"] {
            assert_eq!(url(target), None, "{target}");
        }
    }
}
