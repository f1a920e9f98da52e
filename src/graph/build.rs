//! From a proxy to its graph: fragments of all resources in parallel, then their names become edges.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use petgraph::graph::DiGraph;
use rayon::prelude::*;

use super::fragment::{Fragment, Link, Target};
use super::node::{EdgeKind, Node, NodeKind, Presence};
use super::service::{self, Side};
use super::{Graph, NodeId, cluster, listener, route};
use crate::dump::{Proxy, Resource, State, references};

impl Graph {
    /// Builds the graph of a proxy. A resource that can't be decoded is a node without references.
    #[must_use]
    pub fn build(proxy: &Proxy) -> Self {
        let listeners = fragments(proxy.listeners(), listener::fragment);
        // Envoy repeats inline route configurations and scopes in their sections; they are parts of their listeners.
        let inline = |kind| names(&listeners, kind);
        let (inline_routes, inline_scopes) = (inline(NodeKind::RouteConfiguration), inline(NodeKind::ScopedRoute));
        let scopes: Vec<_> = proxy
            .scoped_routes()
            .iter()
            .filter(|scope| scope.state != State::Static || !inline_scopes.contains(scope.name.as_str()))
            .collect();
        let routes: Vec<_> = proxy
            .routes()
            .iter()
            .filter(|route| route.state != State::Static || !inline_routes.contains(route.name.as_str()))
            .map(|route| route::resource_fragment(proxy, route))
            .collect();
        let scope_fragments: Vec<_> = scopes.iter().map(|scope| scope_fragment(scope)).collect();
        let clusters = fragments(proxy.clusters(), cluster::fragment);
        let assignments = fragments(proxy.load_assignments(), cluster::load_assignment);
        let secrets = fragments(proxy.secrets(), |secret| plain(NodeKind::Secret, secret));
        let extensions = fragments(proxy.ecds(), |extension| {
            let mut fragment = plain(NodeKind::Extension, extension);
            service::add(&mut fragment, references(extension.raw()), Side::Downstream, |_| 0);
            fragment
        });

        let mut builder = Builder::new(proxy);
        for scope in &scopes {
            let set = scope.set_name().unwrap_or_default();
            builder.scope_sets.entry(set).or_default().push(scope.name.clone());
        }
        let mut pending = Vec::new();
        let all = bootstrap(proxy).into_iter().chain(listeners).chain(scope_fragments).chain(routes).chain(clusters);
        for fragment in all.chain(assignments).chain(secrets).chain(extensions) {
            pending.push(builder.nodes(fragment));
        }
        for (base, links) in pending {
            for link in links {
                builder.edge(base, link);
            }
        }
        Self { nodes: builder.graph }
    }
}

fn fragments<T: Send + Sync>(
    resources: &[Resource<T>],
    make: impl Fn(&Resource<T>) -> Fragment + Send + Sync,
) -> Vec<Fragment> {
    resources.par_iter().with_min_len(16).map(make).collect()
}

fn names(fragments: &[Fragment], kind: NodeKind) -> HashSet<&str> {
    let nodes = fragments.iter().flat_map(|fragment| &fragment.nodes);
    nodes.filter(|node| node.kind == kind).map(|node| node.name.as_ref()).collect()
}

/// A resource without references of its own.
fn plain<T>(kind: NodeKind, resource: &Resource<T>) -> Fragment {
    let presence = Presence::Held(resource.state);
    Fragment::of(Node::new(kind, resource.name.as_str(), presence, Some(resource.origin())))
}

fn scope_fragment(resource: &Resource<crate::proto::envoy::config::route::v3::ScopedRouteConfiguration>) -> Fragment {
    match resource.get() {
        Ok(scope) => route::scope(&resource.name, scope, Presence::Held(resource.state), &resource.origin()),
        Err(_) => plain(NodeKind::ScopedRoute, resource),
    }
}

/// The bootstrap: its static resources stand in their own sections, so only what the rest names is added.
fn bootstrap(proxy: &Proxy) -> Option<Fragment> {
    let (text, origin) = proxy.bootstrap_text()?;
    let node = Node::new(NodeKind::Bootstrap, "bootstrap", Presence::Held(State::Static), Some(origin));
    let mut fragment = Fragment::of(node);
    let mut found = references(text);
    found.retain(|reference| !reference.path.contains(".static_resources"));
    service::add(&mut fragment, found, Side::Upstream, |_| 0);
    Some(fragment)
}

struct Builder<'a> {
    proxy: &'a Proxy,
    graph: DiGraph<Node, EdgeKind, u32>,
    /// What a name means: resources only, not parts of them. By kind, as the number of its variant.
    by_name: Vec<HashMap<Arc<str>, NodeId>>,
    /// Names of the scopes of each set.
    scope_sets: HashMap<String, Vec<String>>,
    /// Whether static clusters or a bootstrap are in the file.
    has_static: bool,
    /// Whether a load assignment has no name.
    has_unnamed: bool,
    /// How many nodes share kind, name and presence.
    same: HashMap<(NodeKind, Arc<str>, Presence), usize>,
}

impl<'a> Builder<'a> {
    fn new(proxy: &'a Proxy) -> Self {
        Self {
            proxy,
            graph: DiGraph::default(),
            by_name: vec![HashMap::new(); NodeKind::ALL.len()],
            scope_sets: HashMap::new(),
            has_static: proxy.bootstrap_text().is_some()
                || proxy.clusters().iter().any(|cluster| cluster.state == State::Static),
            has_unnamed: proxy.load_assignments().iter().any(|assignment| assignment.name.is_empty()),
            same: HashMap::new(),
        }
    }

    fn add(&mut self, mut node: Node) -> NodeId {
        let count = self.same.entry((node.kind, Arc::clone(&node.name), node.presence)).or_default();
        node.ordinal = *count;
        *count += 1;
        self.graph.add_node(node)
    }

    /// Adds the nodes of a fragment; its links wait until all names are known.
    fn nodes(&mut self, fragment: Fragment) -> (NodeId, Vec<Link>) {
        let base = NodeId::new(self.graph.node_count());
        for (nth, node) in fragment.nodes.into_iter().enumerate() {
            let (kind, name, presence) = (node.kind, Arc::clone(&node.name), node.presence);
            let id = self.add(node);
            if nth == 0 && rank(presence) > 0 {
                self.learn(kind, name, id, rank(presence));
            }
        }
        (base, fragment.links)
    }

    /// A later resource takes the place of an earlier one, but what is in force is never hidden by what isn't.
    fn learn(&mut self, kind: NodeKind, name: Arc<str>, id: NodeId, new: u8) {
        let Some(names) = self.by_name.get_mut(kind as usize) else { return };
        let known = names.get(&name).and_then(|known| self.graph.node_weight(*known));
        if known.is_none_or(|known| rank(known.presence) <= new) {
            names.insert(name, id);
        }
    }

    fn named(&self, kind: NodeKind, name: &str) -> Option<NodeId> {
        self.by_name.get(kind as usize)?.get(name).copied()
    }

    /// The node that a name means; one that dangles is made on first use.
    fn resolve(&mut self, kind: NodeKind, name: &str, edge: EdgeKind) -> NodeId {
        if let Some(id) = self.named(kind, name) {
            return id;
        }
        let is_known = self.would_be_listed(kind, edge);
        self.make(kind, name, if is_known { Presence::Missing } else { Presence::NotInFile })
    }

    /// Whether the file lists all resources of a kind, so that one that it lacks isn't there.
    fn would_be_listed(&self, kind: NodeKind, edge: EdgeKind) -> bool {
        if !kind.section().is_none_or(|section| self.proxy.has_section(section)) {
            return false;
        }
        match kind {
            // Envoy lists a secret as warming from the moment that something asks for it: where none is listed, they
            // were left out.
            NodeKind::Secret => !self.proxy.secrets().is_empty(),
            // A control plane's own answer has no static resources.
            NodeKind::Cluster if edge.is_service() => self.has_static,
            // Older Envoys list the endpoints of a cluster without EDS service name under no name.
            NodeKind::LoadAssignment => !self.has_unnamed,
            _ => true,
        }
    }

    fn make(&mut self, kind: NodeKind, name: &str, presence: Presence) -> NodeId {
        let name: Arc<str> = name.into();
        let id = self.add(Node::new(kind, Arc::clone(&name), presence, None));
        if let Some(names) = self.by_name.get_mut(kind as usize) {
            names.insert(name, id);
        }
        id
    }

    fn edge(&mut self, base: NodeId, link: Link) {
        let from = NodeId::new(base.index() + link.from);
        match link.to {
            Target::Own(index) => {
                self.graph.add_edge(from, NodeId::new(base.index() + index), link.kind);
            }
            Target::Named(kind, name) => {
                let to = self.resolve(kind, &name, link.kind);
                self.connect(from, to, link.kind);
            }
            Target::Optional(kind, name) => {
                if let Some(to) = self.named(kind, &name) {
                    self.connect(from, to, link.kind);
                }
            }
            Target::ScopeSet(set) => {
                let scopes = self.scope_sets.get(&set).cloned().unwrap_or_else(|| vec![set]);
                for name in scopes {
                    let to = self.resolve(NodeKind::ScopedRoute, &name, link.kind);
                    self.connect(from, to, link.kind);
                }
            }
            Target::Dynamic(kind, name) => {
                let to = self.named(kind, &name).unwrap_or_else(|| self.make(kind, &name, Presence::Dynamic));
                self.connect(from, to, link.kind);
            }
            Target::Endpoint(address, listener) => {
                let to = self.endpoint(from, &address);
                self.graph.add_edge(from, to, link.kind);
                if let Some(listener) = listener {
                    let internal = self.resolve(NodeKind::Listener, &listener, EdgeKind::InternalListener);
                    self.connect(to, internal, EdgeKind::InternalListener);
                }
            }
        }
    }

    /// The node of an address; several load assignments share it.
    fn endpoint(&mut self, from: NodeId, address: &str) -> NodeId {
        if let Some(id) = self.named(NodeKind::Endpoint, address) {
            return id;
        }
        let presence = self.graph.node_weight(from).map_or(Presence::NotInFile, |node| node.presence);
        self.make(NodeKind::Endpoint, address, presence)
    }

    /// A reference that a resource holds more than once is one edge.
    fn connect(&mut self, from: NodeId, to: NodeId, kind: EdgeKind) {
        if !self.graph.edges_connecting(from, to).any(|edge| *edge.weight() == kind) {
            self.graph.add_edge(from, to, kind);
        }
    }
}

/// Which of several resources of one name is meant; 0 is never meant.
fn rank(presence: Presence) -> u8 {
    match presence {
        Presence::Held(State::Active) => 3,
        Presence::Held(State::Static) => 2,
        Presence::Held(State::Warming) => 1,
        Presence::Held(State::Draining | State::Error)
        | Presence::Missing
        | Presence::NotInFile
        | Presence::Dynamic => 0,
    }
}
