//! The parts of objects that questions need. Names are those of the objects' own fields.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// `null` as what is absent.
pub(super) fn or_default<'de, T: Deserialize<'de> + Default, D: Deserializer<'de>>(from: D) -> Result<T, D::Error> {
    Ok(Option::<T>::deserialize(from)?.unwrap_or_default())
}

macro_rules! parts {
    ($($(#[$about:meta])* $name:ident { $($(#[$doc:meta])* $field:ident: $type:ty,)* })*) => {
        $(
            $(#[$about])*
            #[derive(Debug, Clone, Default, PartialEq, Deserialize)]
            #[serde(rename_all = "camelCase", default)]
            pub struct $name {
                $($(#[$doc])* #[serde(deserialize_with = "or_default")] pub $field: $type,)*
            }
        )*
    };
}

parts! {
    /// A `ConfigMap`.
    ConfigMap {
        /// Texts by key.
        data: BTreeMap<String, String>,
    }

    /// A `Namespace`: its labels say it all.
    Namespace {}

    /// A `Pod`.
    Pod {
        /// What it is to be.
        spec: PodSpec,
        /// What became of it.
        status: PodStatus,
    }

    /// What a pod is to be.
    PodSpec {
        /// Containers.
        containers: Vec<Container>,
        /// Containers that start before; a sidecar may be one of them.
        init_containers: Vec<Container>,
        /// User of all containers.
        security_context: Option<SecurityContext>,
    }

    /// A container.
    Container {
        /// Name.
        name: String,
        /// Ports that it names; others may be open.
        ports: Vec<ContainerPort>,
        /// User.
        security_context: Option<SecurityContext>,
    }

    /// A port of a container.
    ContainerPort {
        /// Name.
        name: String,
        /// Number.
        container_port: u32,
        /// `TCP`, `UDP` or `SCTP`; Kubernetes takes what is absent for TCP.
        protocol: Option<String>,
    }

    /// As whom processes run.
    SecurityContext {
        /// Number of the user.
        run_as_user: Option<i64>,
    }

    /// What became of a pod.
    PodStatus {
        /// `Pending`, `Running`, `Succeeded`, `Failed` or `Unknown`.
        phase: Option<String>,
        /// Address of its node.
        #[serde(rename = "hostIP")]
        host_ip: String,
        /// Containers.
        container_statuses: Vec<ContainerStatus>,
        /// Containers that start before.
        init_container_statuses: Vec<ContainerStatus>,
    }

    /// What became of a container.
    ContainerStatus {
        /// Name.
        name: String,
        /// Whether its probe succeeds, or it has done its work.
        ready: bool,
    }

    /// A `Service`.
    Service {
        /// What it is to be.
        spec: ServiceSpec,
        /// What became of it.
        status: ServiceStatus,
    }

    /// What a service is to be.
    ServiceSpec {
        /// Labels of its pods; if there are none, its endpoints are made by hand.
        selector: BTreeMap<String, String>,
        /// Ports.
        ports: Vec<ServicePort>,
    }

    /// A port of a service.
    ServicePort {
        /// Name.
        name: String,
        /// Number.
        port: u32,
        /// Port of the pods; that of the service if absent.
        target_port: Option<TargetPort>,
        /// `TCP`, `UDP` or `SCTP`; Kubernetes takes what is absent for TCP.
        protocol: Option<String>,
        /// What is spoken on it, before what its name says.
        app_protocol: Option<String>,
    }

    /// What became of a service.
    ServiceStatus {
        /// Of its load balancer.
        load_balancer: LoadBalancerStatus,
    }

    /// What became of a load balancer.
    LoadBalancerStatus {
        /// Addresses.
        ingress: Vec<IngressAddress>,
    }

    /// An address of a load balancer.
    IngressAddress {
        /// Address.
        ip: String,
        /// Name, where the provider gives names.
        hostname: String,
    }

    /// A `DestinationRule`.
    DestinationRule {
        /// What it says.
        spec: DestinationRuleSpec,
    }

    /// What a DestinationRule says.
    DestinationRuleSpec {
        /// Host that it is about.
        host: String,
        /// Named parts of the host's endpoints.
        subsets: Vec<Subset>,
        /// How connections to it are made.
        #[serde(alias = "traffic_policy")]
        traffic_policy: Option<TrafficPolicy>,
    }

    /// Endpoints that have labels.
    Subset {
        /// Name.
        name: String,
        /// Labels.
        labels: BTreeMap<String, String>,
    }

    /// How connections to a host are made: which parts are set.
    TrafficPolicy {
        /// How endpoints are chosen.
        #[serde(alias = "load_balancer")]
        load_balancer: Option<Value>,
        /// Limits of connections.
        #[serde(alias = "connection_pool")]
        connection_pool: Option<Value>,
        /// When endpoints are passed over.
        #[serde(alias = "outlier_detection")]
        outlier_detection: Option<Value>,
        /// TLS.
        tls: Option<TlsSettings>,
        /// The same by port.
        #[serde(alias = "port_level_settings")]
        port_level_settings: Vec<PortTraffic>,
    }

    /// How connections to a port are made.
    PortTraffic {
        /// The port.
        port: PortSelector,
        /// How endpoints are chosen.
        #[serde(alias = "load_balancer")]
        load_balancer: Option<Value>,
        /// Limits of connections.
        #[serde(alias = "connection_pool")]
        connection_pool: Option<Value>,
        /// When endpoints are passed over.
        #[serde(alias = "outlier_detection")]
        outlier_detection: Option<Value>,
        /// TLS.
        tls: Option<TlsSettings>,
    }

    /// A port by number.
    PortSelector {
        /// Number.
        number: u32,
    }

    /// TLS to a host.
    TlsSettings {
        /// `DISABLE` (also if absent), `SIMPLE`, `MUTUAL` or `ISTIO_MUTUAL`.
        mode: Option<String>,
    }

    /// A `Gateway` of Istio's own API.
    Gateway {
        /// What it says.
        spec: GatewaySpec,
    }

    /// What a Gateway says.
    GatewaySpec {
        /// Labels of the pods that serve it; absent for all.
        selector: Option<BTreeMap<String, String>>,
        /// What is served.
        servers: Vec<GatewayServer>,
    }

    /// A port with hosts.
    GatewayServer {
        /// The port.
        port: GatewayPort,
        /// Hosts, with or without a namespace before a slash.
        hosts: Vec<String>,
        /// TLS.
        tls: ServerTls,
    }

    /// TLS of a Gateway's port.
    ServerTls {
        /// Whether plain HTTP is answered with a redirect to HTTPS.
        #[serde(alias = "https_redirect")]
        https_redirect: bool,
        /// `PASSTHROUGH` (also if absent), `SIMPLE`, `MUTUAL`, `AUTO_PASSTHROUGH` …
        mode: Option<String>,
    }

    /// A port of a Gateway.
    GatewayPort {
        /// Number.
        number: u32,
        /// `HTTP`, `HTTPS`, `TLS` …
        protocol: String,
    }

    /// A `VirtualService`.
    VirtualService {
        /// What it says.
        spec: VirtualServiceSpec,
    }

    /// What a VirtualService says.
    VirtualServiceSpec {
        /// Hosts that it is about.
        hosts: Vec<String>,
        /// Gateways that it is for; `mesh` and none are sidecars.
        gateways: Vec<String>,
        /// Routes of HTTP requests, the first that matches counts.
        http: Vec<HttpRoute>,
        /// Routes of TLS connections that aren't terminated.
        tls: Vec<TcpRoute>,
        /// Routes of other connections.
        tcp: Vec<TcpRoute>,
    }

    /// A route of HTTP requests.
    HttpRoute {
        /// Name.
        name: String,
        /// Conditions, one of which must hold; none hold always.
        r#match: Vec<HttpMatch>,
        /// Where requests go.
        route: Vec<RouteDestination>,
        /// Faults that are made.
        fault: Option<Value>,
        /// Another VirtualService with the routes.
        delegate: Option<NamespacedName>,
        /// Where copies of requests go, each with its own share.
        mirrors: Vec<Mirror>,
        /// The same for one alone: the older form.
        mirror: Option<Destination>,
        /// Share of requests that go to `mirror`; all if absent.
        #[serde(alias = "mirror_percentage")]
        mirror_percentage: Option<Percentage>,
        /// The same as a whole number: the oldest form.
        #[serde(alias = "mirror_percent")]
        mirror_percent: Option<f64>,
    }

    /// Where copies of requests go.
    Mirror {
        /// The destination.
        destination: Destination,
        /// Share of requests; all if absent.
        percentage: Option<Percentage>,
    }

    /// A share.
    Percentage {
        /// Of a hundred.
        value: f64,
    }

    /// A name in a namespace.
    NamespacedName {
        /// Name.
        name: String,
        /// Namespace; that of who refers to it if empty.
        namespace: String,
    }

    /// A condition of a request.
    HttpMatch {
        /// Path.
        uri: Option<StringMatch>,
        /// Whether the path is compared without regard to case.
        #[serde(alias = "ignore_uri_case")]
        ignore_uri_case: bool,
        /// Headers.
        headers: BTreeMap<String, StringMatch>,
        /// Headers that must not be so.
        #[serde(alias = "without_headers")]
        without_headers: BTreeMap<String, StringMatch>,
        /// Host.
        authority: Option<StringMatch>,
        /// Method.
        method: Option<StringMatch>,
        /// Scheme.
        scheme: Option<StringMatch>,
        /// Parameters of the query.
        #[serde(alias = "query_params")]
        query_params: BTreeMap<String, StringMatch>,
        /// Port to which the request is sent.
        port: Option<u32>,
        /// Labels of the pod that sends it.
        #[serde(alias = "source_labels")]
        source_labels: BTreeMap<String, String>,
        /// Namespace of the pod that sends it.
        #[serde(alias = "source_namespace")]
        source_namespace: String,
        /// Gateways that it comes through.
        gateways: Vec<String>,
    }

    /// A condition of a text; without any member it asks for its presence.
    StringMatch {
        /// It is this.
        exact: Option<String>,
        /// It begins like this.
        prefix: Option<String>,
        /// It matches this as a whole.
        regex: Option<String>,
    }

    /// A route of connections.
    TcpRoute {
        /// Conditions, as they stand.
        r#match: Vec<BTreeMap<String, Value>>,
        /// Where connections go.
        route: Vec<RouteDestination>,
    }

    /// A destination with its share.
    RouteDestination {
        /// The destination.
        destination: Destination,
        /// Its share of the sum of all.
        weight: i32,
    }

    /// Where requests go.
    Destination {
        /// Host.
        host: String,
        /// Subset of its DestinationRule.
        subset: String,
        /// Port, where the host has several.
        port: Option<PortSelector>,
    }

    /// A `PeerAuthentication`.
    PeerAuthentication {
        /// What it says.
        spec: PeerAuthenticationSpec,
    }

    /// What a PeerAuthentication says.
    PeerAuthenticationSpec {
        /// Pods that it is about; absent or empty for all.
        selector: Option<WorkloadSelector>,
        /// Mutual TLS.
        mtls: Option<MutualTls>,
        /// The same by port of the pod.
        #[serde(alias = "port_level_mtls")]
        port_level_mtls: BTreeMap<String, MutualTls>,
    }

    /// Pods by label.
    WorkloadSelector {
        /// Labels.
        #[serde(alias = "match_labels")]
        match_labels: BTreeMap<String, String>,
    }

    /// Whether mutual TLS is asked for.
    MutualTls {
        /// `UNSET` (also if absent), `DISABLE`, `PERMISSIVE` or `STRICT`.
        mode: Option<String>,
    }
}

/// A port of a pod, by number or by the name that a container gives it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum TargetPort {
    /// By number.
    Number(u32),
    /// By name.
    Name(String),
}
