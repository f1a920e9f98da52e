//! Ports of a service.

use super::Describer;
use super::data::{PortMapping, ServiceDescription};
use crate::dump::kubernetes::{Held, Pod, Service, ServicePort, TargetPort};

impl<'a> Describer<'a> {
    /// A service with its TCP ports.
    pub(super) fn ports_of(&self, service: Held<'a, Service>, pod: Held<'a, Pod>) -> ServiceDescription {
        let as_istioctl = self.options.as_istioctl;
        let ports = service.spec.spec.ports.iter().filter(|port| transport(port, as_istioctl) == "TCP");
        let mappings = ports.map(|port| PortMapping {
            name: port.name.clone(),
            port: port.port,
            protocol: protocol(port),
            target: target(port, pod.spec, as_istioctl),
            pod_uid: pod.object.metadata.uid.clone(),
        });
        ServiceDescription {
            name: service.name().to_owned(),
            namespace: service.namespace().to_owned(),
            mappings: mappings.collect(),
            ports: Vec::new(),
        }
    }
}

/// `TCP`, `UDP` or `SCTP`. Kubernetes fills in TCP; istioctl takes what stands there.
pub(super) fn transport(port: &ServicePort, as_istioctl: bool) -> &str {
    port.protocol.as_deref().unwrap_or(if as_istioctl { "" } else { "TCP" })
}

/// Port of the pod behind a port of a service.
pub(super) fn target(port: &ServicePort, pod: &Pod, as_istioctl: bool) -> Option<u32> {
    match &port.target_port {
        Some(TargetPort::Number(number)) => Some(*number),
        Some(TargetPort::Name(name)) => {
            let own = |protocol: &Option<String>| protocol.clone().unwrap_or_else(|| "TCP".to_owned());
            let is_same = |other: &Option<String>| {
                if as_istioctl { *other == port.protocol } else { own(other) == own(&port.protocol) }
            };
            let mut ports = pod.spec.containers.iter().flat_map(|container| &container.ports);
            let found = ports.find(|other| other.name == *name && is_same(&other.protocol));
            found.map(|found| found.container_port)
        }
        // Kubernetes fills in the service's own.
        None => Some(if as_istioctl { 0 } else { port.port }),
    }
}

/// Protocol as Istio takes it from `appProtocol`, else from the port's name up to the first hyphen.
pub(super) fn protocol(port: &ServicePort) -> String {
    let is_udp = port.protocol.as_deref() == Some("UDP");
    if port.name.is_empty() && port.app_protocol.is_none() && !is_udp {
        return "auto-detect".to_owned();
    }
    convert(port).to_owned()
}

/// The same where a port without a name has no protocol.
pub(super) fn convert(port: &ServicePort) -> &'static str {
    const UNSUPPORTED: &str = "UnsupportedProtocol";
    /// Ports on which the server speaks first: nothing can be detected there.
    const SERVER_FIRST: [u32; 4] = [25, 53, 3306, 27017];
    if port.protocol.as_deref() == Some("UDP") {
        return "UDP";
    }
    match port.app_protocol.as_deref() {
        Some("kubernetes.io/h2c") => return "HTTP2",
        Some("kubernetes.io/ws") => return "HTTP",
        Some("kubernetes.io/wss") => return "HTTPS",
        Some("hbone") => return "HBONE",
        _ => {}
    }
    let name = port.app_protocol.as_deref().unwrap_or(&port.name).to_ascii_lowercase();
    if name.starts_with("grpc-web") {
        return "GRPC-Web";
    }
    match name.split('-').next().unwrap_or_default() {
        "tcp" => "TCP",
        "udp" => "UDP",
        "grpc" => "GRPC",
        "http" => "HTTP",
        "http_proxy" => "HTTP_PROXY",
        "http2" => "HTTP2",
        "https" => "HTTPS",
        "tls" => "TLS",
        "mongo" => "Mongo",
        "redis" => "Redis",
        "mysql" => "MySQL",
        _ if SERVER_FIRST.contains(&port.port) => "TCP",
        _ => UNSUPPORTED,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(name: &str, app_protocol: Option<&str>, number: u32, expected: &str) {
        let app_protocol = app_protocol.map(str::to_owned);
        let port = ServicePort { name: name.to_owned(), port: number, app_protocol, ..ServicePort::default() };
        assert_eq!(protocol(&port), expected);
    }

    #[test]
    fn the_protocol_is_in_the_name() {
        check("http-web", None, 80, "HTTP");
        check("GRPC-Web", None, 80, "GRPC-Web");
        check("grpc-x", None, 80, "GRPC");
        check("", None, 3306, "auto-detect");
        check("db", None, 3306, "TCP");
        check("web", None, 80, "UnsupportedProtocol");
        check("http", Some("kubernetes.io/h2c"), 80, "HTTP2");
        check("http", Some("redis"), 80, "Redis");
    }
}
