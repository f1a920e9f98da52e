//! Targets of HTTP/1 request lines: paths, URLs, and what CONNECT names.

use super::is_host_char;

/// Whether the parser takes a target: a path, `*…`, or something like a URL (of CONNECT: without a scheme).
pub(super) fn is_target(target: &str, is_connect: bool) -> bool {
    let is_path_char = |c: char| c.is_ascii_graphic();
    if target.starts_with(['/', '*']) {
        return target.chars().all(is_path_char);
    }
    let rest = if is_connect { Some(target) } else { after_scheme(target) };
    let Some(rest) = rest.filter(|_| !target.is_empty()) else { return false };
    let (host, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    host.chars().all(|c| is_host_char(c) || c == '@') && !host.contains("@@") && path.chars().all(is_path_char)
}

fn after_scheme(target: &str) -> Option<&str> {
    let (scheme, rest) = target.split_once("://")?;
    let is_rest = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
    (scheme.starts_with(|c: char| c.is_ascii_alphabetic()) && scheme.chars().all(is_rest)).then_some(rest)
}

/// The parts of a URL; one of CONNECT is all authority.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Url<'a> {
    pub(super) scheme: &'a str,
    /// Host and port, without user and password.
    pub(super) authority: &'a str,
    /// Path and query; `/` if there are none.
    pub(super) path: &'a str,
}

impl<'a> Url<'a> {
    /// Reads what [`is_target`] has let through; `None` if host or port are none.
    pub(super) fn read(target: &'a str, is_connect: bool) -> Option<Self> {
        let (scheme, rest) = if is_connect { ("", target) } else { target.split_once("://")? };
        let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        if is_connect && (!path.is_empty() || authority.contains('@')) {
            return None;
        }
        let authority = match authority.split_once('@') {
            Some((user, host)) if user.chars().all(is_user_char) => host,
            Some(_) => return None,
            None => authority,
        };
        let (host, port) = split_port(authority)?;
        let has_port = port.is_some_and(|port| {
            !port.is_empty()
                && port.bytes().all(|b| b.is_ascii_digit())
                && port.parse::<u32>().is_ok_and(|n| n < 65_536)
        });
        if !is_host(host) || (port.is_some() || is_connect) && !has_port {
            return None;
        }
        Some(Self { scheme, authority, path: if path.is_empty() { "/" } else { path } })
    }
}

/// The port is what follows the host's colon; of an IPv6 literal only a port may follow the bracket.
fn split_port(authority: &str) -> Option<(&str, Option<&str>)> {
    if !authority.starts_with('[') {
        return Some(authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port))));
    }
    let (host, rest) = authority.split_at(authority.find(']')? + 1);
    match rest.strip_prefix(':') {
        Some(port) => Some((host, Some(port))),
        None => rest.is_empty().then_some((host, None)),
    }
}

fn is_host(host: &str) -> bool {
    if let Some(literal) = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        let (address, zone) = literal.split_once('%').unwrap_or((literal, "0"));
        let is_number_char = |c: char| c.is_ascii_hexdigit() || matches!(c, ':' | '.');
        let is_number = |text: &str| !text.is_empty() && text.chars().all(is_number_char);
        return is_number(address) && is_number(zone);
    }
    !host.is_empty() && host.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-'))
}

fn is_user_char(c: char) -> bool {
    const MARKS: &str = "-_.!~*'()%;:&=+$,";
    c.is_ascii_alphanumeric() || MARKS.contains(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_parser_takes_is_not_yet_a_url() {
        for target in ["/a|b", "*", "http://h", "ftp://h", "http://h:", "http://[x", "http://?x", "http://a_b/"] {
            assert!(is_target(target, false), "{target}");
        }
        for target in ["", "x", "?x", "#f", "a/b", "h:80", "http:/h", "1a://h", "http://h#f", "http://a@@b/", "/\u{e9}"]
        {
            assert!(!is_target(target, false), "{target}");
        }
        assert!(is_target("a:80", true) && is_target("a", true) && !is_target("a|b:80", true));
    }

    #[test]
    fn urls_have_a_host_and_a_port_in_range() {
        let authority = |url, is_connect| Url::read(url, is_connect).map(|url| url.authority);
        for (url, expected) in [
            ("http://u:p@h:080/x", Some("h:080")),
            ("http://@h", Some("h")),
            ("http://[::1]:80/", Some("[::1]:80")),
            ("http://[1.2.3.4]/", Some("[1.2.3.4]")),
            ("http://h:65535?x", Some("h:65535")),
            ("http://h:65536/", None),
            ("http://h:/", None),
            ("http://h:+80/", None),
            ("http://[::1]x/", None),
            ("http://[]/", None),
            ("http:///x", None),
            ("http://a_b/", None),
        ] {
            assert_eq!(authority(url, false), expected, "{url}");
        }
        assert_eq!(authority("a.b:443", true), Some("a.b:443"));
        assert_eq!(authority("u@a:443", true), None);
        assert_eq!(authority("a", true), None);
        assert_eq!(Url::read("http://h?x", false).unwrap().path, "?x");
    }
}
