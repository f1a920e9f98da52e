//! Route configurations, virtual hosts and routes (spec/istioctl.md §1.3).

use std::cmp::Ordering;

use rayon::prelude::*;

use super::view::{Text, VirtualHost};
use super::{Listing, go_sort};
use crate::dump::{DecodeError, Proxy, Resource, State};
use crate::proto::envoy::config::route::v3::RouteConfiguration;

/// Which route configurations to list.
#[derive(Debug, Clone, Default)]
pub struct RouteFilter {
    /// Name of the route configuration.
    pub name: Option<String>,
}

/// One route configuration in force.
#[derive(Debug)]
pub struct RouteConfigRow<'a> {
    /// The resource.
    pub resource: &'a Resource<RouteConfiguration>,
    /// Its virtual hosts.
    pub virtual_hosts: Vec<VirtualHostRow>,
}

/// One virtual host.
#[derive(Debug)]
pub struct VirtualHostRow {
    /// Name of the virtual host.
    pub name: String,
    /// Its domains in one cell.
    pub domains: String,
    /// Its routes; `None` if it has none.
    pub routes: Option<Vec<RouteRow>>,
}

/// One route.
#[derive(Debug)]
pub struct RouteRow {
    /// What of the path it matches.
    pub matches: String,
    /// `NAME.NAMESPACE` of the VirtualService, or empty.
    pub virtual_service: String,
    /// Cluster, or what else becomes of the request.
    pub destination: String,
}

impl RouteRow {
    /// Whether the route only lets requests through; istioctl doesn't list those.
    #[must_use]
    pub fn is_passthrough(&self) -> bool {
        self.destination == "PassthroughCluster"
    }
}

/// The route configurations in force, numbers in ascending order where istioctl's sort gets to compare them.
#[must_use]
pub fn routes<'a>(proxy: &'a Proxy, filter: &RouteFilter) -> Listing<RouteConfigRow<'a>> {
    let entries: Vec<_> = proxy
        .routes()
        .par_iter()
        .filter(|resource| {
            resource.state.is_in_force() && filter.name.as_ref().is_none_or(|name| *name == resource.name)
        })
        .map(|resource| {
            row(resource)
                .map(Some)
                .map_err(|error| format!("route configuration {:?} is left out: {error}", resource.name))
        })
        .collect();
    let mut listing = Listing::collect(entries);
    listing.rows.sort_by_key(|row| row.resource.state == State::Static);
    go_sort::sort(&mut listing.rows, before);
    listing
}

/// Both names are numbers, and the first is less: no order that a library's sort would take.
fn before(a: &RouteConfigRow<'_>, b: &RouteConfigRow<'_>) -> bool {
    let number = |row: &RouteConfigRow<'_>| row.resource.name.parse::<i64>().ok();
    matches!(number(a).zip(number(b)).map(|(a, b)| a.cmp(&b)), Some(Ordering::Less))
}

fn row(resource: &Resource<RouteConfiguration>) -> Result<RouteConfigRow<'_>, DecodeError> {
    let hosts = resource.virtual_host_texts()?;
    let virtual_hosts = hosts
        .par_iter()
        .with_min_len(32)
        .map(|text| {
            let host: VirtualHost<'_> = serde_json::from_slice(text).map_err(|error| resource.malformed(&error))?;
            Ok(virtual_host(&host))
        })
        .collect::<Result<_, DecodeError>>()?;
    Ok(RouteConfigRow { resource, virtual_hosts })
}

fn virtual_host(host: &VirtualHost<'_>) -> VirtualHostRow {
    let routes = (!host.routes.is_empty()).then(|| {
        let rows = host.routes.iter().map(|route| RouteRow {
            matches: route.route_match.describe(),
            virtual_service: route.metadata.istio_object(),
            destination: route.destination(),
        });
        rows.collect()
    });
    VirtualHostRow { name: host.name.to_string(), domains: domains(&host.domains), routes }
}

/// The first two of the domains that say something new.
fn domains(all: &[Text<'_>]) -> String {
    if let [one] = all {
        return one.to_string();
    }
    let is_address = |domain: &str| domain.matches(':').count() > 2 && domain.ends_with(']');
    let portless: Vec<&str> = all.iter().map(|d| &**d).filter(|d| !d.contains(':') || is_address(d)).collect();
    let is_long = |domain: &str| {
        [".svc.cluster.local", ".svc"]
            .iter()
            .any(|end| domain.strip_suffix(end).is_some_and(|short| portless.contains(&short)))
    };
    let kept: Vec<&str> = portless.iter().copied().filter(|domain| !is_long(domain)).collect();
    match kept.as_slice() {
        [first, second, rest @ ..] if !rest.is_empty() => format!("{first}, {second} + {} more...", rest.len()),
        kept => kept.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(all: &[&str], expected: &str) {
        let all: Vec<Text<'_>> = all.iter().map(|domain| Text((*domain).into())).collect();
        assert_eq!(domains(&all), expected);
    }

    #[test]
    fn domains_in_one_cell() {
        check(&[], "");
        check(&["a:80"], "a:80");
        check(&["a", "a.svc", "a.svc.cluster.local", "a.ns", "a:80"], "a, a.ns");
        check(&["a", "b", "c", "d"], "a, b + 2 more...");
        check(&["[fe80::1:2]", "[fe80::1:2]:80", "x.ns.svc.cluster"], "[fe80::1:2], x.ns.svc.cluster");
    }
}
