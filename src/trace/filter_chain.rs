//! Which filter chain of a listener takes a connection (semantics §2.3).
//!
//! Envoy looks chains up level by level in nested maps and never goes back: at each level the most specific key that
//! any remaining chain has is taken, and all chains without that key are out. A dead end leads to the default chain.

use std::net::IpAddr;

use ipnet::IpNet;

use super::context::{Context, Subject};
use super::listener::Accepting;
use super::matcher::{cidr, tree};
use super::outcome::{Disposition, Rejected, Step};
use super::request::Connection;
use super::version::Rule;
use super::walk::Walk;
use crate::proto::envoy::config::core::v3::CidrRange;
use crate::proto::envoy::config::listener::v3::filter_chain_match::ConnectionSourceType;
use crate::proto::envoy::config::listener::v3::{FilterChain, FilterChainMatch};

/// A chosen filter chain and its JSON path in the listener.
pub(crate) struct Chosen<'a> {
    pub(crate) chain: &'a FilterChain,
    pub(crate) path: String,
}

/// Chooses a filter chain; `None` closes the connection.
pub(crate) fn choose<'a>(
    cx: &Context<'_>,
    walk: &mut Walk,
    found: &Accepting<'a>,
    connection: &Connection,
) -> Option<Chosen<'a>> {
    let listener = found.listener;
    let mut rejected = Vec::new();
    let mut because = String::new();
    let picked = if let Some(matcher) = &listener.filter_chain_matcher {
        let subject = Subject { connection, stream: None };
        match tree::evaluate(cx, walk, matcher, subject).and_then(|action| chain_name(&action)) {
            Some(name) => {
                let named = listener.filter_chains.iter().position(|chain| chain.name == name);
                if named.is_none() {
                    let why = format!("filter_chain_matcher names {name:?}, which the listener doesn't have");
                    return none(walk, found, connection, why, Vec::new());
                }
                because = "filter_chain_matcher names it".to_owned();
                named
            }
            None => None,
        }
    } else {
        let chains: Vec<Candidate<'_>> = listener
            .filter_chains
            .iter()
            .enumerate()
            .map(|(index, chain)| Candidate { index, criteria: chain.filter_chain_match.as_ref() })
            .collect();
        let ignores_case = cx.follows(Rule::SniIgnoresCase);
        let mut search = Search { walk, connection, ignores_case, left: chains, rejected: Vec::new(), met: Vec::new() };
        let picked = search.run();
        rejected = std::mem::take(&mut search.rejected);
        because = match search.met.as_slice() {
            [] => "it asks for nothing and takes every connection".to_owned(),
            met => met.join(", "),
        };
        picked
    };
    let names = |index: usize| listener.filter_chains.get(index).map_or_else(String::new, |c| display_name(c, index));
    let rejected: Vec<Rejected> = rejected
        .into_iter()
        .rev()
        .take(MOST_REJECTED)
        .map(|(index, because)| Rejected { name: names(index), because })
        .collect();
    let chosen = match picked {
        Some(index) => {
            listener.filter_chains.get(index).map(|chain| (chain, format!(".filter_chains[{index}]"), names(index)))
        }
        None => listener.default_filter_chain.as_ref().map(|chain| {
            because = "no other chain matches: this is the default one".to_owned();
            (
                chain,
                ".default_filter_chain".to_owned(),
                if chain.name.is_empty() { "default".to_owned() } else { chain.name.clone() },
            )
        }),
    };
    let Some((chain, path, name)) = chosen else {
        return none(walk, found, connection, format!("no chain takes {}", describe(connection)), rejected);
    };
    walk.outcome.filter_chain = Some(chain.name.clone()).filter(|name| !name.is_empty());
    let object = crate::trace::provenance::istio_config(chain.metadata.as_ref());
    walk.step(
        Step::new("filter chain", name, because)
            .at(Some(found.resource.origin().within(&path)))
            .of(object)
            .not(rejected),
    );
    Some(Chosen { chain, path })
}

fn none<'a>(
    walk: &mut Walk,
    found: &Accepting<'_>,
    _connection: &Connection,
    why: String,
    rejected: Vec<Rejected>,
) -> Option<Chosen<'a>> {
    walk.outcome.flags.insert("NR");
    walk.end(Disposition::NoFilterChain);
    walk.step(Step::new("filter chain", "none", why).at(Some(found.resource.origin())).not(rejected));
    None
}

/// The value of the `StringValue` that an action of `filter_chain_matcher` is.
fn chain_name(action: &crate::proto::xds::core::v3::TypedExtensionConfig) -> Option<String> {
    let any = action.typed_config.as_ref()?;
    crate::dump::string_value(any)
}

fn display_name(chain: &FilterChain, index: usize) -> String {
    if chain.name.is_empty() { format!("[{index}]") } else { chain.name.clone() }
}

/// What a chain is chosen by, in words.
fn describe(connection: &Connection) -> String {
    let transport = connection.transport_protocol.as_deref().unwrap_or("raw_buffer");
    let sni = connection.server_name.as_ref().map(|sni| format!(", SNI {sni}")).unwrap_or_default();
    let alpn = match connection.application_protocols.as_slice() {
        [] => String::new(),
        protocols => format!(", ALPN {}", protocols.join(",")),
    };
    format!("{} {transport}{sni}{alpn} from {}", connection.local, connection.remote.ip())
}

#[derive(Clone, Copy)]
struct Candidate<'a> {
    index: usize,
    criteria: Option<&'a FilterChainMatch>,
}

impl<'a> Candidate<'a> {
    fn list<T>(&self, field: impl Fn(&'a FilterChainMatch) -> &'a [T]) -> &'a [T] {
        self.criteria.map(field).unwrap_or_default()
    }
}

/// As many rejected chains as an explanation lists: those that got the furthest.
const MOST_REJECTED: usize = 3;

struct Search<'a, 'w> {
    walk: &'w mut Walk,
    connection: &'a Connection,
    /// Whether server names are compared without regard to case.
    ignores_case: bool,
    left: Vec<Candidate<'a>>,
    /// The last chains that went out on each level, in the order they went, with the criterion.
    rejected: Vec<(usize, String)>,
    /// What the chains that are left ask for and got, level by level.
    met: Vec<String>,
}

impl<'a> Search<'a, '_> {
    fn run(&mut self) -> Option<usize> {
        let connection = self.connection;
        let port = u32::from(connection.local.port());
        self.level(
            "destination port",
            &port.to_string(),
            &[&|c: &Candidate<'a>| c.criteria.and_then(|m| m.destination_port).map(|p| p.value) == Some(port), &|c| {
                c.criteria.is_none_or(|m| m.destination_port.is_none())
            }],
            |c| c.criteria.and_then(|m| m.destination_port).map(|p| p.value.to_string()),
        );
        self.prefixes("destination address", connection.local.ip(), |m| m.prefix_ranges.as_slice());
        self.server_names();
        let transport = connection.transport_protocol.as_deref().unwrap_or("raw_buffer");
        self.level(
            "transport protocol",
            transport,
            &[&|c: &Candidate<'a>| c.criteria.is_some_and(|m| m.transport_protocol == transport), &|c| {
                c.criteria.is_none_or(|m| m.transport_protocol.is_empty())
            }],
            |c| c.criteria.map(|m| m.transport_protocol.clone()).filter(|t| !t.is_empty()),
        );
        self.application_protocols();
        self.prefixes("direct source address", connection.direct_remote.ip(), |m| {
            m.direct_source_prefix_ranges.as_slice()
        });
        self.source_type();
        self.prefixes("source address", connection.remote.ip(), |m| m.source_prefix_ranges.as_slice());
        let source_port = u32::from(connection.remote.port());
        self.level(
            "source port",
            &source_port.to_string(),
            &[&|c: &Candidate<'a>| c.list(|m| m.source_ports.as_slice()).contains(&source_port), &|c| {
                c.list(|m| m.source_ports.as_slice()).is_empty()
            }],
            |c| {
                let ports = c.list(|m| m.source_ports.as_slice());
                (!ports.is_empty()).then(|| ports.iter().map(u32::to_string).collect::<Vec<_>>().join(","))
            },
        );
        match self.left.as_slice() {
            [] => None,
            [one] => Some(one.index),
            // Envoy rejects chains that match the same; a file written by hand may hold them all the same.
            several => {
                let nth = self.walk.undecided("filter chains with the same match", several.len());
                several.get(nth).map(|c| c.index)
            }
        }
    }

    /// Keeps the chains of the first key that any has; `keys` from the most specific to the absent one.
    fn level(
        &mut self,
        criterion: &str,
        value: &str,
        keys: &[&dyn Fn(&Candidate<'a>) -> bool],
        wants: impl Fn(&Candidate<'a>) -> Option<String>,
    ) {
        let kept: Vec<Candidate<'a>> = keys
            .iter()
            .map(|key| self.left.iter().copied().filter(|c| key(c)).collect::<Vec<_>>())
            .find(|kept| !kept.is_empty())
            .unwrap_or_default();
        self.keep(kept, criterion, value, wants);
    }

    fn keep(
        &mut self,
        kept: Vec<Candidate<'a>>,
        criterion: &str,
        value: &str,
        wants: impl Fn(&Candidate<'a>) -> Option<String>,
    ) {
        // What is kept stands in the order of all.
        let mut next_kept = kept.iter().rev().map(|kept| kept.index).peekable();
        let gone = self.left.iter().rev().filter(|candidate| next_kept.next_if_eq(&candidate.index).is_none());
        let mut last: Vec<(usize, String)> = gone
            .take(MOST_REJECTED)
            .map(|candidate| {
                let why = match wants(candidate) {
                    Some(wanted) => format!("{criterion} {value} isn't its {wanted}"),
                    None => format!("another chain asks for {criterion} {value}"),
                };
                (candidate.index, why)
            })
            .collect();
        last.reverse();
        self.rejected.append(&mut last);
        if let Some(wanted) = kept.first().and_then(&wants) {
            let among = if wanted == value { String::new() } else { format!(", one of {wanted}") };
            self.met.push(format!("{criterion} {value}{among}"));
        }
        self.left = kept;
    }

    /// The chains with the longest prefix that contains the address; no prefix is stored as `0.0.0.0/0` and `::/0`, so
    /// where both stand the hash order of the process decides (S1).
    fn prefixes(
        &mut self,
        criterion: &str,
        address: IpAddr,
        ranges: impl Fn(&'a FilterChainMatch) -> &'a [CidrRange] + Copy,
    ) {
        let longest = |c: &Candidate<'a>| -> Option<u8> {
            let ranges = c.list(ranges);
            if ranges.is_empty() {
                return Some(0);
            }
            ranges
                .iter()
                .filter_map(|r| cidr::network(&r.address_prefix, r.prefix_len.map(|len| len.value)))
                .filter(|net| cidr::in_network(net, address))
                .map(|net| IpNet::prefix_len(&net))
                .max()
        };
        let best = self.left.iter().filter_map(longest).max();
        let mut kept: Vec<Candidate<'a>> =
            self.left.iter().copied().filter(|c| best.is_some() && longest(c) == best).collect();
        if best == Some(0) {
            let (without, with): (Vec<_>, Vec<_>) = kept.iter().copied().partition(|c| c.list(ranges).is_empty());
            if !without.is_empty() && !with.is_empty() {
                let reason = format!(
                    "{criterion}: a chain with 0.0.0.0/0 and one without a prefix are stored alike; hash order decides at each start"
                );
                kept = if self.walk.undecided(&reason, 2) == 0 { with } else { without };
            }
        }
        self.keep(kept, criterion, &address.to_string(), |c| {
            let ranges = c.list(ranges);
            (!ranges.is_empty()).then(|| ranges.iter().map(cidr::describe).collect::<Vec<_>>().join(","))
        });
    }

    fn server_names(&mut self) {
        let sni = self.connection.server_name.clone().unwrap_or_default();
        let names = |c: &Candidate<'a>| c.list(|m| m.server_names.as_slice());
        let ignores_case = self.ignores_case;
        let same = |name: &str, wanted: &str| {
            if ignores_case { name.eq_ignore_ascii_case(wanted) } else { name == wanted }
        };
        let mut kept: Vec<Candidate<'a>> = Vec::new();
        if !sni.is_empty() {
            kept = self.left.iter().copied().filter(|c| names(c).iter().any(|n| same(n, &sni))).collect();
            let mut from = 1;
            while kept.is_empty() {
                let Some(dot) = sni.get(from..).and_then(|rest| rest.find('.')) else { break };
                let suffix = sni.get(from + dot..).unwrap_or_default().to_owned();
                from += dot + 1;
                kept = self
                    .left
                    .iter()
                    .copied()
                    .filter(|c| names(c).iter().any(|n| n.strip_prefix('*').is_some_and(|n| same(n, &suffix))))
                    .collect();
            }
        }
        if kept.is_empty() {
            kept = self.left.iter().copied().filter(|c| names(c).is_empty()).collect();
        }
        let shown = if sni.is_empty() { "(none)" } else { &sni };
        self.keep(kept, "SNI", shown, |c| (!names(c).is_empty()).then(|| names(c).join(",")));
    }

    fn application_protocols(&mut self) {
        let lists = |c: &Candidate<'a>| c.list(|m| m.application_protocols.as_slice());
        let mut kept: Vec<Candidate<'a>> = Vec::new();
        for protocol in &self.connection.application_protocols {
            kept = self.left.iter().copied().filter(|c| lists(c).contains(protocol)).collect();
            if !kept.is_empty() {
                break;
            }
        }
        if kept.is_empty() {
            kept = self.left.iter().copied().filter(|c| lists(c).is_empty()).collect();
        }
        let shown = match self.connection.application_protocols.as_slice() {
            [] => "(none)".to_owned(),
            protocols => protocols.join(","),
        };
        self.keep(kept, "ALPN", &shown, |c| (!lists(c).is_empty()).then(|| lists(c).join(",")));
    }

    fn source_type(&mut self) {
        let connection = self.connection;
        let is_local = connection.is_from_same_host();
        let wanted = if is_local { ConnectionSourceType::SameIpOrLoopback } else { ConnectionSourceType::External };
        let of = |c: &Candidate<'a>| c.criteria.map_or(ConnectionSourceType::Any as i32, |m| m.source_type);
        self.level(
            "source type",
            if is_local { "SAME_IP_OR_LOOPBACK" } else { "EXTERNAL" },
            &[&|c: &Candidate<'a>| of(c) == wanted as i32, &|c| of(c) == ConnectionSourceType::Any as i32],
            |c| match ConnectionSourceType::try_from(of(c)) {
                Ok(ConnectionSourceType::Any) | Err(_) => None,
                Ok(other) => Some(other.as_str_name().to_owned()),
            },
        );
    }
}
