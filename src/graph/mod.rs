//! The resources of a proxy and what they refer to, as a graph.
//!
//! Takes a [`Proxy`](crate::dump::Proxy), gives a [`Graph`]: a node for each listener, filter chain, route configuration, virtual host,
//! route, cluster, load assignment, endpoint address, secret and ECDS filter, and an edge for each reference between
//! them. What a reference means but the dump lacks is a node of its own. Nothing here knows of requests.
//!
//! Resources are decoded in parallel, read and dropped again, so that the graph of a large mesh costs its names and
//! not its messages.

mod build;
mod cluster;
mod fragment;
mod listener;
mod node;
mod query;
mod route;
mod service;
#[cfg(test)]
mod tests;
mod view;

use std::collections::BTreeSet;

use petgraph::graph::{DiGraph, NodeIndex};

pub use node::{EdgeKind, Node, NodeKind, Presence};
pub use query::{Dangling, Found, Reach};
pub use view::{View, ViewEdge, ViewNode};

/// A node's place in its graph.
pub type NodeId = NodeIndex<u32>;

/// Nodes in the order of the dump.
pub type Selection = BTreeSet<NodeId>;

/// The references of a proxy's configuration. Built by [`Graph::build`].
#[derive(Debug)]
pub struct Graph {
    nodes: DiGraph<Node, EdgeKind, u32>,
}

impl Graph {
    /// The graph itself, for algorithms of `petgraph`.
    #[must_use]
    pub fn petgraph(&self) -> &DiGraph<Node, EdgeKind, u32> {
        &self.nodes
    }

    /// A node.
    #[must_use]
    pub fn node(&self, id: NodeId) -> Option<&Node> {
        self.nodes.node_weight(id)
    }

    /// All nodes, in the order of the dump; what isn't in it and endpoints come last.
    pub fn nodes(&self) -> impl Iterator<Item = (NodeId, &Node)> {
        self.nodes.node_indices().zip(self.nodes.node_weights())
    }
}
