//! A description as plain data.

use std::collections::BTreeMap;

use serde::Serialize;

use super::DescribeOptions;

/// What a pod or a service is in the mesh.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Description {
    /// Name and version of this form.
    pub schema: &'static str,
    /// Namespace in which the text form leaves the namespace off a name.
    pub namespace: String,
    /// The pod, where it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod: Option<PodDescription>,
    /// The pods of the service, where that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_pods: Option<ServicePods>,
    /// Whether the input has Services, and none selects the pod.
    pub is_unselected: bool,
    /// The services that select the pod, or the one that was asked for.
    pub services: Vec<ServiceDescription>,
    /// Mutual TLS that the pod asks for, where a pod was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer_authentication: Option<PeerAuthenticationDescription>,
    /// RBAC policies by listener, where the proxy is a gateway or a waypoint.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub listeners: Vec<ListenerDescription>,
    /// Gateways through which the services are reached; absent if the pod isn't described that far.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gateways: Option<Gateways>,
    /// What isn't in the input, each with what can't be said without it.
    pub missing: Vec<String>,
    /// Whether the text form says nothing of pods that aren't in the mesh.
    #[serde(skip)]
    pub ignore_unmeshed: bool,
    /// Whether the answer is istioctl's.
    #[serde(skip)]
    pub as_istioctl: bool,
    /// What ended istioctl's answer.
    #[serde(skip)]
    pub error: Option<String>,
    /// Whether istioctl crashes at that place.
    #[serde(skip)]
    pub is_crashed: bool,
}

impl Description {
    pub(super) fn new(options: &DescribeOptions) -> Self {
        Self {
            schema: "xdsight.describe/1",
            namespace: options.namespace.clone(),
            ignore_unmeshed: options.ignore_unmeshed,
            as_istioctl: options.as_istioctl,
            ..Self::default()
        }
    }
}

/// A pod.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct PodDescription {
    /// Name.
    pub name: String,
    /// Namespace.
    pub namespace: String,
    /// Revision of the control plane that made its proxy; empty if the pod doesn't say.
    pub revision: String,
    /// Ports that its containers name: `9080 (app)`, with `/UDP` after the number where it isn't TCP.
    pub ports: Vec<String>,
    /// Phase, where that isn't `Running`; then nothing else is said of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<String>,
    /// Containers that aren't ready.
    pub not_ready: Vec<ContainerDescription>,
    /// How it is part of the mesh.
    pub membership: Membership,
    /// Number of containers, but for the proxy, that run as user 1337, whose traffic isn't redirected.
    pub containers_as_proxy: usize,
    /// Whether the whole pod runs as user 1337.
    pub is_as_proxy: bool,
    /// What its labels lack for telemetry: `name`, `revision`.
    pub missing_labels: Vec<&'static str>,
}

/// A container that isn't ready.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ContainerDescription {
    /// Name.
    pub name: String,
    /// Whether it starts before the others.
    pub is_init: bool,
}

/// How a pod is part of the mesh.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Membership {
    /// It has a proxy: a container of it, or a dump that names the pod.
    Proxy,
    /// It is a proxy: a gateway or a waypoint, by its dump.
    Gateway,
    /// The proxy of its node takes its traffic.
    Ambient,
    /// It has no proxy.
    #[default]
    Outside,
    /// The input doesn't tell: the pod stands there without containers.
    Unknown,
}

/// The pods of a service.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ServicePods {
    /// Name of the service.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// Whether it selects pods at all; if not, its endpoints are made by hand.
    pub has_selector: bool,
    /// Number of pods that it selects.
    pub selected: usize,
    /// Those of them whose proxies serve it, `name.namespace`: the first is looked at.
    pub meshed: Vec<String>,
    /// Those of them that are in the ambient mesh.
    pub ambient: usize,
    /// Those of them of which the input doesn't tell whether they are in the mesh.
    pub unknown: usize,
    /// Why pods are left out, in order.
    pub notes: Vec<String>,
    /// Whether the input holds any pods; if not, they are not known, rather than none.
    pub is_known: bool,
}

/// A service.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ServiceDescription {
    /// Name.
    pub name: String,
    /// Namespace.
    pub namespace: String,
    /// Its TCP ports with those of the pod.
    pub mappings: Vec<PortMapping>,
    /// What the proxy has for each port, also those that aren't TCP.
    pub ports: Vec<PortDescription>,
}

/// A port of a service, and that of the pod behind it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct PortMapping {
    /// Name.
    pub name: String,
    /// Number.
    pub port: u32,
    /// Protocol as Istio takes it from name and `appProtocol`.
    pub protocol: String,
    /// Port of the pod; absent if no container has a port of that name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<u32>,
    /// Unique id of the pod that has no such port.
    #[serde(skip)]
    pub pod_uid: String,
}

/// What the proxy has for a port of a service.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct PortDescription {
    /// Number of the service's port.
    pub port: u32,
    /// The DestinationRule behind its cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub destination_rule: Option<DestinationRuleDescription>,
    /// The VirtualServices behind its routes.
    pub virtual_services: Vec<VirtualServiceDescription>,
    /// Names of the RBAC policies that the proxy enforces on it.
    pub policies: Vec<String>,
}

/// RBAC policies of one listener of a gateway or a waypoint.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ListenerDescription {
    /// Name of the listener.
    pub name: String,
    /// Its port; absent for a listener within the proxy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u32>,
    /// Names of the policies, those of all its chains.
    pub policies: Vec<String>,
}

/// A DestinationRule that a proxy refers to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct DestinationRuleDescription {
    /// Name.
    pub name: String,
    /// Namespace.
    pub namespace: String,
    /// Whether the input has it; if not, nothing else is known of it.
    pub is_found: bool,
    /// Host that it is about.
    pub host: String,
    /// Subsets that have one of the pods.
    pub matching_subsets: Vec<String>,
    /// The other subsets.
    pub other_subsets: Vec<String>,
    /// Its traffic policy, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub traffic_policy: Option<TrafficDescription>,
}

/// What a traffic policy sets.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct TrafficDescription {
    /// Mode of TLS, if that is set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_mode: Option<String>,
    /// Other parts that are set: `load balancer`, `connection pool`, `outlier detection`.
    pub policies: Vec<&'static str>,
    /// The same by port.
    pub ports: Vec<PortPolicy>,
}

/// What a traffic policy sets for a port.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct PortPolicy {
    /// Number of the port.
    pub port: u32,
    /// Mode of TLS, if that is set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_mode: Option<String>,
    /// Other parts that are set.
    pub policies: Vec<&'static str>,
}

/// A VirtualService that a proxy refers to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct VirtualServiceDescription {
    /// Name.
    pub name: String,
    /// Namespace.
    pub namespace: String,
    /// Whether the input has it; if not, nothing else is known of it.
    pub is_found: bool,
    /// Whether Istio made it of routes of the Gateway API.
    pub is_generated: bool,
    /// What its routes to the service say, in order.
    pub facts: Vec<String>,
    /// Why it brings the pods nothing.
    pub warnings: Vec<String>,
    /// What its other routes say, where that explains a warning.
    pub notes: Vec<String>,
    /// Number of its routes that don't lead to the pods.
    pub other_destinations: usize,
    /// Number of its routes by kind, where nothing else is to be said of them: `2 HTTP route(s)`.
    pub routes: Vec<String>,
}

/// Mutual TLS that a pod asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct PeerAuthenticationDescription {
    /// `DISABLE`, `PERMISSIVE` or `STRICT`; absent if the input has no PeerAuthentication at all, and for a pod without
    /// a proxy or that is a gateway, which take none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    /// The same by port of the pod, where it differs.
    pub ports: BTreeMap<u32, String>,
    /// Objects that apply, `name.namespace`.
    pub applied: Vec<String>,
}

/// Gateways through which services are reached.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Gateways {
    /// Why there is nothing to say of gateways: `pods` or `service`, whichever the input lacks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skipped: Option<&'static str>,
    /// In the order of the gateways' pods.
    pub gateways: Vec<GatewayDescription>,
}

/// Something that a gateway's proxy refers to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "what")]
pub enum GatewayDescription {
    /// A way to the service.
    Exposed(Exposure),
    /// An object that the input doesn't have.
    Missing {
        /// Its kind: `DestinationRule`, `VirtualService`, `Gateway`.
        kind: &'static str,
        /// Namespace.
        namespace: String,
        /// Name.
        name: String,
    },
    /// A Gateway without selector, which istioctl says of and leaves.
    Everywhere {
        /// Namespace.
        namespace: String,
        /// Name.
        name: String,
    },
}

/// A way through a gateway to a service.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Exposure {
    /// The Gateway, `namespace/name`.
    pub gateway: String,
    /// Where it listens: `http://192.0.2.1:8080`.
    pub addresses: Vec<String>,
    /// What is routed there.
    pub virtual_service: VirtualServiceDescription,
}
