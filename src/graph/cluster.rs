//! Clusters and load assignments.

use super::fragment::{Fragment, Target};
use super::listener::{address_text, internal_listener};
use super::node::{EdgeKind, Node, NodeKind, Presence};
use super::service::{self, Side};
use crate::dump::{Origin, Resource, decode_any, references, type_of};
use crate::proto::envoy::config::cluster::v3::Cluster;
use crate::proto::envoy::config::cluster::v3::cluster::{ClusterDiscoveryType, CustomClusterType, DiscoveryType};
use crate::proto::envoy::config::endpoint::v3::locality_lb_endpoints::LbConfig;
use crate::proto::envoy::config::endpoint::v3::{ClusterLoadAssignment, Endpoint, LbEndpoint, lb_endpoint};
use crate::proto::envoy::extensions::clusters::{aggregate, composite};

/// A cluster, and what it finds its endpoints by.
pub(super) fn fragment(resource: &Resource<Cluster>) -> Fragment {
    let presence = Presence::Held(resource.state);
    let origin = resource.origin();
    let node = Node::new(NodeKind::Cluster, resource.name.as_str(), presence, Some(origin.clone()));
    let mut fragment = Fragment::of(node);
    let Ok(cluster) = resource.decode() else { return fragment };
    if let Some(root) = fragment.nodes.first_mut() {
        root.detail = Some(discovery_text(&cluster));
    }
    if let Some(ClusterDiscoveryType::ClusterType(custom)) = &cluster.cluster_discovery_type {
        for member in members(custom) {
            fragment.link(0, EdgeKind::Aggregate, Target::Named(NodeKind::Cluster, member));
        }
    }
    if is_eds(&cluster) {
        let service = cluster.eds_cluster_config.as_ref().map(|eds| eds.service_name.as_str()).unwrap_or_default();
        let name = if service.is_empty() { &resource.name } else { service };
        fragment.link(0, EdgeKind::Eds, Target::Named(NodeKind::LoadAssignment, name.to_owned()));
    } else {
        if let Some(assignment) = &cluster.load_assignment {
            let origin = origin.within(".load_assignment");
            fragment.append(0, EdgeKind::Inline, assignment_fragment(&resource.name, assignment, presence, origin));
        }
        // Envoy lists the hosts that it has for the cluster under the cluster's name.
        fragment.link(0, EdgeKind::Hosts, Target::Optional(NodeKind::LoadAssignment, resource.name.clone()));
    }
    service::add(&mut fragment, references(resource.raw()), Side::Upstream, |_| 0);
    fragment
}

fn is_eds(cluster: &Cluster) -> bool {
    match &cluster.cluster_discovery_type {
        Some(ClusterDiscoveryType::Type(kind)) => *kind == DiscoveryType::Eds as i32,
        Some(ClusterDiscoveryType::ClusterType(custom)) => custom.name == "envoy.cluster.eds",
        None => cluster.eds_cluster_config.is_some(),
    }
}

fn discovery_text(cluster: &Cluster) -> String {
    match &cluster.cluster_discovery_type {
        Some(ClusterDiscoveryType::Type(kind)) => {
            DiscoveryType::try_from(*kind).map_or_else(|_| format!("type {kind}"), |kind| kind.as_str_name().to_owned())
        }
        Some(ClusterDiscoveryType::ClusterType(custom)) => custom.name.clone(),
        None => "STATIC".to_owned(),
    }
}

/// Clusters that a cluster of clusters chooses from.
fn members(custom: &CustomClusterType) -> Vec<String> {
    let Some(any) = &custom.typed_config else { return Vec::new() };
    match type_of(any).as_ref() {
        "envoy.extensions.clusters.aggregate.v3.ClusterConfig" => {
            decode_any::<aggregate::v3::ClusterConfig>(any).map(|config| config.clusters).unwrap_or_default()
        }
        "envoy.extensions.clusters.composite.v3.ClusterConfig" => {
            let config = decode_any::<composite::v3::ClusterConfig>(any).unwrap_or_default();
            config.clusters.into_iter().map(|entry| entry.name).collect()
        }
        _ => Vec::new(),
    }
}

/// A load assignment of the dump.
pub(super) fn load_assignment(resource: &Resource<ClusterLoadAssignment>) -> Fragment {
    let presence = Presence::Held(resource.state);
    match resource.decode() {
        Ok(assignment) => assignment_fragment(&resource.name, &assignment, presence, resource.origin()),
        Err(_) => {
            let node = Node::new(NodeKind::LoadAssignment, resource.name.as_str(), presence, Some(resource.origin()));
            Fragment::of(node)
        }
    }
}

fn assignment_fragment(name: &str, assignment: &ClusterLoadAssignment, presence: Presence, origin: Origin) -> Fragment {
    let mut fragment = Fragment::of(Node::new(NodeKind::LoadAssignment, name, presence, Some(origin)));
    for locality in &assignment.endpoints {
        let listed = match &locality.lb_config {
            Some(LbConfig::LoadBalancerEndpoints(list)) => list.lb_endpoints.as_slice(),
            _ => &[],
        };
        for endpoint in locality.lb_endpoints.iter().chain(listed) {
            if let Some(target) = endpoint_target(endpoint, assignment) {
                fragment.link(0, EdgeKind::Part, target);
            }
        }
    }
    fragment
}

fn endpoint_target(endpoint: &LbEndpoint, assignment: &ClusterLoadAssignment) -> Option<Target> {
    let endpoint: &Endpoint = match endpoint.host_identifier.as_ref()? {
        lb_endpoint::HostIdentifier::Endpoint(endpoint) => endpoint,
        lb_endpoint::HostIdentifier::EndpointName(name) => assignment.named_endpoints.get(name)?,
    };
    let address = endpoint.address.as_ref()?;
    Some(Target::Endpoint(address_text(address), internal_listener(address).map(str::to_owned)))
}
