//! The lists behind `ztunnel-config` (spec/istioctl.md §1.12).

use std::collections::HashMap;

use jiff::Timestamp;
use serde::Serialize;

use super::go_sort;
use crate::dump::ztunnel::{
    CertificateInDump, ConnectionInDump, Gateway, WorkloadState, ZtunnelCertificate, ZtunnelDump, ZtunnelPolicy,
    ZtunnelService, ZtunnelWorkload,
};

/// Which workloads are listed; text is compared without regard to case.
#[derive(Debug, Clone, Default)]
pub struct WorkloadFilter {
    /// One of its addresses.
    pub address: Option<String>,
    /// Its namespace.
    pub namespace: Option<String>,
    /// Its node.
    pub node: Option<String>,
}

impl WorkloadFilter {
    /// Whether a workload is listed.
    #[must_use]
    pub fn takes(&self, workload: &ZtunnelWorkload) -> bool {
        let addresses = workload.workload_ips.iter().flatten();
        is(self.namespace.as_deref(), &workload.namespace)
            && is(self.node.as_deref(), &workload.node)
            && self.address.as_ref().is_none_or(|wanted| addresses.clone().any(|ip| is(Some(wanted), ip)))
    }
}

fn is(wanted: Option<&str>, value: &str) -> bool {
    wanted.is_none_or(|wanted| wanted.to_lowercase() == value.to_lowercase())
}

/// A workload, and the waypoint of its traffic.
#[derive(Debug, Clone, PartialEq)]
pub struct WorkloadRow<'a> {
    /// The workload.
    pub workload: &'a ZtunnelWorkload,
    /// Name of the waypoint; `None` if it has none, `NA` if the dump doesn't hold it.
    pub waypoint: String,
}

/// Workloads by namespace, name and node.
#[must_use]
pub fn ztunnel_workloads<'a>(dump: &'a ZtunnelDump, filter: &WorkloadFilter) -> Vec<WorkloadRow<'a>> {
    let listed = dump.workloads.iter().filter(|workload| filter.takes(workload));
    let mut rows: Vec<_> =
        listed.map(|workload| WorkloadRow { workload, waypoint: waypoint(dump, workload.waypoint.as_ref()) }).collect();
    let key = |row: &WorkloadRow<'a>| {
        (format!("{}.{}", row.workload.namespace, row.workload.name), row.workload.node.as_str())
    };
    go_sort::sort(&mut rows, |a, b| key(a) < key(b));
    rows
}

fn waypoint(dump: &ZtunnelDump, gateway: Option<&Gateway>) -> String {
    let Some(Gateway { destination }) = gateway else { return "None".to_owned() };
    let is_it = |service: &&ZtunnelService| {
        format!("{}/{}", service.namespace, service.hostname) == *destination
            || service.vips.iter().flatten().any(|vip| vip == destination)
    };
    dump.services.iter().find(is_it).map_or_else(|| "NA".to_owned(), |service| service.name.clone())
}

/// A service, its waypoint and its endpoints.
#[derive(Debug, Clone, PartialEq)]
pub struct ServiceRow<'a> {
    /// The service.
    pub service: &'a ZtunnelService,
    /// As [`WorkloadRow::waypoint`].
    pub waypoint: String,
    /// Endpoints whose workload is known and healthy.
    pub healthy: usize,
    /// All endpoints.
    pub total: usize,
}

/// Services by namespace, name and host name.
#[must_use]
pub fn ztunnel_services<'a>(dump: &'a ZtunnelDump, namespace: Option<&str>) -> Vec<ServiceRow<'a>> {
    let by_uid: HashMap<&str, &ZtunnelWorkload> = dump.workloads.iter().map(|w| (w.uid.as_str(), w)).collect();
    let is_healthy = |uid: &str| by_uid.get(uid).is_some_and(|workload| workload.status == "Healthy");
    sorted_services(dump, namespace)
        .into_iter()
        .map(|service| {
            let endpoints = service.endpoints.iter().flat_map(|endpoints| endpoints.values());
            ServiceRow {
                service,
                waypoint: waypoint(dump, service.waypoint.as_ref()),
                healthy: endpoints.clone().filter(|endpoint| is_healthy(&endpoint.workload_uid)).count(),
                total: endpoints.count(),
            }
        })
        .collect()
}

fn sorted_services<'a>(dump: &'a ZtunnelDump, namespace: Option<&str>) -> Vec<&'a ZtunnelService> {
    let mut services: Vec<_> = dump.services.iter().filter(|service| is(namespace, &service.namespace)).collect();
    let key = |service: &ZtunnelService| (service.namespace.clone(), service.name.clone(), service.hostname.clone());
    go_sort::sort(&mut services, |a, b| key(a) < key(b));
    services
}

/// Policies by namespace and name.
#[must_use]
pub fn ztunnel_policies<'a>(dump: &'a ZtunnelDump, namespace: Option<&str>) -> Vec<&'a ZtunnelPolicy> {
    let mut policies: Vec<_> = dump.policies.iter().filter(|policy| is(namespace, &policy.namespace)).collect();
    go_sort::sort(&mut policies, |a, b| (&a.namespace, &a.name) < (&b.namespace, &b.name));
    policies
}

/// One certificate of an identity, or an identity without any.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct IdentityRow {
    /// SPIFFE id.
    pub identity: String,
    /// `Leaf`, `Intermediate`, `Root`, or `NA` without a certificate.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// `Available`, `Initializing` or `Unavailable`.
    pub state: String,
    /// Whether the time that is judged by lies in its validity.
    pub valid: bool,
    /// Serial number, hexadecimal.
    pub serial: String,
    /// RFC 3339.
    pub not_after: String,
    /// RFC 3339.
    pub not_before: String,
}

/// Certificates in the order of the dump, valid or not at `as_of`; beside them what in it can't be read.
#[must_use]
pub fn ztunnel_certificates(dump: &ZtunnelDump, as_of: Timestamp) -> (Vec<IdentityRow>, Vec<String>) {
    let (mut rows, mut warnings) = (Vec::new(), Vec::new());
    for certificate in dump.certificates.iter().flatten() {
        let mut add = |kind, one: &CertificateInDump| rows.push(row(certificate, kind, one, as_of, &mut warnings));
        let chain = certificate.cert_chain.as_deref().unwrap_or_default();
        let roots = certificate.root_certs.as_deref().unwrap_or_default();
        for (nth, one) in chain.iter().enumerate() {
            // Where roots aren't listed by themselves, the last of several is one.
            let is_root = roots.is_empty() && nth > 0 && nth + 1 == chain.len();
            add(
                if is_root {
                    "Root"
                } else if nth == 0 {
                    "Leaf"
                } else {
                    "Intermediate"
                },
                one,
            );
        }
        roots.iter().for_each(|one| add("Root", one));
        if chain.is_empty() {
            rows.push(IdentityRow {
                identity: certificate.identity.clone(),
                kind: "NA",
                state: state(certificate),
                valid: false,
                serial: "NA".to_owned(),
                not_after: "NA".to_owned(),
                not_before: "NA".to_owned(),
            });
        }
    }
    (rows, warnings)
}

fn state(certificate: &ZtunnelCertificate) -> String {
    if certificate.state.contains("Unavailable") { "Unavailable".to_owned() } else { certificate.state.clone() }
}

fn row(
    certificate: &ZtunnelCertificate,
    kind: &'static str,
    one: &CertificateInDump,
    as_of: Timestamp,
    warnings: &mut Vec<String>,
) -> IdentityRow {
    let mut time = |text: &str| {
        let parsed = text.parse::<Timestamp>();
        if parsed.is_err() && !text.is_empty() {
            warnings.push(format!("certificate of {}: {text:?} is no time", certificate.identity));
        }
        parsed.ok()
    };
    let shown = |text: &str| if text.is_empty() { "NA".to_owned() } else { text.to_owned() };
    let valid = time(&one.valid_from).zip(time(&one.expiration_time));
    IdentityRow {
        identity: certificate.identity.clone(),
        kind,
        state: state(certificate),
        valid: valid.is_some_and(|(from, to)| from < as_of && as_of < to),
        serial: hexadecimal(&one.serial_number).unwrap_or_else(|| "<nil>".to_owned()),
        not_after: shown(&one.expiration_time),
        not_before: shown(&one.valid_from),
    }
}

/// A decimal number of any length in base 16.
fn hexadecimal(decimal: &str) -> Option<String> {
    let digits = decimal.strip_prefix('-').unwrap_or(decimal);
    if digits.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    // Base 2^32, the lowest part first.
    let mut parts: Vec<u32> = Vec::new();
    for digit in digits.bytes() {
        let mut carry = u64::from(digit - b'0');
        for part in &mut parts {
            let value = u64::from(*part) * 10 + carry;
            *part = u32::try_from(value & 0xffff_ffff).unwrap_or_default();
            carry = value >> 32;
        }
        if carry > 0 {
            parts.push(u32::try_from(carry).unwrap_or_default());
        }
    }
    let text: String = parts.iter().rev().map(|part| format!("{part:08x}")).collect();
    let text = text.trim_start_matches('0');
    let sign = if decimal.starts_with('-') { "-" } else { "" };
    Some(if text.is_empty() { "0".to_owned() } else { format!("{sign}{text}") })
}

/// Which connections are listed.
#[derive(Debug, Clone, Default)]
pub struct ConnectionFilter {
    /// `inbound` or `outbound`; anything else is both.
    pub direction: Option<String>,
    /// Namespace of the workload, exactly.
    pub namespace: Option<String>,
    /// Addresses as they stand, not by name.
    pub raw: bool,
}

/// An open connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ConnectionRow {
    /// `<name>.<namespace>` of the workload on this node.
    pub workload: String,
    /// `Inbound` or `Outbound`.
    pub direction: &'static str,
    /// The workload's end.
    pub local: String,
    /// The other end.
    pub remote: String,
    /// What the client dialled.
    pub target: String,
    /// `TCP` or `HBONE`.
    pub protocol: String,
}

/// Workloads of the node by namespace and name.
#[must_use]
pub fn workload_states<'a>(dump: &'a ZtunnelDump, filter: &ConnectionFilter) -> Vec<&'a WorkloadState> {
    let is_listed = |state: &&WorkloadState| filter.namespace.as_ref().is_none_or(|ns| *ns == state.info.namespace);
    let mut states: Vec<_> = dump.workload_state.iter().filter(is_listed).collect();
    let key = |state: &WorkloadState| (state.info.namespace.clone(), state.info.name.clone());
    go_sort::sort(&mut states, |a, b| key(a) < key(b));
    states
}

/// Open connections of the workloads of the node.
#[must_use]
pub fn ztunnel_connections(dump: &ZtunnelDump, filter: &ConnectionFilter) -> Vec<ConnectionRow> {
    let names = if filter.raw { Names::default() } else { Names::of(dump) };
    let direction = filter.direction.as_deref().map(str::to_lowercase);
    let mut rows = Vec::new();
    for state in workload_states(dump, filter) {
        let workload = format!("{}.{}", state.info.name, state.info.namespace);
        let row = |direction, local: &str, remote: &str, one: &ConnectionInDump| ConnectionRow {
            workload: workload.clone(),
            direction,
            local: names.name(local),
            remote: names.name(remote),
            target: names.name(&one.original_dst),
            protocol: one.protocol.clone(),
        };
        if direction.as_deref() != Some("outbound") {
            let inbound = state.connections.inbound.iter().flatten();
            rows.extend(inbound.map(|one| ConnectionRow {
                target: one.original_dst.clone(),
                ..row("Inbound", &one.actual_dst, &one.src, one)
            }));
        }
        if direction.as_deref() != Some("inbound") {
            let outbound = state.connections.outbound.iter().flatten();
            rows.extend(outbound.map(|one| row("Outbound", &one.src, &one.actual_dst, one)));
        }
    }
    rows
}

/// Names of addresses.
#[derive(Default)]
struct Names<'a> {
    services: HashMap<&'a str, &'a str>,
    workloads: HashMap<&'a str, String>,
}

impl<'a> Names<'a> {
    fn of(dump: &'a ZtunnelDump) -> Self {
        let mut names = Self::default();
        for service in &dump.services {
            let vip = service.vips.iter().flatten().next().and_then(|vip| vip.split_once('/'));
            names.services.extend(vip.map(|(_, ip)| (ip, service.hostname.as_str())));
        }
        for workload in &dump.workloads {
            let ip = workload.workload_ips.iter().flatten().next();
            names.workloads.extend(ip.map(|ip| (ip.as_str(), format!("{}.{}", workload.name, workload.namespace))));
        }
        names
    }

    fn name(&self, address: &str) -> String {
        let Some((host, port)) = split(address) else { return address.to_owned() };
        let name = self.services.get(host).copied().or_else(|| self.workloads.get(host).map(String::as_str));
        name.map_or_else(|| address.to_owned(), |name| format!("{name}:{port}"))
    }
}

/// Host and port of `host:port` or `[host]:port`.
fn split(address: &str) -> Option<(&str, &str)> {
    let (host, port) = address.rsplit_once(':')?;
    match host.strip_prefix('[') {
        Some(host) => Some((host.strip_suffix(']')?, port)),
        None => (!host.contains(':')).then_some((host, port)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serials_of_any_length_are_written_in_base_16() {
        assert_eq!(
            hexadecimal("305554775863395697262503895661564044819").as_deref(),
            Some("e5dfb59150b2ba7f108d93dcec5aa613")
        );
        assert_eq!(hexadecimal("0").as_deref(), Some("0"));
        assert_eq!(hexadecimal("-255").as_deref(), Some("-ff"));
        assert_eq!(hexadecimal("x"), None);
    }

    #[test]
    fn addresses_are_split_as_go_does() {
        assert_eq!(split("10.0.0.1:80"), Some(("10.0.0.1", "80")));
        assert_eq!(split("[::1]:80"), Some(("::1", "80")));
        assert_eq!(split("::1"), None);
        assert_eq!(split("name"), None);
    }
}
