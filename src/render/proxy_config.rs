//! Tables of `proxy-config`, with istioctl's columns (spec/istioctl.md §1).
//!
//! The wide forms add columns after istioctl's: what a user of istioctl can't see in a table.

use std::borrow::Cow;

use super::escape::escape;
use super::table::Table;
use crate::inventory::{
    CertificateRow, ChainDetail, ClusterDetail, ClusterRow, DiscoveredRow, EndpointDetail, EndpointRow, ListenerDetail,
    ListenerRow, PolicyRow, RouteConfigRow, RouteDetail, SecretDetail, SecretRow, SubsetKey, Versions, WaypointRow,
    Why,
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

/// One row a filter chain, with all that it asks for and does, and the listener's state. `details` are those of each row.
#[must_use]
pub fn listeners_wide<'a>(rows: &'a [ListenerRow<'a>], details: &'a [ListenerDetail]) -> Table<'a> {
    const HEADER: [&str; 10] =
        ["ADDRESSES", "PORT", "MATCH", "DESTINATION", "TYPE", "TLS", "FILTERS", "ACCESS LOG", "STATE", "LISTENER"];
    let mut table = Table::new(&HEADER, 2);
    for (row, detail) in rows.iter().zip(details) {
        let (addresses, port) = match row.addresses.as_slice() {
            [] => ("-".to_owned(), "-".to_owned()),
            addresses => (addresses.join(","), row.port.to_string()),
        };
        let mut add = |cells: [Cow<'a, str>; 2], rest: [&'a str; 3]| {
            let [matches, destination] = cells;
            let [tls, filters, log] = rest.map(Cow::Borrowed);
            let start = [addresses.clone().into(), port.clone().into(), matches, destination];
            let end = [
                row.kind.as_str().into(),
                tls,
                filters,
                log,
                detail.state.as_str().into(),
                detail.name.as_str().into(),
            ];
            table.row(start.into_iter().chain(end));
        };
        for chain in &row.chains {
            let shown = detail.chains.get(chain.place);
            let own = shown.and_then(|shown| shown.clusters.as_deref());
            let destination = own.unwrap_or(&chain.destination).into();
            match shown {
                Some(shown) => {
                    add(
                        [criteria(&chain.matches, shown), destination],
                        [&shown.tls, &shown.filters, &shown.access_log],
                    );
                }
                None => add([chain.matches.as_str().into(), destination], ["-"; 3]),
            }
        }
        if row.chains.is_empty() {
            add(["-".into(), "-".into()], ["-"; 3]);
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

/// What istioctl shows that a chain asks for, and what it leaves out.
fn criteria<'a>(shown: &'a str, detail: &'a ChainDetail) -> Cow<'a, str> {
    match &detail.criteria {
        None => shown.into(),
        Some(more) if detail.by_matcher || shown == "ALL" => more.as_str().into(),
        Some(more) => format!("{shown}; {more}").into(),
    }
}

/// istioctl's table of a waypoint's listeners.
#[must_use]
pub fn waypoint_chains(rows: &[WaypointRow]) -> Table<'_> {
    let mut table = Table::new(&["LISTENER", "CHAIN", "MATCH", "DESTINATION"], 1);
    for row in rows {
        let cells = [&row.listener, &row.chain, &row.matches, &row.destination];
        table.row(cells.map(|cell| Cow::Borrowed(cell.as_str())));
    }
    table
}

/// One row a reference. What nothing refers to has a row that says so.
#[must_use]
pub fn why(rows: &[Why]) -> Table<'_> {
    let mut table = Table::new(&["RESOURCE", "REFERRED TO BY", "AS", "FROM LISTENERS", "WHERE"], 2);
    for row in rows {
        let place = match (&row.file, row.line) {
            (Some(file), Some(line)) => format!("{file}:{line}"),
            (Some(file), None) => file.clone(),
            _ => "-".to_owned(),
        };
        table.row([
            row.resource.as_str().into(),
            row.from.as_deref().unwrap_or("nothing").into(),
            row.how.as_deref().unwrap_or("-").into(),
            some_of(&row.listeners).into(),
            place.into(),
        ]);
    }
    table
}

/// The first of many, and how many more there are.
fn some_of(names: &[String]) -> String {
    const MOST: usize = 3;
    let some = names.iter().take(MOST).cloned().collect::<Vec<_>>().join(", ");
    match names.len() {
        0 => "-".to_owned(),
        count if count > MOST => format!("{some} + {} more", count - MOST),
        _ => some,
    }
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

/// One row an endpoint. With `has_eds`, a last column says what EDS has of it.
#[must_use]
pub fn endpoints(rows: &[EndpointRow], has_eds: bool) -> Table<'_> {
    let header = ["ENDPOINT", "STATUS", "OUTLIER CHECK", "CLUSTER", "EDS"];
    let mut table = Table::new(if has_eds { &header } else { header.get(..4).unwrap_or_default() }, 5);
    for row in rows {
        let eds = has_eds.then(|| eds(row).into());
        table.row(endpoint(row).into_iter().chain(eds));
    }
    table
}

fn endpoint(row: &EndpointRow) -> [Cow<'_, str>; 4] {
    let outlier = match row.ejected {
        Some(true) => "FAILED",
        Some(false) => "OK",
        None => "-",
    };
    [row.endpoint.as_str().into(), row.status.as_str().into(), outlier.into(), row.cluster.as_str().into()]
}

fn eds(row: &EndpointRow) -> &str {
    row.eds.as_deref().unwrap_or("-")
}

/// One row an endpoint, with what decides between them. `details` are those of each row.
#[must_use]
pub fn endpoints_wide<'a>(rows: &'a [EndpointRow], details: &'a [EndpointDetail], has_eds: bool) -> Table<'a> {
    let all =
        ["ENDPOINT", "STATUS", "OUTLIER CHECK", "CLUSTER", "EDS", "HEALTH", "PRIORITY", "WEIGHT", "LOCALITY", "TLS"];
    let header: Vec<&str> = all.into_iter().filter(|name| has_eds || *name != "EDS").collect();
    let mut table = Table::new(&header, 2);
    for (row, detail) in rows.iter().zip(details) {
        let eds = has_eds.then(|| Cow::Borrowed(eds(row)));
        let rest: [Cow<'a, str>; 5] = [
            detail.health.as_str().into(),
            row.priority.to_string().into(),
            row.weight.map_or(Cow::Borrowed("-"), |weight| weight.to_string().into()),
            if row.locality.is_empty() { "-".into() } else { row.locality.as_str().into() },
            detail.tls.as_str().into(),
        ];
        table.row(endpoint(row).into_iter().chain(eds).chain(rest));
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

/// One row a certificate, with who it is of and from, how long it lasts, and who uses it. `details` are those of each row.
#[must_use]
pub fn secrets_wide<'a>(rows: &'a [SecretRow], details: &'a [SecretDetail]) -> Table<'a> {
    let header = [
        "RESOURCE NAME",
        "TYPE",
        "STATUS",
        "VALID CERT",
        "SERIAL NUMBER",
        "NOT AFTER",
        "NOT BEFORE",
        "DAYS LEFT",
        "NAMES",
        "ISSUER",
        "USED BY",
        "REASON",
    ];
    let mut table = Table::new(&header, 2);
    for (row, detail) in rows.iter().zip(details) {
        let names = row.certificate.as_ref().map_or(String::new(), |certificate| certificate.names.join(","));
        let issuer = row.certificate.as_ref().map_or("", |certificate| certificate.issuer.as_str());
        let rest: [Cow<'a, str>; 5] = [
            detail.days_left.map_or("-".into(), |days| days.to_string().into()),
            if names.is_empty() { "-".into() } else { names.into() },
            if issuer.is_empty() { "-".into() } else { issuer.into() },
            some_of(&detail.users).into(),
            detail.reason.as_deref().unwrap_or("-").into(),
        ];
        let [name, _, more @ ..] = secret(row);
        let cells = [name, row.kind.as_str().into()].into_iter().chain(more);
        table.row(cells.chain(rest));
    }
    table
}

fn secret(row: &SecretRow) -> [Cow<'_, str>; 7] {
    let of = |text: fn(&CertificateRow) -> &str| row.certificate.as_ref().map_or("", text).into();
    [
        row.name.as_str().into(),
        row.istioctl_kind.into(),
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
