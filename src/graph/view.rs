//! A part of a graph as plain data, ready to be written out.

use std::collections::{BTreeMap, BTreeSet};

use petgraph::Direction;
use petgraph::visit::EdgeRef as _;

use super::node::{EdgeKind, NodeKind, Presence};
use super::{Graph, NodeId, Selection};
use crate::dump::Origin;

/// Nodes and the references between them.
#[derive(Debug, Clone, Default)]
pub struct View {
    /// Nodes in the order of the dump.
    pub nodes: Vec<ViewNode>,
    /// References, ordered by what refers.
    pub edges: Vec<ViewEdge>,
}

/// A node of a view.
#[derive(Debug, Clone)]
pub struct ViewNode {
    /// Its place in the graph.
    pub node: NodeId,
    /// `kind:name`, unique in the graph.
    pub id: String,
    /// What it is.
    pub kind: NodeKind,
    /// Its name.
    pub name: String,
    /// Whether the file holds it.
    pub presence: Presence,
    /// What tells it from its neighbours.
    pub detail: Option<String>,
    /// Number of endpoints that are not shown as nodes.
    pub endpoints: Option<usize>,
    /// Where it stands.
    pub origin: Option<Origin>,
}

/// A reference of a view.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ViewEdge {
    /// Index of the node that refers.
    pub from: usize,
    /// Index of the node that is referred to.
    pub to: usize,
    /// How.
    pub kind: EdgeKind,
}

impl Graph {
    /// The selected nodes, or all, and the references among them. Endpoints become a count at their load assignment,
    /// except those asked for in `keep`; with `endpoints` they are all nodes.
    #[must_use]
    pub fn view(&self, selection: Option<&Selection>, keep: &[NodeId], endpoints: bool) -> View {
        let is_shown = |id: NodeId| {
            let folded =
                !endpoints && !keep.contains(&id) && self.node(id).is_some_and(|node| node.kind == NodeKind::Endpoint);
            !folded
        };
        let selected = |id: NodeId| selection.is_none_or(|selection| selection.contains(&id));
        let shown: Vec<NodeId> = self.nodes.node_indices().filter(|id| selected(*id) && is_shown(*id)).collect();
        let places: BTreeMap<NodeId, usize> = shown.iter().enumerate().map(|(place, id)| (*id, place)).collect();
        let mut view = View::default();
        let mut edges = BTreeSet::new();
        for (from, id) in shown.iter().enumerate() {
            let Some(node) = self.node(*id) else { continue };
            let mut folded = 0;
            for edge in self.nodes.edges_directed(*id, Direction::Outgoing) {
                if let Some(to) = places.get(&edge.target()) {
                    edges.insert(ViewEdge { from, to: *to, kind: *edge.weight() });
                } else if !is_shown(edge.target()) {
                    folded += 1;
                    // What a folded endpoint leads to, its load assignment leads to.
                    for behind in self.nodes.edges_directed(edge.target(), Direction::Outgoing) {
                        if let Some(to) = places.get(&behind.target()) {
                            edges.insert(ViewEdge { from, to: *to, kind: *behind.weight() });
                        }
                    }
                }
            }
            view.nodes.push(ViewNode {
                node: *id,
                id: node.id(),
                kind: node.kind,
                name: node.name.to_string(),
                presence: node.presence,
                detail: node.detail.clone(),
                endpoints: (node.kind == NodeKind::LoadAssignment && !endpoints && node.origin.is_some())
                    .then_some(folded),
                origin: node.origin.clone(),
            });
        }
        view.edges = edges.into_iter().collect();
        view
    }
}
