//! What the HTTP codec makes of the bytes: a request, or a protocol error (semantics §3.1, §8.3).

mod connection;
mod http1;
#[cfg(test)]
mod http10;
mod http2;
mod url;

use super::context::Context;
use super::request::{Connection, Headers, Request};
use super::version::Rule;
use super::walk::Walk;
use crate::proto::envoy::config::core::v3::http_protocol_options::HeadersWithUnderscoresAction;
use crate::proto::envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager;
pub(crate) use http1::is_inspected_as_http;

/// A request that the codec refuses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ProtocolError {
    /// Status that the client reads, if it can.
    pub(crate) status: Option<u16>,
    /// Response flag: DPE, or DR where Envoy counts it as the client's stream that was reset.
    pub(crate) flag: &'static str,
    /// Response code details.
    pub(crate) details: &'static str,
    /// In plain words.
    pub(crate) why: String,
}

impl ProtocolError {
    /// HTTP/1 gets an answer.
    fn replied(status: u16, details: &'static str, why: impl Into<String>) -> Self {
        Self { status: Some(status), flag: "DPE", details, why: why.into() }
    }

    /// HTTP/2 gets a reset.
    fn reset(flag: &'static str, details: &'static str, why: impl Into<String>) -> Self {
        Self { status: None, flag, details, why: why.into() }
    }
}

/// Headers that a client may add on its own (`user-agent`, `accept` …) are taken to fit into these.
const SPARE_BYTES: usize = 64;

/// What the codec is told.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Settings {
    /// Whether a whole URL may stand in the request line.
    allow_absolute_url: bool,
    /// Whether this is an edge proxy (`use_remote_address`) on a connection without TLS: it refuses `https` URLs.
    is_plain_edge: bool,
    allow_custom_methods: bool,
    accept_http_10: bool,
    allow_query: bool,
    /// Whether the scheme of a URL is looked at, and whether it may be written in any case.
    validates_scheme: bool,
    takes_any_case: bool,
    /// Whether chunks win over a content-length, which is dropped then.
    allow_chunked_length: bool,
    /// Whether an HTTP/2 CONNECT may have a `:protocol`.
    allow_extended_connect: bool,
    rejects_underscores: bool,
    max_bytes: usize,
    max_count: usize,
}

impl Settings {
    pub(crate) fn of(cx: &Context<'_>, hcm: &HttpConnectionManager, connection: &Connection) -> Self {
        let http1 = hcm.http_protocol_options.as_ref();
        let common = hcm.common_http_protocol_options.as_ref();
        let is_edge = hcm.use_remote_address.is_some_and(|v| v.value) && hcm.xff_num_trusted_hops == 0;
        let number = |value: Option<u32>, default: u32| usize::try_from(value.unwrap_or(default)).unwrap_or(usize::MAX);
        Self {
            allow_absolute_url: http1
                .and_then(|o| o.allow_absolute_url)
                .map_or_else(|| cx.follows(Rule::AbsoluteUrlByDefault), |v| v.value),
            is_plain_edge: is_edge && !connection.tls,
            allow_custom_methods: http1.is_some_and(|o| o.allow_custom_methods),
            accept_http_10: http1.is_some_and(|o| o.accept_http_10),
            allow_query: cx.follows(Rule::QueryIsAMethod),
            validates_scheme: cx.follows(Rule::ValidatesScheme),
            takes_any_case: cx.follows(Rule::AbsoluteUrlInAnyCase),
            allow_chunked_length: http1.is_some_and(|o| o.allow_chunked_length),
            allow_extended_connect: hcm.http2_protocol_options.as_ref().is_some_and(|o| o.allow_connect),
            rejects_underscores: common.is_some_and(|o| {
                o.headers_with_underscores_action == HeadersWithUnderscoresAction::RejectRequest as i32
            }),
            max_bytes: number(hcm.max_request_headers_kb.map(|v| v.value), 60).saturating_mul(1024),
            max_count: number(common.and_then(|o| o.max_headers_count).map(|v| v.value), 100),
        }
    }

    /// Refuses a request whose head is too large; whether a client adds a little is not known.
    fn size(&self, walk: &mut Walk, details: &'static str, bytes: usize, is_http1: bool) -> Result<(), ProtocolError> {
        let is_close = || bytes.saturating_add(SPARE_BYTES) > self.max_bytes;
        let question = "the exact size of the request's head, which is close to max_request_headers_kb";
        let fits = bytes <= self.max_bytes && (!is_close() || walk.assume_bool(question));
        self.within(fits, details, is_http1, || format!("the head has {bytes} bytes of at most {}", self.max_bytes))
    }

    /// Refuses a request with too many headers.
    fn count(&self, walk: &mut Walk, details: &'static str, count: usize, is_http1: bool) -> Result<(), ProtocolError> {
        let question = "whether the client sends more headers than those given: there are as many as may be";
        let fits = count <= self.max_count && (count < self.max_count || walk.assume_bool(question));
        self.within(fits, details, is_http1, || format!("there are {count} headers of at most {}", self.max_count))
    }

    fn within(
        &self,
        fits: bool,
        details: &'static str,
        is_http1: bool,
        why: impl FnOnce() -> String,
    ) -> Result<(), ProtocolError> {
        match (fits, is_http1) {
            (true, _) => Ok(()),
            (false, true) => Err(ProtocolError::replied(431, details, why())),
            (false, false) => Err(ProtocolError::reset("DR", details, why())),
        }
    }
}

/// Reads the request line and headers as HTTP/1.
pub(crate) fn http1(
    walk: &mut Walk,
    request: &Request,
    settings: &Settings,
    headers: &mut Headers,
) -> Result<(), ProtocolError> {
    http1::read(walk, request, settings, headers)
}

/// Takes the request over as HTTP/2 sends it; of another hop of this proxy (no settings) it is known to be well-formed.
pub(crate) fn http2(
    walk: &mut Walk,
    request: &Request,
    settings: Option<&Settings>,
    headers: &mut Headers,
) -> Result<(), ProtocolError> {
    match settings {
        Some(settings) => http2::read(walk, request, settings, headers),
        None => {
            http2::take(request, headers);
            Ok(())
        }
    }
}

/// Characters of names and methods.
fn is_token(text: &str) -> bool {
    const MARKS: &str = "!#$%&'*+-.^_`|~";
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || MARKS.contains(c))
}

/// Characters of a host and its port.
fn is_host_char(c: char) -> bool {
    const MARKS: &str = "!$%&'()*+,-.:;=[]_~";
    c.is_ascii_alphanumeric() || MARKS.contains(c)
}

/// Whether this is a CONNECT-UDP, in its form of HTTP/1.
pub(crate) fn is_connect_udp(headers: &Headers) -> bool {
    http1::joined(headers, "upgrade").is_some_and(|to| to.eq_ignore_ascii_case("connect-udp"))
}

/// What the client asks to upgrade to: `websocket`, `CONNECT` …
pub(crate) fn upgrade(headers: &Headers) -> Option<String> {
    if headers.method() == "CONNECT" {
        return Some("CONNECT".to_owned());
    }
    let named = http1::joined(headers, "connection")?;
    http1::joined(headers, "upgrade").filter(|_| connection::names_upgrade(&named))
}
