//! Secrets in words: how long their certificates last, who uses them, why one isn't there yet.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::SecretRow;
use crate::dump::{Proxy, State};
use crate::graph::{Graph, NodeId, NodeKind, Reach};

/// A secret in words.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct SecretDetail {
    /// Days until the certificate ends, cut; negative once it has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub days_left: Option<i64>,
    /// Listeners and clusters that use it, `kind:name`, in the order of the dump.
    pub users: Vec<String>,
    /// Why it isn't in force, or its certificate isn't valid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

const DAY: i64 = 24 * 60 * 60;

/// The details of rows, in their order; days are counted from `as_of`, else from the newest time of the input.
#[must_use]
pub fn secret_details(proxy: &Proxy, rows: &[SecretRow], as_of: Option<Timestamp>) -> Vec<SecretDetail> {
    let as_of = as_of.or_else(|| super::newest(proxy));
    let graph = Graph::build(proxy);
    let mut nodes: BTreeMap<&str, Vec<NodeId>> = BTreeMap::new();
    for (id, node) in graph.nodes().filter(|(_, node)| node.kind == NodeKind::Secret) {
        nodes.entry(&node.name).or_default().push(id);
    }
    let waiting = waiting(proxy);
    let detail = |row: &SecretRow| {
        let end = row.certificate.as_ref().and_then(|certificate| certificate.not_after.parse::<Timestamp>().ok());
        let left = as_of.zip(end).map(|(now, end)| (end.as_second() - now.as_second()).div_euclid(DAY));
        let secret =
            proxy.secrets().iter().find(|secret| secret.name == row.name && secret.state.to_string() == row.state);
        let is_warming = secret.is_some_and(|secret| secret.state == State::Warming);
        let rejection =
            secret.and_then(|secret| secret.envelope().error.as_ref()).map(|error| error.details.trim().to_owned());
        let reason = match rejection.filter(|text| !text.is_empty()) {
            Some(text) => Some(format!("rejected: {text}")),
            None if is_warming => Some(match waiting.get(row.name.as_str()) {
                Some(who) => format!("SDS hasn't delivered it; {} waits", who.join(", ")),
                None => "SDS hasn't delivered it".to_owned(),
            }),
            None => None,
        };
        let reason = match (reason, invalid(row, as_of)) {
            (Some(reason), Some(invalid)) => Some(format!("{reason}; {invalid}")),
            (reason, invalid) => reason.or(invalid),
        };
        let ids = nodes.get(row.name.as_str()).map(Vec::as_slice).unwrap_or_default();
        SecretDetail { days_left: left, users: users(&graph, ids), reason }
    };
    rows.iter().map(detail).collect()
}

/// Why a certificate isn't valid at that time.
fn invalid(row: &SecretRow, as_of: Option<Timestamp>) -> Option<String> {
    let certificate = row.certificate.as_ref().filter(|certificate| !certificate.valid)?;
    let Some(now) = as_of else { return Some("the input has no time to judge it at".to_owned()) };
    let start: Timestamp = certificate.not_before.parse().ok()?;
    Some(if now.as_second() <= start.as_second() {
        format!("not yet valid at {now}")
    } else {
        format!("expired at {now}")
    })
}

/// The listeners and clusters that lead to a secret in any of its states.
fn users(graph: &Graph, secrets: &[NodeId]) -> Vec<String> {
    let mut users = BTreeSet::new();
    for secret in secrets {
        // A listener is two references away, by its chain; further up are routes to the clusters.
        for id in graph.around(*secret, Some(2), Reach::Up) {
            let is_user = |kind| match kind {
                NodeKind::Listener => true,
                NodeKind::Cluster => graph.users_of(*secret).iter().any(|(user, _)| *user == id),
                _ => false,
            };
            if graph.node(id).is_some_and(|node| is_user(node.kind)) {
                users.insert(id);
            }
        }
    }
    users.into_iter().filter_map(|id| graph.node(id)).map(crate::graph::Node::id).collect()
}

/// Who waits for each secret, by `/init_dump`.
fn waiting(proxy: &Proxy) -> BTreeMap<&str, Vec<String>> {
    let mut waiting: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for dump in proxy.init_dump().map(|all| all.unready_targets_dumps.as_slice()).unwrap_or_default() {
        // `init manager Listener-local-init-manager NAME HASH`
        let who = match dump.name.strip_prefix("init manager Listener-local-init-manager ") {
            Some(rest) => format!("listener {}", rest.rsplit_once(' ').map_or(rest, |(name, _)| name)),
            None => dump.name.trim_start_matches("init manager ").to_owned(),
        };
        for target in &dump.target_names {
            if let Some((_, name)) = target.split_once("SdsApi ") {
                waiting.entry(name).or_default().push(who.clone());
            }
        }
    }
    waiting
}
