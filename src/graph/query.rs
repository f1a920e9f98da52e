//! Questions to a graph: what dangles, what is around a node, which node is meant.

use std::collections::{BTreeMap, VecDeque};

use petgraph::Direction;
use petgraph::visit::EdgeRef as _;

use super::node::{EdgeKind, Node, NodeKind, Presence};
use super::{Graph, NodeId, Selection};
use crate::dump::{Origin, State};

/// A reference whose target isn't there, or isn't in force yet.
#[derive(Debug, Clone)]
pub struct Dangling {
    /// What refers.
    pub from: NodeId,
    /// How.
    pub kind: EdgeKind,
    /// What it refers to.
    pub to: NodeId,
    /// The same in one plain sentence, without full stop.
    pub text: String,
    /// Where what refers stands.
    pub origin: Option<Origin>,
}

/// Which references to follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// From what refers to what it refers to, as a request goes.
    Down,
    /// The other way: who uses it.
    Up,
    /// Both, each on its own.
    Both,
}

/// Result of looking a node up by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// The node.
    One(NodeId),
    /// Several that the name may mean.
    Ambiguous(Vec<NodeId>),
    /// None.
    Nothing,
}

impl Graph {
    /// References to what the dump should hold and doesn't, in the order of the dump. A resource that drains or was
    /// rejected serves nobody, so what it refers to isn't counted.
    #[must_use]
    pub fn dangling(&self) -> Vec<Dangling> {
        self.references_to(|presence| presence == Presence::Missing, "isn't in this file")
    }

    /// References to what is there, but only warming, from what is in force.
    #[must_use]
    pub fn waiting(&self) -> Vec<Dangling> {
        let mut waiting = self.references_to(|presence| presence == Presence::Held(State::Warming), "is only warming");
        waiting.retain(|one| {
            one.kind != EdgeKind::Part && self.node(one.from).is_some_and(|node| node.presence.is_in_force())
        });
        waiting
    }

    fn references_to(&self, wanted: impl Fn(Presence) -> bool, how: &str) -> Vec<Dangling> {
        let mut found: Vec<Dangling> = self
            .nodes
            .edge_references()
            .filter_map(|edge| {
                let (from, to) = (self.node(edge.source())?, self.node(edge.target())?);
                let serves = !matches!(from.presence, Presence::Held(State::Draining | State::Error));
                (serves && wanted(to.presence)).then(|| Dangling {
                    from: edge.source(),
                    kind: *edge.weight(),
                    to: edge.target(),
                    text: sentence(from, *edge.weight(), to, how),
                    origin: from.origin.clone(),
                })
            })
            .collect();
        found.sort_by_key(|one| (one.from, one.to, one.kind));
        found
    }

    /// Nodes that refer to a node, with how, in the order of the dump.
    #[must_use]
    pub fn users_of(&self, id: NodeId) -> Vec<(NodeId, EdgeKind)> {
        let edges = self.nodes.edges_directed(id, Direction::Incoming);
        let mut users: Vec<_> = edges.map(|edge| (edge.source(), *edge.weight())).collect();
        users.sort_unstable();
        users
    }

    /// Nodes within `depth` references of a node, itself included; all that can be reached without a depth.
    #[must_use]
    pub fn around(&self, id: NodeId, depth: Option<usize>, reach: Reach) -> Selection {
        let mut selection = Selection::new();
        if matches!(reach, Reach::Down | Reach::Both) {
            selection.extend(self.distances(id, depth, Direction::Outgoing).into_keys());
        }
        if matches!(reach, Reach::Up | Reach::Both) {
            selection.extend(self.distances(id, depth, Direction::Incoming).into_keys());
        }
        selection
    }

    /// Nodes on ways from one node to another, of at most `depth` references; empty if there is no way.
    #[must_use]
    pub fn between(&self, from: NodeId, to: NodeId, depth: Option<usize>) -> Selection {
        let down = self.distances(from, depth, Direction::Outgoing);
        let up = self.distances(to, depth, Direction::Incoming);
        let length = |id: &NodeId, distance: usize| up.get(id).map(|other| other + distance);
        down.iter()
            .filter(|(id, distance)| {
                length(id, **distance).is_some_and(|length| depth.is_none_or(|depth| length <= depth))
            })
            .map(|(id, _)| *id)
            .collect()
    }

    fn distances(&self, id: NodeId, depth: Option<usize>, direction: Direction) -> BTreeMap<NodeId, usize> {
        let mut distances = BTreeMap::new();
        let mut queue = VecDeque::from([(id, 0)]);
        if self.node(id).is_none() {
            return distances;
        }
        distances.insert(id, 0);
        while let Some((id, distance)) = queue.pop_front() {
            if depth.is_some_and(|depth| distance >= depth) {
                continue;
            }
            for next in self.nodes.neighbors_directed(id, direction) {
                if let std::collections::btree_map::Entry::Vacant(entry) = distances.entry(next) {
                    entry.insert(distance + 1);
                    queue.push_back((next, distance + 1));
                }
            }
        }
        distances
    }

    /// The node that a text means: an id (`listener:0.0.0.0_80`), or a bare name if it is unique. Of several nodes
    /// of one name the one in force is meant, and a cluster rather than its load assignment.
    #[must_use]
    pub fn find(&self, text: &str) -> Found {
        if let Some((id, _)) = self.nodes().find(|(_, node)| node.id() == text) {
            let same_name = |node: &Node| node.id().split('#').next() == Some(text);
            let all: Vec<NodeId> = self.nodes().filter(|(_, node)| same_name(node)).map(|(id, _)| id).collect();
            return if all.len() > 1 { Found::Ambiguous(all) } else { Found::One(id) };
        }
        let (kind, name) = match text.split_once(':') {
            Some((word, name)) => match NodeKind::ALL.into_iter().find(|kind| kind.word() == word) {
                Some(kind) => (Some(kind), name),
                None => (None, text),
            },
            None => (None, text),
        };
        let of_kind = |node: &&Node| kind.is_none_or(|kind| node.kind == kind);
        let select = |wanted: &dyn Fn(&Node) -> bool| -> Vec<NodeId> {
            self.nodes().filter(|(_, node)| of_kind(node) && wanted(node)).map(|(id, _)| id).collect()
        };
        let mut found = select(&|node| node.name.as_ref() == name);
        if found.is_empty() {
            // A virtual host or filter chain by its own name, without that of its owner.
            found = select(&|node| {
                matches!(node.kind, NodeKind::VirtualHost | NodeKind::FilterChain)
                    && node.name.strip_suffix(name).is_some_and(|owner| owner.ends_with('/'))
            });
        }
        self.narrow(found)
    }

    fn narrow(&self, found: Vec<NodeId>) -> Found {
        let keep = |found: &[NodeId], wanted: &dyn Fn(&Node) -> bool| -> Vec<NodeId> {
            let kept: Vec<NodeId> = found.iter().copied().filter(|id| self.node(*id).is_some_and(wanted)).collect();
            if kept.is_empty() { found.to_vec() } else { kept }
        };
        let found = keep(&found, &|node| node.kind != NodeKind::LoadAssignment);
        let found = keep(&found, &|node| node.presence.is_in_force());
        match found.as_slice() {
            [] => Found::Nothing,
            [one] => Found::One(*one),
            _ => Found::Ambiguous(found),
        }
    }
}

fn sentence(from: &Node, kind: EdgeKind, to: &Node, how: &str) -> String {
    let state = match from.presence {
        Presence::Held(state) if !state.is_in_force() => format!(" ({state})"),
        _ => String::new(),
    };
    format!("{} {}{state} refers to {} {} ({kind}), which {how}", from.kind, from.name, to.kind, to.name)
}
