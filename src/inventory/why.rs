//! Why a cluster or a route configuration is there: what refers to it, and the listeners that lead there.

use std::collections::HashSet;

use serde::Serialize;

use crate::dump::Proxy;
use crate::graph::{Graph, NodeId, NodeKind, Reach};

/// A reference to a resource, or that there is none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Why {
    /// What is referred to, `kind:name`.
    pub resource: String,
    /// What refers to it; absent if nothing does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// How.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub how: Option<String>,
    /// Listeners from which it is reached this way, in the order of the dump.
    pub listeners: Vec<String>,
    /// File in which the reference stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Line in that file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
}

/// References to the clusters of these names, in every state.
#[must_use]
pub fn why_cluster(proxy: &Proxy, names: &[&str]) -> Vec<Why> {
    why(proxy, NodeKind::Cluster, names)
}

/// References to the route configurations of these names.
#[must_use]
pub fn why_route(proxy: &Proxy, names: &[&str]) -> Vec<Why> {
    why(proxy, NodeKind::RouteConfiguration, names)
}

fn why(proxy: &Proxy, kind: NodeKind, names: &[&str]) -> Vec<Why> {
    let graph = Graph::build(proxy);
    let mut out = Vec::new();
    let mut seen = HashSet::new();
    for name in names.iter().filter(|name| seen.insert(**name)) {
        let nodes = graph.nodes().filter(|(_, node)| node.kind == kind && node.name.as_ref() == *name);
        for (id, node) in nodes {
            let users = graph.users_of(id);
            if users.is_empty() {
                let (from, how, listeners, file, line) = (None, None, Vec::new(), None, None);
                out.push(Why { resource: node.id(), from, how, listeners, file, line });
            }
            for (user, how) in users {
                let Some(from) = graph.node(user) else { continue };
                let origin = from.origin.as_ref();
                out.push(Why {
                    resource: node.id(),
                    from: Some(from.id()),
                    how: Some(how.to_string()),
                    listeners: listeners(&graph, user),
                    file: origin.map(|origin| origin.file().to_owned()),
                    line: origin.and_then(crate::dump::Origin::line),
                });
            }
        }
    }
    out
}

/// The listeners that lead to a node.
fn listeners(graph: &Graph, id: NodeId) -> Vec<String> {
    let above = graph.around(id, None, Reach::Up);
    let nodes = above.into_iter().filter_map(|id| graph.node(id));
    nodes.filter(|node| node.kind == NodeKind::Listener).map(|node| node.id()).collect()
}
