//! Which virtual host an authority leads to (semantics §4.3).

use std::collections::HashMap;

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
                domains.add(&domain.to_lowercase(), index);
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

/// Domains that look like the host but don't match it, each with what differs.
pub(crate) fn near(table: &RouteTable, host: &str, except: Option<usize>) -> Vec<Rejected> {
    let host = host.to_lowercase();
    let bare = super::path::port_start(&host).map_or(host.as_str(), |colon| host.get(..colon).unwrap_or_default());
    let first = bare.split('.').next().unwrap_or_default();
    let mut out = Vec::new();
    for (index, entry) in table.virtual_hosts.iter().enumerate() {
        if Some(index) == except || out.len() == 2 {
            continue;
        }
        if let Some(because) = entry.domains.iter().find_map(|domain| nearly(domain, &host, bare, first)) {
            out.push(Rejected { name: entry.name.clone(), because });
        }
    }
    out
}

fn nearly(domain: &str, host: &str, bare: &str, first: &str) -> Option<String> {
    let domain = domain.to_lowercase();
    let domain_bare =
        super::path::port_start(&domain).map_or(domain.as_str(), |colon| domain.get(..colon).unwrap_or_default());
    if domain_bare == bare && domain != host {
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
