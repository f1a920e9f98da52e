//! The configuration dump of a ztunnel: what it knows of workloads, services, policies and certificates
//! (spec/istioctl.md §1.12).
//!
//! It is plain JSON of ztunnel's own making. Written out again, every field that a member always has stands there, as
//! `null` or empty if the dump lacks it: the form that istioctl prints.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What a ztunnel holds.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ZtunnelDump {
    /// Workloads, in the order of the dump.
    #[serde(deserialize_with = "list")]
    pub workloads: Vec<ZtunnelWorkload>,
    /// Services.
    #[serde(deserialize_with = "list")]
    pub services: Vec<ZtunnelService>,
    /// Authorization policies.
    #[serde(deserialize_with = "list")]
    pub policies: Vec<ZtunnelPolicy>,
    /// Certificates by identity; `None` if the dump doesn't list any.
    pub certificates: Option<Vec<ZtunnelCertificate>>,
    /// Workloads of the node, and their connections.
    #[serde(deserialize_with = "list")]
    pub workload_state: Vec<WorkloadState>,
    /// Workloads in dumps of 2023 and 2024, by UID.
    #[serde(rename = "by_uid", deserialize_with = "list")]
    by_uid: Vec<ZtunnelWorkload>,
    /// Services in dumps of 2023 and 2024, by virtual IP.
    #[serde(rename = "by_vip", deserialize_with = "list")]
    by_vip: Vec<ZtunnelService>,
}

impl ZtunnelDump {
    /// Reads a dump.
    ///
    /// # Errors
    ///
    /// When the text isn't JSON, or a member isn't of its shape; the error names line, column and JSON path.
    pub fn parse(json: &[u8]) -> Result<Self, ZtunnelError> {
        let mut deserializer = serde_json::Deserializer::from_slice(json);
        let dump = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
            let path = error.path().to_string();
            ZtunnelError { path, source: error.into_inner() }
        })?;
        deserializer.end().map_err(|source| ZtunnelError { path: String::new(), source })?;
        Ok(dump)
    }

    /// Whether it has anything that a ztunnel's dump has.
    #[must_use]
    pub fn has_member(&self) -> bool {
        !(self.workloads.is_empty()
            && self.services.is_empty()
            && self.policies.is_empty()
            && self.workload_state.is_empty()
            && self.by_uid.is_empty()
            && self.by_vip.is_empty())
            || self.certificates.is_some()
    }

    /// The same with the lists of old dumps in the place of those that took over from them.
    #[must_use]
    pub fn lifted(mut self) -> Self {
        if self.workloads.is_empty() {
            self.workloads = std::mem::take(&mut self.by_uid);
        }
        if self.services.is_empty() {
            self.services = std::mem::take(&mut self.by_vip);
        }
        self
    }
}

/// Why a text is no dump of a ztunnel.
#[derive(Debug, thiserror::Error)]
#[error("{}{source}", if path.is_empty() || path == "." { String::new() } else { format!("{path}: ") })]
pub struct ZtunnelError {
    /// JSON path of the place.
    pub path: String,
    /// What is wrong there.
    pub source: serde_json::Error,
}

/// A pod, VM or remote endpoint that ztunnel can reach.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ZtunnelWorkload {
    /// Unique id: `<cluster>//Pod/<namespace>/<name>`.
    #[serde(deserialize_with = "or_default")]
    pub uid: String,
    /// Addresses.
    pub workload_ips: Option<Vec<String>>,
    /// The waypoint its traffic goes through.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waypoint: Option<Gateway>,
    /// Gateway of its network.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network_gateway: Option<Gateway>,
    /// `HBONE` if it is reached through a tunnel, else `TCP`.
    #[serde(deserialize_with = "or_default")]
    pub protocol: String,
    /// Name of the pod.
    #[serde(deserialize_with = "or_default")]
    pub name: String,
    /// Namespace of the pod.
    #[serde(deserialize_with = "or_default")]
    pub namespace: String,
    /// Service account of the pod.
    #[serde(deserialize_with = "or_default")]
    pub service_account: String,
    /// Name of the deployment or whatever made the pod.
    #[serde(deserialize_with = "or_default")]
    pub workload_name: String,
    /// `deployment`, `pod`, `job` or `cronjob`.
    #[serde(deserialize_with = "or_default")]
    pub workload_type: String,
    /// Canonical service.
    #[serde(deserialize_with = "or_default")]
    pub canonical_name: String,
    /// Revision of the canonical service.
    #[serde(deserialize_with = "or_default")]
    pub canonical_revision: String,
    /// Cluster the workload is in.
    #[serde(deserialize_with = "or_default")]
    pub cluster_id: String,
    /// Trust domain of its identity.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "String::is_empty")]
    pub trust_domain: String,
    /// Where it runs.
    #[serde(deserialize_with = "or_default")]
    pub locality: ZtunnelLocality,
    /// Node it runs on.
    #[serde(deserialize_with = "or_default")]
    pub node: String,
    /// Network it is in.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "String::is_empty")]
    pub network: String,
    /// `Healthy` or `Unhealthy`.
    #[serde(deserialize_with = "or_default")]
    pub status: String,
    /// Host name, of a workload without an address.
    #[serde(deserialize_with = "or_default")]
    pub hostname: String,
    /// Weight in load balancing.
    #[serde(deserialize_with = "or_default")]
    pub capacity: u32,
    /// Tunnel to the application itself.
    #[serde(deserialize_with = "or_default")]
    pub application_tunnel: ApplicationTunnel,
    /// Policies that select it.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub authorization_policies: Vec<String>,
}

/// Address of a waypoint or gateway.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Gateway {
    /// `<network>/<address>` or `<namespace>/<hostname>`.
    #[serde(deserialize_with = "or_default")]
    pub destination: String,
}

/// Region, zone and sub-zone of a workload.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ZtunnelLocality {
    /// Region.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "String::is_empty")]
    pub region: String,
    /// Zone.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "String::is_empty")]
    pub zone: String,
    /// Sub-zone.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "String::is_empty")]
    pub subzone: String,
}

/// Tunnel that an application ends itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ApplicationTunnel {
    /// Protocol spoken.
    #[serde(deserialize_with = "or_default")]
    pub protocol: String,
    /// Port, if another than the service's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
}

/// A service, and the workloads behind it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ZtunnelService {
    /// Name.
    #[serde(deserialize_with = "or_default")]
    pub name: String,
    /// Namespace.
    #[serde(deserialize_with = "or_default")]
    pub namespace: String,
    /// Host name.
    #[serde(deserialize_with = "or_default")]
    pub hostname: String,
    /// Virtual addresses: `<network>/<address>`.
    pub vips: Option<Vec<String>>,
    /// Virtual address ranges.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub cidr_vips: Vec<CidrVip>,
    /// Service port to target port.
    pub ports: Option<BTreeMap<String, u16>>,
    /// How endpoints are chosen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub load_balancer: Option<ZtunnelLoadBalancer>,
    /// The waypoint its traffic goes through.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waypoint: Option<Gateway>,
    /// Endpoints by key.
    pub endpoints: Option<BTreeMap<String, ZtunnelEndpoint>>,
    /// Names that the endpoints' certificates may have beside their own.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub subject_alt_names: Vec<String>,
    /// `IPv4`, `IPv6` or `Dual`.
    #[serde(deserialize_with = "or_default")]
    pub ip_families: String,
    /// Whether it is the one of several services with its host name that counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub canonical: Option<bool>,
    /// Who may see it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub visibility: Option<Value>,
}

/// A range of virtual addresses, in either of its forms.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum CidrVip {
    /// `<network>/<range>`.
    Text(String),
    /// The same in two parts.
    Parts {
        /// Range of addresses.
        #[serde(default)]
        cidr: String,
        /// Network it is in.
        #[serde(default)]
        network: String,
    },
}

impl Serialize for CidrVip {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => serializer.serialize_str(text),
            Self::Parts { cidr, network } => serializer.collect_str(&format_args!("{network}/{cidr}")),
        }
    }
}

/// How a service's endpoints are chosen.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ZtunnelLoadBalancer {
    /// `Standard`, `Strict` or `Failover`.
    #[serde(deserialize_with = "or_default")]
    pub mode: String,
    /// What has to be near, the most important first.
    pub routing_preferences: Option<Vec<String>>,
    /// `OnlyHealthy` or `AllowAll`.
    #[serde(deserialize_with = "or_default")]
    pub health_policy: String,
}

/// An endpoint of a service.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ZtunnelEndpoint {
    /// The workload.
    #[serde(deserialize_with = "or_default")]
    pub workload_uid: String,
    /// The service: `<namespace>/<hostname>`.
    #[serde(deserialize_with = "or_default")]
    pub service: String,
    /// Its address: `<network>/<address>`.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "String::is_empty")]
    pub address: String,
    /// Service port to target port.
    pub port: Option<BTreeMap<String, u16>>,
}

/// An authorization policy.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ZtunnelPolicy {
    /// Name.
    #[serde(deserialize_with = "or_default")]
    pub name: String,
    /// Namespace.
    #[serde(deserialize_with = "or_default")]
    pub namespace: String,
    /// `Global`, `Namespace` or `WorkloadSelector`.
    #[serde(deserialize_with = "or_default")]
    pub scope: String,
    /// `Allow` or `Deny`.
    #[serde(deserialize_with = "or_default")]
    pub action: String,
    /// Any rule of which all clauses match, of which any match does.
    pub rules: Option<Vec<PolicyRule>>,
}

/// Clauses that must all be met, each by any of its matches.
pub type PolicyRule = Option<Vec<Option<Vec<PolicyMatch>>>>;

/// What a policy asks of a connection; every list given must be met.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PolicyMatch {
    /// Namespaces of the client.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub namespaces: Vec<TextMatch>,
    /// Namespaces that the client must not be in.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub not_namespaces: Vec<TextMatch>,
    /// Identities of the client.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub principals: Vec<TextMatch>,
    /// Identities that the client must not have.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub not_principals: Vec<TextMatch>,
    /// Addresses of the client.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub source_ips: Vec<String>,
    /// Addresses that the client must not have.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub not_source_ips: Vec<String>,
    /// Addresses of the server.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub destination_ips: Vec<String>,
    /// Addresses that the server must not have.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub not_destination_ips: Vec<String>,
    /// Ports of the server.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub destination_ports: Vec<u16>,
    /// Ports that the server must not have.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub not_destination_ports: Vec<u16>,
    /// Service accounts of the client.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub service_accounts: Vec<ServiceAccountMatch>,
    /// Service accounts that the client must not have.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub not_service_accounts: Vec<ServiceAccountMatch>,
}

/// A criterion on a text; one of the four is given.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct TextMatch {
    /// The whole text.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "String::is_empty")]
    pub exact: String,
    /// Its end.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "String::is_empty")]
    pub suffix: String,
    /// Its start.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "String::is_empty")]
    pub prefix: String,
    /// That there is one at all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub presence: Option<Value>,
}

/// A service account by name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceAccountMatch {
    /// Namespace.
    #[serde(deserialize_with = "or_default")]
    pub namespace: String,
    /// Name.
    #[serde(deserialize_with = "or_default")]
    pub service_account: String,
}

/// The certificates that ztunnel holds for an identity.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ZtunnelCertificate {
    /// SPIFFE id.
    #[serde(deserialize_with = "or_default")]
    pub identity: String,
    /// `Available`, `Initializing`, or `Unavailable` with a reason.
    #[serde(deserialize_with = "or_default")]
    pub state: String,
    /// The certificate of the identity, and those that vouch for it.
    pub cert_chain: Option<Vec<CertificateInDump>>,
    /// Roots that are trusted.
    pub root_certs: Option<Vec<CertificateInDump>>,
}

/// One certificate as ztunnel describes it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CertificateInDump {
    /// The certificate itself.
    #[serde(deserialize_with = "or_default")]
    pub pem: String,
    /// Serial number, decimal.
    #[serde(deserialize_with = "or_default")]
    pub serial_number: String,
    /// RFC 3339.
    #[serde(deserialize_with = "or_default")]
    pub valid_from: String,
    /// RFC 3339.
    #[serde(deserialize_with = "or_default")]
    pub expiration_time: String,
}

/// A workload of ztunnel's own node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct WorkloadState {
    /// `Up`, `Pending` or `Draining`.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "String::is_empty")]
    pub state: String,
    /// Its open connections.
    #[serde(deserialize_with = "or_default")]
    pub connections: Connections,
    /// Who it is.
    #[serde(deserialize_with = "or_default")]
    pub info: WorkloadInfo,
}

/// Open connections by direction.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Connections {
    /// Into the workload.
    pub inbound: Option<Vec<ConnectionInDump>>,
    /// Out of it.
    pub outbound: Option<Vec<ConnectionInDump>>,
}

/// One open connection.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ConnectionInDump {
    /// Address of the client.
    #[serde(deserialize_with = "or_default")]
    pub src: String,
    /// What the client dialled.
    #[serde(deserialize_with = "or_default")]
    pub original_dst: String,
    /// What it was connected to.
    #[serde(deserialize_with = "or_default")]
    pub actual_dst: String,
    /// `TCP` or `HBONE`.
    #[serde(deserialize_with = "or_default")]
    pub protocol: String,
}

/// Name and identity of a workload.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct WorkloadInfo {
    /// Name of the pod.
    #[serde(deserialize_with = "or_default")]
    pub name: String,
    /// Namespace of the pod.
    #[serde(deserialize_with = "or_default")]
    pub namespace: String,
    /// Trust domain of its identity.
    #[serde(deserialize_with = "or_default")]
    pub trust_domain: String,
    /// Service account of the pod.
    #[serde(deserialize_with = "or_default")]
    pub service_account: String,
}

/// `null` is the same as nothing.
fn or_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(deserializer: D) -> Result<T, D::Error> {
    Option::<T>::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// A list, or the values of an object: releases differ.
fn list<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    struct List<T>(PhantomData<T>);

    impl<'de, T: Deserialize<'de>> Visitor<'de> for List<T> {
        type Value = Vec<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list or an object")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<T>, A::Error> {
            let mut out = Vec::new();
            while let Some(one) = seq.next_element()? {
                out.push(one);
            }
            Ok(out)
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Vec<T>, A::Error> {
            let mut out = Vec::new();
            while let Some((_, one)) = map.next_entry::<String, T>()? {
                out.push(one);
            }
            Ok(out)
        }

        fn visit_unit<E>(self) -> Result<Vec<T>, E> {
            Ok(Vec::new())
        }
    }

    deserializer.deserialize_any(List(PhantomData))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_and_objects_are_alike() {
        let of = |json: &str| ZtunnelDump::parse(json.as_bytes()).unwrap();
        let listed = of(r#"{"workloads": [{"name": "a", "capacity": null}, {"name": "b"}], "policies": null}"#);
        assert_eq!(listed, of(r#"{"workloads": {"x": {"name": "a"}, "y": {"name": "b", "novel": 1}}}"#));
        assert_eq!(listed.certificates, None);
    }

    #[test]
    fn old_dumps_have_other_names() {
        let dump = ZtunnelDump::parse(br#"{"by_uid": {"u": {"name": "a"}}, "by_vip": {}}"#).unwrap();
        assert!(dump.workloads.is_empty());
        assert_eq!(dump.lifted().workloads[0].name, "a");
    }

    #[test]
    fn an_error_names_its_place() {
        let error = ZtunnelDump::parse(br#"{"workloads": [{"capacity": "x"}]}"#).unwrap_err();
        assert!(error.to_string().starts_with("workloads[0].capacity: invalid type"), "{error}");
    }

    #[test]
    fn what_is_missing_is_written_as_istioctl_does() {
        let text = serde_json::to_string(&ZtunnelService::default()).unwrap();
        assert_eq!(
            text,
            r#"{"name":"","namespace":"","hostname":"","vips":null,"ports":null,"endpoints":null,"ipFamilies":""}"#
        );
        let vip = CidrVip::Parts { cidr: "10.0.0.0/8".to_owned(), network: "n".to_owned() };
        assert_eq!(serde_json::to_string(&vip).unwrap(), r#""n/10.0.0.0/8""#);
    }
}
