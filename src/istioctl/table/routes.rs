//! `proxy-config route`

use super::super::node::Node;
use super::{Prefix, print, provenance, route_match};
use crate::inventory::go_sort;

/// Orders what istioctl orders: names that are numbers.
pub(crate) fn sort(routes: &mut [Node<'_>]) {
    let number = |node: &Node<'_>| -> Option<i64> { node.text("name").parse().ok() };
    go_sort::sort(routes, |a, b| number(a).zip(number(b)).is_some_and(|(a, b)| a < b));
}

/// One row a route, or one a configuration.
pub(crate) fn routes(routes: &[Node<'_>], verbose: bool, prefix: Prefix) -> String {
    let name = |route: &Node<'_>| match prefix {
        Prefix::None => route.text("name").to_owned(),
        Prefix::Kind => format!("route/{}", route.text("name")),
    };
    if !verbose {
        let rows = routes.iter().map(|route| vec![name(route), route.items("virtualHosts").len().to_string()]);
        return print(&["NAME", "VIRTUAL HOSTS"], 5, rows.collect());
    }
    let mut rows = Vec::new();
    for config in routes {
        for host in config.items("virtualHosts") {
            let domains = domains(&host.texts("domains"));
            let row = |matches: String, service: String| {
                vec![name(config), host.text("name").to_owned(), domains.clone(), matches, service]
            };
            if host.items("routes").is_empty() {
                rows.push(row("/*".to_owned(), "404".to_owned()));
            }
            for route in host.items("routes") {
                if route.get("route").is_none_or(|action| action.text("cluster") != "PassthroughCluster") {
                    rows.push(row(route_match(route), provenance(route)));
                }
            }
        }
    }
    print(&["NAME", "VHOST NAME", "DOMAINS", "MATCH", "VIRTUAL SERVICE"], 5, rows)
}

/// The first domains that aren't said better by another.
fn domains(all: &[&str]) -> String {
    if let [one] = all {
        return (*one).to_owned();
    }
    let is_address = |domain: &str| domain.matches(':').count() > 2 && domain.ends_with(']');
    let kept: Vec<&str> = all.iter().copied().filter(|domain| !domain.contains(':') || is_address(domain)).collect();
    let is_said = |domain: &str| {
        [".svc.cluster.local", ".svc"]
            .iter()
            .any(|suffix| domain.strip_suffix(suffix).is_some_and(|short| kept.contains(&short)))
    };
    let left: Vec<&str> = kept.iter().copied().filter(|domain| !is_said(domain)).collect();
    let shown = left.get(..2).unwrap_or(&left).join(", ");
    match left.len().saturating_sub(2) {
        0 => shown,
        more => format!("{shown} + {more} more..."),
    }
}
