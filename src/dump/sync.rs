//! What istiod says of the proxies connected to it: which of its pushes each has taken (spec/istioctl.md §2, §4).
//!
//! Read from istiod's answer to `istioctl proxy-status` (a DiscoveryResponse of ClientConfigs), or from `/debug/syncz` in
//! its old form (nonces sent and acknowledged, side by side) and its newest (the same by type URL, with times and errors).

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::proto::describe;

/// A control plane's answer.
#[derive(Debug, Clone, PartialEq)]
pub struct ControlPlane {
    /// The instance of istiod: the name of its pod.
    pub name: Instance,
    /// Proxies connected to it, in the order of the answer.
    pub clients: Vec<Client>,
}

/// Which instance of istiod answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Instance {
    /// Its id.
    Named(String),
    /// The answer doesn't say.
    Missing,
    /// What the answer says can't be read.
    Invalid,
}

/// A proxy as istiod sees it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Client {
    /// `<pod>.<namespace>`.
    pub name: String,
    /// Cluster it is in.
    pub cluster: String,
    /// Its namespace.
    pub namespace: String,
    /// Istio release of the proxy.
    pub version: String,
    /// State by type URL.
    pub types: BTreeMap<String, TypeSync>,
}

/// The state of one type of resources at one proxy.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TypeSync {
    /// The state.
    pub status: SyncStatus,
    /// Time of the last push.
    pub last_updated: Option<Timestamp>,
    /// What the proxy said when it rejected a push.
    pub error: Option<String>,
}

/// Whether a proxy has what was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum SyncStatus {
    /// The proxy doesn't ask for this type.
    #[default]
    Ignored,
    /// It asks for it, and nothing was sent.
    NotSent,
    /// It has acknowledged the last push.
    Synced,
    /// It hasn't acknowledged the last push.
    Stale,
    /// It has rejected the last push.
    Error,
}

impl SyncStatus {
    /// istioctl's word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ignored => "IGNORED",
            Self::NotSent => "NOT SENT",
            Self::Synced => "SYNCED",
            Self::Stale => "STALE",
            Self::Error => "ERROR",
        }
    }

    fn parse(text: &str) -> Self {
        match text {
            "NOT_SENT" => Self::NotSent,
            "SYNCED" => Self::Synced,
            "STALE" => Self::Stale,
            "ERROR" => Self::Error,
            _ => Self::Ignored,
        }
    }
}

/// Short name of an xDS type, as in `CDS`; the URL itself if it has none.
#[must_use]
pub fn short_type(url: &str) -> &str {
    match url.rsplit('/').next().unwrap_or_default() {
        "envoy.config.cluster.v3.Cluster" => "CDS",
        "envoy.config.listener.v3.Listener" => "LDS",
        "envoy.config.route.v3.RouteConfiguration" => "RDS",
        "envoy.config.endpoint.v3.ClusterLoadAssignment" => "EDS",
        "envoy.extensions.transport_sockets.tls.v3.Secret" => "SDS",
        "istio.networking.nds.v1.NameTable" => "NDS",
        "istio.mesh.v1alpha1.ProxyConfig" => "PCDS",
        "envoy.config.core.v3.TypedExtensionConfig" => "ECDS",
        "istio.workload.Address" | "istio.workload.Workload" => "WDS",
        "istio.security.Authorization" => "WADS",
        _ => url,
    }
}

/// Why a text is no answer about proxies.
#[derive(Debug, thiserror::Error)]
pub enum SyncError {
    /// It isn't JSON.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    /// It is JSON of something else.
    #[error("neither istiod's answer to proxy-status nor its /debug/syncz")]
    Other,
}

impl ControlPlane {
    /// Reads an answer; `file` names the instance where `/debug/syncz` doesn't.
    ///
    /// # Errors
    ///
    /// When the text isn't JSON, or of something else.
    pub fn parse(json: &[u8], file: Option<&str>) -> Result<Self, SyncError> {
        match serde_json::from_slice::<Value>(json)? {
            Value::Object(response) if member(&response, "resources").is_some() => Ok(of_response(&response)),
            // Each ClientConfig of a response that was printed without its envelope.
            Value::Array(entries) if entries.iter().any(|entry| entry.get("proxy").is_some()) || entries.is_empty() => {
                let name = file.map_or(Instance::Missing, |file| Instance::Named(file.to_owned()));
                let clients = entries.iter().filter_map(Value::as_object).map(of_syncz).collect();
                Ok(Self { name, clients })
            }
            _ => Err(SyncError::Other),
        }
    }
}

/// A member by its name in either spelling.
fn member<'v>(object: &'v Map<String, Value>, snake: &str) -> Option<&'v Value> {
    object.get(snake).or_else(|| object.get(&describe::lower_camel(snake))).filter(|value| !value.is_null())
}

fn text(object: &Map<String, Value>, snake: &str) -> String {
    member(object, snake).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn object<'v>(object: &'v Map<String, Value>, snake: &str) -> Option<&'v Map<String, Value>> {
    member(object, snake).and_then(Value::as_object)
}

fn of_response(response: &Map<String, Value>) -> ControlPlane {
    let identifier = object(response, "control_plane").map(|plane| text(plane, "identifier"));
    let name = match identifier {
        None => Instance::Missing,
        Some(identifier) => match serde_json::from_str::<Map<String, Value>>(&identifier) {
            Ok(istiod) => Instance::Named(istiod.get("ID").and_then(Value::as_str).unwrap_or_default().to_owned()),
            Err(_) => Instance::Invalid,
        },
    };
    let resources = member(response, "resources").and_then(Value::as_array);
    let clients = resources.into_iter().flatten().filter_map(Value::as_object).map(of_client_config).collect();
    ControlPlane { name, clients }
}

fn of_client_config(config: &Map<String, Value>) -> Client {
    let mut client = Client::default();
    if let Some(node) = object(config, "node") {
        client.name = text(node, "id");
        if let Some(metadata) = object(node, "metadata") {
            client.cluster = text(metadata, "CLUSTER_ID");
            client.namespace = text(metadata, "NAMESPACE");
            client.version = text(metadata, "ISTIO_VERSION");
        }
    }
    let configs = member(config, "generic_xds_configs").and_then(Value::as_array);
    for config in configs.into_iter().flatten().filter_map(Value::as_object) {
        let sync = TypeSync {
            status: SyncStatus::parse(&text(config, "config_status")),
            last_updated: text(config, "last_updated").parse().ok(),
            error: object(config, "error_state").map(|error| text(error, "details")).filter(|text| !text.is_empty()),
        };
        client.types.insert(text(config, "type_url"), sync);
    }
    client
}

/// What the flat members of `/debug/syncz` are about.
const FLAT: [(&str, &str); 5] = [
    ("cluster", "type.googleapis.com/envoy.config.cluster.v3.Cluster"),
    ("listener", "type.googleapis.com/envoy.config.listener.v3.Listener"),
    ("route", "type.googleapis.com/envoy.config.route.v3.RouteConfiguration"),
    ("endpoint", "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"),
    ("extensionconfig", "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig"),
];

fn of_syncz(entry: &Map<String, Value>) -> Client {
    let name = text(entry, "proxy");
    let mut client = Client {
        cluster: text(entry, "cluster_id"),
        namespace: name.rsplit_once('.').map(|(_, namespace)| namespace.to_owned()).unwrap_or_default(),
        version: text(entry, "istio_version"),
        name,
        types: BTreeMap::new(),
    };
    for (kind, url) in FLAT {
        let (sent, acked) = (text(entry, &format!("{kind}_sent")), text(entry, &format!("{kind}_acked")));
        if !sent.is_empty() || !acked.is_empty() {
            client.types.insert(url.to_owned(), TypeSync { status: by_nonces(&sent, &acked), ..TypeSync::default() });
        }
    }
    for (url, resource) in object(entry, "resources").into_iter().flatten() {
        let Some(resource) = resource.as_object() else { continue };
        let error = Some(text(resource, "last_error")).filter(|error| !error.is_empty());
        let (sent, acked) = (text(resource, "sent"), text(resource, "acked"));
        let status = if error.is_some() { SyncStatus::Error } else { by_nonces(&sent, &acked) };
        // Go's zero time stands for never.
        let last_updated = text(resource, "sent_time").parse().ok().filter(|_| !sent.is_empty());
        client.types.insert(url.clone(), TypeSync { status, last_updated, error });
    }
    client
}

fn by_nonces(sent: &str, acked: &str) -> SyncStatus {
    match (sent.is_empty(), sent == acked) {
        (true, _) => SyncStatus::NotSent,
        (false, true) => SyncStatus::Synced,
        (false, false) => SyncStatus::Stale,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statuses(json: &str) -> Vec<(String, SyncStatus)> {
        let plane = ControlPlane::parse(json.as_bytes(), Some("istiod-1")).unwrap();
        let types = plane.clients.into_iter().flat_map(|client| client.types);
        types.map(|(url, sync)| (short_type(&url).to_owned(), sync.status)).collect()
    }

    #[test]
    fn nonces_tell_the_state() {
        let flat = r#"[{"proxy": "a.b", "cluster_sent": "1", "cluster_acked": "1", "listener_sent": "2", "listener_acked": "1"}]"#;
        assert_eq!(statuses(flat), [("CDS".to_owned(), SyncStatus::Synced), ("LDS".to_owned(), SyncStatus::Stale)]);
        let newest = r#"[{"proxy": "a.b", "listener_sent": "2", "resources": {
            "type.googleapis.com/envoy.config.listener.v3.Listener": {"sent": "2", "lastError": "no", "sentTime": "2026-01-02T03:04:05Z"},
            "type.googleapis.com/envoy.config.route.v3.RouteConfiguration": {"sentTime": "0001-01-01T00:00:00Z"}}}]"#;
        assert_eq!(statuses(newest), [("LDS".to_owned(), SyncStatus::Error), ("RDS".to_owned(), SyncStatus::NotSent)]);
    }

    #[test]
    fn the_instance_is_named_in_the_response() {
        let name = |json: &str| ControlPlane::parse(json.as_bytes(), None).unwrap().name;
        let named = r#"{"resources": [], "controlPlane": {"identifier": "{\"ID\":\"istiod-1\"}"}}"#;
        assert_eq!(name(named), Instance::Named("istiod-1".to_owned()));
        assert_eq!(name(r#"{"resources": [], "controlPlane": {"identifier": "x"}}"#), Instance::Invalid);
        assert_eq!(name(r#"{"resources": []}"#), Instance::Missing);
    }

    #[test]
    fn other_json_is_refused() {
        assert!(ControlPlane::parse(br#"{"configs": []}"#, None).is_err());
        assert!(ControlPlane::parse(b"x", None).is_err());
    }
}
