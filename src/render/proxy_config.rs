//! Tables of `proxy-config`, with istioctl's columns (spec/istioctl.md §1).
//!
//! The wide forms add columns after istioctl's: what a user of istioctl can't see in a table.

use std::borrow::Cow;

use super::escape::escape;
use super::table::Table;
use crate::inventory::{
    CertificateRow, ClusterDetail, ClusterRow, DiscoveredRow, EndpointRow, ListenerRow, PolicyRow, RouteConfigRow,
    RouteDetail, SecretRow, SubsetKey, Versions,
};

/// The table of clusters within that of everything: with the name in front, as istioctl writes it.
#[must_use]
pub fn clusters_named<'a>(rows: &'a [ClusterRow<'a>]) -> Table<'a> {
    let header = ["NAME", "SERVICE FQDN", "PORT", "SUBSET", "DIRECTION", "TYPE", "DESTINATION RULE"];
    let mut table = Table::new(&header, 5);
    for row in rows {
        let name = format!("cluster/{}", row.resource.name);
        let [mut host, port, subset, direction, kind, rule] = cluster(row);
        if !SubsetKey::parse(&row.resource.name).is_subset_key {
            host = name.clone().into();
        }
        table.row([name.into(), host, port, subset, direction, kind, rule]);
    }
    table
}

/// The same of listeners, with a row a filter chain or one a listener.
#[must_use]
pub fn listeners_named<'a>(rows: &'a [ListenerRow<'a>], is_verbose: bool) -> Table<'a> {
    let header = ["NAME", "ADDRESSES", "PORT", "MATCH", "DESTINATION"];
    let brief = ["NAME", "ADDRESSES", "PORT", "TYPE"];
    let mut table = Table::new(if is_verbose { &header } else { &brief }, 1);
    for row in rows {
        let name = || Cow::Owned(format!("listener/{}", row.resource.name));
        let (addresses, port) = (row.addresses.join(","), row.port.to_string());
        if !is_verbose {
            table.row([name(), addresses.into(), port.into(), row.kind.as_str().into()]);
            continue;
        }
        for chain in &row.chains {
            let (matches, destination) = (chain.matches.as_str().into(), chain.destination.as_str().into());
            table.row([name(), addresses.clone().into(), port.clone().into(), matches, destination]);
        }
    }
    table
}

/// One row a filter chain.
#[must_use]
pub fn listeners<'a>(rows: &'a [ListenerRow<'a>]) -> Table<'a> {
    let mut table = Table::new(&["ADDRESSES", "PORT", "MATCH", "DESTINATION"], 1);
    for row in rows {
        for chain in &row.chains {
            let (matches, destination) = (chain.matches.as_str().into(), chain.destination.as_str().into());
            table.row([row.addresses.join(",").into(), row.port.to_string().into(), matches, destination]);
        }
    }
    table
}

/// One row a listener.
#[must_use]
pub fn listeners_brief<'a>(rows: &'a [ListenerRow<'a>]) -> Table<'a> {
    let mut table = Table::new(&["ADDRESSES", "PORT", "TYPE"], 1);
    for row in rows {
        table.row([row.addresses.join(",").into(), row.port.to_string().into(), row.kind.as_str().into()]);
    }
    table
}

/// One row a filter chain, with the listener's name and type.
#[must_use]
pub fn listeners_wide<'a>(rows: &'a [ListenerRow<'a>]) -> Table<'a> {
    let mut table = Table::new(&["ADDRESSES", "PORT", "MATCH", "DESTINATION", "TYPE", "STATE", "LISTENER"], 1);
    for row in rows {
        let mut add = |matches: &'a str, destination: &'a str| {
            table.row([
                row.addresses.join(",").into(),
                row.port.to_string().into(),
                matches.into(),
                destination.into(),
                row.kind.as_str().into(),
                row.resource.state.to_string().into(),
                row.resource.name.as_str().into(),
            ]);
        };
        for chain in &row.chains {
            add(&chain.matches, &chain.destination);
        }
        if row.chains.is_empty() {
            add("-", "-");
        }
    }
    table
}

/// One row an endpoint that EDS delivered.
#[must_use]
pub fn discovered(rows: &[DiscoveredRow]) -> Table<'_> {
    let mut table = Table::new(&["NAME", "STATUS", "LOCALITY", "CLUSTER"], 5);
    for row in rows {
        table.row([&row.addresses, &row.status, &row.locality, &row.cluster].map(|cell| Cow::Borrowed(cell.as_str())));
    }
    table
}

/// One row a route.
#[must_use]
pub fn routes<'a>(rows: &'a [RouteConfigRow<'a>]) -> Table<'a> {
    let mut table = Table::new(&["NAME", "VHOST NAME", "DOMAINS", "MATCH", "VIRTUAL SERVICE"], 5);
    for row in rows {
        for host in &row.virtual_hosts {
            let mut add = |matches: &'a str, service: &'a str| {
                let (name, domains) = (host.name.as_str().into(), host.domains.as_str().into());
                table.row([row.resource.name.as_str().into(), name, domains, matches.into(), service.into()]);
            };
            match &host.routes {
                None => add("/*", "404"),
                Some(routes) => {
                    for route in routes.iter().filter(|route| !route.is_passthrough()) {
                        add(&route.matches, &route.virtual_service);
                    }
                }
            }
        }
    }
    table
}

/// One row a route configuration.
#[must_use]
pub fn routes_brief<'a>(rows: &'a [RouteConfigRow<'a>]) -> Table<'a> {
    let mut table = Table::new(&["NAME", "VIRTUAL HOSTS"], 5);
    for row in rows {
        table.row([row.resource.name.as_str().into(), row.virtual_hosts.len().to_string().into()]);
    }
    table
}

/// One row a route, with what else it asks for, where it leads and how; routes that istioctl leaves out are there.
/// `details` are those of each row, by virtual host and route.
#[must_use]
pub fn routes_wide<'a>(rows: &'a [RouteConfigRow<'a>], details: &'a [Vec<Vec<RouteDetail>>]) -> Table<'a> {
    const HEADER: [&str; 10] = [
        "NAME",
        "VHOST NAME",
        "DOMAINS",
        "MATCH",
        "VIRTUAL SERVICE",
        "CRITERIA",
        "DESTINATION",
        "TIMEOUT",
        "RETRIES",
        "MIRRORS",
    ];
    let mut table = Table::new(&HEADER, 2);
    for (row, hosts) in rows.iter().zip(details) {
        for (host, details) in row.virtual_hosts.iter().zip(hosts) {
            let start = [row.resource.name.as_str(), host.name.as_str(), host.domains.as_str()];
            let mut add = |rest: [&'a str; 7]| table.row(start.into_iter().chain(rest).map(Cow::Borrowed));
            let routes = host.routes.iter().flatten();
            if host.routes.is_none() {
                add(["-", "-", "-", "no route", "-", "-", "-"]);
            }
            for (route, detail) in routes.zip(details) {
                add([
                    &route.matches,
                    &route.virtual_service,
                    &detail.criteria,
                    &detail.destination,
                    &detail.timeout,
                    &detail.retries,
                    &detail.mirrors,
                ]);
            }
        }
    }
    table
}

/// One row a cluster.
#[must_use]
pub fn clusters<'a>(rows: &'a [ClusterRow<'a>]) -> Table<'a> {
    let header = ["SERVICE FQDN", "PORT", "SUBSET", "DIRECTION", "TYPE", "DESTINATION RULE"];
    let mut table = Table::new(&header, 5);
    for row in rows {
        table.row(cluster(row));
    }
    table
}

fn cluster<'a>(row: &'a ClusterRow<'a>) -> [Cow<'a, str>; 6] {
    let key = SubsetKey::parse(&row.resource.name);
    let (kind, rule) = (row.kind.as_str().into(), row.destination_rule.as_str().into());
    if !key.is_subset_key {
        return [key.host.into(), "-".into(), "-".into(), "-".into(), kind, rule];
    }
    let subset = if key.subset.is_empty() { "-" } else { key.subset };
    [key.host.into(), key.port.to_string().into(), subset.into(), key.direction.into(), kind, rule]
}

/// One row a cluster, with its state, what is behind it and how it is reached. `details` are those of each row.
#[must_use]
pub fn clusters_wide<'a>(rows: &'a [ClusterRow<'a>], details: &'a [ClusterDetail]) -> Table<'a> {
    const HEADER: [&str; 13] = [
        "SERVICE FQDN",
        "PORT",
        "SUBSET",
        "DIRECTION",
        "TYPE",
        "DESTINATION RULE",
        "STATE",
        "ENDPOINTS",
        "POLICY",
        "TLS",
        "CIRCUIT BREAKERS",
        "OUTLIER DETECTION",
        "CLUSTER",
    ];
    let mut table = Table::new(&HEADER, 2);
    for (row, detail) in rows.iter().zip(details) {
        let more: [Cow<'a, str>; 7] = [
            row.resource.state.to_string().into(),
            detail.endpoints.as_str().into(),
            detail.policy.as_str().into(),
            detail.tls.as_str().into(),
            detail.circuit_breakers.as_str().into(),
            detail.outlier_detection.as_str().into(),
            row.resource.name.as_str().into(),
        ];
        table.row(cluster(row).into_iter().chain(more));
    }
    table
}

/// One row an endpoint.
#[must_use]
pub fn endpoints(rows: &[EndpointRow]) -> Table<'_> {
    let mut table = Table::new(&["ENDPOINT", "STATUS", "OUTLIER CHECK", "CLUSTER"], 5);
    for row in rows {
        table.row([
            row.endpoint.as_str().into(),
            row.status.as_str().into(),
            outlier(row).into(),
            row.cluster.as_str().into(),
        ]);
    }
    table
}

fn outlier(row: &EndpointRow) -> &'static str {
    match row.ejected {
        Some(true) => "FAILED",
        Some(false) => "OK",
        None => "-",
    }
}

/// One row an endpoint, with what decides between them.
#[must_use]
pub fn endpoints_wide(rows: &[EndpointRow]) -> Table<'_> {
    let header = ["ENDPOINT", "STATUS", "OUTLIER CHECK", "CLUSTER", "PRIORITY", "WEIGHT", "LOCALITY"];
    let mut table = Table::new(&header, 2);
    for row in rows {
        table.row([
            row.endpoint.as_str().into(),
            row.status.as_str().into(),
            outlier(row).into(),
            row.cluster.as_str().into(),
            row.priority.to_string().into(),
            row.weight.map_or(Cow::Borrowed("-"), |weight| weight.to_string().into()),
            if row.locality.is_empty() { "-".into() } else { row.locality.as_str().into() },
        ]);
    }
    table
}

/// One row a certificate.
#[must_use]
pub fn secrets(rows: &[SecretRow]) -> Table<'_> {
    let header = ["RESOURCE NAME", "TYPE", "STATUS", "VALID CERT", "SERIAL NUMBER", "NOT AFTER", "NOT BEFORE"];
    // As in istioctl the column is there only if every row has something in it.
    if !rows.is_empty() && rows.iter().all(|row| row.trust_domain.is_some()) {
        let mut table = Table::new(&[header.as_slice(), &["TRUST DOMAIN"]].concat(), 5);
        for row in rows {
            table.row(secret(row).into_iter().chain([row.trust_domain.as_deref().unwrap_or_default().into()]));
        }
        return table;
    }
    let mut table = Table::new(&header, 5);
    for row in rows {
        table.row(secret(row));
    }
    table
}

/// One row a certificate, with who it is of and from.
#[must_use]
pub fn secrets_wide(rows: &[SecretRow]) -> Table<'_> {
    let header = [
        "RESOURCE NAME",
        "TYPE",
        "STATUS",
        "VALID CERT",
        "SERIAL NUMBER",
        "NOT AFTER",
        "NOT BEFORE",
        "NAMES",
        "ISSUER",
    ];
    let mut table = Table::new(&header, 2);
    for row in rows {
        let names = row.certificate.as_ref().map_or(String::new(), |certificate| certificate.names.join(","));
        let issuer = row.certificate.as_ref().map_or("", |certificate| certificate.issuer.as_str());
        table.row(secret(row).into_iter().chain([names.into(), issuer.into()]));
    }
    table
}

fn secret(row: &SecretRow) -> [Cow<'_, str>; 7] {
    let of = |text: fn(&CertificateRow) -> &str| row.certificate.as_ref().map_or("", text).into();
    [
        row.name.as_str().into(),
        row.kind.as_str().into(),
        row.state.to_uppercase().into(),
        row.certificate.as_ref().is_some_and(|certificate| certificate.valid).to_string().into(),
        of(|certificate| &certificate.serial),
        of(|certificate| &certificate.not_after),
        of(|certificate| &certificate.not_before),
    ]
}

/// A line a version.
#[must_use]
pub fn versions(versions: &Versions) -> String {
    let lines = [
        ("Istio Version:", versions.istio.as_deref()),
        ("Istio Proxy Version:", versions.istio_proxy.as_deref()),
        ("Envoy Version:", Some(versions.envoy.as_str())),
    ];
    let shown = || lines.iter().filter_map(|(label, version)| version.map(|version| (*label, version)));
    let width = shown().map(|(label, _)| label.len()).max().unwrap_or_default();
    shown().map(|(label, version)| format!("{label:width$} {}\n", escape(version))).collect()
}
/// One row a policy and action.
#[must_use]
pub fn authorization_policies(rows: &[PolicyRow]) -> Table<'_> {
    let mut table = Table::new(&["ACTION", "AuthorizationPolicy", "RULES"], 3);
    for row in rows {
        table.row([row.action.into(), row.policy.as_str().into(), row.rules.to_string().into()]);
    }
    table
}
