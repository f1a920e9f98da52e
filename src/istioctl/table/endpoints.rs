//! `proxy-config endpoint` and `eds`

use super::super::dump::{Dump, Section};
use super::super::node::{Node, Shape};
use super::{Prefix, clusters::sort_by_subset, print};
use crate::inventory::{EndpointFilter, go_sort};

/// A filter's value, unless it is as good as absent.
fn wanted(filter: Option<&String>) -> Option<&str> {
    filter.map(String::as_str).filter(|wanted| !wanted.is_empty())
}

fn is_port(filter: &EndpointFilter, port: u64) -> bool {
    filter.port.is_none_or(|wanted| wanted == 0 || u64::from(wanted) == port)
}

/// Whether a cluster of `/clusters` has a host that the filters let pass.
pub(crate) fn has_host(status: &Node<'_>, filter: &EndpointFilter) -> bool {
    status.items("hostStatuses").iter().any(|host| is_wanted(status, host, filter))
}

fn is_wanted(status: &Node<'_>, host: &Node<'_>, filter: &EndpointFilter) -> bool {
    let (address, port) = bare(host.get("address"));
    wanted(filter.address.as_ref()).is_none_or(|wanted| wanted.eq_ignore_ascii_case(&address))
        && is_port(filter, port)
        && wanted(filter.cluster.as_ref()).is_none_or(|wanted| wanted.eq_ignore_ascii_case(status.text("name")))
        && wanted(filter.status.as_ref()).is_none_or(|wanted| wanted.eq_ignore_ascii_case(&health(host)))
}

/// Address without a port, and the port.
fn bare(address: Option<&Node<'_>>) -> (String, u64) {
    let Some(address) = address else { return ("unknown".to_owned(), 0) };
    if let Some(socket) = address.get("socketAddress") {
        return (socket.text("address").to_owned(), socket.number("portValue"));
    }
    if let Some(pipe) = address.get("pipe") {
        return (format!("unix://{}", pipe.text("path")), 0);
    }
    match address.get("envoyInternalAddress") {
        Some(internal) => (internal_name(internal), 0),
        None => ("unknown".to_owned(), 0),
    }
}

fn internal_name(internal: &Node<'_>) -> String {
    format!("envoy://{}/{}", internal.text("serverListenerName"), internal.text("endpointId"))
}

fn health(host: &Node<'_>) -> String {
    name_of(host.path(&["healthStatus", "edsHealthStatus"]))
}

/// Name of a health status.
fn name_of(status: Option<&Node<'_>>) -> String {
    match status {
        Some(Node::Text(name) | Node::Number(name)) => name.to_string(),
        _ => "UNKNOWN".to_owned(),
    }
}

/// One row a host of `/clusters`.
pub(crate) fn endpoints(statuses: &[Node<'_>], filter: &EndpointFilter) -> String {
    let mut rows = Vec::new();
    for status in statuses {
        for host in status.items("hostStatuses").iter().filter(|host| is_wanted(status, host, filter)) {
            let (address, port) = bare(host.get("address"));
            let is_ejected = host.get("healthStatus").is_some_and(|health| health.is_true("failedOutlierCheck"));
            let shown = if port == 0 { address.clone() } else { format!("{address}:{port}") };
            let check = if is_ejected { "FAILED" } else { "OK" };
            let cells = vec![shown, health(host), check.to_owned(), status.text("name").to_owned()];
            rows.push(((address, port, status.text("name")), cells));
        }
    }
    go_sort::sort(&mut rows, |(a, _), (b, _)| a < b);
    let rows = rows.into_iter().map(|(_, cells)| cells).collect();
    print(&["ENDPOINT", "STATUS", "OUTLIER CHECK", "CLUSTER"], 5, rows)
}

/// The load assignments of a dump that have an endpoint which the filters let pass, with these endpoints alone.
pub(crate) fn assignments<'a>(dump: &Dump<'a>, filter: &EndpointFilter) -> Vec<Node<'a>> {
    const NAME: &str = "envoy.config.endpoint.v3.ClusterLoadAssignment";
    let Some(section) = dump.section(Section::Endpoints) else { return Vec::new() };
    let lists = ["dynamicEndpointConfigs", "staticEndpointConfigs"];
    let configs = lists.iter().flat_map(|list| section.items(list)).filter_map(|entry| entry.get("endpointConfig"));
    let mut kept: Vec<Node<'a>> = configs
        .filter(|config| config.type_name() == NAME)
        .filter_map(|config| filtered(config.clone().into_message(NAME), filter))
        .collect();
    sort_by_subset(&mut kept, "clusterName");
    kept
}

/// The assignment with the endpoints that the filters let pass, if there are any.
pub(super) fn filtered<'a>(assignment: Node<'a>, filter: &EndpointFilter) -> Option<Node<'a>> {
    let name = assignment.text("clusterName").to_owned();
    if wanted(filter.cluster.as_ref()).is_some_and(|wanted| !wanted.eq_ignore_ascii_case(&name)) {
        return None;
    }
    let Node::Object(shape, mut members) = assignment else { return None };
    let mut found = false;
    for (member, node) in &mut members {
        let Node::List(_, localities) = node else { continue };
        if member != "endpoints" {
            continue;
        }
        for locality in localities {
            let Node::Object(_, fields) = locality else { continue };
            for (_, field) in fields.iter_mut().filter(|(name, _)| name == "lbEndpoints") {
                if let Node::List(_, endpoints) = field {
                    endpoints.retain(|endpoint| passes(endpoint, filter));
                    found |= !endpoints.is_empty();
                }
            }
            // A list without anything in it isn't printed.
            fields.retain(|(_, field)| !matches!(field, Node::List(Shape::Field, items) if items.is_empty()));
        }
    }
    found.then_some(Node::Object(shape, members))
}

fn passes(endpoint: &Node<'_>, filter: &EndpointFilter) -> bool {
    let main = endpoint.path(&["endpoint", "address"]);
    let by_address = wanted(filter.address.as_ref())
        .is_none_or(|wanted| all_addresses(endpoint).iter().any(|address| address.eq_ignore_ascii_case(wanted)));
    let port = main.and_then(|address| address.get("socketAddress")).map_or(0, |socket| socket.number("portValue"));
    let status = name_of(endpoint.get("healthStatus"));
    by_address
        && is_port(filter, port)
        && wanted(filter.status.as_ref()).is_none_or(|wanted| wanted.eq_ignore_ascii_case(&status))
}

/// The address of an endpoint and its additional ones.
fn all_addresses(endpoint: &Node<'_>) -> Vec<String> {
    let Some(endpoint) = endpoint.get("endpoint") else { return vec!["unknown".to_owned()] };
    let mut all = vec![with_port(endpoint.get("address"))];
    all.extend(endpoint.items("additionalAddresses").iter().map(|more| with_port(more.get("address"))));
    all
}

fn with_port(address: Option<&Node<'_>>) -> String {
    let Some(address) = address else { return "unknown".to_owned() };
    if let Some(socket) = address.get("socketAddress") {
        return format!("{}:{}", socket.text("address"), socket.number("portValue"));
    }
    if let Some(pipe) = address.get("pipe") {
        return pipe.text("path").to_owned();
    }
    address.get("envoyInternalAddress").map_or_else(|| "unknown".to_owned(), internal_name)
}

/// One row an endpoint of a load assignment.
pub(crate) fn eds(assignments: &[Node<'_>], prefix: Prefix) -> String {
    let mut rows = Vec::new();
    for assignment in assignments {
        for locality in assignment.items("endpoints") {
            let place = locality.get("locality").map(place).unwrap_or_default();
            for endpoint in locality.items("lbEndpoints") {
                let addresses = all_addresses(endpoint).join(",");
                let name = if prefix == Prefix::Kind { format!("endpoint/{addresses}") } else { addresses };
                let status = name_of(endpoint.get("healthStatus"));
                rows.push(vec![name, status, place.clone(), assignment.text("clusterName").to_owned()]);
            }
        }
    }
    print(&["NAME", "STATUS", "LOCALITY", "CLUSTER"], 5, rows)
}

fn place(locality: &Node<'_>) -> String {
    let mut place = locality.text("region").to_owned();
    for (nth, part) in [locality.text("zone"), locality.text("subZone")].into_iter().enumerate() {
        if part.is_empty() || (nth == 1 && locality.text("zone").is_empty()) {
            break;
        }
        place.push('/');
        place.push_str(part);
    }
    place
}
