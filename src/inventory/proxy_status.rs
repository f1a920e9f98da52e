//! The list behind `proxy-status` (spec/istioctl.md §4).

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::Serialize;

use crate::dump::sync::{Client, ControlPlane, Instance, SyncStatus, TypeSync, short_type};

/// The types that every table has, in the order of the one-line form.
const FIRST: [&str; 4] = [
    "type.googleapis.com/envoy.config.cluster.v3.Cluster",
    "type.googleapis.com/envoy.config.listener.v3.Listener",
    "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment",
    "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
];

const ECDS: &str = "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig";

/// Proxies and the types that they are listed with.
#[derive(Debug, Clone, PartialEq)]
pub struct ProxyStatus {
    /// One a proxy, by name.
    pub rows: Vec<ProxyStatusRow>,
    /// Type URLs that any proxy was heard of with, in ascending order.
    pub types: Vec<String>,
}

/// One proxy.
#[derive(Debug, Clone, PartialEq)]
pub struct ProxyStatusRow {
    /// The proxy as istiod sees it.
    pub client: Client,
    /// The istiod it is connected to.
    pub istiod: String,
}

/// One proxy as plain data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ProxyStatusAnswer {
    /// `<pod>.<namespace>`.
    pub name: String,
    /// Cluster it is in.
    pub cluster: String,
    /// The istiod it is connected to.
    pub istiod: String,
    /// Istio release of the proxy.
    pub version: String,
    /// State of each type.
    pub types: Vec<TypeStatusAnswer>,
}

/// The state of one type of resources.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TypeStatusAnswer {
    /// `CDS`, `LDS` …
    #[serde(rename = "type")]
    pub kind: String,
    /// `SYNCED`, `STALE`, `NOT SENT`, `ERROR` or `IGNORED`.
    pub status: &'static str,
    /// Time of the last push.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_updated: Option<String>,
    /// What the proxy said when it rejected a push.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Proxies of all control planes by name; those of one namespace, if it is given.
#[must_use]
pub fn proxy_status(planes: &[ControlPlane], namespace: Option<&str>) -> ProxyStatus {
    let mut rows: Vec<ProxyStatusRow> = planes
        .iter()
        .flat_map(|plane| plane.clients.iter().map(move |client| (plane, client)))
        .filter(|(_, client)| namespace.is_none_or(|namespace| client.namespace == namespace))
        .map(|(plane, client)| ProxyStatusRow { client: client.clone(), istiod: plane.name.to_string() })
        .collect();
    rows.sort_by(|a, b| a.client.name.cmp(&b.client.name));
    let types: BTreeSet<&String> = rows.iter().flat_map(|row| row.client.types.keys()).collect();
    let types = types.into_iter().cloned().collect();
    ProxyStatus { rows, types }
}

impl std::fmt::Display for Instance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Named(name) => name,
            Self::Missing => "MISSING",
            Self::Invalid => "INVALID",
        })
    }
}

impl ProxyStatus {
    /// Types in the order of the one-line form: CDS, LDS, EDS and RDS, then the others by URL.
    fn in_order(&self) -> impl Iterator<Item = &str> {
        let first = FIRST.into_iter().filter(|url| self.types.iter().any(|seen| seen == url));
        first.chain(self.types.iter().map(String::as_str).filter(|url| !FIRST.contains(url)))
    }

    /// Columns of the long form: every type seen and those that all proxies may ask for, by URL.
    #[must_use]
    pub fn columns(&self) -> Vec<&str> {
        let all: BTreeSet<&str> = self.types.iter().map(String::as_str).chain(FIRST).chain([ECDS]).collect();
        all.into_iter().collect()
    }

    /// `4 (CDS,LDS,EDS,RDS)`: the types that a proxy asks for.
    #[must_use]
    pub fn subscribed(&self, row: &ProxyStatusRow) -> String {
        let asked = |url: &&str| row.status(url).is_some_and(|sync| sync.status != SyncStatus::Ignored);
        let names: Vec<&str> = self.in_order().filter(asked).map(short_type).collect();
        if names.is_empty() { "0".to_owned() } else { format!("{} ({})", names.len(), names.join(",")) }
    }

    /// What isn't as it should be, the worst first; `SYNCED` if all is.
    #[must_use]
    pub fn trouble(&self, row: &ProxyStatusRow, now: Option<Timestamp>) -> String {
        let mut found: Vec<(SyncStatus, String)> = Vec::new();
        for url in self.in_order() {
            let Some(sync) = row.status(url) else { continue };
            let age = age(sync.last_updated, now).map(|age| format!(" for {age}")).unwrap_or_default();
            match sync.status {
                SyncStatus::Ignored | SyncStatus::Synced => {}
                SyncStatus::Error => {
                    let error = sync.error.as_deref().map(|error| format!(": {error}")).unwrap_or_default();
                    found.push((sync.status, format!("{} rejected{age}{}", short_type(url), error.trim_end())));
                }
                SyncStatus::Stale => found.push((sync.status, format!("{} STALE{age}", short_type(url)))),
                SyncStatus::NotSent => found.push((sync.status, format!("{} NOT SENT", short_type(url)))),
            }
        }
        if found.is_empty() {
            return "SYNCED".to_owned();
        }
        found.sort_by_key(|(status, _)| std::cmp::Reverse(*status));
        found.into_iter().map(|(_, text)| text).collect::<Vec<_>>().join("; ")
    }

    /// The rows as plain data.
    #[must_use]
    pub fn answers(&self) -> Vec<ProxyStatusAnswer> {
        let of_type = |url: &str, sync: &TypeSync| TypeStatusAnswer {
            kind: short_type(url).to_owned(),
            status: sync.status.as_str(),
            last_updated: sync.last_updated.map(|time| time.to_string()),
            error: sync.error.clone(),
        };
        let rows = self.rows.iter().map(|row| ProxyStatusAnswer {
            name: row.client.name.clone(),
            cluster: row.client.cluster.clone(),
            istiod: row.istiod.clone(),
            version: row.client.version.clone(),
            types: row.client.types.iter().map(|(url, sync)| of_type(url, sync)).collect(),
        });
        rows.collect()
    }
}

impl ProxyStatusRow {
    /// The state of a type; `None` if nothing was heard of it.
    #[must_use]
    pub fn status(&self, url: &str) -> Option<&TypeSync> {
        self.client.types.get(url)
    }

    /// `SYNCED (2s)`: the state of a type and its age.
    #[must_use]
    pub fn cell(&self, url: &str, now: Option<Timestamp>) -> String {
        let Some(sync) = self.status(url) else { return SyncStatus::Ignored.as_str().to_owned() };
        let age = match sync.status {
            SyncStatus::Ignored | SyncStatus::NotSent => None,
            _ => age(sync.last_updated, now),
        };
        match age {
            Some(age) => format!("{} ({age})", sync.status.as_str()),
            None => sync.status.as_str().to_owned(),
        }
    }
}

/// The newest push that was heard of: what ages are counted to where nothing else is said.
#[must_use]
pub fn newest_push(planes: &[ControlPlane]) -> Option<Timestamp> {
    let types = planes.iter().flat_map(|plane| &plane.clients).flat_map(|client| client.types.values());
    types.filter_map(|sync| sync.last_updated).max()
}

fn age(since: Option<Timestamp>, now: Option<Timestamp>) -> Option<String> {
    let seconds = now?.as_second() - since?.as_second();
    Some(human_duration(seconds))
}

/// A duration as Kubernetes shows ages: two units at most, cut and not rounded.
fn human_duration(seconds: i64) -> String {
    if seconds < -1 {
        return "<invalid>".to_owned();
    }
    let seconds = seconds.max(0);
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    let two = |a: i64, unit: char, b: i64, of: char| {
        if b == 0 { format!("{a}{unit}") } else { format!("{a}{unit}{b}{of}") }
    };
    match () {
        () if seconds < 120 => format!("{seconds}s"),
        () if minutes < 10 => two(minutes, 'm', seconds % 60, 's'),
        () if minutes < 180 => format!("{minutes}m"),
        () if hours < 8 => two(hours, 'h', minutes % 60, 'm'),
        () if hours < 48 => format!("{hours}h"),
        () if hours < 192 => two(days, 'd', hours % 24, 'h'),
        () if days < 730 => format!("{days}d"),
        () if days < 2920 => two(days / 365, 'y', days % 365, 'd'),
        () => format!("{}y", days / 365),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_cut_as_kubernetes_does() {
        for (seconds, text) in [
            (-1, "0s"),
            (-5, "<invalid>"),
            (119, "119s"),
            (120, "2m"),
            (599, "9m59s"),
            (600, "10m"),
            (10_800, "3h"),
            (11_100, "3h5m"),
            (28_800, "8h"),
            (172_800, "2d"),
            (176_400, "2d1h"),
            (691_200, "8d"),
            (63_072_000, "2y"),
            (63_158_400, "2y1d"),
            (252_288_000, "8y"),
        ] {
            assert_eq!(human_duration(seconds), text, "{seconds}");
        }
    }
}
