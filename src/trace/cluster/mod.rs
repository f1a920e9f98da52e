//! From the name of a cluster to one of its hosts, or to the reason why there is none.
//!
//! The order is Envoy's: the cluster by name; maintenance mode and drop_overloads; a host by discovery type, priority,
//! locality, subset and load balancing policy; its transport socket; circuit breakers; and, for a host that is an
//! internal listener, whether that exists.

mod address;
mod aggregate;
mod balance;
mod discovery;
mod forward_proxy;
pub(super) mod hash;
mod hosts;
mod limits;
mod original_dst;
mod policy;
mod priority;
mod side_call;
mod subset;
mod transport_socket;
mod zone;

use std::collections::BTreeMap;

pub(crate) use address::HostAddress;
pub(super) use hash::Tables;
pub(crate) use limits::allows_retry;
pub(crate) use side_call::unreachable;
pub(crate) use transport_socket::{SocketKind, UpstreamSocket, labels_match};

use self::balance::{Chooser, How, Picks, Why};
use self::discovery::Discovery;
use self::hash::RequestHash;
use self::hosts::{Member, Priority};
use self::policy::{Picker, Policy};
use self::subset::Criteria;
use super::assume::Upstream;
use super::context::{Context, Stream};
use super::outcome::{Disposition, Rejected, Step};
use super::provenance::istio_config;
use super::request::Connection;
use super::unmodelled;
use super::version::Rule;
use super::walk::Walk;
use crate::dump::{Kind, Resource, State};
use crate::proto::Struct;
use crate::proto::envoy::config::cluster::v3::Cluster;
use crate::proto::envoy::config::core::v3::{Metadata, RoutingPriority};
use crate::proto::envoy::config::route::v3::route_action::HashPolicy;
use crate::proto::envoy::r#type::v3::HashPolicy as ConnectionHashPolicy;

/// What load balancing may look at.
pub(crate) struct Balance<'a> {
    /// The downstream connection.
    pub(crate) connection: &'a Connection,
    /// The request; `None` for a TCP proxy.
    pub(crate) stream: Option<&'a Stream>,
    /// Dynamic metadata of the connection, if any (an internal listener is told some).
    pub(crate) connection_metadata: Option<&'a BTreeMap<String, Struct>>,
    /// What is asked of hosts in `envoy.lb`, the general first: later ones override.
    pub(crate) metadata_match: Vec<&'a Metadata>,
    /// Hash policies of the route.
    pub(crate) hash_policy: &'a [HashPolicy],
    /// Hash policies of the TCP proxy.
    pub(crate) connection_hash_policy: &'a [ConnectionHashPolicy],
    /// Whose circuit breakers count.
    pub(crate) priority: RoutingPriority,
}

/// Where a cluster sends a request.
pub(crate) enum Selection {
    /// To a host.
    Host(Box<Host>),
    /// Nowhere.
    Failure(Failure),
}

/// A host that was chosen.
#[derive(Debug, Clone)]
pub(crate) struct Host {
    /// Where it listens.
    pub(crate) address: HostAddress,
    /// Its name, for `auto_host_rewrite`; empty if it has none.
    pub(crate) hostname: String,
    /// Cluster that it belongs to: of an aggregate the member, else the cluster asked for.
    pub(crate) cluster: String,
    /// What the bytes go through on the way to it.
    pub(crate) transport_socket: UpstreamSocket,
    /// Whether it is where the client wanted to go anyway.
    pub(crate) is_original_destination: bool,
}

/// Why no host is reached.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    /// The entry of the closed list.
    pub(crate) disposition: Disposition,
    /// Response flags; `URX` comes on top where retries are used up.
    pub(crate) flags: Vec<&'static str>,
    /// Response code details.
    pub(crate) details: &'static str,
    /// The host that was tried.
    pub(crate) host: Option<String>,
    /// The reason in words.
    pub(crate) why: String,
    /// Whether a retry policy takes it for a failed connection; a TCP proxy then adds `URX`.
    pub(crate) retriable: bool,
}

impl Failure {
    fn no_healthy_upstream(why: String) -> Self {
        Self {
            disposition: Disposition::NoHealthyEndpoint,
            flags: vec!["UH"],
            details: "no_healthy_upstream",
            host: None,
            why,
            retriable: false,
        }
    }

    fn unknown(why: String) -> Self {
        Self {
            disposition: Disposition::InsufficientInfo,
            flags: Vec::new(),
            details: "",
            host: None,
            why,
            retriable: false,
        }
    }
}

/// Chooses the host that `cluster` sends a request to.
pub(crate) fn select(cx: &Context<'_>, walk: &mut Walk, cluster: &str, input: &Balance<'_>) -> Selection {
    let (resource, message) = match find(cx, walk, cluster) {
        Ok(found) => found,
        Err(failure) => return Selection::Failure(failure),
    };
    walk.step(describe(cx, resource, message));
    unmodelled::in_resource(cx, walk, resource, |_| true);
    let is_http = input.stream.is_some();
    let refused = if is_http {
        let assignment = discovery::assignment(cx, message).map(|(assignment, _)| assignment);
        limits::refused(cx, walk, message, assignment)
    } else {
        limits::refuses_connection(cx, message)
    };
    if let Some(failure) = refused {
        return Selection::Failure(failure);
    }
    let host = match choose(cx, walk, message, input) {
        Ok(host) => host,
        Err(failure) => return Selection::Failure(failure),
    };
    // These circuit breakers are those of the cluster that the host is in.
    let member = cx.proxy.cluster(&host.cluster).and_then(|resource| resource.get().ok()).unwrap_or(message);
    let address = host.address.to_string();
    if let Some(failure) = limits::refuses_host(cx, member, input.priority, is_http, &address) {
        return Selection::Failure(failure);
    }
    let unreachable = match &host.address {
        HostAddress::Internal { listener, .. } => unreachable_listener(cx, listener),
        _ if walk.upstream() == Some(Upstream::Refused) => Some("it is assumed to take no connection".to_owned()),
        _ => None,
    };
    if let Some(why) = unreachable {
        return Selection::Failure(Failure {
            disposition: Disposition::ConnectFailure,
            flags: vec!["UF"],
            details: "upstream_reset_before_response_started",
            host: Some(address),
            why,
            retriable: true,
        });
    }
    Selection::Host(Box::new(host))
}

/// The cluster in force of that name.
fn find<'a>(cx: &Context<'a>, walk: &mut Walk, name: &str) -> Result<(&'a Resource<Cluster>, &'a Cluster), Failure> {
    if let Some(resource) = cx.proxy.cluster(name) {
        return match resource.get() {
            Ok(message) => Ok((resource, message)),
            Err(error) => {
                walk.missing(error.to_string());
                Err(Failure::unknown(format!("cluster {name} can't be read")))
            }
        };
    }
    if !cx.proxy.has_section(Kind::Cluster) {
        walk.missing(format!("cluster {name} (no clusters section in the dump)"));
        return Err(Failure::unknown(format!("the dump has no clusters, so {name} isn't known")));
    }
    let warming = cx.proxy.clusters().iter().find(|cluster| cluster.name == name && cluster.state == State::Warming);
    let (disposition, why) = match warming {
        Some(_) => {
            (Disposition::NotInForce, format!("cluster {name} is still warming: it waits for endpoints or secrets"))
        }
        None => (Disposition::NoCluster, format!("there is no cluster {name}")),
    };
    if let Some(warming) = warming {
        walk.step(Step::new("cluster", name, "warming, so not in force").at(Some(warming.origin())));
    }
    Err(Failure { disposition, flags: vec!["NC"], details: "cluster_not_found", host: None, why, retriable: false })
}

fn describe(cx: &Context<'_>, resource: &Resource<Cluster>, cluster: &Cluster) -> Step {
    let mut why = discovery::of(cx, cluster).to_string();
    if resource.state == State::Static {
        why.push_str(", from the bootstrap");
    }
    Step::new("cluster", &cluster.name, why).at(Some(resource.origin())).of(istio_config(cluster.metadata.as_ref()))
}

/// The ways from a cluster to its hosts, of which one is chosen.
struct Ways {
    how: How,
    all: Vec<Result<Way, Failure>>,
}

/// A host, and the steps that explain it.
struct Way {
    host: Host,
    steps: Vec<Step>,
}

impl Ways {
    fn only(way: Way) -> Self {
        Self { how: How::Only, all: vec![Ok(way)] }
    }

    fn take(&self, walk: &mut Walk) -> Result<Host, Failure> {
        match self.all.get(self.how.pick(walk, self.all.len())) {
            Some(Ok(way)) => {
                walk.steps.extend(way.steps.iter().cloned());
                Ok(way.host.clone())
            }
            Some(Err(failure)) => Err(failure.clone()),
            None => Err(Failure::unknown("none of the ways is taken".to_owned())),
        }
    }
}

/// Chooses a host of a cluster that is in force.
fn choose(cx: &Context<'_>, walk: &mut Walk, cluster: &Cluster, input: &Balance<'_>) -> Result<Host, Failure> {
    if let Discovery::Composite(members) = discovery::of(cx, cluster) {
        return first_of(cx, walk, cluster, &members, input);
    }
    // A cluster may have thousands of hosts, each of which is a way of its own.
    let ways = walk.recall(|walk| ways(cx, walk, cluster, input));
    match ways.as_ref() {
        Ok(ways) => ways.take(walk),
        Err(failure) => Err(failure.clone()),
    }
}

fn ways(cx: &Context<'_>, walk: &mut Walk, cluster: &Cluster, input: &Balance<'_>) -> Result<Ways, Failure> {
    match discovery::of(cx, cluster) {
        Discovery::OriginalDst => original_destination(cx, cluster, input),
        Discovery::Aggregate(members) => aggregate::ways(cx, walk, cluster, &members, input),
        Discovery::DynamicForwardProxy => forward_proxy::way(cx, walk, cluster, input).map(Ways::only),
        kind => match discovery::hosts(cx, cluster, &kind) {
            discovery::Hosts::Known(set) => {
                let picks = balance(cx, walk, cluster, &set, input, None)?;
                let Some(picks) = picks else { return Err(nothing_usable(cluster, &kind, &set)) };
                Ok(ways_to(cx, cluster, &picks))
            }
            discovery::Hosts::HealthUnknown(set, reason) => any_health(cx, walk, cluster, &set, input, &reason),
            discovery::Hosts::Disputed(set, reason, may_be_none) => {
                Ok(any_of(cx, cluster, &set, &reason, may_be_none || !panics(cx, cluster)))
            }
            discovery::Hosts::Unresolved(names, reason) => {
                walk.missing(reason.clone());
                let all = names.iter().map(|name| Ok(unresolved(cx, cluster, name, &reason))).collect();
                Ok(match names.len() {
                    0 => Ways::only(unresolved(cx, cluster, "", &reason)),
                    1 => Ways { how: How::Only, all },
                    _ => Ways { how: How::Assumed(reason), all },
                })
            }
        },
    }
}

/// Chooses a host of a composite cluster: the first of its clusters that has one for the request.
fn first_of(
    cx: &Context<'_>,
    walk: &mut Walk,
    cluster: &Cluster,
    members: &[String],
    input: &Balance<'_>,
) -> Result<Host, Failure> {
    for name in members {
        let Some(member) = cx.proxy.cluster(name).and_then(|resource| resource.get().ok()) else { continue };
        if matches!(discovery::of(cx, member), Discovery::Composite(_)) {
            let reason = format!("composite cluster {} in composite cluster {}", member.name, cluster.name);
            walk.missing(&reason);
            return Err(Failure::unknown(reason));
        }
        let chosen = choose(cx, walk, member, input);
        if chosen.is_ok() || !cx.follows(Rule::CompositeSkipsEmptyMembers) {
            return chosen;
        }
    }
    Err(Failure::no_healthy_upstream(format!("no cluster of {} has an endpoint for the request", members.join(", "))))
}

/// Finds the hosts that balancing may lead to, among those that are known.
fn balance<'h>(
    cx: &Context<'h>,
    walk: &mut Walk,
    cluster: &Cluster,
    set: &[Priority<'h>],
    input: &Balance<'_>,
    forced: Option<(usize, priority::Availability)>,
) -> Result<Option<Picks<'h>>, Failure> {
    let policy = policy::of_cluster(cx, cluster).map_err(|error| {
        walk.missing(format!("load balancing policy of cluster {}: {error}", cluster.name));
        Failure::unknown(error)
    })?;
    let chooser = Chooser {
        hash: request_hash(cx, &policy, input),
        local: local_cluster(cx),
        policy: &policy,
        forced,
        tables: cx.cache.tables(),
        name: &cluster.name,
    };
    if let Some(host) = asked_for(&policy, set, input) {
        return Ok(Some(host));
    }
    Ok(match &policy.subset {
        Some(config) => subset::choose(walk, config, &chooser, set, criteria(input)),
        None => chooser.choose(walk, set),
    })
}

fn request_hash(cx: &Context<'_>, policy: &Policy, input: &Balance<'_>) -> RequestHash {
    let hashing = match &policy.picker {
        Picker::RingHash(_, hashing) | Picker::Maglev(_, hashing) => hashing,
        _ => return RequestHash::Random,
    };
    match input.stream {
        Some(stream) if !hashing.policy.is_empty() => hash::of_stream(cx, &hashing.policy, stream),
        Some(stream) => hash::of_stream(cx, input.hash_policy, stream),
        None => hash::of_connection(input.connection_hash_policy, input.connection),
    }
}

/// Hosts of the cluster that the proxy itself is in, for zone-aware balancing.
fn local_cluster<'h>(cx: &Context<'h>) -> Option<Vec<Priority<'h>>> {
    let bootstrap = cx.proxy.bootstrap()?.ok()?;
    let name = &bootstrap.cluster_manager.as_ref()?.local_cluster_name;
    let cluster = cx.proxy.cluster(name)?.get().ok()?;
    match discovery::hosts(cx, cluster, &discovery::of(cx, cluster)) {
        discovery::Hosts::Known(set) => Some(set),
        _ => None,
    }
}

/// A host that the request names by address, if an override_host policy lets it.
fn asked_for<'h>(policy: &Policy, set: &[Priority<'h>], input: &Balance<'_>) -> Option<Picks<'h>> {
    let stream = input.stream?;
    let texts = policy.overrides.iter().find_map(|source| {
        if !source.header.is_empty() {
            return stream.headers.get(&source.header).map(str::to_owned);
        }
        let key = source.metadata.as_ref()?;
        original_dst::metadata_text(&stream.metadata, key).map(str::to_owned)
    })?;
    // Whatever its health.
    texts.split(',').map(str::trim).find_map(|text| {
        let mut hosts = set.iter().flat_map(|priority| &priority.members);
        let host = hosts.find(|host| host.host_address().to_string() == text)?;
        let why = Why::text("the request asks for this host".to_owned());
        Some(Picks { hosts: vec![*host], how: How::Only, why, passed_over: Vec::new() })
    })
}

/// What a request asks of hosts: its route's `envoy.lb`, and its own dynamic metadata over it.
fn criteria(input: &Balance<'_>) -> Criteria {
    const NAMESPACE: &str = "envoy.lb";
    let of_route = input.metadata_match.iter().filter_map(|metadata| metadata.filter_metadata.get(NAMESPACE));
    let dynamic = match input.stream {
        Some(stream) => stream.metadata.get(NAMESPACE),
        None => input.connection_metadata.and_then(|metadata| metadata.get(NAMESPACE)),
    };
    let mut criteria = Criteria::new();
    for wanted in of_route.chain(dynamic) {
        criteria.extend(wanted.fields.iter().map(|(key, value)| (key.clone(), value.clone())));
    }
    criteria
}

/// The hosts where their health isn't in the input: any of them may be the one.
fn any_health(
    cx: &Context<'_>,
    walk: &mut Walk,
    cluster: &Cluster,
    set: &[Priority<'_>],
    input: &Balance<'_>,
    reason: &str,
) -> Result<Ways, Failure> {
    let count: usize = set.iter().map(|priority| priority.members.len()).sum();
    let panics = panics(cx, cluster);
    if count <= 1 && panics {
        // All the same: one host is used whether it is healthy or not.
        let picks = balance(cx, walk, cluster, set, input, None)?;
        let Some(picks) = picks else { return Err(nothing_usable(cluster, &Discovery::Static, set)) };
        return Ok(ways_to(cx, cluster, &picks));
    }
    Ok(any_of(cx, cluster, set, reason, !panics))
}

/// Whether a cluster without healthy hosts uses the others.
fn panics(cx: &Context<'_>, cluster: &Cluster) -> bool {
    policy::of_cluster(cx, cluster).is_ok_and(|policy| policy.panic_threshold > 0 && policy.subset.is_none())
}

/// Any of the hosts, or none where that may be.
fn any_of(cx: &Context<'_>, cluster: &Cluster, set: &[Priority<'_>], reason: &str, may_be_none: bool) -> Ways {
    let hosts: Vec<Member<'_>> = set.iter().flat_map(|priority| priority.members.iter().copied()).collect();
    let why = Why::text(format!("1 of {}; {reason}", hosts.len()));
    let picks = Picks { hosts, how: How::Assumed(reason.to_owned()), why, passed_over: Vec::new() };
    let mut ways = ways_to(cx, cluster, &picks);
    if may_be_none {
        let why = format!("no endpoint of cluster {} may be healthy", cluster.name);
        ways.all.push(Err(Failure::no_healthy_upstream(why)));
    }
    ways
}

fn nothing_usable(cluster: &Cluster, kind: &Discovery, set: &[Priority<'_>]) -> Failure {
    let total: usize = set.iter().map(|priority| priority.members.len()).sum();
    let name = &cluster.name;
    if total == 0 {
        let mut failure = Failure::no_healthy_upstream(match kind {
            Discovery::Eds => format!("EDS gives cluster {name} no endpoint"),
            Discovery::StrictDns | Discovery::LogicalDns => format!("no name of cluster {name} was resolved"),
            _ => format!("cluster {name} has no endpoint"),
        });
        if matches!(kind, Discovery::Static) && name == "BlackHoleCluster" {
            failure.disposition = Disposition::BlackHole;
            failure.why =
                "BlackHoleCluster has no endpoint on purpose: traffic to unknown places is refused".to_owned();
        }
        return failure;
    }
    let unhealthy = set.iter().flat_map(|p| &p.members).filter(|m| m.health == hosts::Health::Unhealthy).count();
    Failure::no_healthy_upstream(if unhealthy == total {
        format!("all {total} endpoints of cluster {name} are unhealthy, and its panic threshold is 0")
    } else {
        format!("none of the {total} endpoints of cluster {name} may be used for this request")
    })
}

/// The ways to all hosts that may be chosen.
fn ways_to(cx: &Context<'_>, cluster: &Cluster, picks: &Picks<'_>) -> Ways {
    let rejected = picks.passed_over.iter();
    let rejected = rejected.map(|(host, because)| Rejected { name: shown(host), because: because.clone() });
    let rejected: Vec<Rejected> = rejected.collect();
    let way = |host: &Member<'_>| Ok(way_to(cx, cluster, host, picks.why.of(host), rejected.clone()));
    Ways { how: picks.how.clone(), all: picks.hosts.iter().map(way).collect() }
}

/// The choice of a host and of its transport socket.
fn way_to(cx: &Context<'_>, cluster: &Cluster, host: &Member<'_>, why: String, rejected: Vec<Rejected>) -> Way {
    let endpoint = Step::new("endpoint", shown(host), why).not(rejected);
    let transport_socket = transport_socket::of_host(cx, cluster, Some(host));
    let steps = vec![endpoint, socket_step(&transport_socket)];
    let host = Host {
        address: host.host_address(),
        hostname: host.hostname.to_owned(),
        cluster: cluster.name.clone(),
        transport_socket,
        is_original_destination: false,
    };
    Way { host, steps }
}

fn shown(host: &Member<'_>) -> String {
    match host.host_address() {
        HostAddress::Unknown => address::name_of(host.address).unwrap_or_else(|| host.hostname.to_owned()),
        address => address.to_string(),
    }
}

fn socket_step(socket: &UpstreamSocket) -> Step {
    let chosen = match &socket.matched {
        Some(name) => format!("{name} ({})", socket.kind.describe()),
        None => socket.kind.describe(),
    };
    Step::new("transport socket", chosen, &socket.why)
}

/// A host whose address the input doesn't hold.
fn unresolved(cx: &Context<'_>, cluster: &Cluster, name: &str, why: &str) -> Way {
    let chosen = if name.is_empty() { "unknown endpoint" } else { name };
    let transport_socket = transport_socket::of_host(cx, cluster, None);
    let steps = vec![Step::new("endpoint", chosen, why), socket_step(&transport_socket)];
    let host = Host {
        address: HostAddress::Unknown,
        hostname: name.rsplit_once(':').map_or(name, |(host, _)| host).to_owned(),
        cluster: cluster.name.clone(),
        transport_socket,
        is_original_destination: false,
    };
    Way { host, steps }
}

fn original_destination(cx: &Context<'_>, cluster: &Cluster, input: &Balance<'_>) -> Result<Ways, Failure> {
    let (address, how) = original_dst::destination(cx, cluster, input).map_err(Failure::no_healthy_upstream)?;
    let transport_socket = transport_socket::of_host(cx, cluster, None);
    let steps = vec![Step::new("endpoint", address.to_string(), how), socket_step(&transport_socket)];
    let host = Host {
        address: HostAddress::Ip(address),
        hostname: format!("{}{address}", cluster.name),
        cluster: cluster.name.clone(),
        transport_socket,
        is_original_destination: true,
    };
    Ok(Ways::only(Way { host, steps }))
}

/// Why an internal listener can't be connected to, if it can't.
fn unreachable_listener(cx: &Context<'_>, name: &str) -> Option<String> {
    use crate::proto::envoy::config::listener::v3::listener::ListenerSpecifier;
    match cx.proxy.listener(name) {
        Some(resource) => {
            let listener = resource.get().ok()?;
            let is_internal = matches!(listener.listener_specifier, Some(ListenerSpecifier::InternalListener(_)));
            (!is_internal).then(|| format!("listener {name} is not an internal one"))
        }
        None if !cx.proxy.has_section(Kind::Listener) => None,
        None => Some(format!("the endpoint is the internal listener {name}, which this proxy doesn't have")),
    }
}

#[cfg(test)]
mod tests;
