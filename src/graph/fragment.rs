//! What one resource adds to the graph: its nodes, and references whose targets are still names.

use std::sync::Arc;

use super::node::{EdgeKind, Node, NodeKind};

/// Nodes of one resource, the resource itself first, and their references. Fragments are built in parallel and joined
/// in the order of the dump.
#[derive(Debug, Default)]
pub(super) struct Fragment {
    pub(super) nodes: Vec<Node>,
    pub(super) links: Vec<Link>,
}

/// One reference from a node of a fragment.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) from: usize,
    pub(super) kind: EdgeKind,
    pub(super) to: Target,
}

/// What a reference means.
#[derive(Debug)]
pub(super) enum Target {
    /// A node of the same fragment.
    Own(usize),
    /// A resource by name.
    Named(NodeKind, String),
    /// A resource that something else stands in for if it isn't there.
    Optional(NodeKind, String),
    /// All scopes of a set of scoped routes.
    ScopeSet(String),
    /// What each request or a plugin names.
    Dynamic(NodeKind, String),
    /// An endpoint by address, with the internal listener behind it.
    Endpoint(String, Option<String>),
}

impl Fragment {
    pub(super) fn of(root: Node) -> Self {
        Self { nodes: vec![root], links: Vec::new() }
    }

    /// Adds a node with a reference to it from another.
    pub(super) fn add(&mut self, from: usize, kind: EdgeKind, node: Node) -> usize {
        let index = self.nodes.len();
        self.nodes.push(node);
        self.links.push(Link { from, kind, to: Target::Own(index) });
        index
    }

    pub(super) fn link(&mut self, from: usize, kind: EdgeKind, to: Target) {
        self.links.push(Link { from, kind, to });
    }

    /// Adds another fragment whose first node `from` refers to.
    pub(super) fn append(&mut self, from: usize, kind: EdgeKind, other: Self) {
        let base = self.nodes.len();
        self.links.push(Link { from, kind, to: Target::Own(base) });
        self.nodes.extend(other.nodes);
        self.links.extend(other.links.into_iter().map(|link| Link {
            from: link.from + base,
            kind: link.kind,
            to: match link.to {
                Target::Own(index) => Target::Own(index + base),
                to => to,
            },
        }));
    }

    /// Name of a node.
    pub(super) fn name(&self, index: usize) -> Arc<str> {
        self.nodes.get(index).map(|node| Arc::clone(&node.name)).unwrap_or_default()
    }
}
