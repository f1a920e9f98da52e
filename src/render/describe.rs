//! Descriptions as istioctl writes them, and what it doesn't tell.

use std::fmt::Write as _;

use super::escape::escape;
use crate::mesh::describe::{
    Description, DestinationRuleDescription, Exposure, GatewayDescription, Gateways, Membership,
    PeerAuthenticationDescription, PodDescription, PortDescription, ServiceDescription, ServicePods,
    VirtualServiceDescription,
};

const RULE: &str = "--------------------";
const REQUIREMENTS: &str = "https://istio.io/latest/docs/ops/deployment/application-requirements/";

/// The text of a description.
#[must_use]
pub fn description(description: &Description) -> String {
    let mut page = Page { out: String::new(), description };
    page.description();
    page.out
}

struct Page<'a> {
    out: String,
    description: &'a Description,
}

impl Page<'_> {
    fn line(&mut self, indent: usize, text: &str) {
        // Writing to a String can't fail.
        let _ = writeln!(self.out, "{:indent$}{}", "", escape(text));
    }

    /// Name of an object, with its namespace where that isn't the current one.
    fn name(&self, name: &str, namespace: &str) -> String {
        if namespace == self.description.namespace { name.to_owned() } else { format!("{name}.{namespace}") }
    }

    fn description(&mut self) {
        let all = self.description;
        if let Some(pods) = &all.service_pods {
            self.service_pods(pods);
        }
        if let Some(pod) = &all.pod {
            self.pod(pod);
            if all.is_unselected {
                let name = self.name(&pod.name, &pod.namespace);
                self.line(
                    0,
                    &format!(
                        "Warning: No Kubernetes Services select pod {name} (see \
                         https://istio.io/docs/setup/kubernetes/additional-setup/requirements/ )"
                    ),
                );
            }
            self.line(0, RULE);
        }
        for (nth, service) in all.services.iter().enumerate() {
            if nth > 0 {
                self.line(0, RULE);
            }
            self.service(service);
        }
        for listener in &all.listeners {
            let port = listener.port.map(|port| format!(" on port {port}")).unwrap_or_default();
            self.line(
                0,
                &format!("RBAC policies of listener {}{port}: {}", listener.name, listener.policies.join(", ")),
            );
        }
        if all.pod.is_some()
            && (all.error.is_none() || all.peer_authentication.is_some() || self.is_at_authentication())
        {
            self.line(0, RULE);
        }
        if let Some(authentication) = &all.peer_authentication {
            self.authentication(authentication);
        }
        if let Some(gateways) = &all.gateways {
            self.gateways(gateways);
        }
        if !all.missing.is_empty() {
            self.line(0, RULE);
            self.line(0, "Not in the input, and so not known:");
            for missing in &all.missing {
                self.line(3, missing);
            }
        }
    }

    /// Whether istioctl ended at the mesh configuration, after its line.
    fn is_at_authentication(&self) -> bool {
        self.description.error.as_ref().is_some_and(|error| error.starts_with("failed to fetch mesh config"))
    }

    fn pod(&mut self, pod: &PodDescription) {
        const AS_PROXY: &str = "WARNING: User ID (UID) 1337 is reserved for the sidecar proxy.";
        let name = self.name(&pod.name, &pod.namespace);
        for _ in 0..pod.containers_as_proxy {
            self.line(0, AS_PROXY);
        }
        self.line(0, &format!("Pod: {name}"));
        self.line(3, &format!("Pod Revision: {}", pod.revision));
        match pod.ports.is_empty() {
            true => self.line(3, "Pod does not expose ports"),
            false => self.line(3, &format!("Pod Ports: {}", pod.ports.join(", "))),
        }
        if let Some(phase) = &pod.phase {
            return self.line(3, &format!("Pod is not Running ({phase})"));
        }
        for container in &pod.not_ready {
            let init = if container.is_init { "Init " } else { "" };
            self.line(0, &format!("WARNING: Pod {name} {init}Container {} NOT READY", container.name));
        }
        if self.description.ignore_unmeshed {
            return;
        }
        match pod.membership {
            Membership::Outside => self.line(0, &format!("WARNING: {name} is not part of mesh; no Istio sidecar")),
            Membership::Unknown => {
                self.line(3, "It isn't known whether the pod is part of the mesh: its containers aren't in the input");
            }
            Membership::Ambient => self.line(3, "Pod is in the ambient mesh: ztunnel and waypoints serve it"),
            Membership::Proxy | Membership::Gateway => {}
        }
        if pod.is_as_proxy {
            self.line(3, AS_PROXY);
        }
        for label in &pod.missing_labels {
            self.line(
                0,
                &format!("Suggestion: add required service {label} label for Istio telemetry. See {REQUIREMENTS}."),
            );
        }
    }

    fn service_pods(&mut self, pods: &ServicePods) {
        for note in &pods.notes {
            // Notes are lines with their own indent.
            self.line(0, note);
        }
        if !pods.meshed.is_empty() {
            return;
        }
        let name = self.name(&pods.name, &pods.namespace);
        if !pods.has_selector && !self.description.as_istioctl {
            self.line(0, &format!("Service {name:?} has no selector: its endpoints aren't pods that it chooses."));
        } else if !pods.is_known {
            self.line(0, &format!("Service {name:?}: its pods aren't known."));
        } else if pods.selected == 0 {
            self.line(0, &format!("Service {name:?} has no pods."));
        } else if pods.ambient > 0 {
            self.line(
                0,
                &format!(
                    "Service {name:?} has no pods with a sidecar.  ({} of {} pods in the ambient mesh).",
                    pods.ambient, pods.selected
                ),
            );
        } else if pods.unknown > 0 {
            self.line(
                0,
                &format!(
                    "Service {name:?}: it isn't known whether its pods are part of the mesh.  (The input has no \
                     containers of {} of {} pods).",
                    pods.unknown, pods.selected
                ),
            );
        } else {
            self.line(0, &format!("Service {name:?} has no Istio pods.  ({} pods in service).", pods.selected));
            self.line(0, "Use `istioctl kube-inject` or redeploy with Istio automatic sidecar injection.");
        }
    }

    fn service(&mut self, service: &ServiceDescription) {
        let name = self.name(&service.name, &service.namespace);
        self.line(0, &format!("Service: {name}"));
        for mapping in &service.mappings {
            match mapping.target {
                Some(target) => self.line(
                    3,
                    &format!("Port: {} {}/{} targets pod port {target}", mapping.name, mapping.port, mapping.protocol),
                ),
                None if self.description.as_istioctl => {
                    self.line(3, &format!("no suitable port for manifest: {}", mapping.pod_uid));
                }
                None => self.line(
                    3,
                    &format!("Port: {} {}/{} targets no port of the pod", mapping.name, mapping.port, mapping.protocol),
                ),
            }
        }
        let has_several = service.ports.len() > 1;
        for port in &service.ports {
            self.port(port, has_several);
        }
    }

    fn port(&mut self, port: &PortDescription, is_one_of_several: bool) {
        let indent = if is_one_of_several { 3 } else { 0 };
        let is_empty = port.destination_rule.is_none() && port.virtual_services.is_empty() && port.policies.is_empty();
        if is_one_of_several && (!is_empty || self.description.as_istioctl) {
            self.line(0, &format!("{}:", port.port));
        }
        if let Some(rule) = &port.destination_rule {
            match rule.is_found {
                true => self.destination_rule(rule, indent),
                false => self.missing("DestinationRule", &rule.namespace, &rule.name),
            }
        }
        for virtual_service in &port.virtual_services {
            self.virtual_service(virtual_service, indent);
        }
        if !port.policies.is_empty() {
            let number = if is_one_of_several { format!("{} ", port.port) } else { String::new() };
            self.line(0, &format!("{number}RBAC policies: {}", port.policies.join(", ")));
        }
    }

    /// An object that a proxy refers to isn't there.
    fn missing(&mut self, kind: &str, namespace: &str, name: &str) {
        if !self.description.as_istioctl {
            return self.line(
                0,
                &format!(
                    "WARNING: {kind} {name}.{namespace} isn't in the input: its file is missing, or the proxy is stale"
                ),
            );
        }
        let object = match kind {
            "DestinationRule" => format!("destination rule {name}.{namespace}"),
            "VirtualService" => format!("virtual service {name}.{namespace}"),
            _ => format!("gateway {namespace}/{name}"),
        };
        self.line(0, &format!("WARNING: Proxy is stale; it references to non-existent {object}"));
    }

    fn destination_rule(&mut self, rule: &DestinationRuleDescription, indent: usize) {
        let name = self.name(&rule.name, &rule.namespace);
        self.line(indent, &format!("DestinationRule: {name} for {:?}", rule.host));
        let (matching, other) = (rule.matching_subsets.join(","), rule.other_subsets.join(","));
        if !rule.matching_subsets.is_empty() || !rule.other_subsets.is_empty() {
            if rule.matching_subsets.is_empty() {
                self.line(
                    indent + 3,
                    &format!("WARNING POD DOES NOT MATCH ANY SUBSETS.  (Non matching subsets {other})"),
                );
            }
            self.line(indent + 3, &format!("Matching subsets: {matching}"));
            if !rule.other_subsets.is_empty() {
                self.line(indent + 6, &format!("(Non-matching subsets {other})"));
            }
        }
        let Some(policy) = &rule.traffic_policy else { return self.line(indent + 3, "No Traffic Policy") };
        if let Some(mode) = &policy.tls_mode {
            self.line(indent + 3, &format!("Traffic Policy TLS Mode: {mode}"));
        }
        if !policy.policies.is_empty() {
            self.line(indent + 3, &format!("Policies: {}", policy.policies.join("/")));
        }
        if !policy.ports.is_empty() {
            self.line(indent + 3, "Port Level Settings:");
        }
        for port in &policy.ports {
            self.line(4, &format!("{}:", port.port));
            if let Some(mode) = &port.tls_mode {
                self.line(indent + 6, &format!("TLS Mode: {mode}"));
            }
            if !port.policies.is_empty() {
                self.line(indent + 6, &format!("Policies: {}", port.policies.join("/")));
            }
        }
    }

    fn virtual_service(&mut self, of: &VirtualServiceDescription, indent: usize) {
        let name = self.name(&of.name, &of.namespace);
        if of.is_generated && !self.description.as_istioctl {
            self.line(indent, &format!("VirtualService: {name}, which Istio made of routes of the Gateway API"));
        } else if of.is_found {
            self.line(indent, &format!("VirtualService: {name}"));
        } else {
            return self.missing("VirtualService", &of.namespace, &of.name);
        }
        for line in of.facts.iter().chain(&of.warnings) {
            self.line(indent + 3, line);
        }
        if of.other_destinations > 0 {
            self.line(
                indent + 3,
                &format!("{} additional destination(s) that will not reach this pod", of.other_destinations),
            );
        }
        for note in &of.notes {
            self.line(indent + 6, note);
        }
        for routes in &of.routes {
            self.line(indent + 3, routes);
        }
    }

    fn authentication(&mut self, of: &PeerAuthenticationDescription) {
        self.line(0, "Effective PeerAuthentication:");
        let mode = match (&of.mode, self.description.pod.as_ref().map(|pod| pod.membership)) {
            (Some(mode), _) => mode,
            (None, Some(Membership::Outside)) => "none, as the pod has no proxy",
            (None, Some(Membership::Gateway)) => "none, as Gateways say what TLS a gateway takes",
            (None, _) => "unknown",
        };
        self.line(3, &format!("Workload mTLS mode: {mode}"));
        if !of.ports.is_empty() {
            self.line(3, "Port Level mTLS mode:");
        }
        for (port, mode) in &of.ports {
            self.line(6, &format!("{port}: {mode}"));
        }
        if !of.applied.is_empty() {
            self.line(0, "Applied PeerAuthentication:");
            self.line(3, &of.applied.join(", "));
        }
    }

    fn gateways(&mut self, gateways: &Gateways) {
        let input = if self.description.as_istioctl { "" } else { " in the input" };
        if let Some(what) = gateways.skipped {
            self.line(0, &format!("Skipping Gateway information (no ingress gateway {what}{input})"));
        }
        for gateway in &gateways.gateways {
            match gateway {
                GatewayDescription::Exposed(exposure) => self.exposure(exposure),
                GatewayDescription::Missing { kind, namespace, name } => self.missing(kind, namespace, name),
                GatewayDescription::Everywhere { namespace, name } => {
                    // istioctl ends no line here.
                    let _ = write!(
                        self.out,
                        "Ingress Gateway {}/{} be applyed all workloads",
                        escape(namespace),
                        escape(name)
                    );
                }
            }
        }
    }

    fn exposure(&mut self, exposure: &Exposure) {
        self.line(0, RULE);
        for address in &exposure.addresses {
            self.line(0, &format!("Exposed on Ingress Gateway {address}"));
        }
        if exposure.addresses.is_empty() && !self.description.as_istioctl && !exposure.virtual_service.is_generated {
            self.line(0, &format!("Exposed by Gateway {}, at an address that isn't in the input", exposure.gateway));
        }
        self.virtual_service(&exposure.virtual_service, 0);
    }
}
