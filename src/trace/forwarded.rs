//! The client's address and scheme as the manager trusts them: x-forwarded-for, x-forwarded-proto, x-envoy-internal
//! (semantics §3.1, §4.4).

use std::net::{IpAddr, SocketAddr};

use super::codec;
use super::context::{Context, Stream};
use super::listener::Accepting;
use super::matcher::cidr;
use super::version::Rule;
use super::walk::Walk;
use crate::dump::type_of;
use crate::proto::envoy::config::core::v3::scheme_header_transformation::Transformation;
use crate::proto::envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager;
use crate::proto::envoy::extensions::filters::network::http_connection_manager::v3::http_connection_manager::ForwardClientCertDetails;

/// Sets the trusted client address, `:scheme`, `x-forwarded-proto` and whether the request counts as internal.
pub(crate) fn client_address(
    cx: &Context<'_>,
    walk: &mut Walk,
    hcm: &HttpConnectionManager,
    _found: &Accepting<'_>,
    stream: &mut Stream,
) {
    let direct = stream.connection.remote;
    let hops = usize::try_from(hcm.xff_num_trusted_hops).unwrap_or(usize::MAX);
    let chain: Vec<String> = stream
        .headers
        .all("x-forwarded-for")
        .flat_map(|value| value.split(','))
        .map(|text| text.trim().to_owned())
        .collect();
    let from_end = |nth: usize| chain.iter().rev().nth(nth).and_then(|text| address(text));
    let scheme = if stream.connection.tls { "https" } else { "http" };
    let uses_remote_address = hcm.use_remote_address.is_some_and(|v| v.value);
    let mut single = chain.is_empty();
    if uses_remote_address {
        let trusted = if hops > 0 { from_end(hops - 1) } else { None };
        stream.remote = trusted.unwrap_or(direct);
        if !hcm.skip_xff_append {
            stream.headers.append("x-forwarded-for", &direct.ip().to_string());
        }
        let trusted = hops > 0 && cx.follows(Rule::TrustsForwardedProto);
        if !trusted || !stream.headers.contains("x-forwarded-proto") {
            stream.headers.set("x-forwarded-proto", scheme);
        }
    } else {
        let opaque = hcm
            .original_ip_detection_extensions
            .iter()
            .filter_map(|e| e.typed_config.as_ref())
            .find(|any| !type_of(any).ends_with("XffConfig"));
        if let Some(any) = opaque {
            walk.missing(format!("the client's address comes from {}", type_of(any)));
        }
        if let Some(address) = from_end(hops) {
            stream.remote = address;
            single = chain.len() == 1;
        }
    }
    // One that is there but empty stays, and then no route is taken.
    if !stream.headers.contains("x-forwarded-proto") {
        stream.headers.set("x-forwarded-proto", scheme);
    }
    let forwarded = stream.headers.get("x-forwarded-proto").unwrap_or_default().to_owned();
    if !stream.headers.contains(":scheme") {
        let known = forwarded.eq_ignore_ascii_case("http") || forwarded.eq_ignore_ascii_case("https");
        stream.headers.set(":scheme", &if known { forwarded.to_ascii_lowercase() } else { scheme.to_owned() });
    }
    if let Some(Transformation::SchemeToOverwrite(scheme)) =
        hcm.scheme_header_transformation.as_ref().and_then(|change| change.transformation.as_ref())
    {
        stream.headers.set(":scheme", scheme);
        stream.headers.set("x-forwarded-proto", scheme);
    }
    stream.is_internal = single && is_internal(cx, hcm, stream.remote.ip());
    stream.headers.remove("x-envoy-internal");
    if stream.is_internal {
        stream.headers.set("x-envoy-internal", "true");
    } else {
        if uses_remote_address {
            let client = stream.remote.ip().to_string();
            stream.headers.set("x-envoy-external-address", &client);
        }
        let edge_only: &[&str] = if uses_remote_address { EDGE_ONLY } else { &[] };
        for name in edge_only.iter().chain(INTERNAL_ONLY) {
            if *name != "x-envoy-original-path" || cx.follows(Rule::SanitizesOriginalPath) {
                stream.headers.remove(name);
            }
        }
    }
    sanitize(cx, hcm, stream);
}

/// What only internal clients may tell a proxy.
const INTERNAL_ONLY: &[&str] = &[
    "x-envoy-expected-rq-timeout-ms",
    "x-envoy-force-trace",
    "x-envoy-hedge-on-per-try-timeout",
    "x-envoy-ip-tags",
    "x-envoy-max-retries",
    "x-envoy-original-url",
    "x-envoy-retriable-header-names",
    "x-envoy-retriable-status-codes",
    "x-envoy-retry-grpc-on",
    "x-envoy-retry-on",
    "x-envoy-upstream-alt-stat-name",
    "x-envoy-upstream-rq-per-try-timeout-ms",
    "x-envoy-upstream-rq-timeout-ms",
];

/// What an edge proxy takes from nobody outside.
const EDGE_ONLY: &[&str] = &[
    "x-envoy-decorator-operation",
    "x-envoy-downstream-service-cluster",
    "x-envoy-downstream-service-node",
    "x-envoy-original-path",
];

/// Headers of the hop from the client, and a client certificate header that the manager doesn't trust.
fn sanitize(cx: &Context<'_>, hcm: &HttpConnectionManager, stream: &mut Stream) {
    let upgrades = codec::upgrade(&stream.headers).is_some_and(|to| to != "CONNECT");
    if !upgrades {
        stream.headers.remove("connection");
        stream.headers.remove("upgrade");
    }
    if !upgrades && cx.follows(Rule::RemovesTe) {
        let trailers = stream.headers.all("te").any(|te| te.split(',').any(|part| part.trim() == "trailers"));
        stream.headers.remove("te");
        if trailers && cx.follows(Rule::KeepsTeTrailers) {
            stream.headers.set("te", "trailers");
        }
    }
    for name in ["keep-alive", "proxy-connection", "transfer-encoding"] {
        stream.headers.remove(name);
    }
    // Envoy itself tells the client to go on.
    let expects =
        |stream: &Stream| stream.headers.get("expect").is_some_and(|e| e.eq_ignore_ascii_case("100-continue"));
    if !hcm.proxy_100_continue && expects(stream) {
        stream.headers.remove("expect");
    }
    client_certificate(hcm, stream);
}

/// The header that tells of client certificates: one that isn't trusted goes, and the client's own may come.
fn client_certificate(hcm: &HttpConnectionManager, stream: &mut Stream) {
    const HEADER: &str = "x-forwarded-client-cert";
    let mode = ForwardClientCertDetails::try_from(hcm.forward_client_cert_details).unwrap_or_default();
    if mode == ForwardClientCertDetails::AlwaysForwardOnly {
        return;
    }
    let Some(peer) = stream.connection.peer.clone().filter(|_| mode != ForwardClientCertDetails::Sanitize) else {
        stream.headers.remove(HEADER);
        return;
    };
    if mode == ForwardClientCertDetails::ForwardOnly {
        return;
    }
    // Of the hash the dump knows nothing; what matchers look for is the identity.
    let mut own = vec!["Hash=…".to_owned()];
    let wanted = hcm.set_current_client_cert_details.unwrap_or_default();
    if wanted.subject.is_some_and(|v| v.value) {
        own.push(format!("Subject=\"{}\"", peer.subject));
    }
    if wanted.uri {
        own.extend(peer.uri_sans.iter().map(|uri| format!("URI={uri}")));
    }
    if wanted.dns {
        own.extend(peer.dns_sans.iter().map(|name| format!("DNS={name}")));
    }
    match mode {
        ForwardClientCertDetails::AppendForward => stream.headers.append(HEADER, &own.join(";")),
        _ => stream.headers.set(HEADER, &own.join(";")),
    }
}

/// An element of x-forwarded-for: an address; one with a port is none.
fn address(text: &str) -> Option<SocketAddr> {
    text.parse::<IpAddr>().ok().map(|ip| SocketAddr::new(ip, 0))
}

/// Whether an address counts as internal: listed ranges, or before Envoy 1.33 the private ones (semantics §12.2).
fn is_internal(cx: &Context<'_>, hcm: &HttpConnectionManager, ip: IpAddr) -> bool {
    if let Some(config) = &hcm.internal_address_config {
        return config.cidr_ranges.iter().any(|range| cidr::contains(range, ip));
    }
    if cx.follows(Rule::OnlyListedAddressesAreInternal) {
        return false;
    }
    match ip {
        IpAddr::V4(ip) => ip.is_private() || ip == std::net::Ipv4Addr::LOCALHOST,
        IpAddr::V6(ip) => ip.is_unique_local() || ip == std::net::Ipv6Addr::LOCALHOST,
    }
}
