//! Which virtual host an authority leads to (semantics §4.3).

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::OnceLock;

use xxhash_rust::xxh64::xxh64;

use super::outcome::Rejected;
use crate::dump::{RouteTable, VirtualHostEntry};

/// The domains of a route configuration, ready for look-up.
#[derive(Debug, Default)]
pub(crate) struct Domains {
    exact: HashMap<String, usize>,
    /// Suffixes of `*…` domains by length, the longest first.
    suffixes: Vec<(usize, HashMap<String, usize>)>,
    /// Prefixes of `…*` domains by length, the longest first.
    prefixes: Vec<(usize, HashMap<String, usize>)>,
    any: Option<usize>,
    /// Made when a host has no virtual host.
    like: OnceLock<Like>,
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
    /// Builds the look-up; of a domain that stands twice the first counts (Envoy rejects such a configuration).
    pub(crate) fn of(table: &RouteTable) -> Self {
        let mut domains = Self::default();
        for (index, host) in table.virtual_hosts.iter().enumerate() {
            for domain in &host.domains {
                domains.add(&lower(domain), index);
            }
        }
        domains.suffixes.sort_by_key(|(length, _)| std::cmp::Reverse(*length));
        domains.prefixes.sort_by_key(|(length, _)| std::cmp::Reverse(*length));
        domains
    }

    fn add(&mut self, domain: &str, index: usize) {
        if domain == "*" {
            self.any.get_or_insert(index);
        } else if let Some(suffix) = domain.strip_prefix('*') {
            insert(&mut self.suffixes, suffix, index);
        } else if let Some(prefix) = domain.strip_suffix('*') {
            insert(&mut self.prefixes, prefix, index);
        } else {
            self.exact.entry(domain.to_owned()).or_insert(index);
        }
    }

    /// Whether `*` is the only domain: then it isn't asked for the host at all.
    fn only_any(&self) -> bool {
        self.exact.is_empty() && self.suffixes.is_empty() && self.prefixes.is_empty()
    }

    /// The first virtual host that lists the name itself, in lower case.
    pub(crate) fn exact(&self, name: &str) -> Option<usize> {
        self.exact.get(name).copied()
    }

    /// The virtual host for a host: exact, longest suffix, longest prefix, `*`. A request that has none, which isn't one
    /// with an empty one, gets `*` only where there is no other domain.
    pub(crate) fn find(&self, host: Option<&str>) -> Option<Found> {
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
