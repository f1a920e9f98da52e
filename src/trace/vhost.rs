//! Which virtual host an authority leads to (semantics §4.3).

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use xxhash_rust::xxh64::xxh64;

use super::outcome::Rejected;
use crate::dump::{RouteTable, VirtualHostEntry};

/// The domains of a route configuration, ready for look-up: of that table alone, which every question brings along.
#[derive(Debug, Default)]
pub(crate) struct Domains {
    /// Made when more than a few hosts were looked for.
    lookup: OnceLock<Lookup>,
    /// How often a host was looked for without it.
    looked: AtomicUsize,
    /// Made when a host has no virtual host.
    like: OnceLock<Like>,
}

/// Looking through all domains for a few hosts costs less than preparing for any.
const MOST_LOOKS: usize = 8;

/// All domains by how they match.
#[derive(Debug, Default)]
struct Lookup {
    exact: HashMap<String, usize>,
    /// Suffixes of `*…` domains by length, the longest first.
    suffixes: Vec<(usize, HashMap<String, usize>)>,
    /// Prefixes of `…*` domains by length, the longest first.
    prefixes: Vec<(usize, HashMap<String, usize>)>,
    any: Option<usize>,
}

/// A domain by how it matches.
enum Domain<'a> {
    Any,
    Suffix(&'a str),
    Prefix(&'a str),
    Exact(&'a str),
}

/// A virtual host found, and by which of its domains.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    /// Index in the table.
    pub(crate) index: usize,
    /// The domain that matched, lower-cased.
    pub(crate) domain: String,
}

impl Domains {
    /// The first virtual host that lists the name itself, in lower case.
    pub(crate) fn exact(&self, table: &RouteTable, name: &str) -> Option<usize> {
        match self.lookup(table) {
            Some(lookup) => lookup.exact.get(name).copied(),
            None => exact(table, name),
        }
    }

    /// The virtual host for a host: exact, longest suffix, longest prefix, `*`; of a domain that stands twice the first
    /// counts (Envoy rejects such a configuration). A request that has none, which isn't one with an empty one, gets
    /// `*` only where there is no other domain.
    pub(crate) fn find(&self, table: &RouteTable, host: Option<&str>) -> Option<Found> {
        match self.lookup(table) {
            Some(lookup) => lookup.find(host),
            None => find(table, host),
        }
    }

    fn lookup(&self, table: &RouteTable) -> Option<&Lookup> {
        let is_early = || self.looked.fetch_add(1, Ordering::Relaxed) < MOST_LOOKS;
        if self.lookup.get().is_none() && is_early() {
            return None;
        }
        Some(self.lookup.get_or_init(|| Lookup::of(table)))
    }
}

impl<'a> Domain<'a> {
    fn of(text: &'a str) -> Self {
        if text == "*" {
            Self::Any
        } else if let Some(suffix) = text.strip_prefix('*') {
            Self::Suffix(suffix)
        } else if let Some(prefix) = text.strip_suffix('*') {
            Self::Prefix(prefix)
        } else {
            Self::Exact(text)
        }
    }
}

/// All domains in lower case, with the index of their virtual host.
fn domains(table: &RouteTable) -> impl Iterator<Item = (usize, Cow<'_, str>)> {
    let hosts = table.virtual_hosts.iter().enumerate();
    hosts.flat_map(|(index, host)| host.domains.iter().map(move |domain| (index, lower(domain))))
}

/// As [`Domains::exact`], reading all.
fn exact(table: &RouteTable, name: &str) -> Option<usize> {
    let is_it = |domain: &str| matches!(Domain::of(domain), Domain::Exact(own) if own == name);
    domains(table).find(|(_, domain)| is_it(domain)).map(|(index, _)| index)
}

/// As [`Domains::find`], reading all.
fn find(table: &RouteTable, host: Option<&str>) -> Option<Found> {
    let host = host.map(str::to_lowercase);
    let mut only_any = true;
    // How well each matches: exact, then suffixes, then prefixes, each by length. The first of equals stays.
    let mut best: Option<((u8, usize), Found)> = None;
    for (index, domain) in domains(table) {
        let kind = Domain::of(&domain);
        only_any &= matches!(kind, Domain::Any);
        let rank = match (kind, host.as_deref()) {
            (Domain::Any, _) => (0, 0),
            (Domain::Exact(own), Some(host)) if own == host => (3, 0),
            (Domain::Suffix(own), Some(host)) if host.len() > own.len() && host.ends_with(own) => (2, own.len()),
            (Domain::Prefix(own), Some(host)) if host.len() > own.len() && host.starts_with(own) => (1, own.len()),
            _ => continue,
        };
        if best.as_ref().is_none_or(|(held, _)| rank > *held) {
            best = Some((rank, Found { index, domain: domain.into_owned() }));
        }
    }
    best.filter(|_| host.is_some() || only_any).map(|(_, found)| found)
}

impl Lookup {
    fn of(table: &RouteTable) -> Self {
        let mut lookup = Self::default();
        for (index, domain) in domains(table) {
            match Domain::of(&domain) {
                Domain::Any => {
                    lookup.any.get_or_insert(index);
                }
                Domain::Suffix(suffix) => insert(&mut lookup.suffixes, suffix, index),
                Domain::Prefix(prefix) => insert(&mut lookup.prefixes, prefix, index),
                Domain::Exact(name) => {
                    lookup.exact.entry(name.to_owned()).or_insert(index);
                }
            }
        }
        lookup.suffixes.sort_by_key(|(length, _)| std::cmp::Reverse(*length));
        lookup.prefixes.sort_by_key(|(length, _)| std::cmp::Reverse(*length));
        lookup
    }

    /// Whether `*` is the only domain: then it isn't asked for the host at all.
    fn only_any(&self) -> bool {
        self.exact.is_empty() && self.suffixes.is_empty() && self.prefixes.is_empty()
    }

    fn find(&self, host: Option<&str>) -> Option<Found> {
        let found = |index: &usize, domain: String| Found { index: *index, domain };
        if self.only_any() {
            return self.any.as_ref().map(|index| found(index, "*".to_owned()));
        }
        let host = host?.to_lowercase();
        if let Some(index) = self.exact.get(&host) {
            return Some(found(index, host));
        }
        for (length, suffixes) in &self.suffixes {
            let suffix = host.len().checked_sub(*length).filter(|at| *at > 0).and_then(|at| host.get(at..));
            if let Some((suffix, index)) = suffix.and_then(|s| suffixes.get_key_value(s)) {
                return Some(found(index, format!("*{suffix}")));
            }
        }
        for (length, prefixes) in &self.prefixes {
            let prefix = host.get(..*length).filter(|_| host.len() > *length);
            if let Some((prefix, index)) = prefix.and_then(|p| prefixes.get_key_value(p)) {
                return Some(found(index, format!("{prefix}*")));
            }
        }
        self.any.as_ref().map(|index| found(index, "*".to_owned()))
    }
}

fn insert(groups: &mut Vec<(usize, HashMap<String, usize>)>, text: &str, index: usize) {
    let position = groups.iter().position(|(length, _)| *length == text.len()).unwrap_or_else(|| {
        groups.push((text.len(), HashMap::new()));
        groups.len() - 1
    });
    if let Some((_, group)) = groups.get_mut(position) {
        group.entry(text.to_owned()).or_insert(index);
    }
}

impl Domains {
    /// Domains that look like the host but don't match it, each with what differs.
    pub(crate) fn near(&self, table: &RouteTable, host: &str) -> Vec<Rejected> {
        let host = host.to_lowercase();
        let bare = without_port(&host);
        let first = bare.split('.').next().unwrap_or_default();
        let like = self.like.get_or_init(|| Like::of(table));
        let entries = like.hosts(bare, first).filter_map(|index| table.virtual_hosts.get(index));
        let near = entries.filter_map(|entry| {
            let because = entry.domains.iter().find_map(|domain| nearly(domain, &host, bare, first))?;
            Some(Rejected { name: entry.name.clone(), because })
        });
        near.take(2).collect()
    }
}

/// Virtual hosts by the parts of their domains that a mistaken host may have in common with them.
#[derive(Debug, Default)]
struct Like {
    /// By the hash of a part, indices in the table in ascending order.
    by_part: HashMap<u64, Vec<usize>>,
}

impl Like {
    fn of(table: &RouteTable) -> Self {
        let mut like = Self::default();
        for (index, entry) in table.virtual_hosts.iter().enumerate() {
            for domain in &entry.domains {
                let domain = lower(domain);
                let first = domain.split('.').next().unwrap_or_default();
                let suffix = domain.strip_prefix('*').unwrap_or_default();
                for part in [without_port(&domain), first, suffix, suffix.trim_start_matches('.')] {
                    let hosts = like.by_part.entry(Self::key(part)).or_default();
                    if hosts.last() != Some(&index) {
                        hosts.push(index);
                    }
                }
            }
        }
        like
    }

    fn key(part: &str) -> u64 {
        xxh64(part.as_bytes(), 0)
    }

    /// Virtual hosts that have either part, in the order of the table.
    fn hosts(&self, bare: &str, first: &str) -> impl Iterator<Item = usize> {
        let of = |part: &str| self.by_part.get(&Self::key(part)).map(Vec::as_slice).unwrap_or_default().iter();
        let (mut a, mut b) = (of(bare).peekable(), of(first).peekable());
        std::iter::from_fn(move || {
            let next = match (a.peek(), b.peek()) {
                (Some(a), Some(b)) => **a.min(b),
                (Some(one), None) | (None, Some(one)) => **one,
                (None, None) => return None,
            };
            a.next_if(|index| **index == next);
            b.next_if(|index| **index == next);
            Some(next)
        })
    }
}

fn lower(text: &str) -> Cow<'_, str> {
    if text.bytes().all(|b| b.is_ascii() && !b.is_ascii_uppercase()) {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(text.to_lowercase())
    }
}

fn without_port(host: &str) -> &str {
    super::path::port_start(host).map_or(host, |colon| host.get(..colon).unwrap_or_default())
}

fn nearly(domain: &str, host: &str, bare: &str, first: &str) -> Option<String> {
    let domain = lower(domain);
    if without_port(&domain) == bare && domain != host {
        return Some(format!("the port is part of the name: {domain} isn't {host}"));
    }
    if let Some(suffix) = domain.strip_prefix('*').filter(|s| !s.is_empty())
        && (suffix.trim_start_matches('.') == bare || suffix == bare)
    {
        return Some(format!("{domain} wants at least one character before {suffix}"));
    }
    (!first.is_empty() && domain.split('.').next() == Some(first) && domain != host)
        .then(|| format!("its domain is {domain}"))
}

/// Name for messages.
pub(crate) fn display_name(entry: &VirtualHostEntry) -> String {
    if entry.name.is_empty() { entry.domains.first().cloned().unwrap_or_default() } else { entry.name.clone() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::proto::envoy::config::route::v3::{RouteConfiguration, VirtualHost};

    /// Names of few letters, so that they meet.
    const NAME: &str = r"\*?[aB]{0,3}(\.[ab]{1,2})?\*?";

    proptest! {
        #[test]
        fn both_ways_find_the_same(
            hosts in prop::collection::vec(prop::collection::vec(NAME, 1..4), 0..6),
            host in prop::option::of("[aAb]{0,3}(\\.[ab]{1,2})?"),
        ) {
            let host_of = |domains: Vec<String>| VirtualHost { domains, ..VirtualHost::default() };
            let virtual_hosts = hosts.into_iter().map(host_of).collect();
            let table = RouteTable::of(RouteConfiguration { virtual_hosts, ..RouteConfiguration::default() });
            let lookup = Lookup::of(&table);
            prop_assert_eq!(find(&table, host.as_deref()), lookup.find(host.as_deref()));
            let name = host.unwrap_or_default().to_lowercase();
            prop_assert_eq!(exact(&table, &name), lookup.exact.get(&name).copied());
        }
    }
}
