use clap::Parser;

use super::{TraceArgs, Verdict};
use crate::cli::{Cli, Command};
use crate::trace::{Direction, Protocol, Request};

fn arguments(words: &[&str]) -> Result<TraceArgs, String> {
    let words = ["xdsight", "trace", "dump.json"].iter().chain(words);
    match Cli::try_parse_from(words).map_err(|error| error.to_string())?.command {
        Command::Trace(args) => Ok(*args),
        _ => Err("another command".to_owned()),
    }
}

#[track_caller]
fn request(words: &[&str]) -> Request {
    arguments(words).unwrap().request().unwrap()
}

#[track_caller]
fn fails(words: &[&str], expected: &str) {
    let error = match arguments(words) {
        Ok(args) => args.request().unwrap_err().to_string(),
        Err(error) => error,
    };
    assert!(error.contains(expected), "{error}");
}

#[test]
fn a_url_and_flags() {
    let got = request(&[
        "https://shop.example/x?y",
        "-X",
        "POST",
        "-H",
        "End-User: jason",
        "--http2",
        "--from",
        "10.0.0.9:70",
    ]);
    assert_eq!(got.protocol, Protocol::Http2);
    assert_eq!((got.method.as_str(), got.path.as_str()), ("POST", "/x?y"));
    assert_eq!((got.authority.as_deref(), got.port), (Some("shop.example"), Some(443)));
    assert_eq!(got.headers, [("End-User".to_owned(), "jason".to_owned())]);
    assert_eq!((got.source, got.source_port), ("10.0.0.9".parse().unwrap(), Some(70)));
    let tls = got.tls.unwrap();
    assert_eq!((tls.sni.as_deref(), tls.alpn), (Some("shop.example"), vec!["h2".to_owned()]));
    assert_eq!(got.connect, None);
}

#[test]
fn addresses() {
    assert_eq!(request(&["http://10.0.0.1/"]).connect, Some("10.0.0.1:80".parse().unwrap()));
    assert_eq!(request(&["http://a/", "--to", "[::1]:8"]).connect, Some("[::1]:8".parse().unwrap()));
    assert_eq!(request(&["https://10.0.0.1/"]).tls.unwrap().sni, None);
    fails(&["http://a/", "--to", "a:80"], "not of the form ADDR:PORT");
    fails(&["http://a/", "--from", "x"], "not an IP address");
}

#[test]
fn inbound_with_an_identity() {
    let got = request(&["http://a/", "--inbound", "--mtls", "cluster.local/ns/a/sa/b", "-H", "Host: c"]);
    assert_eq!((got.direction, got.authority.as_deref()), (Direction::Inbound, Some("c")));
    let tls = got.tls.unwrap();
    assert_eq!(tls.certificate.unwrap().uri_sans, ["spiffe://cluster.local/ns/a/sa/b"]);
    assert_eq!(tls.alpn, ["istio-http/1.1", "istio", "http/1.1"]);
}

#[test]
fn a_curl_line_and_flags_on_top() {
    let got = request(&["--curl", "curl -d x https://a:8443/ --http2", "-X", "PUT", "--sni", "b"]);
    assert_eq!((got.method.as_str(), got.protocol), ("PUT", Protocol::Http2));
    assert_eq!(got.tls.unwrap().sni.as_deref(), Some("b"));
    assert!(got.headers.iter().any(|(name, _)| name == "content-type"));
    fails(&["--curl", "curl --cert c.pem https://a"], "doesn't say whose");
    fails(&["--curl", "curl -x p https://a"], "the curl line can't be followed");
}

#[test]
fn one_request_is_asked_for() {
    fails(&[], "required");
    fails(&["http://a", "--curl", "curl http://b"], "cannot be used with");
    fails(&["http://a", "--requests", "f"], "cannot be used with");
    fails(&["ftp://a"], "is none of http");
    assert_eq!(u8::from(Verdict::Found), 1);
}
