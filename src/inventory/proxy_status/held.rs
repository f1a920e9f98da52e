//! What a proxy's own dump tells of its subscriptions.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::dump::{Proxy, Resource, State};
use crate::inventory::summary;

/// A proxy that is known by its own dump.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HeldProxy {
    /// `<pod>.<namespace>`, as istiod names it; another proxy's id as it stands.
    pub name: String,
    /// Cluster it is in.
    pub cluster: String,
    /// Its namespace.
    pub namespace: String,
    /// Istio release of the proxy.
    pub version: String,
    /// File of the dump.
    pub file: String,
    /// What it holds by xDS, by type URL.
    pub types: BTreeMap<String, HeldType>,
}

/// What a proxy holds of one type of resources.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HeldType {
    /// Time of the last change.
    pub last_updated: Option<Timestamp>,
    /// Why updates were rejected, in Envoy's words.
    pub rejections: Vec<String>,
}

/// Who a dump is of and what it says of each type; `None` if it doesn't say who.
#[must_use]
pub fn held_proxy(proxy: &Proxy) -> Option<HeldProxy> {
    let node = proxy.node()?;
    let identity = summary::of_node(node);
    let name = match (&identity.pod, &identity.namespace) {
        (Some(pod), Some(namespace)) => format!("{pod}.{namespace}"),
        _ => identity.id.clone()?,
    };
    let mut types = BTreeMap::new();
    add(&mut types, proxy.clusters());
    add(&mut types, proxy.listeners());
    add(&mut types, proxy.routes());
    add(&mut types, proxy.load_assignments());
    add(&mut types, proxy.ecds());
    Some(HeldProxy {
        name,
        cluster: identity.cluster.unwrap_or_default(),
        namespace: identity.namespace.unwrap_or_default(),
        version: identity.istio_version.unwrap_or_default(),
        file: proxy.file().to_owned(),
        types,
    })
}

fn add<T>(types: &mut BTreeMap<String, HeldType>, resources: &[Resource<T>]) {
    for resource in resources {
        let envelope = resource.envelope();
        let is_dynamic = resource.state != State::Static;
        if !is_dynamic && envelope.error.is_none() {
            continue;
        }
        let held = types.entry(format!("type.googleapis.com/{}", resource.kind().message())).or_default();
        let time = envelope.last_updated.as_ref().and_then(|time| time.parse().ok());
        held.last_updated = held.last_updated.max(time.filter(|_| is_dynamic));
        // Each state of a listener repeats its rejection.
        if let Some(error) = &envelope.error {
            let details = error.details.trim().to_owned();
            if !details.is_empty() && !held.rejections.contains(&details) {
                held.rejections.push(details);
            }
        }
    }
}
