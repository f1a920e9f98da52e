//! The answer of `graph`: nodes and references as JSON, and what its drawings share.

use serde::Serialize;

use crate::dump::State;
use crate::graph::{Dangling, EdgeKind, Presence, View, ViewNode};

/// A graph, or a part of one.
#[derive(Debug, Clone, Serialize)]
pub struct GraphAnswer {
    /// Name and version of this form.
    pub schema: &'static str,
    /// File that it was read from.
    pub file: String,
    /// Nodes in the order of the dump.
    pub nodes: Vec<NodeAnswer>,
    /// References, ordered by what refers.
    pub edges: Vec<EdgeAnswer>,
    /// References of these nodes to what isn't in the file, in plain sentences.
    pub dangling: Vec<DanglingAnswer>,
}

/// A node.
#[derive(Debug, Clone, Serialize)]
pub struct NodeAnswer {
    /// `kind:name`, unique in the graph; `--from` and `--to` take it.
    pub id: String,
    /// What it is: the word before the colon of the id.
    pub kind: &'static str,
    /// Its name.
    pub name: String,
    /// `active`, `static`, `warming`, `draining`, `error`; `missing`, `not in this file`, `dynamic`.
    pub presence: String,
    /// What tells it from its neighbours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// Number of endpoints that aren't nodes here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoints: Option<usize>,
    /// Line of the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// JSON path from the root of the document.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
}

/// A reference.
#[derive(Debug, Clone, Serialize)]
pub struct EdgeAnswer {
    /// Id of the node that refers.
    pub from: String,
    /// Id of the node that is referred to.
    pub to: String,
    /// How.
    pub kind: &'static str,
    /// Weight of a weighted reference.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<u32>,
}

/// A reference that leads nowhere.
#[derive(Debug, Clone, Serialize)]
pub struct DanglingAnswer {
    /// What is wrong, in one sentence.
    pub text: String,
    /// Line of what refers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// JSON path of what refers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
}

impl GraphAnswer {
    /// The answer for a view of a graph with that graph's dangling references; those of other nodes are left out.
    #[must_use]
    pub fn new(file: &str, view: &View, dangling: &[Dangling]) -> Self {
        let id = |place: usize| view.nodes.get(place).map(|node| node.id.clone()).unwrap_or_default();
        let shown = |one: &&Dangling| view.nodes.iter().any(|node| node.node == one.from);
        Self {
            schema: "xdsight.graph/1",
            file: file.to_owned(),
            nodes: view.nodes.iter().map(NodeAnswer::of).collect(),
            edges: view
                .edges
                .iter()
                .map(|edge| EdgeAnswer {
                    from: id(edge.from),
                    to: id(edge.to),
                    kind: edge.kind.word(),
                    weight: edge.kind.weight(),
                })
                .collect(),
            dangling: dangling
                .iter()
                .filter(shown)
                .map(|one| DanglingAnswer {
                    text: one.text.clone(),
                    line: one.origin.as_ref().and_then(crate::dump::Origin::line),
                    path: one.origin.as_ref().map(crate::dump::Origin::path),
                })
                .collect(),
        }
    }
}

impl NodeAnswer {
    fn of(node: &ViewNode) -> Self {
        Self {
            id: node.id.clone(),
            kind: node.kind.word(),
            name: node.name.clone(),
            presence: node.presence.to_string(),
            detail: node.detail.clone(),
            endpoints: node.endpoints,
            line: node.origin.as_ref().and_then(crate::dump::Origin::line),
            path: node.origin.as_ref().map(crate::dump::Origin::path),
        }
    }
}

/// Lines of a node's label: kind and state, name, detail.
pub(super) fn label(node: &ViewNode) -> Vec<String> {
    let kind = match node.presence {
        Presence::Held(State::Static | State::Active) => node.kind.to_string(),
        presence => format!("{} ({presence})", node.kind),
    };
    let mut lines = vec![kind, node.name.clone()];
    lines.extend(node.detail.clone());
    lines.extend(node.endpoints.map(|count| format!("{count} {}", if count == 1 { "endpoint" } else { "endpoints" })));
    lines
}

/// Whether a reference is off the way of the request itself.
pub(super) fn is_side(kind: EdgeKind) -> bool {
    kind.is_service()
        || matches!(
            kind,
            EdgeKind::Mirror
                | EdgeKind::ServerCertificate
                | EdgeKind::ClientCertificate
                | EdgeKind::Validation
                | EdgeKind::Secret
                | EdgeKind::Ecds
        )
}
