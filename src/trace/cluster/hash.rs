//! Consistent hashing: the hash of a request, the ring and Maglev's table.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use regex::Regex;
use xxhash_rust::xxh64::xxh64;

use crate::proto::envoy::config::route::v3::route_action::HashPolicy;
use crate::proto::envoy::config::route::v3::route_action::hash_policy::PolicySpecifier;
use crate::proto::envoy::r#type::v3::HashPolicy as ConnectionHashPolicy;
use crate::proto::envoy::r#type::v3::hash_policy::PolicySpecifier as ConnectionSpecifier;

use crate::trace::cache::ascii_classes;
use crate::trace::context::Context;
use crate::trace::context::Stream;
use crate::trace::matcher::header::cookie;
use crate::trace::matcher::query::parameter;
use crate::trace::octets;
use crate::trace::request::Connection;
use crate::trace::version::Rule;

/// The hash of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::trace) enum RequestHash {
    Known(u64),
    /// Envoy draws a random number, or makes one of the client's port.
    Random,
    /// It depends on something that the input doesn't hold.
    Unknown(String),
}

/// Hash of a request by the policies of its route, in order; each rotates what was before.
pub(in crate::trace) fn of_stream(cx: &Context<'_>, policies: &[HashPolicy], stream: &Stream) -> RequestHash {
    let mut hash: Option<u64> = None;
    for policy in policies {
        let one = match policy.policy_specifier.as_ref() {
            Some(PolicySpecifier::Header(header)) => {
                let mut values: Vec<String> = stream.headers.all(&header.header_name).map(str::to_owned).collect();
                if !cx.follows(Rule::HashesAllHeaderValues) {
                    values.truncate(1);
                }
                if let Some(rewrite) = header.regex_rewrite.as_ref() {
                    if values.iter().any(|value| !value.is_ascii()) {
                        let why = format!("the hash of {}, rewritten where it isn't ASCII", header.header_name);
                        return RequestHash::Unknown(why);
                    }
                    let pattern = rewrite.pattern.as_ref().map(|p| p.regex.as_str()).unwrap_or_default();
                    let regex = match Regex::new(&ascii_classes(pattern)) {
                        Ok(regex) => regex,
                        Err(error) => return RequestHash::Unknown(format!("regex {pattern:?}: {error}")),
                    };
                    let substitution = substitution(&rewrite.substitution);
                    for value in &mut values {
                        *value = regex.replace_all(value, substitution.as_str()).into_owned();
                    }
                }
                values.sort_unstable();
                // The values are chained: the hash of one is the seed of the next.
                (!values.is_empty()).then(|| values.iter().fold(0, |seed, value| xxh64(&octets::bytes(value), seed)))
            }
            Some(PolicySpecifier::Cookie(policy)) => {
                match cookie(&stream.headers, &policy.name).filter(|value| !value.is_empty()) {
                    Some(value) => Some(xxh64(&octets::bytes(value), 0)),
                    // Envoy makes a cookie of both ends of the connection.
                    None if policy.ttl.is_some() => return RequestHash::Random,
                    None => None,
                }
            }
            Some(PolicySpecifier::ConnectionProperties(properties)) if properties.source_ip => {
                Some(xxh64(stream.remote_ip().to_string().as_bytes(), 0))
            }
            Some(PolicySpecifier::ConnectionProperties(_)) | None => None,
            Some(PolicySpecifier::QueryParameter(policy)) => {
                parameter(stream.headers.path(), &policy.name).map(|value| xxh64(&octets::bytes(value), 0))
            }
            Some(PolicySpecifier::FilterState(state)) => match stream.filter_state(&state.key) {
                // Only some kinds of objects are hashable, and the input may not say which one this is.
                Some(_) => return RequestHash::Unknown(format!("whether filter state {} can be hashed", state.key)),
                None => None,
            },
        };
        if let Some(one) = one {
            hash = Some(hash.unwrap_or_default().rotate_left(1) ^ one);
        }
        if policy.terminal && hash.is_some() {
            break;
        }
    }
    hash.map_or(RequestHash::Random, RequestHash::Known)
}

/// Hash of a connection by the policy of a TCP proxy.
pub(super) fn of_connection(policies: &[ConnectionHashPolicy], connection: &Connection) -> RequestHash {
    match policies.first().and_then(|policy| policy.policy_specifier.as_ref()) {
        Some(ConnectionSpecifier::SourceIp(_)) => {
            RequestHash::Known(xxh64(connection.remote.ip().to_string().as_bytes(), 0))
        }
        Some(ConnectionSpecifier::FilterState(state)) if connection.filter_state.contains_key(&state.key) => {
            RequestHash::Unknown(format!("whether filter state {} can be hashed", state.key))
        }
        Some(ConnectionSpecifier::FilterState(_)) | None => RequestHash::Random,
    }
}

/// RE2's `\1` as the regex crate's `${1}`.
fn substitution(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '$' => out.push_str("$$"),
            '\\' => match chars.next() {
                Some(digit) if digit.is_ascii_digit() => out.push_str(&format!("${{{digit}}}")),
                Some(other) => out.push(other),
                None => {}
            },
            other => out.push(other),
        }
    }
    out
}

/// A host on a ring or in a table: what is hashed, and its share of all weights.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Weighted {
    pub(super) key: String,
    pub(super) share: f64,
}

/// Rings and tables that were built for earlier requests.
#[derive(Default)]
pub(in crate::trace) struct Tables {
    rings: Built<(u64, usize, bool)>,
    maglev: Built<usize>,
}

/// What was built, by all that it was built of.
struct Built<T>(RwLock<HashMap<Vec<u8>, Arc<[T]>>>);

impl<T> Default for Built<T> {
    fn default() -> Self {
        Self(RwLock::default())
    }
}

impl<T> Built<T> {
    fn get(&self, kind: &str, hosts: &[Weighted], build: impl FnOnce() -> Vec<T>) -> Arc<[T]> {
        let mut key = kind.as_bytes().to_vec();
        for host in hosts {
            key.extend_from_slice(&(host.key.len() as u64).to_le_bytes());
            key.extend_from_slice(host.key.as_bytes());
            key.extend_from_slice(&host.share.to_le_bytes());
        }
        if let Some(known) = self.0.read().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return Arc::clone(known);
        }
        let built: Arc<[T]> = build().into();
        Arc::clone(self.0.write().unwrap_or_else(PoisonError::into_inner).entry(key).or_insert(built))
    }
}

/// A ketama ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ring {
    min_size: u64,
    max_size: u64,
    pub(super) murmur: bool,
}

const LARGEST_RING: u64 = 8 * 1024 * 1024;

impl Default for Ring {
    fn default() -> Self {
        Self { min_size: 1024, max_size: LARGEST_RING, murmur: false }
    }
}

impl Ring {
    /// Takes the sizes that are set.
    pub(super) fn set_sizes(&mut self, min: Option<u64>, max: Option<u64>) {
        self.min_size = min.unwrap_or(self.min_size).min(LARGEST_RING);
        self.max_size = max.unwrap_or(self.max_size).min(LARGEST_RING);
    }

    /// Indices of the hosts that the hash may lead to. Several are possible where hosts share a place on the ring, or
    /// where rounding decides how many places a host has, and the hosts aren't in Envoy's order.
    pub(super) fn choose(&self, tables: &Tables, hosts: &[Weighted], hash: u64, is_ordered: bool) -> Vec<usize> {
        let kind = format!("ring {} {} {} {is_ordered}", self.min_size, self.max_size, self.murmur);
        let ring = tables.rings.get(&kind, hosts, || self.places(hosts, is_ordered));
        let start = ring.partition_point(|(at, ..)| *at < hash);
        let mut chosen = Vec::new();
        let mut settled = None;
        for (at, nth, is_sure) in ring.iter().skip(start).chain(ring.iter().take(start)) {
            if settled.is_some_and(|place| place != *at) {
                break;
            }
            if !chosen.contains(nth) {
                chosen.push(*nth);
            }
            if *is_sure {
                settled = Some(*at);
            }
        }
        chosen
    }

    /// All places in order: place, host, whether it is there in any order of the hosts.
    fn places(&self, hosts: &[Weighted], is_ordered: bool) -> Vec<(u64, usize, bool)> {
        let smallest = hosts.iter().map(|host| host.share).fold(1.0_f64, f64::min);
        if hosts.is_empty() || smallest <= 0.0 {
            return Vec::new();
        }
        let scale = ((smallest * self.min_size as f64).ceil() / smallest).min(self.max_size as f64);
        let mut ring: Vec<(u64, usize, bool)> = Vec::new();
        let mut target = 0.0;
        let mut current = 0.0;
        for (nth, host) in hosts.iter().enumerate() {
            let places = scale * host.share;
            let (sure, possible) = if is_ordered {
                // A running sum, so that fractions add up to whole places.
                target += places;
                let first = current;
                while current < target {
                    current += 1.0;
                }
                let count = (current - first) as u64;
                (count, count)
            } else if (places - places.round()).abs() < 1e-6 {
                (places.round() as u64, places.round() as u64)
            } else {
                (places.floor() as u64, places.ceil() as u64)
            };
            for place in 0..possible {
                let key = format!("{}_{place}", host.key);
                let at = if self.murmur { murmur2(key.as_bytes()) } else { xxh64(key.as_bytes(), 0) };
                ring.push((at, nth, place < sure));
            }
        }
        ring.sort_unstable();
        ring
    }
}

/// Maglev's table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct MaglevTable {
    size: u64,
}

const LARGEST_TABLE: u64 = 5_000_011;

impl Default for MaglevTable {
    fn default() -> Self {
        Self { size: 65_537 }
    }
}

impl MaglevTable {
    /// Takes the size if it is set.
    pub(super) fn set_size(&mut self, size: Option<u64>) {
        self.size = size.unwrap_or(self.size).clamp(2, LARGEST_TABLE);
    }

    /// Indices of the hosts that the hash may lead to: one, or those that are hashed by the same key.
    pub(super) fn choose(&self, tables: &Tables, hosts: &[Weighted], hash: u64) -> Vec<usize> {
        let table =
            tables.maglev.get(&format!("maglev {}", self.size), hosts, || self.slots(hosts).unwrap_or_default());
        let slot = usize::try_from(hash % self.size).ok().and_then(|slot| table.get(slot));
        let Some(key) = slot.and_then(|nth| hosts.get(*nth)).map(|host| &host.key) else {
            return Vec::new();
        };
        hosts.iter().enumerate().filter(|(_, host)| host.key == *key).map(|(nth, _)| nth).collect()
    }

    /// The host of each slot; `None` if there is none for any.
    fn slots(&self, hosts: &[Weighted]) -> Option<Vec<usize>> {
        struct Entry {
            nth: usize,
            offset: u64,
            skip: u64,
            share: f64,
            target: f64,
            next: u64,
        }
        let largest = hosts.iter().map(|host| host.share).fold(0.0_f64, f64::max);
        if hosts.is_empty() || largest <= 0.0 {
            return None;
        }
        let mut order: Vec<usize> = (0..hosts.len()).collect();
        order.sort_by_key(|nth| hosts.get(*nth).map(|host| host.key.as_str()));
        let mut entries: Vec<Entry> = order
            .iter()
            .filter_map(|nth| {
                let host = hosts.get(*nth)?;
                let key = host.key.as_bytes();
                Some(Entry {
                    nth: *nth,
                    offset: xxh64(key, 0) % self.size,
                    skip: xxh64(key, 1) % (self.size - 1) + 1,
                    share: host.share,
                    target: 0.0,
                    next: 0,
                })
            })
            .collect();
        let size = usize::try_from(self.size).ok()?;
        const FREE: usize = usize::MAX;
        let mut slots = vec![FREE; size];
        let mut left = size;
        let mut iteration = 0.0;
        while left > 0 {
            iteration += 1.0;
            for entry in &mut entries {
                // A host of a third of the largest weight takes a place in every third round.
                if iteration * entry.share < entry.target {
                    continue;
                }
                entry.target += largest;
                let mut tried = 0;
                loop {
                    // Only where the size isn't prime, which Envoy refuses, does a host not come by every slot.
                    if tried == self.size {
                        return None;
                    }
                    tried += 1;
                    let place = entry.offset.wrapping_add(entry.skip.wrapping_mul(entry.next)) % self.size;
                    entry.next += 1;
                    let slot = slots.get_mut(usize::try_from(place).ok()?)?;
                    if *slot == FREE {
                        *slot = entry.nth;
                        break;
                    }
                }
                left -= 1;
                if left == 0 {
                    break;
                }
            }
        }
        Some(slots)
    }
}

/// MurmurHash2, 64 bits, as libstdc++ hashes strings.
fn murmur2(bytes: &[u8]) -> u64 {
    const MUL: u64 = 0xc6a4_a793_5bd1_e995;
    const SEED: u64 = 0xc70f_6907;
    let mix = |value: u64| value ^ (value >> 47);
    let mut hash = SEED ^ (bytes.len() as u64).wrapping_mul(MUL);
    let (chunks, rest) = bytes.as_chunks::<8>();
    for chunk in chunks {
        let data = mix(u64::from_le_bytes(*chunk).wrapping_mul(MUL)).wrapping_mul(MUL);
        hash = (hash ^ data).wrapping_mul(MUL);
    }
    if !rest.is_empty() {
        let data = rest.iter().rev().fold(0_u64, |data, byte| (data << 8) | u64::from(*byte));
        hash = (hash ^ data).wrapping_mul(MUL);
    }
    mix(mix(hash).wrapping_mul(MUL))
}
