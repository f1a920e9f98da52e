//! A request inside an HTTP connection manager: sanity, route, filters, action (semantics §3.1, §4, §5).

use std::net::SocketAddr;

use super::action;
use super::assume::Upstream;
use super::cluster::{self, Balance, HostAddress, Selection};
use super::codec::{self, ProtocolError};
use super::context::{Selected, Stream};
use super::http_filter::{self, LocalReply, Verdict};
use super::inspect::Bytes;
use super::listener::Accepting;
use super::network::{self, Hop};
use super::outcome::{Disposition, Step};
use super::path::{self, Normalized};
use super::provenance::istio_config;
use super::request::{Connection, Headers, Protocol};
use super::route;
use super::route_config::{self, Located};
use super::tcp;
use super::tunnel;
use super::unmodelled;
use super::upstream::{self, Attempt};
use super::version::Rule;
use super::vhost;
use super::walk::Walk;
use crate::dump::Origin;
use crate::proto::envoy::config::core::v3::RoutingPriority;
use crate::proto::envoy::config::route::v3::route::Action;
use crate::proto::envoy::config::route::v3::route_action::ClusterNotFoundResponseCode;
use crate::proto::envoy::config::route::v3::virtual_host::TlsRequirementType;
use crate::proto::envoy::config::route::v3::{RouteAction, VirtualHost};
use crate::proto::envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager;
use crate::proto::envoy::extensions::filters::network::http_connection_manager::v3::http_connection_manager::{
    CodecType, RouteSpecifier,
};

/// Follows the connection's one request through the manager.
pub(crate) fn serve(
    hop: &Hop<'_>,
    walk: &mut Walk,
    hcm: &HttpConnectionManager,
    found: &Accepting<'_>,
    origin: Origin,
    connection: Connection,
) {
    walk.step(
        Step::new("HTTP", &hcm.stat_prefix, "the chain's terminal filter is an HTTP connection manager")
            .at(Some(origin.clone())),
    );
    let Some(headers) = decode(hop, walk, hcm, &connection) else { return };
    let mut stream = Stream::new(connection, headers, hop.bytes.request().protocol);
    let located = route_config::locate(&hop.cx, walk, hcm, &origin, &stream);
    if let Some(reply) = sanitize(hop, walk, hcm, found, &mut stream) {
        // The virtual host is still looked up for the access log.
        if let Located::Table(table) = &located
            && let Some(host) = table.virtual_host(&hop.cx, &stream)
        {
            walk.outcome.vhost = Some(host.name.clone());
        }
        local_reply(walk, &stream, reply);
        return;
    }
    // Scopes are chosen by the headers as they are after the checks.
    let located = match hcm.route_specifier {
        Some(RouteSpecifier::ScopedRoutes(_)) => route_config::locate(&hop.cx, walk, hcm, &origin, &stream),
        _ => located,
    };
    let table = match located {
        Located::Table(table) => table,
        Located::Unknown => {
            walk.end(Disposition::InsufficientInfo);
            return;
        }
        Located::Missing { details, why } => {
            run_without_route(hop, walk, hcm, &mut stream, details, why);
            return;
        }
    };
    walk.step(table.step.clone());
    routed(hop, walk, hcm, &table, &mut stream);
}

/// Bytes to headers, or a protocol error.
fn decode(hop: &Hop<'_>, walk: &mut Walk, hcm: &HttpConnectionManager, connection: &Connection) -> Option<Headers> {
    let request = hop.bytes.request();
    let failed = |walk: &mut Walk, error: &ProtocolError| {
        walk.outcome.flags.insert(error.flag);
        walk.outcome.status = error.status;
        walk.outcome.details = Some(error.details.to_owned()).filter(|details| !details.is_empty());
        walk.step(Step::new("codec", "protocol error", &error.why));
        walk.end(Disposition::ProtocolMismatch);
    };
    let unreadable =
        |details: &'static str, why: &str| ProtocolError { status: None, flag: "DPE", details, why: why.to_owned() };
    let codec = CodecType::try_from(hcm.codec_type).unwrap_or_default();
    let is_http2 = match codec {
        CodecType::Http1 => false,
        CodecType::Http2 => true,
        _ => match connection.negotiated_protocol.as_deref() {
            Some(protocol) => protocol == "h2",
            None => request.protocol == Protocol::Http2,
        },
    };
    let mismatch = match (request.protocol, is_http2) {
        _ if hop.bytes.is_tls() && !connection.tls => {
            Some(("http1.codec_error", "the client speaks TLS, the chain plain text: the codec can't read it"))
        }
        (Protocol::Http10 | Protocol::Http1 | Protocol::Tcp, true) => {
            Some(("", "the codec is HTTP/2, the client sends something else"))
        }
        (Protocol::Tcp, false) => Some(("http1.codec_error", "the client sends bytes that are not HTTP")),
        (Protocol::Http2, false) => Some(("http1.codec_error", "the codec is HTTP/1, the client sends HTTP/2")),
        _ => None,
    };
    if let Some((details, why)) = mismatch {
        failed(walk, &unreadable(details, why));
        return None;
    }
    let mut headers = Headers::default();
    let settings = codec::Settings::of(&hop.cx, hcm, connection);
    let read = if is_http2 {
        let settings = matches!(hop.bytes, Bytes::Client(_)).then_some(&settings);
        codec::http2(walk, request, settings, &mut headers)
    } else {
        codec::http1(walk, request, &settings, &mut headers)
    };
    match read {
        Ok(()) => Some(headers),
        Err(error) => {
            failed(walk, &error);
            None
        }
    }
}

/// Checks and normalizes a request; the first rule that refuses it answers (semantics §3.1, §4.1).
fn sanitize(
    hop: &Hop<'_>,
    walk: &mut Walk,
    hcm: &HttpConnectionManager,
    found: &Accepting<'_>,
    stream: &mut Stream,
) -> Option<LocalReply> {
    let refuse = |status: u16, details: &str, why: String| LocalReply {
        status,
        flags: Vec::new(),
        details: details.to_owned(),
        disposition: Disposition::BadRequest,
        location: None,
        why,
    };
    underscores(hcm, stream);
    let is_bare_query = stream.headers.method() == "QUERY" && stream.headers.get("content-type").is_none();
    if is_bare_query && hop.cx.follows(Rule::QueryNeedsContentType) {
        return Some(refuse(400, "query_missing_content_type", "a QUERY needs a content-type".to_owned()));
    }
    let host = hcm.http_protocol_options.as_ref().map_or("", |options| options.default_host_for_http_10.as_str());
    if stream.protocol == Protocol::Http10 && !host.is_empty() && stream.headers.get(":authority").is_none() {
        stream.headers.set(":authority", host);
    }
    if stream.headers.get(":authority").is_none() {
        return Some(refuse(400, "missing_host_header", "the request has no Host".to_owned()));
    }
    if codec::is_connect_udp(&stream.headers) {
        let Some(target) = path::target_of_connect_udp(stream.headers.path()) else {
            let why = format!("{} names no target for CONNECT-UDP", stream.headers.path());
            return Some(refuse(404, "invalid_path", why));
        };
        stream.headers.set(":authority", &target);
    }
    let is_connect = stream.headers.method() == "CONNECT" && !stream.headers.contains(":path");
    if !is_connect && !stream.headers.path().starts_with('/') {
        return Some(refuse(
            404,
            "absolute_path_rejected",
            format!("the path {} doesn't start with /", stream.headers.path()),
        ));
    }
    match path::normalize(&hop.cx, walk, hcm, &mut stream.headers) {
        Normalized::Continue => {}
        Normalized::Reject => {
            return Some(refuse(
                400,
                "path_normalization_failed",
                format!("the path {} is refused by path normalization", stream.headers.path()),
            ));
        }
        Normalized::Redirect(location) => {
            let mut reply = refuse(
                307,
                "path_normalization_failed",
                "escaped slashes are redirected to the unescaped path".to_owned(),
            );
            // The reply to a gRPC client has no `location` here, unlike that of a route (measured on 1.40).
            reply.location = Some(location).filter(|_| !stream.is_grpc());
            reply.disposition = Disposition::Redirect;
            return Some(reply);
        }
    }
    path::normalize_host(&hop.cx, hcm, stream.connection.local.port(), &mut stream.headers);
    super::forwarded::client_address(&hop.cx, walk, hcm, found, stream);
    None
}

fn underscores(hcm: &HttpConnectionManager, stream: &mut Stream) {
    use crate::proto::envoy::config::core::v3::http_protocol_options::HeadersWithUnderscoresAction;
    let action = hcm.common_http_protocol_options.as_ref().map_or(0, |o| o.headers_with_underscores_action);
    if action == HeadersWithUnderscoresAction::DropHeader as i32 {
        let names: Vec<String> = stream.headers.iter().map(|(n, _)| n.to_owned()).filter(|n| n.contains('_')).collect();
        for name in names {
            stream.headers.remove(&name);
        }
    }
}

/// A route configuration that isn't there: filters that need no route still answer first.
fn run_without_route(
    hop: &Hop<'_>,
    walk: &mut Walk,
    hcm: &HttpConnectionManager,
    stream: &mut Stream,
    details: &'static str,
    why: String,
) {
    walk.step(Step::new("route configuration", "none", why));
    if filters(hop, walk, hcm, stream, None).is_none() {
        return;
    }
    not_found(walk, stream, Disposition::NoRouteConfig, details);
}

/// Virtual host, route, filters, action.
fn routed(
    hop: &Hop<'_>,
    walk: &mut Walk,
    hcm: &HttpConnectionManager,
    table: &route_config::Table<'_>,
    stream: &mut Stream,
) {
    let mut rounds = 0;
    loop {
        walk.outcome.vhost = None;
        walk.outcome.route = None;
        walk.outcome.route_name = None;
        walk.outcome.cluster = None;
        let selected = select(hop, walk, table, stream);
        if let Some(cluster) = &selected.cluster
            && upstream::is_in_force(&hop.cx, cluster)
        {
            walk.outcome.cluster = Some(cluster.clone());
        }
        if let Some(reply) = refused_upgrade(hcm, &selected, stream) {
            local_reply(walk, stream, reply);
            return;
        }
        if let Some(reply) = require_tls(selected.vhost, stream) {
            // The redirect takes the place of a route: filters run before it all the same.
            if filters(hop, walk, hcm, stream, Some(&selected)).is_some() {
                local_reply(walk, stream, reply);
            }
            return;
        }
        match filters(hop, walk, hcm, stream, Some(&selected)) {
            None => return,
            Some(true) if rounds < 2 => {
                rounds += 1;
                walk.step(Step::new("route", "chosen anew", "a filter changed what routes are chosen by"));
            }
            Some(_) => {
                act(hop, walk, &selected, stream);
                return;
            }
        }
    }
}

fn select<'a>(hop: &Hop<'_>, walk: &mut Walk, table: &'a route_config::Table<'_>, stream: &Stream) -> Selected<'a> {
    let mut selected = Selected { config: table.config(), vhost: None, route: None, weight: None, cluster: None };
    let host_text = table.host_for_matching(stream).unwrap_or_default();
    let Some((entry, domain)) = table.lookup(&hop.cx, stream) else {
        let near = hop.cx.cache.domains(table.routes()).near(table.routes(), &host_text);
        if table.config().vhds.is_some() {
            walk.missing(format!("virtual host of {host_text}: it may be loaded on demand (VHDS)"));
        }
        walk.step(Step::new("virtual host", "none", format!("no domain matches {host_text}")).not(near));
        return selected;
    };
    walk.outcome.vhost = Some(entry.name.clone()).filter(|name| !name.is_empty());
    unmodelled::in_virtual_host(&hop.cx, walk, entry, |path| unmodelled::element(path, ".routes").is_none());
    let vhost: &VirtualHost = match entry.get() {
        Ok(vhost) => vhost,
        Err(error) => {
            walk.missing(format!("virtual host {}: {error}", entry.name));
            return selected;
        }
    };
    let index = table.routes().virtual_hosts.iter().position(|e| std::ptr::eq(e, entry));
    let origin = index.map(|index| table.origin().within(&format!(".virtual_hosts[{index}]")));
    let why = if domain == "*" {
        format!("no other domain matches {host_text}: * does")
    } else {
        format!("domain {domain} matches {host_text}")
    };
    walk.step(
        Step::new("virtual host", vhost::display_name(entry), why)
            .at(origin.clone())
            .of(istio_config(vhost.metadata.as_ref())),
    );
    selected.vhost = Some(vhost);
    if stream.headers.get("x-forwarded-proto") == Some("") {
        walk.step(Step::new("route", "none", "the request has an empty x-forwarded-proto").at(origin));
        return selected;
    }
    if requires_tls(vhost, stream) {
        return selected;
    }
    let choice = route::choose(&hop.cx, walk, table.config(), vhost, stream);
    let last = choice.position.parse::<usize>().unwrap_or(usize::MAX);
    unmodelled::in_virtual_host(&hop.cx, walk, entry, |path| {
        // What the routes before it ask for decides that they weren't chosen.
        unmodelled::element(path, ".routes").is_some_and(|nth| nth == last || nth < last && path.contains(".match."))
    });
    let rejected = choice.passed.rejected(stream);
    let Some(chosen) = choice.route else {
        let why = format!("none of its routes takes {} {}", stream.headers.method(), stream.headers.path());
        walk.step(Step::new("route", "none", why).at(origin).not(rejected));
        return selected;
    };
    walk.outcome.route = Some(format!("{}/{}/{}", table.config().name, vhost.name, choice.position));
    walk.outcome.route_name = Some(chosen.name.clone()).filter(|name| !name.is_empty());
    let name = if chosen.name.is_empty() {
        format!("[{}]", choice.position)
    } else {
        format!("{} [{}]", chosen.name, choice.position)
    };
    let matched = chosen.r#match.as_ref().map(|m| route::path_text(m).into_owned()).unwrap_or_default();
    let more = chosen.r#match.as_ref().map_or(0, |m| m.headers.len() + m.query_parameters.len());
    let why = match more {
        0 => format!("{matched} matches"),
        1 => format!("{matched} and one more criterion match"),
        more => format!("{matched} and {more} more criteria match"),
    };
    walk.step(
        Step::new("route", name, why)
            .at(origin.map(|o| o.within(&choice.path)))
            .of(istio_config(chosen.metadata.as_ref()))
            .not(rejected),
    );
    selected.route = Some(chosen);
    route::cluster(&hop.cx, walk, &mut selected, stream);
    selected
}

fn requires_tls(vhost: &VirtualHost, stream: &Stream) -> bool {
    let protocol = stream.headers.get("x-forwarded-proto").unwrap_or_default();
    let is_https = protocol == "https" || protocol.is_empty();
    match TlsRequirementType::try_from(vhost.require_tls) {
        Ok(TlsRequirementType::All) => !is_https,
        Ok(TlsRequirementType::ExternalOnly) => !is_https && !stream.is_internal,
        Ok(TlsRequirementType::None) | Err(_) => false,
    }
}

/// The redirect of `require_tls`, which comes before any route.
fn require_tls(vhost: Option<&VirtualHost>, stream: &Stream) -> Option<LocalReply> {
    requires_tls(vhost?, stream).then(|| LocalReply {
        status: 301,
        flags: Vec::new(),
        details: "direct_response".to_owned(),
        disposition: Disposition::Redirect,
        location: Some(format!("https://{}{}", stream.headers.authority(), stream.headers.path())),
        why: "the virtual host requires TLS and the request came without".to_owned(),
    })
}

/// An upgrade that neither route nor manager allows: 403.
fn refused_upgrade(hcm: &HttpConnectionManager, selected: &Selected<'_>, stream: &Stream) -> Option<LocalReply> {
    let wanted = codec::upgrade(&stream.headers)?;
    let of_route = selected.route.as_ref().and_then(|route| match &route.action {
        Some(Action::Route(action)) => {
            action.upgrade_configs.iter().find(|u| u.upgrade_type.eq_ignore_ascii_case(&wanted))
        }
        _ => None,
    });
    let is_allowed = match of_route {
        Some(config) => config.enabled.is_none_or(|v| v.value),
        None => hcm
            .upgrade_configs
            .iter()
            .find(|u| u.upgrade_type.eq_ignore_ascii_case(&wanted))
            .is_some_and(|u| u.enabled.is_none_or(|v| v.value)),
    };
    // Without a route there is none that lacks the upgrade, and the request ends as any other. The redirect of
    // `require_tls` is one.
    let has_route = selected.route.is_some() || selected.vhost.is_some_and(|vhost| requires_tls(vhost, stream));
    if is_allowed || !has_route {
        return None;
    }
    Some(LocalReply {
        status: 403,
        flags: Vec::new(),
        details: "upgrade_failed".to_owned(),
        disposition: Disposition::FilterReply,
        location: None,
        why: format!("upgrade to {wanted} is not enabled"),
    })
}

/// Runs the HTTP filters; `None` if one answered, else whether the route must be chosen anew.
fn filters(
    hop: &Hop<'_>,
    walk: &mut Walk,
    hcm: &HttpConnectionManager,
    stream: &mut Stream,
    selected: Option<&Selected<'_>>,
) -> Option<bool> {
    let mut again = false;
    for filter in &hcm.http_filters {
        match http_filter::decode_headers(&hop.cx, walk, filter, stream, selected, hop.session) {
            Verdict::Continue => {}
            Verdict::ContinueWithNewRoute => again = true,
            Verdict::Reply(reply) => {
                let step = || Step::new("http filter", &filter.name, &reply.why);
                if reply.disposition != Disposition::Redirect && walk.passes_over(step) {
                    continue;
                }
                local_reply(walk, stream, reply);
                return None;
            }
        }
    }
    Some(again)
}

/// Answers a request from this proxy.
fn local_reply(walk: &mut Walk, stream: &Stream, reply: LocalReply) {
    // gRPC clients get HTTP 200 and the status as grpc-status (semantics §8.2).
    walk.outcome.status = Some(if stream.is_grpc() { 200 } else { reply.status });
    walk.outcome.flags.extend(reply.flags.iter().copied());
    walk.outcome.details = Some(reply.details).filter(|details| !details.is_empty());
    walk.outcome.location = reply.location;
    if !reply.why.is_empty() {
        walk.step(Step::new("reply", reply.status.to_string(), reply.why));
    }
    walk.end(reply.disposition);
}

fn not_found(walk: &mut Walk, stream: &Stream, disposition: Disposition, details: &str) {
    let reply = LocalReply {
        status: 404,
        flags: vec!["NR"],
        details: details.to_owned(),
        disposition,
        location: None,
        why: String::new(),
    };
    local_reply(walk, stream, reply);
}

/// The router: what the chosen route does.
fn act(hop: &Hop<'_>, walk: &mut Walk, selected: &Selected<'_>, stream: &mut Stream) {
    let Some(route) = selected.route.clone() else {
        let disposition = if selected.vhost.is_none() { Disposition::NoVirtualHost } else { Disposition::NoRoute };
        not_found(walk, stream, disposition, "route_not_found");
        return;
    };
    match &route.action {
        Some(Action::Redirect(redirect)) => {
            let location = action::location(&hop.cx, walk, redirect, route.r#match.as_ref(), stream);
            let reply = LocalReply {
                status: action::redirect_status(redirect),
                flags: Vec::new(),
                details: "direct_response".to_owned(),
                disposition: Disposition::Redirect,
                why: format!("the route redirects to {location}"),
                location: Some(location),
            };
            local_reply(walk, stream, reply);
        }
        Some(Action::DirectResponse(response)) => {
            let status = u16::try_from(response.status).unwrap_or_default();
            // A created or moved resource is named: the request's own URL, as nothing rewrites it.
            let names = status == 201 || (300..400).contains(&status);
            let own = crate::proto::envoy::config::route::v3::RedirectAction::default();
            let location = names.then(|| action::location(&hop.cx, walk, &own, route.r#match.as_ref(), stream));
            let reply = LocalReply {
                status,
                flags: Vec::new(),
                details: "direct_response".to_owned(),
                disposition: Disposition::DirectResponse,
                location,
                why: "the route answers by itself".to_owned(),
            };
            local_reply(walk, stream, reply);
        }
        Some(Action::Route(action)) => forward(hop, walk, action, selected, stream),
        Some(Action::FilterAction(_) | Action::NonForwardingAction(_)) | None => {
            walk.missing("the route's action is of a kind that the router doesn't handle");
            walk.end(Disposition::InsufficientInfo);
        }
    }
}

fn forward(hop: &Hop<'_>, walk: &mut Walk, action: &RouteAction, selected: &Selected<'_>, stream: &mut Stream) {
    let name = selected.cluster.clone().unwrap_or_default();
    let mut metadata_match: Vec<_> = action.metadata_match.iter().collect();
    metadata_match.extend(selected.weight.as_ref().and_then(|w| w.metadata_match.as_ref()));
    let balance = Balance {
        connection: &stream.connection,
        stream: Some(stream),
        metadata_match,
        hash_policy: &action.hash_policy,
        connection_metadata: hop.cx.follows(Rule::SubsetByConnectionMetadata).then_some(&stream.connection.metadata),
        connection_hash_policy: &[],
        priority: RoutingPriority::try_from(action.priority).unwrap_or_default(),
    };
    let host = match cluster::select(&hop.cx, walk, &name, &balance) {
        Selection::Host(host) => host,
        Selection::Failure(failure) => {
            let is_missing = failure.flags.contains(&"NC");
            let status = if is_missing { not_found_status(action) } else { 503 };
            walk.outcome.cluster = (!is_missing).then(|| name.clone());
            walk.outcome.upstream_host.clone_from(&failure.host);
            let mut flags = failure.flags.clone();
            if failure.retriable {
                flags.extend(upstream::flag_of_retries(
                    &hop.cx,
                    action,
                    selected,
                    &name,
                    &stream.headers,
                    Attempt::NotConnected,
                ));
            }
            let disposition = if name == "BlackHoleCluster" { Disposition::BlackHole } else { failure.disposition };
            let reply = LocalReply {
                status,
                flags,
                details: failure.details.to_owned(),
                disposition,
                location: None,
                why: failure.why,
            };
            local_reply(walk, stream, reply);
            return;
        }
    };
    walk.outcome.cluster = Some(name.clone());
    walk.outcome.upstream_host = upstream::shown(&host.address);
    action::rewrite(&hop.cx, walk, action, selected, &host.hostname, stream);
    record_headers(walk, &stream.sent, &stream.headers);
    walk.outcome.details = Some("via_upstream".to_owned());
    if let HostAddress::Internal { listener, .. } = &host.address {
        if tunnel::ends_here(action, stream) {
            let next = upstream::internal_connection(&host, &stream.connection, Some(stream));
            tunnel::follow(hop, walk, listener, next);
            return;
        }
        let request = network::next_request(
            stream,
            hop.bytes.request(),
            upstream::speaks_http2(&hop.cx, &host.cluster, hop.bytes.request().protocol == Protocol::Http2),
        );
        let inner = Hop { bytes: Bytes::Internal(&request, false), depth: hop.depth + 1, ..*hop };
        let next = upstream::internal_connection(&host, &stream.connection, Some(stream));
        tcp::http_result(walk, |walk| {
            network::enter_internal(&inner, walk, listener, next);
        });
        if walk.outcome.status.is_none() && walk.outcome.disposition != Some(Disposition::InsufficientInfo) {
            let attempt = closed_by_next_hop(walk);
            let flag = upstream::flag_of_retries(&hop.cx, action, selected, &name, &stream.headers, attempt);
            walk.outcome.flags.extend(flag);
        }
        return;
    }
    if walk.upstream() == Some(Upstream::Reset) {
        let mut flags = vec!["UC"];
        flags.extend(upstream::flag_of_retries(&hop.cx, action, selected, &name, &stream.headers, Attempt::Reset));
        let reply = LocalReply {
            status: 503,
            flags,
            details: "upstream_reset_before_response_started".to_owned(),
            disposition: Disposition::ConnectFailure,
            location: None,
            why: "the upstream is assumed to close the connection before it answers".to_owned(),
        };
        local_reply(walk, stream, reply);
        return;
    }
    let upgrade = codec::upgrade(&stream.headers);
    let is_connect = stream.headers.method() == "CONNECT";
    // Over HTTP/2 an upgrade is an extended CONNECT, which succeeds with 200.
    let switches =
        upgrade.is_some() && !is_connect && matches!(hop.bytes.request().protocol, Protocol::Http10 | Protocol::Http1);
    walk.outcome.status = Some(if switches { 101 } else { 200 });
    if let Some(Upstream::Status(status)) = walk.upstream() {
        walk.outcome.status = Some(status);
        let flag =
            upstream::flag_of_retries(&hop.cx, action, selected, &name, &stream.headers, Attempt::Answered(status));
        walk.outcome.flags.extend(flag);
    }
    if !is_connect {
        walk.outcome.upstream_path = stream.headers.get(":path").map(str::to_owned);
        walk.outcome.upstream_authority = Some(stream.headers.authority().to_owned());
    }
    let disposition =
        if host.is_original_destination { Disposition::PassthroughOriginalDst } else { Disposition::Endpoint };
    walk.end(disposition);
}

/// The next hop closes the connection before it answers: at once, or once it has read something.
fn closed_by_next_hop(walk: &mut Walk) -> Attempt {
    walk.outcome.status = Some(503);
    walk.outcome.details = Some("upstream_reset_before_response_started".to_owned());
    let at_once = tcp::is_closed_at_once(walk);
    walk.outcome.flags.insert(if at_once { "UF" } else { "UC" });
    if at_once { Attempt::NotConnected } else { Attempt::Reset }
}

fn not_found_status(action: &RouteAction) -> u16 {
    match ClusterNotFoundResponseCode::try_from(action.cluster_not_found_response_code) {
        Ok(ClusterNotFoundResponseCode::NotFound) => 404,
        Ok(ClusterNotFoundResponseCode::InternalServerError) => 500,
        Ok(ClusterNotFoundResponseCode::ServiceUnavailable) | Err(_) => 503,
    }
}

/// Headers that Envoy sets in nearly every request, and those that end with the client's hop: no news to a reader.
const USUAL: &[&str] = &[
    "connection",
    "keep-alive",
    "proxy-connection",
    "te",
    "transfer-encoding",
    "x-envoy-internal",
    "x-forwarded-proto",
];

/// What Envoy changed in the client's headers, for the answer.
fn record_headers(walk: &mut Walk, sent: &Headers, after: &Headers) {
    let is_told = |name: &str| !name.starts_with(':') && !USUAL.contains(&name);
    let changed = |name: &str, value: &str| !sent.all(name).any(|v| v == value);
    let added = after.iter().filter(|(name, value)| is_told(name) && changed(name, value));
    walk.outcome.headers_added = added.map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
    let removed = sent.iter().filter(|(name, _)| is_told(name) && !after.contains(name));
    walk.outcome.headers_removed = removed.map(|(n, _)| n.to_owned()).collect();
    walk.outcome.headers_removed.dedup();
}

impl Stream {
    /// A request as it arrives on a connection.
    pub(crate) fn new(connection: Connection, headers: Headers, protocol: Protocol) -> Self {
        let remote: SocketAddr = connection.remote;
        Self {
            connection,
            sent: headers.clone(),
            headers,
            remote,
            metadata: Default::default(),
            filter_state: Default::default(),
            is_internal: false,
            protocol,
        }
    }
}
