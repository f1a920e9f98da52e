//! What istiod says of the proxies connected to it: which of its pushes each has taken (spec/istioctl.md §2, §4).
//!
//! Read from istiod's answer to `istioctl proxy-status` (a DiscoveryResponse of ClientConfigs, or those alone in a
//! ClientStatusResponse), or from `/debug/syncz` in its old form (nonces sent and acknowledged, side by side) and its newest
//! (the same by type URL, with times and errors).

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::proto::describe;

/// A control plane's answer.
#[derive(Debug, Clone, PartialEq)]
pub struct ControlPlane {
    /// The instance of istiod: the name of its pod.
    pub name: Instance,
    /// Proxies connected to it, in the order of the answer.
    pub clients: Vec<Client>,
    /// Whether the answer is the one that `istioctl proxy-status` gets.
    pub is_response: bool,
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
    /// Nothing says what was sent to it.
    Unknown,
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
            Self::Unknown => "UNKNOWN",
        }
    }

    /// Name in the answers of istiod.
    fn name(self) -> &'static str {
        match self {
            Self::Ignored | Self::Unknown => "UNKNOWN",
            Self::NotSent => "NOT_SENT",
            other => other.as_str(),
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
        let named = || file.map_or(Instance::Missing, |file| Instance::Named(file.to_owned()));
        match serde_json::from_slice::<Value>(json)? {
            Value::Object(response) if member(&response, "resources").is_some() => Ok(of_response(&response)),
            Value::Object(response) if member(&response, "config").is_some_and(is_clients) => {
                let configs = member(&response, "config").and_then(Value::as_array);
                let clients =
                    configs.into_iter().flatten().filter_map(Value::as_object).map(of_client_config).collect();
                Ok(Self { name: named(), clients, is_response: false })
            }
            Value::Array(entries) if entries.iter().any(|entry| entry.get("proxy").is_some()) || entries.is_empty() => {
                let clients = entries.iter().filter_map(Value::as_object).map(of_syncz).collect();
                Ok(Self { name: named(), clients, is_response: false })
            }
            _ => Err(SyncError::Other),
        }
    }

    /// Whether a text looks like such an answer, by its beginning.
    #[must_use]
    pub fn is_likely(json: &[u8]) -> bool {
        let head = json.get(..json.len().min(NEAR)).unwrap_or_default();
        let has = |text: &str| memchr::memmem::find(head, text.as_bytes()).is_some();
        match head.trim_ascii_start().first() {
            Some(b'[') => has("\"proxy\"") && (has("_sent\"") || has("\"resources\"") || has("\"cluster_id\"")),
            Some(b'{') => {
                has("envoy.service.status.v3.ClientConfig")
                    || (has("\"config\"") && (has("enericXdsConfigs\"") || has("eneric_xds_configs\"")))
            }
            _ => false,
        }
    }

    /// The answer that `istioctl proxy-status` would have got, as far as it is known.
    #[must_use]
    pub fn response(&self) -> Value {
        const KIND: &str = "type.googleapis.com/envoy.service.status.v3.ClientConfig";
        let mut response =
            json!({"resources": self.clients.iter().map(client_config).collect::<Vec<_>>(), "typeUrl": KIND});
        if let (Instance::Named(name), Some(members)) = (&self.name, response.as_object_mut()) {
            let identifier = json!({"Component": "istiod", "ID": name}).to_string();
            members.insert("controlPlane".to_owned(), json!({ "identifier": identifier }));
        }
        response
    }
}

/// Enough of an answer to tell what it is.
const NEAR: usize = 64 * 1024;

fn client_config(client: &Client) -> Value {
    let mut metadata = Map::new();
    for (name, value) in
        [("CLUSTER_ID", &client.cluster), ("ISTIO_VERSION", &client.version), ("NAMESPACE", &client.namespace)]
    {
        if !value.is_empty() {
            metadata.insert(name.to_owned(), Value::String(value.clone()));
        }
    }
    let configs = client.types.iter().map(|(url, sync)| {
        let mut config = json!({"typeUrl": url, "configStatus": sync.status.name()});
        if let Some(config) = config.as_object_mut() {
            if let Some(time) = sync.last_updated {
                config.insert("lastUpdated".to_owned(), Value::String(time.to_string()));
            }
            if let Some(error) = &sync.error {
                config.insert("errorState".to_owned(), json!({ "details": error }));
            }
        }
        config
    });
    json!({
        "@type": "type.googleapis.com/envoy.service.status.v3.ClientConfig",
        "node": {"id": client.name, "metadata": metadata},
        "genericXdsConfigs": configs.collect::<Vec<_>>(),
    })
}

/// Whether a list is one of clients, as far as its first element says.
fn is_clients(list: &Value) -> bool {
    let first = list.as_array().and_then(|list| list.first()).and_then(Value::as_object);
    first.is_some_and(|first| {
        ["node", "generic_xds_configs", "xds_config"].iter().any(|name| member(first, name).is_some())
    })
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
    ControlPlane { name, clients, is_response: true }
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
    // The older list has the resources themselves; of several entries of a type the worst counts.
    let configs = member(config, "xds_config").and_then(Value::as_array);
    for config in configs.into_iter().flatten().filter_map(Value::as_object) {
        let kind = FLAT.iter().find(|(kind, _)| object(config, &format!("{kind}_config")).is_some());
        let Some((_, url)) = kind else { continue };
        let status = SyncStatus::parse(&text(config, "status"));
        let sync = client.types.entry((*url).to_owned()).or_default();
        sync.status = sync.status.max(status);
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
    fn clients_stand_in_an_envelope_of_their_own() {
        let json = r#"{"config": [{"node": {"id": "a"}, "xdsConfig": [{"status": "STALE", "routeConfig": {}},
            {"status": "SYNCED", "routeConfig": {}}, {"status": "SYNCED", "clusterConfig": {}}]}]}"#;
        assert_eq!(statuses(json), [("CDS".to_owned(), SyncStatus::Synced), ("RDS".to_owned(), SyncStatus::Stale)]);
    }

    #[test]
    fn an_answer_is_made_of_what_is_known() {
        let json = r#"[{"proxy": "a.b", "cluster_id": "c", "resources": {
            "type.googleapis.com/envoy.config.listener.v3.Listener": {"sent": "2", "lastError": "no", "sentTime": "2026-01-02T03:04:05Z"}}}]"#;
        let plane = ControlPlane::parse(json.as_bytes(), Some("istiod-1")).unwrap();
        let response = plane.response().to_string();
        assert!(ControlPlane::is_likely(json.as_bytes()) && ControlPlane::is_likely(response.as_bytes()));
        let again = ControlPlane::parse(response.as_bytes(), None).unwrap();
        assert_eq!(again, ControlPlane { is_response: true, ..plane });
    }

    #[test]
    fn other_json_is_refused() {
        assert!(ControlPlane::parse(br#"{"configs": []}"#, None).is_err());
        assert!(ControlPlane::parse(b"x", None).is_err());
    }
}
