//! The list behind `proxy-status` (spec/istioctl.md §4).
//!
//! istiod says which of its pushes a proxy has taken; the proxy's own dump adds why it rejected one.

mod held;

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::Serialize;

pub use held::{HeldProxy, HeldType, held_proxy};

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
    /// One an instance of istiod, by name.
    pub istiods: Vec<IstiodRow>,
    /// Whether any dump of a proxy was looked at.
    pub has_dumps: bool,
}

/// One proxy.
#[derive(Debug, Clone, PartialEq)]
pub struct ProxyStatusRow {
    /// The proxy as istiod sees it, or as its own dump has it where no istiod knows it.
    pub client: Client,
    /// The istiod it is connected to; `None` if none knows it.
    pub istiod: Option<String>,
    /// Its dump, if that is among the files.
    pub dump: Option<HeldProxy>,
}

/// One instance of istiod.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct IstiodRow {
    /// Its name.
    pub istiod: String,
    /// Proxies connected to it.
    pub proxies: usize,
    /// Those that haven't all that was sent to them.
    pub not_synced: usize,
}

/// One proxy as plain data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ProxyStatusAnswer {
    /// Name and version of this form.
    pub schema: &'static str,
    /// `<pod>.<namespace>`.
    pub name: String,
    /// Cluster it is in.
    pub cluster: String,
    /// The istiod it is connected to; absent if none of those that answered knows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub istiod: Option<String>,
    /// Istio release of the proxy.
    pub version: String,
    /// What isn't synced, in words.
    pub status: String,
    /// State of each type.
    pub types: Vec<TypeStatusAnswer>,
    /// File of the proxy's own dump; absent if there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dump: Option<String>,
}

/// The state of one type of resources.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TypeStatusAnswer {
    /// `CDS`, `LDS` …
    #[serde(rename = "type")]
    pub kind: String,
    /// `SYNCED`, `STALE`, `NOT SENT`, `ERROR`, `IGNORED` or `UNKNOWN`.
    pub status: &'static str,
    /// Time of the last push; of the last change in the dump where istiod doesn't say it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_updated: Option<String>,
    /// Seconds from then to the time that ages are counted to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub age_seconds: Option<i64>,
    /// What the proxy said when it rejected a push.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Rejections that stand in the proxy's dump.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rejections: Vec<String>,
}

/// One instance of istiod as plain data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct IstiodAnswer {
    /// Name and version of this form.
    pub schema: &'static str,
    /// What it carries.
    #[serde(flatten)]
    pub load: IstiodRow,
}

/// Proxies of all control planes and dumps by name; those of one namespace, if it is given. What an istiod carries is
/// counted over all of them.
#[must_use]
pub fn proxy_status(planes: &[ControlPlane], dumps: &[HeldProxy], namespace: Option<&str>) -> ProxyStatus {
    let clients = planes.iter().flat_map(|plane| plane.clients.iter().map(move |client| (plane, client)));
    let mut rows: Vec<ProxyStatusRow> = clients
        .map(|(plane, client)| {
            let dump = dumps.iter().find(|dump| dump.name == client.name).cloned();
            let mut client = client.clone();
            if let Some(dump) = &dump {
                add_dump(&mut client, dump);
            }
            ProxyStatusRow { client, istiod: Some(plane.name.to_string()), dump }
        })
        .collect();
    let is_known = |dump: &HeldProxy| planes.iter().any(|plane| plane.clients.iter().any(|one| one.name == dump.name));
    let unknown = dumps.iter().filter(|dump| !is_known(dump));
    rows.extend(unknown.map(|dump| ProxyStatusRow { client: client_of(dump), istiod: None, dump: Some(dump.clone()) }));
    rows.sort_by(|a, b| a.client.name.cmp(&b.client.name));
    let mut rows = newest_of_each(rows);
    // Two answers of one istiod may be in a folder, one of them without its name.
    let idle = planes.iter().filter(|plane| plane.clients.is_empty()).map(|plane| plane.name.to_string());
    let istiods: BTreeSet<String> = rows.iter().filter_map(|row| row.istiod.clone()).chain(idle).collect();
    let load = |istiod: String| {
        let of = || rows.iter().filter(|row| row.istiod.as_ref() == Some(&istiod));
        let (proxies, not_synced) = (of().count(), of().filter(|row| !row.is_synced()).count());
        IstiodRow { istiod: istiod.clone(), proxies, not_synced }
    };
    let istiods = istiods.into_iter().map(load).collect();
    rows.retain(|row| namespace.is_none_or(|namespace| row.client.namespace == namespace));
    let types: BTreeSet<&String> = rows.iter().flat_map(|row| row.client.types.keys()).collect();
    let types = types.into_iter().cloned().collect();
    ProxyStatus { rows, types, istiods, has_dumps: !dumps.is_empty() }
}

/// Of several answers of one istiod about a proxy the newest. A proxy that two instances know is connected to both.
fn newest_of_each(rows: Vec<ProxyStatusRow>) -> Vec<ProxyStatusRow> {
    let unnamed = Instance::Missing.to_string();
    let is_one = |a: &ProxyStatusRow, b: &ProxyStatusRow| {
        a.client.name == b.client.name
            && (a.istiod == b.istiod || [a, b].iter().any(|row| row.istiod.as_ref() == Some(&unnamed)))
    };
    let time = |row: &ProxyStatusRow| row.client.types.values().filter_map(|sync| sync.last_updated).max();
    let mut kept: Vec<ProxyStatusRow> = Vec::with_capacity(rows.len());
    for row in rows {
        match kept.last_mut().filter(|last| is_one(last, &row)) {
            Some(last) if time(last) < time(&row) => *last = row,
            Some(_) => {}
            None => kept.push(row),
        }
    }
    kept
}

/// Adds what only the proxy's own dump knows: why it rejected what istiod only sees not acknowledged, and the age of what
/// istiod has no time of.
fn add_dump(client: &mut Client, dump: &HeldProxy) {
    for (url, sync) in &mut client.types {
        let Some(held) = dump.types.get(url) else { continue };
        if sync.status == SyncStatus::Stale && !held.rejections.is_empty() {
            sync.status = SyncStatus::Error;
            sync.error = Some(held.rejections.join("; "));
        }
        if sync.status == SyncStatus::Synced && sync.last_updated.is_none() {
            sync.last_updated = held.last_updated;
        }
    }
}

/// A proxy that no istiod knows: whether it has what was sent isn't known, unless it has rejected it.
fn client_of(dump: &HeldProxy) -> Client {
    let types = dump.types.iter().map(|(url, held)| {
        let status = if held.rejections.is_empty() { SyncStatus::Unknown } else { SyncStatus::Error };
        let error = (!held.rejections.is_empty()).then(|| held.rejections.join("; "));
        (url.clone(), TypeSync { status, last_updated: held.last_updated, error })
    });
    Client {
        name: dump.name.clone(),
        cluster: dump.cluster.clone(),
        namespace: dump.namespace.clone(),
        version: dump.version.clone(),
        types: types.collect(),
    }
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
            let age = age(sync.last_updated, now);
            let kind = short_type(url);
            match sync.status {
                SyncStatus::Ignored | SyncStatus::Synced | SyncStatus::Unknown => {}
                SyncStatus::Error => {
                    let error = sync.error.as_deref().map(|error| format!(": {error}")).unwrap_or_default();
                    let ago = age.map(|age| format!(" {age} ago")).unwrap_or_default();
                    found.push((sync.status, format!("{kind} rejected{ago}{}", error.trim_end())));
                }
                SyncStatus::Stale => {
                    let since = age.map(|age| format!(" for {age}")).unwrap_or_default();
                    found.push((sync.status, format!("{kind} STALE{since}")));
                }
                SyncStatus::NotSent => found.push((sync.status, format!("{kind} NOT SENT"))),
            }
            let rejections =
                row.dump.as_ref().and_then(|dump| dump.types.get(url)).map(|held| held.rejections.as_slice());
            if sync.status != SyncStatus::Error {
                for rejection in rejections.unwrap_or_default() {
                    found.push((SyncStatus::Error, format!("{kind} rejected by its dump: {rejection}")));
                }
            }
        }
        found.sort_by_key(|(status, _)| std::cmp::Reverse(*status));
        let mut all: Vec<String> = found.into_iter().map(|(_, text)| text).collect();
        if all.is_empty() {
            all.push(if row.istiod.is_some() { "SYNCED" } else { "UNKNOWN" }.to_owned());
        }
        if row.istiod.is_none() && !self.istiods.is_empty() {
            all.push("istiod doesn't know it".to_owned());
        }
        if row.dump.is_none() && self.has_dumps {
            all.push("no dump of it".to_owned());
        }
        all.join("; ")
    }

    /// The rows as plain data, ages counted to `now`.
    #[must_use]
    pub fn answers(&self, now: Option<Timestamp>) -> Vec<ProxyStatusAnswer> {
        let of_type = |row: &ProxyStatusRow, url: &str, sync: &TypeSync| TypeStatusAnswer {
            kind: short_type(url).to_owned(),
            status: sync.status.as_str(),
            last_updated: sync.last_updated.map(|time| time.to_string()),
            age_seconds: now.zip(sync.last_updated).map(|(now, then)| now.as_second() - then.as_second()),
            error: sync.error.clone(),
            rejections: row
                .dump
                .as_ref()
                .and_then(|dump| dump.types.get(url))
                .map(|held| held.rejections.clone())
                .unwrap_or_default(),
        };
        let rows = self.rows.iter().map(|row| ProxyStatusAnswer {
            schema: "xdsight.proxy-status/1",
            name: row.client.name.clone(),
            cluster: row.client.cluster.clone(),
            istiod: row.istiod.clone(),
            version: row.client.version.clone(),
            status: self.trouble(row, now),
            types: row.client.types.iter().map(|(url, sync)| of_type(row, url, sync)).collect(),
            dump: row.dump.as_ref().map(|dump| dump.file.clone()),
        });
        rows.collect()
    }

    /// What each istiod carries, as plain data.
    #[must_use]
    pub fn istiod_answers(&self) -> Vec<IstiodAnswer> {
        let istiods = self.istiods.iter();
        istiods.map(|load| IstiodAnswer { schema: "xdsight.istiod-load/1", load: load.clone() }).collect()
    }
}

impl ProxyStatusRow {
    /// Name of the istiod, or a dash.
    #[must_use]
    pub fn istiod(&self) -> &str {
        self.istiod.as_deref().unwrap_or("-")
    }

    /// Whether it has everything that was sent to it.
    fn is_synced(&self) -> bool {
        self.client.types.values().all(|sync| matches!(sync.status, SyncStatus::Synced | SyncStatus::Ignored))
    }

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

/// The newest push or change that was heard of: what ages are counted to where nothing else is said.
#[must_use]
pub fn newest_push(planes: &[ControlPlane], dumps: &[HeldProxy]) -> Option<Timestamp> {
    let types = planes.iter().flat_map(|plane| &plane.clients).flat_map(|client| client.types.values());
    let held = dumps.iter().flat_map(|dump| dump.types.values());
    types.filter_map(|sync| sync.last_updated).chain(held.filter_map(|held| held.last_updated)).max()
}

fn age(since: Option<Timestamp>, now: Option<Timestamp>) -> Option<String> {
    let nanoseconds = now?.as_nanosecond() - since?.as_nanosecond();
    // Cut, not rounded.
    Some(human_duration(i64::try_from(nanoseconds / 1_000_000_000).unwrap_or(i64::MAX)))
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
