//! PeerAuthentications (authn.ComposePeerAuthentication of Istio: the narrowest scope wins, in it the oldest).

use std::collections::BTreeMap;

use super::Describer;
use super::data::{Membership, PeerAuthenticationDescription};
use crate::dump::kubernetes::{ConfigMap, Held, MutualTls, PeerAuthentication, Pod, selects};

type Policy<'a> = Held<'a, PeerAuthentication>;

impl<'a> Describer<'a> {
    /// Describes the mutual TLS that a pod asks for.
    pub(super) fn describe_authentication(&mut self, pod: Held<'a, Pod>) {
        if !self.options.as_istioctl && matches!(self.membership(pod), Membership::Outside | Membership::Gateway) {
            self.out.peer_authentication = Some(PeerAuthenticationDescription::default());
            return;
        }
        if self.membership(pod) == Membership::Unknown {
            self.miss(format!("containers of pod {}: whether it is in the mesh", pod.name()));
            self.out.peer_authentication = Some(PeerAuthenticationDescription::default());
            return;
        }
        let Some(root) = self.root_namespace() else { return };
        let mesh = self.mesh;
        let mut applied: Vec<Policy<'a>> = mesh.objects.of_namespace(&root).collect();
        // istioctl lists those of the root namespace twice for a pod in it.
        if self.options.as_istioctl || root != pod.namespace() {
            applied.extend(mesh.objects.of_namespace::<PeerAuthentication>(pod.namespace()));
        }
        let of_pod = |policy: &Policy<'a>| {
            let labels = policy.spec.spec.selector.as_ref().map(|selector| &selector.match_labels);
            labels.is_none_or(|labels| selects(labels, pod.labels()))
        };
        applied.retain(of_pod);
        if !self.options.as_istioctl {
            // One with a selector is for pods of its own namespace.
            applied.retain(|policy| policy.namespace() == pod.namespace() || !has_selector(policy));
        }
        let mut out = compose(&root, &applied);
        out.applied = applied.iter().map(|policy| format!("{}.{}", policy.name(), policy.namespace())).collect();
        if !self.options.as_istioctl && !mesh.objects.has_kind::<PeerAuthentication>() {
            out.mode = None;
            self.miss(format!("PeerAuthentications: the mTLS mode of pod {}", pod.name()));
        }
        self.out.peer_authentication = Some(out);
    }

    /// Namespace whose policies are for the whole mesh: the mesh configuration says it.
    fn root_namespace(&mut self) -> Option<String> {
        let revision = self.out.pod.as_ref().map(|pod| pod.revision.as_str()).unwrap_or_default();
        let name = match revision {
            "" | "default" => "istio".to_owned(),
            revision => format!("istio-{revision}"),
        };
        let namespace = self.options.istio_namespace.clone();
        let Some(config) = self.mesh.objects.get::<ConfigMap>(&namespace, &name) else {
            if self.options.as_istioctl {
                self.out.error = Some(format!(
                    "failed to fetch mesh config: could not read configmap {name:?} from namespace {namespace:?}: \
                     configmaps {name:?} not found"
                ));
                return None;
            }
            if let Some(config) = &self.mesh.config {
                return Some(root_of(config).unwrap_or(namespace));
            }
            self.miss(format!(
                "ConfigMap {name} of namespace {namespace}: whether the root namespace is another than {namespace}"
            ));
            return Some(namespace);
        };
        let of_config = config.spec.data.get("mesh").and_then(|mesh| {
            let mesh: serde_json::Value = serde_saphyr::from_str(mesh).ok()?;
            root_of(&mesh)
        });
        Some(of_config.unwrap_or_else(|| "istio-system".to_owned()))
    }
}

fn root_of(config: &serde_json::Value) -> Option<String> {
    Some(config.get("rootNamespace")?.as_str()?.to_owned())
}

fn has_selector(policy: &Policy<'_>) -> bool {
    policy.spec.spec.selector.as_ref().is_some_and(|selector| !selector.match_labels.is_empty())
}

/// The mode of one setting, if it has one.
fn mode(mtls: Option<&MutualTls>) -> Option<String> {
    let mode = mtls?.mode.as_deref()?;
    (mode != "UNSET").then(|| mode.to_owned())
}

fn compose(root: &str, applied: &[Policy<'_>]) -> PeerAuthenticationDescription {
    let oldest = |is_of: &dyn Fn(&Policy<'_>) -> bool| {
        let mut of_scope = applied.iter().filter(|policy| is_of(policy));
        let first = of_scope.next();
        let time = |policy: &Policy<'_>| policy.object.metadata.creation_timestamp.clone().unwrap_or_default();
        of_scope.fold(first, |oldest, policy| match oldest {
            Some(oldest) if time(policy) < time(oldest) => Some(policy),
            oldest => oldest,
        })
    };
    let of_mesh = oldest(&|policy| !has_selector(policy) && policy.namespace() == root);
    let of_namespace = oldest(&|policy| !has_selector(policy) && policy.namespace() != root);
    let of_workload = oldest(&|policy| has_selector(policy) && policy.namespace() != root);
    let narrower = [of_workload, of_namespace, of_mesh].into_iter().flatten();
    let workload = narrower.map(|policy| mode(policy.spec.spec.mtls.as_ref())).find(Option::is_some).flatten();
    let workload = workload.unwrap_or_else(|| "PERMISSIVE".to_owned());
    let ports: BTreeMap<u32, String> = of_workload
        .iter()
        .flat_map(|policy| &policy.spec.spec.port_level_mtls)
        .filter_map(|(port, mtls)| Some((port.parse().ok()?, mode(Some(mtls)).unwrap_or_else(|| workload.clone()))))
        .collect();
    PeerAuthenticationDescription { mode: Some(workload), ports, applied: Vec::new() }
}
