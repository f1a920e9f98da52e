//! What a pod or a service is in the mesh: its services, and the Istio objects that its proxy was configured by
//! (spec/istioctl.md, `x describe`).
//!
//! Takes a [`Mesh`], gives a [`Description`] as plain data. What the proxy's dump says names the objects; the objects
//! say what they do. Where one of the two isn't in the input, the description says that instead of guessing.

mod authentication;
mod data;
mod gateway;
mod pod;
mod proxy;
mod rule;
mod service;
mod text_format;
mod traffic;

use std::collections::BTreeMap;

pub use data::{
    ContainerDescription, Description, DestinationRuleDescription, Exposure, GatewayDescription, Gateways,
    ListenerDescription, Membership, PeerAuthenticationDescription, PodDescription, PortDescription, PortMapping,
    PortPolicy, ServiceDescription, ServicePods, TrafficDescription, VirtualServiceDescription,
};

use super::Mesh;
use crate::dump::kubernetes::{Held, Modelled, Pod, Service, selects};
use rule::Subsets;

/// How a description is made.
#[derive(Debug, Clone)]
pub struct DescribeOptions {
    /// Namespace in which names stand without one.
    pub namespace: String,
    /// Namespace of the control plane.
    pub istio_namespace: String,
    /// Whether nothing is said of pods that aren't in the mesh.
    pub ignore_unmeshed: bool,
    /// Whether the answer is istioctl's, its faults included.
    pub as_istioctl: bool,
}

/// An object that isn't in the input.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{plural} {name:?} not found")]
pub struct NotFound {
    /// What was looked for: `pods` or `services`.
    pub plural: &'static str,
    /// Its name as given.
    pub name: String,
    /// Names that there are, `name.namespace`.
    pub names: Vec<String>,
}

/// Describes a pod, given as `name` or `name.namespace`.
///
/// # Errors
///
/// When the input has no such pod.
pub fn pod(mesh: &Mesh, name: &str, options: &DescribeOptions) -> Result<Description, NotFound> {
    let pod = find::<Pod>(mesh, name, "pods", options)?;
    Ok(Describer { mesh, options, out: Description::new(options) }.pod(pod))
}

/// Describes a service, given as `name` or `name.namespace`.
///
/// # Errors
///
/// When the input has no such service.
pub fn service(mesh: &Mesh, name: &str, options: &DescribeOptions) -> Result<Description, NotFound> {
    let service = find::<Service>(mesh, name, "services", options)?;
    Ok(Describer { mesh, options, out: Description::new(options) }.service(service))
}

/// `name`, `name.namespace` or `type/name.namespace`, the namespace after the last dot.
fn split(name: &str) -> (&str, Option<&str>) {
    let name = name.rsplit_once('/').map_or(name, |(_, name)| name);
    name.rsplit_once('.').map_or((name, None), |(name, namespace)| (name, Some(namespace)))
}

fn find<'a, T: Modelled>(
    mesh: &'a Mesh,
    given: &str,
    plural: &'static str,
    options: &DescribeOptions,
) -> Result<Held<'a, T>, NotFound> {
    let (name, namespace) = split(given);
    if let Some(found) = mesh.objects.get(namespace.unwrap_or(&options.namespace), name) {
        return Ok(found);
    }
    let names = || mesh.objects.all::<T>().map(|held| format!("{}.{}", held.name(), held.namespace())).collect();
    let not_found = || NotFound { plural, name: name.to_owned(), names: names() };
    if options.as_istioctl {
        return Err(not_found());
    }
    // Files have no current namespace: a name that there is once is enough.
    let whole = given.rsplit_once('/').map_or(given, |(_, name)| name);
    let mut of_name = mesh.objects.all::<T>().filter(|held| held.name() == whole);
    match (of_name.next(), of_name.next()) {
        (Some(found), None) => Ok(found),
        _ => Err(not_found()),
    }
}

/// Builds one description.
struct Describer<'a> {
    mesh: &'a Mesh,
    options: &'a DescribeOptions,
    out: Description,
}

type Labels = BTreeMap<String, String>;

impl<'a> Describer<'a> {
    /// What a statement would need.
    fn miss(&mut self, what: String) {
        if !self.out.missing.contains(&what) {
            self.out.missing.push(what);
        }
    }

    fn pod(mut self, pod: Held<'a, Pod>) -> Description {
        let is_meshed = self.describe_pod(pod);
        let services: Vec<Held<'a, Service>> = self
            .mesh
            .objects
            .of_namespace::<Service>(pod.namespace())
            .filter(|service| !service.spec.spec.selector.is_empty())
            .filter(|service| selects(&service.spec.spec.selector, pod.labels()))
            .collect();
        let has_services = self.mesh.objects.has_kind::<Service>();
        if !has_services && !self.options.as_istioctl {
            self.miss(format!("Services: which of them select pod {}", pod.name()));
        } else if services.is_empty() && !self.options.ignore_unmeshed {
            self.out.is_unselected = true;
        }
        let labels = [pod.labels()];
        if self.describe_services(pod, &services, &labels, is_meshed) {
            self.describe_authentication(pod);
            self.describe_gateways(&services, &labels);
        }
        self.out
    }

    fn service(mut self, service: Held<'a, Service>) -> Description {
        let pods = self.pods_of(service);
        let Some(first) = pods.first().copied() else { return self.out };
        let labels: Vec<&Labels> = pods.iter().map(|pod| pod.labels()).collect();
        if self.describe_services(first, &[service], &labels, true) {
            self.describe_gateways(&[service], &labels);
        }
        self.out
    }

    /// Describes the services of a pod by what its proxy holds; whether there is more to say then.
    fn describe_services(
        &mut self,
        pod: Held<'a, Pod>,
        services: &[Held<'a, Service>],
        labels: &[&Labels],
        is_meshed: bool,
    ) -> bool {
        let mesh = self.mesh;
        let member = mesh.member(pod.namespace(), pod.name());
        if member.is_none() {
            if self.options.as_istioctl {
                if !self.options.ignore_unmeshed {
                    self.out.error =
                        Some("failed to execute command on sidecar: no config_dump of it is in the input".to_owned());
                }
                return self.options.ignore_unmeshed;
            }
            if is_meshed {
                self.miss(format!(
                    "config_dump of pod {}.{}: its DestinationRules, VirtualServices and RBAC policies",
                    pod.name(),
                    pod.namespace()
                ));
            }
        }
        let proxy = member.and_then(|member| member.proxy.as_ref());
        for service in services {
            let mut description = self.ports_of(*service, pod);
            for port in &service.spec.spec.ports {
                let mut described = PortDescription { port: port.port, ..PortDescription::default() };
                if let Some(proxy) = proxy {
                    let target = service::target(port, pod.spec, self.options.as_istioctl)
                        .filter(|_| self.options.as_istioctl || service::transport(port, false) == "TCP");
                    self.describe_port(&mut described, proxy, *service, target, labels);
                }
                description.ports.push(described);
            }
            self.out.services.push(description);
            if self.out.error.is_some() {
                return false;
            }
        }
        let is_gateway = matches!(member.and_then(|member| member.node_type.as_deref()), Some("router" | "waypoint"));
        if let Some(proxy) = proxy.filter(|_| is_gateway && !self.options.as_istioctl) {
            self.out.listeners = proxy::listeners(proxy);
        }
        true
    }

    /// Describes what the proxy has for one port of a service.
    fn describe_port(
        &mut self,
        out: &mut PortDescription,
        proxy: &crate::dump::Proxy,
        service: Held<'a, Service>,
        target: Option<u32>,
        labels: &[&Labels],
    ) {
        let view = proxy::View::new(proxy, service.name(), service.namespace(), out.port, self.options.as_istioctl);
        let (rule, subsets) = self.rule_of(view.destination_rule(), labels);
        out.destination_rule = rule;
        for name in view.virtual_services() {
            out.virtual_services.push(self.virtual_service(&name, service, out.port, &subsets));
        }
        match view.policies(target) {
            Ok(policies) => out.policies = policies,
            Err(proxy::WithoutRules) => {
                // istioctl crashes on the rules that a filter for an external server doesn't have.
                self.out.error = Some("runtime error: invalid memory address or nil pointer dereference".to_owned());
                self.out.is_crashed = true;
            }
        }
    }

    /// Describes a rule that the proxy refers to, and which of its subsets have the pods.
    fn rule_of(
        &mut self,
        name: Option<proxy::ObjectName>,
        labels: &[&Labels],
    ) -> (Option<DestinationRuleDescription>, Subsets) {
        let Some(name) = name else { return (None, Subsets::default()) };
        match self.mesh.objects.get(&name.namespace, &name.name) {
            Some(rule) => {
                let subsets = Subsets::of(rule, labels);
                (Some(rule::describe(rule, &subsets)), subsets)
            }
            None => {
                let rule = DestinationRuleDescription {
                    name: name.name,
                    namespace: name.namespace,
                    ..DestinationRuleDescription::default()
                };
                (Some(rule), Subsets { is_unknown: !self.options.as_istioctl, ..Subsets::default() })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_namespace_is_after_the_last_dot() {
        assert_eq!(split("a"), ("a", None));
        assert_eq!(split("a.b.c"), ("a.b", Some("c")));
        assert_eq!(split("deployment/a.b"), ("a", Some("b")));
    }
}
