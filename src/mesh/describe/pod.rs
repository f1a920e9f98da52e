//! The pod itself, and the pods of a service.

use super::data::{ContainerDescription, Membership, PodDescription, ServicePods};
use super::{Describer, Labels};
use crate::dump::kubernetes::{Held, Namespace, Pod, Service, selects};

/// Name of the proxy's container.
const PROXY: &str = "istio-proxy";

/// User as whom the proxy runs, and whose traffic isn't redirected to it.
const PROXY_USER: i64 = 1337;

/// Labels that name a workload's service and revision, any of which will do.
const NAME_LABELS: [&str; 3] = ["service.istio.io/canonical-name", "app.kubernetes.io/name", "app"];
const REVISION_LABELS: [&str; 3] = ["service.istio.io/canonical-revision", "app.kubernetes.io/version", "version"];

impl<'a> Describer<'a> {
    /// Describes the pod; whether it has a proxy.
    pub(super) fn describe_pod(&mut self, pod: Held<'a, Pod>) -> bool {
        let membership = self.membership(pod);
        let mut out = PodDescription {
            name: pod.name().to_owned(),
            namespace: pod.namespace().to_owned(),
            revision: revision(pod, self.options.as_istioctl),
            ports: ports(pod.spec, self.options.as_istioctl),
            ..PodDescription::default()
        };
        let runs_as_proxy = |user: Option<i64>| user == Some(PROXY_USER);
        out.containers_as_proxy = pod
            .spec
            .spec
            .containers
            .iter()
            .filter(|container| container.name != PROXY && container.name != "istio-operator")
            .filter(|container| runs_as_proxy(container.security_context.as_ref().and_then(|c| c.run_as_user)))
            .count();
        self.describe_state(pod, &mut out);
        out.membership = membership;
        if out.phase.is_none() && matches!(membership, Membership::Proxy | Membership::Gateway) {
            out.is_as_proxy = runs_as_proxy(pod.spec.spec.security_context.as_ref().and_then(|c| c.run_as_user));
            let lacks = |labels: &[&str]| !labels.iter().any(|label| pod.labels().contains_key(*label));
            out.missing_labels.extend(lacks(&NAME_LABELS).then_some("name"));
            out.missing_labels.extend(lacks(&REVISION_LABELS).then_some("revision"));
        }
        self.out.pod = Some(out);
        matches!(membership, Membership::Proxy | Membership::Gateway)
    }

    fn describe_state(&mut self, pod: Held<'a, Pod>, out: &mut PodDescription) {
        let status = &pod.spec.status;
        match status.phase.as_deref() {
            Some("Running") => {}
            None if !self.options.as_istioctl => {
                self.miss(format!("status of pod {}: whether it runs", pod.name()));
            }
            phase => {
                out.phase = Some(phase.unwrap_or_default().to_owned());
                return;
            }
        }
        let containers = status.container_statuses.iter().map(|container| (container, false));
        let init = status.init_container_statuses.iter().map(|container| (container, true));
        out.not_ready = containers
            .chain(init)
            .filter(|(container, _)| !container.ready)
            .map(|(container, is_init)| ContainerDescription { name: container.name.clone(), is_init })
            .collect();
    }

    pub(super) fn membership(&self, pod: Held<'a, Pod>) -> Membership {
        let member = self.mesh.member(pod.namespace(), pod.name()).filter(|_| !self.options.as_istioctl);
        if member.is_some_and(|member| matches!(member.node_type.as_deref(), Some("router" | "waypoint"))) {
            Membership::Gateway
        } else if has_container(pod.spec) || member.is_some() {
            Membership::Proxy
        } else if self.options.as_istioctl {
            Membership::Outside
        } else if is_gateway(pod) {
            Membership::Gateway
        } else if is_injected(pod) {
            Membership::Proxy
        } else if self.is_ambient(pod) {
            Membership::Ambient
        } else if pod.spec.spec.containers.is_empty() {
            Membership::Unknown
        } else {
            Membership::Outside
        }
    }

    fn is_ambient(&self, pod: Held<'a, Pod>) -> bool {
        const MODE: &str = "istio.io/dataplane-mode";
        let is_redirected = pod.object.metadata.annotations.get("ambient.istio.io/redirection");
        if let Some(redirection) = is_redirected {
            return redirection == "enabled";
        }
        let namespace = self.mesh.objects.get::<Namespace>("", pod.namespace());
        let mode = pod.labels().get(MODE).or_else(|| namespace?.labels().get(MODE));
        mode.is_some_and(|mode| mode == "ambient")
    }

    /// The pods of a service whose proxies serve it.
    pub(super) fn pods_of(&mut self, service: Held<'a, Service>) -> Vec<Held<'a, Pod>> {
        let as_istioctl = self.options.as_istioctl;
        let selector: &Labels = &service.spec.spec.selector;
        let mut out = ServicePods {
            name: service.name().to_owned(),
            namespace: service.namespace().to_owned(),
            has_selector: !selector.is_empty(),
            is_known: as_istioctl || self.mesh.objects.has_kind::<Pod>(),
            ..ServicePods::default()
        };
        let mut meshed = Vec::new();
        let mesh = self.mesh;
        let pods = mesh.objects.of_namespace::<Pod>(service.namespace());
        for pod in pods.filter(|pod| !selector.is_empty() && selects(selector, pod.labels())) {
            out.selected += 1;
            match self.out_of_service(pod) {
                None => meshed.push(pod),
                Some(Left::Ambient) => out.ambient += 1,
                Some(Left::Unknown) => out.unknown += 1,
                Some(Left::Noted(note)) => out.notes.push(note),
            }
        }
        if !out.is_known {
            self.miss(format!("Pods: which of them are those of service {}", service.name()));
        }
        out.meshed = meshed.iter().map(|pod| format!("{}.{}", pod.name(), pod.namespace())).collect();
        self.out.service_pods = Some(out);
        // One of which there is a dump says more.
        if !as_istioctl
            && let Some(with) = meshed.iter().position(|pod| mesh.member(pod.namespace(), pod.name()).is_some())
        {
            meshed.swap(0, with);
        }
        meshed
    }

    /// Why a pod doesn't serve its service through a proxy.
    fn out_of_service(&self, pod: Held<'a, Pod>) -> Option<Left> {
        let status = &pod.spec.status;
        let name = self.short(pod.name(), pod.namespace());
        match status.phase.as_deref() {
            Some("Running") => {}
            None if !self.options.as_istioctl => {}
            phase => return Some(Left::Noted(format!("   Pod is not Running ({})", phase.unwrap_or_default()))),
        }
        let mut containers = status.container_statuses.iter().chain(&status.init_container_statuses);
        match containers.find(|container| container.name == PROXY) {
            Some(proxy) if proxy.ready => None,
            Some(_) => Some(Left::Noted(format!("WARNING: Pod {name} Container {PROXY} NOT READY"))),
            None => match self.membership(pod) {
                Membership::Proxy | Membership::Gateway if !self.options.as_istioctl => None,
                Membership::Ambient => Some(Left::Ambient),
                Membership::Unknown => Some(Left::Unknown),
                _ => Some(Left::Noted(format!("Pod {name}: no container {PROXY:?} in pod"))),
            },
        }
    }

    /// A name as istioctl writes it: without the namespace where that is the current one.
    fn short(&self, name: &str, namespace: &str) -> String {
        if namespace == self.options.namespace { name.to_owned() } else { format!("{name}.{namespace}") }
    }
}

enum Left {
    Ambient,
    Unknown,
    Noted(String),
}

/// Whether labels say that the pod is made for a Gateway of the Gateway API, or is the gateway of Istio's own chart.
fn is_gateway(pod: Held<'_, Pod>) -> bool {
    const MADE_FOR: &str = "gateway.networking.k8s.io/gateway-name";
    let istio = pod.labels().get("istio").map(String::as_str);
    pod.labels().contains_key(MADE_FOR) || matches!(istio, Some("ingressgateway" | "egressgateway"))
}

/// Whether the injector of sidecars left its marks on the pod.
fn is_injected(pod: Held<'_, Pod>) -> bool {
    let takes_tls = pod.labels().get("security.istio.io/tlsMode").is_some_and(|mode| mode == "istio");
    takes_tls || pod.object.metadata.annotations.contains_key("sidecar.istio.io/status")
}

fn has_container(pod: &Pod) -> bool {
    pod.spec.containers.iter().chain(&pod.spec.init_containers).any(|container| container.name == PROXY)
}

fn revision(pod: Held<'_, Pod>, as_istioctl: bool) -> String {
    const REVISION: &str = "istio.io/rev";
    let annotations = &pod.object.metadata.annotations;
    if let Some(revision) = annotations.get(REVISION) {
        return revision.clone();
    }
    let status = annotations.get("sidecar.istio.io/status");
    let status: Option<serde_json::Value> = status.and_then(|status| serde_json::from_str(status).ok());
    let injected = status.as_ref().and_then(|status| status.get("revision")?.as_str());
    let label = || pod.labels().get(REVISION).filter(|_| !as_istioctl).map(String::as_str);
    injected.or_else(label).unwrap_or_default().to_owned()
}

fn ports(pod: &Pod, as_istioctl: bool) -> Vec<String> {
    let ports =
        pod.spec.containers.iter().flat_map(|container| container.ports.iter().map(move |port| (container, port)));
    ports
        .map(|(container, port)| {
            let protocol = match port.protocol.as_deref() {
                Some("TCP") => String::new(),
                None if !as_istioctl => String::new(),
                other => format!("/{}", other.unwrap_or_default()),
            };
            format!("{}{protocol} ({})", port.container_port, container.name)
        })
        .collect()
}
