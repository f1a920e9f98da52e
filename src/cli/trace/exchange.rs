//! One line of a requests file as a request.
//!
//! Fields that nobody knows are reported, never dropped in silence: they may be what the request was about.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use serde_json::{Map, Value};

use super::identity;
use super::url;
use crate::trace::{ClientTls, Protocol, ProxyHeader, Request, from_latin1};

/// Fields that a recording keeps for itself.
const RECORDING: &[&str] = &["repeat", "tolerance", "note"];

/// A line that is no request, with its id where that could be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Malformed {
    pub(super) id: Option<String>,
    pub(super) reason: String,
}

/// Reads one line; gives the request and the names of fields that aren't known.
pub(super) fn parse(line: &str) -> Result<(Request, Vec<String>), Malformed> {
    let fail = |id: Option<String>, reason: String| Malformed { id, reason };
    let value: Value = serde_json::from_str(line).map_err(|error| fail(None, format!("not JSON: {error}")))?;
    let Value::Object(mut fields) = value else {
        return Err(fail(None, "not a JSON object".to_owned()));
    };
    let id = match fields.remove("id") {
        Some(Value::String(id)) => Some(id),
        Some(Value::Number(id)) => Some(id.to_string()),
        None | Some(Value::Null) => None,
        Some(_) => return Err(fail(None, "id: not a string".to_owned())),
    };
    request(fields)
        .map(|(request, unknown)| (Request { id: id.clone().unwrap_or_default(), ..request }, unknown))
        .map_err(|reason| fail(id, reason))
}

fn request(mut fields: Map<String, Value>) -> Result<(Request, Vec<String>), String> {
    let mut request = Request { method: "GET".to_owned(), ..Request::get("/") };
    // A URL is short for the fields after it, which it doesn't outweigh.
    let is_url = fields.contains_key("url");
    if let Some(text) = take(&mut fields, "url", string)? {
        let target = url::parse(&text).map_err(|reason| format!("url: {reason}"))?;
        super::apply(&mut request, &target);
    }
    if let Some(name) = take(&mut fields, "protocol", string)? {
        request.protocol = match name.as_str() {
            "http1.0" => Protocol::Http10,
            "http1" => Protocol::Http1,
            "h2" => Protocol::Http2,
            "tcp" => Protocol::Tcp,
            other => return Err(format!("protocol: {other:?} is none of http1, http1.0, h2, tcp")),
        };
    }
    if let Some(address) = take(&mut fields, "connect", pair)? {
        request.connect = Some(address);
    }
    request.redirected_to = take(&mut fields, "redirected_to", port)?;
    if let Some(source) = take(&mut fields, "source", ip)? {
        request.source = source;
    }
    request.source_port = take(&mut fields, "source_port", port)?;
    request.proxy = take(&mut fields, "proxy", proxy_header)?;
    if let Some(tls) = take(&mut fields, "tls", tls)? {
        request.tls = Some(tls);
    }
    if let Some(method) = take(&mut fields, "method", string)? {
        request.method = method;
    }
    if let Some(authority) = take(&mut fields, "authority", string)? {
        request.authority = Some(authority);
    }
    let is_target_enough = request.protocol == Protocol::Http2 && request.method == "CONNECT";
    match take(&mut fields, "path", string)? {
        Some(path) => {
            if path.is_empty() && is_target_enough {
                // As sent, that is one which is empty; a CONNECT that has none leaves the field out.
                request.headers.push((":path".to_owned(), String::new()));
            }
            request.path = path;
        }
        None if is_target_enough && !is_url => request.path.clear(),
        None => {}
    }
    request.headers.extend(take(&mut fields, "headers", headers)?.unwrap_or_default());
    if matches!(request.protocol, Protocol::Http10 | Protocol::Http1) {
        // As sent, a character is a byte.
        let texts = request.headers.iter_mut().flat_map(|(name, value)| [name, value]);
        for text in texts.chain([&mut request.path]).chain(&mut request.authority) {
            if let Cow::Owned(read) = from_latin1(text) {
                *text = read;
            }
        }
    }
    request.tunnelled = take(&mut fields, "tunnelled", tunnelled)?.map(Box::new);
    if request.connect.is_none() && request.authority.is_none() {
        return Err("neither connect nor authority says where it goes".to_owned());
    }
    let unknown = fields.keys().filter(|key| !RECORDING.contains(&key.as_str())).cloned().collect();
    Ok((request, unknown))
}

/// What a CONNECT carries: a request like any other, but for another tunnel.
fn tunnelled(value: Value) -> Result<Request, String> {
    let fields = object(value)?;
    if fields.contains_key("tunnelled") {
        return Err("a tunnel in a tunnel isn't followed".to_owned());
    }
    match request(fields)? {
        (request, unknown) if unknown.is_empty() => Ok(request),
        (_, unknown) => Err(format!("{} isn't known", unknown.join(", "))),
    }
}

/// A field read by `read`; absent and null are the same.
fn take<T>(
    fields: &mut Map<String, Value>,
    name: &str,
    read: impl FnOnce(Value) -> Result<T, String>,
) -> Result<Option<T>, String> {
    match fields.remove(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => read(value).map(Some).map_err(|reason| format!("{name}: {reason}")),
    }
}

fn string(value: Value) -> Result<String, String> {
    match value {
        Value::String(text) => Ok(text),
        _ => Err("not a string".to_owned()),
    }
}

fn port(value: Value) -> Result<u16, String> {
    value.as_u64().and_then(|port| u16::try_from(port).ok()).ok_or_else(|| "not a port".to_owned())
}

fn ip(value: Value) -> Result<IpAddr, String> {
    string(value)?.parse().map_err(|_| "not an IP address".to_owned())
}

/// `["10.0.0.1", 80]`
fn pair(value: Value) -> Result<SocketAddr, String> {
    let wrong = || "not of the form [IP, PORT]".to_owned();
    match value {
        Value::Array(items) => match <[Value; 2]>::try_from(items) {
            Ok([address, number]) => Ok(SocketAddr::new(ip(address)?, port(number)?)),
            Err(_) => Err(wrong()),
        },
        Value::String(text) => text.parse().map_err(|_| wrong()),
        _ => Err(wrong()),
    }
}

fn object(value: Value) -> Result<Map<String, Value>, String> {
    match value {
        Value::Object(fields) => Ok(fields),
        _ => Err("not an object".to_owned()),
    }
}

/// Fields inside an object are few and all decide: an unknown one is an error.
fn no_more(fields: &Map<String, Value>) -> Result<(), String> {
    match fields.keys().next() {
        Some(key) => Err(format!("{key} isn't known")),
        None => Ok(()),
    }
}

fn proxy_header(value: Value) -> Result<ProxyHeader, String> {
    let mut fields = object(value)?;
    let source = take(&mut fields, "src", pair)?.ok_or("src is missing")?;
    let destination = take(&mut fields, "dst", pair)?.ok_or("dst is missing")?;
    let is_v2 = take(&mut fields, "version", |value| match value.as_u64() {
        Some(1) => Ok(false),
        Some(2) => Ok(true),
        _ => Err("neither 1 nor 2".to_owned()),
    })?;
    no_more(&fields)?;
    Ok(ProxyHeader { is_v2: is_v2.unwrap_or_default(), source, destination })
}

fn tls(value: Value) -> Result<ClientTls, String> {
    let mut fields = object(value)?;
    let sni = take(&mut fields, "sni", string)?.filter(|sni| !sni.is_empty());
    let alpn = take(&mut fields, "alpn", |value| match value {
        Value::Array(items) => items.into_iter().map(string).collect(),
        Value::String(one) => Ok(vec![one]),
        _ => Err("not a list".to_owned()),
    })?;
    let certificate = take(&mut fields, "client_cert", |value| match value {
        Value::Bool(true) => Ok(Some(identity::certificate(identity::UNNAMED))),
        Value::Bool(false) => Ok(None),
        Value::String(principal) => Ok(Some(identity::certificate(&principal))),
        _ => Err("neither true, false nor an identity".to_owned()),
    })?;
    no_more(&fields)?;
    Ok(ClientTls { sni, alpn: alpn.unwrap_or_default(), certificate: certificate.flatten() })
}

/// `[["name", "value"]]`, or an object.
fn headers(value: Value) -> Result<Vec<(String, String)>, String> {
    match value {
        Value::Array(items) => items
            .into_iter()
            .map(|item| match item {
                Value::Array(pair) => match <[Value; 2]>::try_from(pair) {
                    Ok([name, value]) => Ok((string(name)?, string(value)?)),
                    Err(_) => Err("an entry isn't of the form [NAME, VALUE]".to_owned()),
                },
                _ => Err("an entry isn't of the form [NAME, VALUE]".to_owned()),
            })
            .collect(),
        Value::Object(fields) => fields.into_iter().map(|(name, value)| Ok((name, string(value)?))).collect(),
        _ => Err("not a list".to_owned()),
    }
}

/// Where requests come from unless they say so.
pub(super) const SOURCE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn fails(line: &str, id: Option<&str>, reason: &str) {
        let malformed = parse(line).unwrap_err();
        assert_eq!((malformed.id.as_deref(), malformed.reason.as_str()), (id, reason));
    }

    #[test]
    fn a_whole_request() {
        let line = r#"{"id":"r1","protocol":"h2","connect":["10.0.0.1",80],"redirected_to":15001,"source":"127.0.7.1",
            "source_port":99,"proxy":{"src":"1.2.3.4:5","dst":"[::1]:6"},
            "tls":{"sni":"a","alpn":["h2"],"client_cert":true},"method":"POST","authority":null,"path":"/x",
            "headers":[["a","b"]],"repeat":3,"tolerance":["status"],"note":"","odd":1}"#;
        let (request, unknown) = parse(line).unwrap();
        assert_eq!(unknown, ["odd"]);
        assert_eq!(request.id, "r1");
        assert_eq!(request.protocol, Protocol::Http2);
        assert_eq!(request.connect, Some("10.0.0.1:80".parse().unwrap()));
        assert_eq!((request.redirected_to, request.source_port), (Some(15001), Some(99)));
        assert_eq!(request.proxy.unwrap().destination, "[::1]:6".parse().unwrap());
        let tls = request.tls.unwrap();
        assert_eq!(tls.certificate.unwrap().uri_sans, ["spiffe://cluster.local/ns/default/sa/client"]);
        assert_eq!((request.method.as_str(), request.authority, request.path.as_str()), ("POST", None, "/x"));
        assert_eq!(request.headers, [("a".to_owned(), "b".to_owned())]);
    }

    #[test]
    fn a_url_and_an_identity() {
        let (request, unknown) =
            parse(r#"{"url":"https://a:8/x","headers":{"k":"v"},"tls":{"client_cert":"spiffe://t/ns/n/sa/s"}}"#)
                .unwrap();
        assert!(unknown.is_empty());
        assert_eq!((request.authority.as_deref(), request.path.as_str()), (Some("a:8"), "/x"));
        assert_eq!(request.tls.unwrap().certificate.unwrap().uri_sans, ["spiffe://t/ns/n/sa/s"]);
    }

    #[test]
    fn what_is_wrong_is_said() {
        fails("{", None, "not JSON: EOF while parsing an object at line 1 column 1");
        fails("[]", None, "not a JSON object");
        fails(r#"{"id":"a"}"#, Some("a"), "neither connect nor authority says where it goes");
        fails(r#"{"id":"a","connect":["x",1]}"#, Some("a"), "connect: not an IP address");
        fails(r#"{"id":"a","connect":["::1",70000]}"#, Some("a"), "connect: not a port");
        fails(r#"{"id":"a","authority":"b","tls":{"ca":1}}"#, Some("a"), "tls: ca isn't known");
        fails(
            r#"{"id":"a","authority":"b","protocol":"http3"}"#,
            Some("a"),
            "protocol: \"http3\" is none of http1, http1.0, h2, tcp",
        );
    }
}
