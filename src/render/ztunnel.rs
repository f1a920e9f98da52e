//! Tables of `ztunnel-config`, with istioctl's columns (spec/istioctl.md §1.12).

use super::table::Table;
use crate::dump::ztunnel::ZtunnelPolicy;
use crate::inventory::{ConnectionRow, IdentityRow, ServiceRow, WorkloadRow};

/// One row a workload.
#[must_use]
pub fn ztunnel_workloads<'a>(rows: &'a [WorkloadRow<'a>]) -> Table<'a> {
    let mut table = Table::new(&["NAMESPACE", "POD NAME", "ADDRESS", "NODE", "WAYPOINT", "PROTOCOL"], 1);
    for row in rows {
        let workload = row.workload;
        table.row([
            workload.namespace.as_str().into(),
            workload.name.as_str().into(),
            addresses(row).into(),
            workload.node.as_str().into(),
            row.waypoint.as_str().into(),
            workload.protocol.as_str().into(),
        ]);
    }
    table
}

/// The same with identity, health, locality, network and the policies that select it.
#[must_use]
pub fn ztunnel_workloads_wide<'a>(rows: &'a [WorkloadRow<'a>]) -> Table<'a> {
    const HEADER: [&str; 12] = [
        "NAMESPACE",
        "POD NAME",
        "ADDRESS",
        "NODE",
        "WAYPOINT",
        "PROTOCOL",
        "STATUS",
        "IDENTITY",
        "WORKLOAD",
        "LOCALITY",
        "NETWORK",
        "POLICIES",
    ];
    let mut table = Table::new(&HEADER, 1);
    for row in rows {
        let workload = row.workload;
        let locality = &workload.locality;
        let locality = [&locality.region, &locality.zone, &locality.subzone].map(String::as_str);
        let identity = match workload.service_account.as_str() {
            "" => String::new(),
            account => format!("{}/ns/{}/sa/{account}", workload.trust_domain, workload.namespace),
        };
        table.row([
            workload.namespace.as_str().into(),
            workload.name.as_str().into(),
            addresses(row).into(),
            workload.node.as_str().into(),
            row.waypoint.as_str().into(),
            workload.protocol.as_str().into(),
            workload.status.as_str().into(),
            identity.into(),
            [workload.workload_type.as_str(), workload.workload_name.as_str()].join("/").into(),
            dash(locality.join("/").trim_end_matches('/')).into(),
            dash(&workload.network).into(),
            dash(&workload.authorization_policies.join(",")).into(),
        ]);
    }
    table
}

fn addresses(row: &WorkloadRow<'_>) -> String {
    match row.workload.workload_ips.as_deref() {
        Some(ips) if !ips.is_empty() => ips.join(","),
        _ => row.workload.hostname.clone(),
    }
}

fn dash(text: &str) -> String {
    if text.is_empty() { "-".to_owned() } else { text.to_owned() }
}

/// One row a service.
#[must_use]
pub fn ztunnel_services<'a>(rows: &'a [ServiceRow<'a>]) -> Table<'a> {
    let mut table = Table::new(&["NAMESPACE", "SERVICE NAME", "SERVICE VIP", "WAYPOINT", "ENDPOINTS"], 1);
    for row in rows {
        let service = row.service;
        let vips = service.vips.iter().flatten().map(|vip| vip.split_once('/').map_or(vip.as_str(), |(_, ip)| ip));
        table.row([
            service.namespace.as_str().into(),
            service.name.as_str().into(),
            vips.collect::<Vec<_>>().join(",").into(),
            row.waypoint.as_str().into(),
            format!("{}/{}", row.healthy, row.total).into(),
        ]);
    }
    table
}

/// One row a policy.
#[must_use]
pub fn ztunnel_policies<'a>(policies: &[&'a ZtunnelPolicy]) -> Table<'a> {
    let mut table = Table::new(&["NAMESPACE", "POLICY NAME", "ACTION", "SCOPE"], 1);
    for policy in policies {
        let cells = [&policy.namespace, &policy.name, &policy.action, &policy.scope];
        table.row(cells.map(|cell| cell.as_str().into()));
    }
    table
}

/// One row a certificate.
#[must_use]
pub fn ztunnel_certificates(rows: &[IdentityRow]) -> Table<'_> {
    const HEADER: [&str; 7] =
        ["CERTIFICATE NAME", "TYPE", "STATUS", "VALID CERT", "SERIAL NUMBER", "NOT AFTER", "NOT BEFORE"];
    let mut table = Table::new(&HEADER, 5);
    for row in rows {
        table.row([
            row.identity.as_str().into(),
            row.kind.into(),
            row.state.as_str().into(),
            row.valid.to_string().into(),
            row.serial.as_str().into(),
            row.not_after.as_str().into(),
            row.not_before.as_str().into(),
        ]);
    }
    table
}

/// One row a connection.
#[must_use]
pub fn ztunnel_connections(rows: &[ConnectionRow]) -> Table<'_> {
    let mut table = Table::new(&["WORKLOAD", "DIRECTION", "LOCAL", "REMOTE", "REMOTE TARGET", "PROTOCOL"], 1);
    for row in rows {
        table.row([
            row.workload.as_str().into(),
            row.direction.into(),
            row.local.as_str().into(),
            row.remote.as_str().into(),
            row.target.as_str().into(),
            row.protocol.as_str().into(),
        ]);
    }
    table
}
