//! Many proxies and the objects of their cluster.
//!
//! Takes files, whatever they are, gives a [`Mesh`]: config_dumps by the pod whose proxy they are of, beside Kubernetes
//! objects. [`describe`] tells what the two say together about a pod or a service.

pub mod describe;
mod load;

use crate::dump::Proxy;
use crate::dump::kubernetes::Objects;

/// Proxies and the objects of their cluster.
#[derive(Debug, Default)]
pub struct Mesh {
    /// The objects.
    pub objects: Objects,
    /// The mesh configuration, where it is a file of its own; that of the ConfigMaps is among the objects.
    pub config: Option<serde_json::Value>,
    members: Vec<Member>,
    warnings: Vec<String>,
}

/// A dump, and whose it is.
#[derive(Debug)]
pub struct Member {
    /// File of the dump.
    pub file: String,
    /// The proxy; `None` for a dump that is empty.
    pub proxy: Option<Proxy>,
    /// Pod, as the dump itself tells it.
    pub pod: Option<String>,
    /// Namespace, as the dump itself tells it.
    pub namespace: Option<String>,
    /// What it is: `sidecar`, `router` (a gateway), `waypoint`; only where the dump tells it.
    pub node_type: Option<String>,
}

impl Member {
    fn blank(file: &str) -> Self {
        Self { file: file.to_owned(), proxy: None, pod: None, namespace: None, node_type: None }
    }
}

impl Mesh {
    /// What was skipped, lost or not understood while loading.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// All dumps.
    #[must_use]
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// The dump of a pod's proxy: one that names the pod, else one whose file is named for it.
    #[must_use]
    pub fn member(&self, namespace: &str, pod: &str) -> Option<&Member> {
        let is_of =
            |member: &&Member| member.pod.as_deref() == Some(pod) && member.namespace.as_deref() == Some(namespace);
        let is_named_for = |member: &&Member| member.pod.is_none() && load::is_named_for(&member.file, namespace, pod);
        let mut named = self.members.iter().filter(is_named_for);
        let (first, rest) = (named.next(), named);
        self.members.iter().find(is_of).or_else(|| first.into_iter().chain(rest).find(|m| m.proxy.is_some()).or(first))
    }
}
