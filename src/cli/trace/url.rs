//! `http://host:port/path?query` of the command line, taken apart without changing what is sent.

use std::net::{IpAddr, SocketAddr};

use crate::trace::Protocol;

/// A URL's parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    /// What the client speaks.
    pub(super) protocol: Protocol,
    /// Whether the client speaks TLS.
    pub(super) tls: bool,
    /// Host without brackets.
    pub(super) host: String,
    /// Port as given, else the scheme's.
    pub(super) port: u16,
    /// Host and port as a client sends them in `Host`.
    pub(super) authority: String,
    /// Path and query, at least `/`.
    pub(super) path: String,
}

/// Takes a URL apart; the error says what is wrong with it.
pub(super) fn parse(url: &str) -> Result<Target, String> {
    let (scheme, rest) = match url.split_once("://") {
        Some((scheme, rest)) => (scheme.to_ascii_lowercase(), rest),
        None => ("http".to_owned(), url),
    };
    let (protocol, tls, default_port) = match scheme.as_str() {
        "http" | "ws" => (Protocol::Http1, false, Some(80)),
        "https" | "wss" => (Protocol::Http1, true, Some(443)),
        "grpc" => (Protocol::Http2, false, Some(80)),
        "tcp" => (Protocol::Tcp, false, None),
        "tls" => (Protocol::Tcp, true, Some(443)),
        other => return Err(format!("scheme {other:?} is none of http, https, grpc, tcp, tls")),
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let authority = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let path = path.split_once('#').map_or(path, |(path, _)| path);
    let path = match path.chars().next() {
        None => "/".to_owned(),
        Some('?') => format!("/{path}"),
        Some(_) => path.to_owned(),
    };
    let (host, port) = match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, "")) => (host, None),
        Some((host, port)) => (host, Some(port.strip_prefix(':').ok_or_else(|| format!("{authority:?} is no host"))?)),
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    if host.is_empty() {
        return Err("there is no host in it".to_owned());
    }
    if host.contains([' ', '"']) || host.chars().any(char::is_control) {
        return Err(format!("{host:?} is no host"));
    }
    let given = match port {
        None | Some("") => None,
        Some(port) => Some(port.parse::<u16>().map_err(|_| format!("{port:?} is no port"))?),
    };
    let port = given
        .or(default_port)
        .ok_or_else(|| format!("{scheme} has no port of its own: write {scheme}://{host}:PORT"))?;
    let name = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    let is_default = default_port == Some(port) && protocol != Protocol::Tcp;
    let authority = if is_default { name } else { format!("{name}:{port}") };
    Ok(Target { protocol, tls, host: host.to_owned(), port, authority, path })
}

impl Target {
    /// The address that is dialled, where the URL has one instead of a name.
    pub(super) fn address(&self) -> Option<SocketAddr> {
        self.host.parse::<IpAddr>().ok().map(|ip| SocketAddr::new(ip, self.port))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(url: &str, expected: &str) {
        let got = match parse(url) {
            Ok(t) => format!(
                "{:?}{} {}:{} {:?} {}",
                t.protocol,
                if t.tls { "+tls" } else { "" },
                t.host,
                t.port,
                t.authority,
                t.path
            ),
            Err(error) => error,
        };
        assert_eq!(got, expected);
    }

    #[test]
    fn urls_are_taken_apart() {
        check("http://reviews:9080/x?y=1#z", "Http1 reviews:9080 \"reviews:9080\" /x?y=1");
        check("reviews", "Http1 reviews:80 \"reviews\" /");
        check("HTTPS://a.b?q", "Http1+tls a.b:443 \"a.b\" /?q");
        check("https://u:p@a.b:80/", "Http1+tls a.b:80 \"a.b:80\" /");
        check("http://[::1]:8080/..//a%2f", "Http1 ::1:8080 \"[::1]:8080\" /..//a%2f");
        check("http://[::1]", "Http1 ::1:80 \"[::1]\" /");
        check("tcp://db:5432", "Tcp db:5432 \"db:5432\" /");
        check("tls://a", "Tcp+tls a:443 \"a:443\" /");
        assert_eq!(parse("http://10.0.0.1:8/").unwrap().address(), Some("10.0.0.1:8".parse().unwrap()));
    }

    #[test]
    fn what_is_wrong_is_said() {
        check("ftp://a", "scheme \"ftp\" is none of http, https, grpc, tcp, tls");
        check("http:///x", "there is no host in it");
        check("http://a:b/", "\"b\" is no port");
        check("tcp://a", "tcp has no port of its own: write tcp://a:PORT");
    }
}
