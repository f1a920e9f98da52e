//! Who a proxy is, what it holds, how fresh that is, and what stands out.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use rayon::prelude::*;
use serde::Serialize;
use serde_json::Value;

use crate::dump::{Counts, Kind, Occurrences, Origin, Proxy, Resource, State};
use crate::graph::Graph;
use crate::proto::envoy::config::core::v3::{Node, node::UserAgentVersionType};

/// The summary of one proxy.
#[derive(Debug, Clone, Serialize)]
pub struct Summary {
    /// Name and version of this form.
    pub schema: &'static str,
    /// File that it was read from.
    pub file: String,
    /// Time that ages are counted to, RFC 3339; absent if the input has no time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub as_of: Option<String>,
    /// Who the proxy is.
    pub identity: Identity,
    /// Number of entries of each list of the dump.
    pub counts: Counts,
    /// Versions and times, one entry a type of resource.
    pub freshness: Vec<Freshness>,
    /// What stands out, in the order of the dump.
    pub attention: Vec<Attention>,
    /// Types that aren't known here, with the number of times they occur.
    pub unknown_types: BTreeMap<String, usize>,
    /// Fields that aren't known here, with the number of times they occur.
    pub unknown_fields: BTreeMap<String, usize>,
    /// What was skipped or lost while loading.
    pub warnings: Vec<String>,
}

/// Who a proxy is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Identity {
    /// Whole id of the node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Istio's `sidecar`, `router`, `waypoint` …
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_type: Option<String>,
    /// Name of the pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod: Option<String>,
    /// Namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Name of the workload.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workload: Option<String>,
    /// Service account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_account: Option<String>,
    /// Addresses of the pod.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<String>,
    /// Envoy's `node.cluster`: the service it stands for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_cluster: Option<String>,
    /// Kubernetes cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// Mesh.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mesh: Option<String>,
    /// Network.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<String>,
    /// `region/zone/subzone`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub locality: Option<String>,
    /// Version of Istio's agent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub istio_version: Option<String>,
    /// Version of Envoy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub envoy_version: Option<String>,
    /// State of the server, where `/server_info` says it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_state: Option<String>,
}

/// How fresh the resources of one type are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Freshness {
    /// `LDS`, `RDS` …
    pub xds: &'static str,
    /// Number of resources delivered by xDS.
    pub resources: usize,
    /// Version of the one that changed last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Number of distinct versions.
    pub versions: usize,
    /// Time of the last change, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_updated: Option<String>,
    /// Seconds from then to `as_of`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub age_seconds: Option<i64>,
}

/// Something that deserves a look.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Attention {
    /// What it is about: `warming`, `rejected`, `no_endpoints_section` …
    pub what: &'static str,
    /// In words.
    pub text: String,
    /// File in which it stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Line in that file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// JSON path in that file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
}

impl Attention {
    fn new(what: &'static str, text: String, origin: Option<&Origin>) -> Self {
        Self {
            what,
            text,
            file: origin.map(|origin| origin.file().to_owned()),
            line: origin.and_then(Origin::line),
            path: origin.map(Origin::path),
        }
    }
}

/// Sums a proxy up; ages are counted to `as_of`, or to the newest time in the input.
#[must_use]
pub fn summary(proxy: &Proxy, as_of: Option<Timestamp>) -> Summary {
    let kinds = [
        facts("LDS", proxy.listeners()),
        facts("RDS", proxy.routes()),
        facts("SRDS", proxy.scoped_routes()),
        facts("CDS", proxy.clusters()),
        facts("EDS", proxy.load_assignments()),
        facts("SDS", proxy.secrets()),
        facts("ECDS", proxy.ecds()),
    ];
    let as_of = as_of.or_else(|| kinds.iter().filter_map(|kind| kind.newest).max());
    let mut attention = Vec::new();
    for kind in &kinds {
        attention.extend(kind.attention.iter().cloned());
    }
    let graph = Graph::build(proxy);
    for (what, references) in [("dangling", graph.dangling()), ("waiting", graph.waiting())] {
        attention.extend(references.iter().map(|one| Attention::new(what, one.text.clone(), one.origin.as_ref())));
    }
    attention.extend(absent(proxy));
    attention.extend(expiring(proxy, as_of));
    let unmodelled = proxy.unmodelled();
    Summary {
        schema: "xdsight.summary/1",
        file: proxy.file().to_owned(),
        as_of: as_of.map(|time| time.to_string()),
        identity: identity(proxy),
        counts: proxy.counts(),
        freshness: kinds.iter().filter(|kind| kind.resources > 0).map(|kind| kind.freshness(as_of)).collect(),
        attention,
        unknown_types: counted(&unmodelled.types),
        unknown_fields: counted(unmodelled.fields.iter().chain(&unmodelled.values)),
        warnings: proxy.warnings().to_vec(),
    }
}

/// The newest time in the input.
#[must_use]
pub fn newest(proxy: &Proxy) -> Option<Timestamp> {
    fn of<T: Send + Sync>(resources: &[Resource<T>]) -> Option<Timestamp> {
        resources.par_iter().filter_map(|resource| resource.envelope().last_updated.as_ref()?.parse().ok()).max()
    }
    [
        of(proxy.listeners()),
        of(proxy.routes()),
        of(proxy.scoped_routes()),
        of(proxy.clusters()),
        of(proxy.load_assignments()),
        of(proxy.secrets()),
        of(proxy.ecds()),
    ]
    .into_iter()
    .flatten()
    .max()
}

/// What the resources of one type say together.
struct Facts {
    xds: &'static str,
    resources: usize,
    versions: BTreeSet<String>,
    newest: Option<Timestamp>,
    newest_version: Option<String>,
    newest_text: Option<String>,
    attention: Vec<Attention>,
}

impl Facts {
    fn freshness(&self, as_of: Option<Timestamp>) -> Freshness {
        Freshness {
            xds: self.xds,
            resources: self.resources,
            version: self.newest_version.clone(),
            versions: self.versions.len(),
            last_updated: self.newest_text.clone(),
            age_seconds: as_of.zip(self.newest).map(|(now, then)| now.as_second() - then.as_second()),
        }
    }
}

/// What one resource says.
struct Fact {
    is_dynamic: bool,
    version: Option<String>,
    updated: Option<(Timestamp, String)>,
    attention: Vec<Attention>,
}

fn facts<T: Send + Sync>(xds: &'static str, resources: &[Resource<T>]) -> Facts {
    let is_in_force = |name: &str| resources.iter().any(|other| other.name == name && other.state.is_in_force());
    let all: Vec<Fact> = resources.par_iter().map(|resource| fact(resource, is_in_force)).collect();
    let mut facts = Facts {
        xds,
        resources: all.iter().filter(|fact| fact.is_dynamic).count(),
        versions: BTreeSet::new(),
        newest: None,
        newest_version: None,
        newest_text: None,
        attention: Vec::new(),
    };
    for fact in all {
        facts.attention.extend(fact.attention);
        if !fact.is_dynamic {
            continue;
        }
        if let Some(version) = &fact.version
            && !facts.versions.contains(version)
        {
            facts.versions.insert(version.clone());
        }
        if let Some((time, text)) = fact.updated
            && facts.newest.is_none_or(|newest| newest < time)
        {
            facts.newest = Some(time);
            facts.newest_text = Some(text);
            facts.newest_version = fact.version.clone();
        }
        if facts.newest_version.is_none() {
            facts.newest_version = fact.version;
        }
    }
    facts
}

fn fact<T>(resource: &Resource<T>, is_in_force: impl Fn(&str) -> bool) -> Fact {
    let envelope = resource.envelope();
    let name = &resource.name;
    let kind = resource.kind();
    let mut attention = Vec::new();
    if resource.state == State::Warming {
        let text = format!("{kind} {name:?} is warming: not in force, it waits for something that it refers to");
        attention.push(Attention::new("warming", text, Some(&resource.origin())));
    }
    // A listener's rejection is a resource of its own; that of others stands with the version in force.
    if let Some(error) = &envelope.error
        && (kind != Kind::Listener || resource.state == State::Error)
    {
        let version =
            error.version.as_ref().filter(|v| !v.is_empty()).map(|v| format!(" (version {v})")).unwrap_or_default();
        let name = if name.is_empty() { error.failed_name.as_deref().unwrap_or_default() } else { name };
        let state = if !is_in_force(name) { "nothing of it is in force" } else { "the version before stays in force" };
        let text = format!("an update of {kind} {name:?}{version} was rejected, {state}: {}", error.details.trim_end());
        attention.push(Attention::new("rejected", text, Some(&resource.origin())));
    }
    let time = envelope.last_updated.as_ref().and_then(|text| Some((text.parse().ok()?, text.clone())));
    Fact {
        is_dynamic: matches!(resource.state, State::Active | State::Warming),
        version: envelope.version.clone(),
        updated: time,
        attention,
    }
}

fn counted<'a>(unmodelled: impl IntoIterator<Item = (&'a String, &'a Occurrences)>) -> BTreeMap<String, usize> {
    let name = |name: &String| if name.is_empty() { "(no type)".to_owned() } else { name.clone() };
    unmodelled.into_iter().map(|(what, found)| (name(what), found.count)).collect()
}

/// Sections that a whole dump has and this one hasn't.
fn absent(proxy: &Proxy) -> Vec<Attention> {
    let mut attention = Vec::new();
    if !proxy.has_endpoints_section() {
        let text = if proxy.has_cluster_statuses() {
            "there is no endpoints section; endpoints are known from /clusters".to_owned()
        } else {
            "there is no endpoints section: endpoints of EDS clusters aren't known; capture /config_dump?include_eds"
                .to_owned()
        };
        attention.push(Attention::new("no_endpoints_section", text, None));
    }
    for kind in [Kind::Listener, Kind::Route, Kind::Cluster] {
        if !proxy.has_section(kind) {
            let text =
                format!("there is no {kind} section: {kind}s aren't known, which isn't to say that there are none");
            attention.push(Attention::new("no_section", text, None));
        }
    }
    if proxy.bootstrap_text().is_none() {
        let text = "there is no bootstrap: who this proxy is, and its runtime, aren't known".to_owned();
        attention.push(Attention::new("no_bootstrap", text, None));
    }
    attention
}

/// Days before a certificate's end that are worth a word: an agent renews those of a workload long before.
const SOON: i64 = 24 * 60 * 60;

/// Certificates in `/certs` that end soon or have ended.
fn expiring(proxy: &Proxy, as_of: Option<Timestamp>) -> Vec<Attention> {
    let certificates = proxy.certificates().map(|all| all.certificates.as_slice()).unwrap_or_default();
    let details = certificates.iter().flat_map(|certificate| certificate.ca_cert.iter().chain(&certificate.cert_chain));
    let mut attention = Vec::new();
    for detail in details {
        let end = detail.expiration_time.as_ref().and_then(|time| Timestamp::from_second(time.seconds).ok());
        let Some((now, end)) = as_of.zip(end) else { continue };
        let left = end.as_second() - now.as_second();
        if left < SOON {
            let verb = if left < 0 { "ended" } else { "ends" };
            let text = format!("certificate {} of {:?} {verb} {end}", detail.serial_number, detail.path);
            attention.push(Attention::new("certificate_expiry", text, None));
        }
    }
    attention.dedup();
    attention
}

/// Who a proxy says it is.
#[must_use]
pub fn identity(proxy: &Proxy) -> Identity {
    let mut identity = proxy.node().map(of_node).unwrap_or_default();
    if let Some(info) = proxy.server_info() {
        identity.server_state = Some(info.state().as_str_name().to_owned());
        if identity.envoy_version.is_none() {
            // `<revision>/<version>/<status>/<type>/<ssl>`
            identity.envoy_version = info.version.split('/').nth(1).map(str::to_owned);
        }
    }
    identity
}

pub(super) fn of_node(node: &Node) -> Identity {
    let text = |name: &str| -> Option<String> {
        let value = node.metadata.as_ref()?.get(name)?;
        value.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
    };
    let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    // Istio's node id: `<type>~<address>~<pod>.<namespace>~<domain>`
    let parts: Vec<&str> = node.id.split('~').collect();
    let (node_type, address, name) = match parts.as_slice() {
        [node_type, address, name, _] => (given(node_type), given(address), name.rsplit_once('.')),
        _ => (None, None, None),
    };
    let addresses = text("INSTANCE_IPS").map(|ips| ips.split(',').map(str::to_owned).collect::<Vec<_>>());
    let label = |name: &str| -> Option<String> {
        let labels = node.metadata.as_ref()?.get("LABELS")?;
        labels.get(name).and_then(Value::as_str).map(str::to_owned)
    };
    let locality = node.locality.as_ref().map(|l| {
        let parts = [l.region.as_str(), l.zone.as_str(), l.sub_zone.as_str()];
        parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("/")
    });
    Identity {
        id: given(&node.id),
        node_type,
        pod: text("NAME").or_else(|| name.map(|(pod, _)| pod.to_owned())),
        namespace: text("NAMESPACE").or_else(|| name.map(|(_, namespace)| namespace.to_owned())),
        workload: text("WORKLOAD_NAME").or_else(|| label("service.istio.io/canonical-name")),
        service_account: text("SERVICE_ACCOUNT"),
        addresses: addresses.unwrap_or_else(|| address.into_iter().collect()),
        node_cluster: given(&node.cluster),
        cluster: text("CLUSTER_ID"),
        mesh: text("MESH_ID"),
        network: text("NETWORK"),
        locality: locality.filter(|locality| !locality.is_empty()),
        istio_version: text("ISTIO_VERSION"),
        envoy_version: envoy_version(node),
        server_state: None,
    }
}

/// `1.32.0-dev` of the build version.
fn envoy_version(node: &Node) -> Option<String> {
    match node.user_agent_version_type.as_ref()? {
        UserAgentVersionType::UserAgentVersion(version) => Some(version.clone()),
        UserAgentVersionType::UserAgentBuildVersion(build) => {
            let version = build.version.as_ref()?;
            let label =
                build.metadata.as_ref().and_then(|metadata| metadata.get("build.label")).and_then(Value::as_str);
            let number = format!("{}.{}.{}", version.major_number, version.minor_number, version.patch);
            // Istio's label repeats the number: `1.38.0-dev`.
            Some(match label {
                Some(label) if label.starts_with(&number) => label.to_owned(),
                Some(label) => format!("{number}-{label}"),
                None => number,
            })
        }
    }
}
