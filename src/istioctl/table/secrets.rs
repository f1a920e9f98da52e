//! `proxy-config secret` and `ecds`

use jiff::Timestamp;

use super::super::answer::Stop;
use super::super::node::Node;
use super::super::number;
use super::{Prefix, print};
use crate::inventory::{first_certificate, go_sort};

const SECRET: &str = "envoy.extensions.transport_sockets.tls.v3.Secret";
const SPIFFE: &str = "envoy.extensions.transport_sockets.tls.v3.SPIFFECertValidatorConfig";

/// The secrets that wait and those in force.
pub(crate) fn secrets(section: &Node<'_>, as_of: Option<Timestamp>, prefix: Prefix) -> String {
    let lists = [("dynamicWarmingSecrets", "WARMING"), ("dynamicActiveSecrets", "ACTIVE")];
    if lists.iter().all(|(list, _)| section.items(list).is_empty()) {
        return "No active or warming secrets found.\n".to_owned();
    }
    let mut rows = Vec::new();
    for (list, state) in lists {
        for entry in section.items(list) {
            for (name, pem, domain) in sources(entry) {
                let found = number::bytes(&pem).and_then(|pem| first_certificate(&pem, as_of));
                let domain = domain.or_else(|| found.as_ref().and_then(|found| found.trust_domain.clone()));
                let shown = if prefix == Prefix::Kind { format!("secret/{name}") } else { name };
                let mut cells = vec![shown];
                match found {
                    Some(found) => cells.extend([
                        if found.is_ca { "CA" } else { "Cert Chain" }.to_owned(),
                        state.to_owned(),
                        found.certificate.valid.to_string(),
                        found.certificate.serial,
                        found.certificate.not_after,
                        found.certificate.not_before,
                    ]),
                    None => {
                        let empty = String::new;
                        cells.extend([empty(), state.to_owned(), "false".to_owned(), empty(), empty(), empty()]);
                    }
                }
                rows.push((cells, domain));
            }
        }
    }
    if rows.is_empty() {
        return "No secret items to show.\n".to_owned();
    }
    let mut header = vec!["RESOURCE NAME", "TYPE", "STATUS", "VALID CERT", "SERIAL NUMBER", "NOT AFTER", "NOT BEFORE"];
    let with_domains = rows.iter().all(|(_, domain)| domain.as_ref().is_some_and(|domain| !domain.is_empty()));
    if with_domains {
        header.push("TRUST DOMAIN");
    }
    let rows = rows.into_iter().map(|(mut cells, domain)| {
        cells.extend(domain.filter(|_| with_domains));
        cells
    });
    print(&header, 5, rows.collect())
}

/// Name, certificates in base64 and trust domain of what stands in an entry.
fn sources(entry: &Node<'_>) -> Vec<(String, String, Option<String>)> {
    let empty = Node::Null;
    let secret = entry.get("secret").filter(|secret| secret.type_name() == SECRET).unwrap_or(&empty);
    let name = entry.text("name").to_owned();
    let inline = |names: &[&str]| secret.path(names).map(|source| source.text("inlineBytes")).unwrap_or_default();
    let chain = inline(&["tlsCertificate", "certificateChain"]);
    let bundle = inline(&["validationContext", "trustedCa"]);
    let custom = secret.path(&["validationContext", "customValidatorConfig", "typedConfig"]);
    let pem = if chain.is_empty() { bundle } else { chain };
    match custom {
        Some(custom) if pem.is_empty() && custom.type_name() == SPIFFE => {
            let domains = custom.items("trustDomains").iter();
            domains
                .map(|domain| {
                    let pem = domain.get("trustBundle").map(|bundle| bundle.text("inlineBytes")).unwrap_or_default();
                    (secret.text("name").to_owned(), pem.to_owned(), Some(domain.text("name").to_owned()))
                })
                .collect()
        }
        _ => vec![(name, pem.to_owned(), None)],
    }
}

/// One row a filter that ECDS has delivered.
pub(crate) fn ecds(filters: &[Node<'_>]) -> Result<String, Stop> {
    const NAME: &str = "envoy.config.core.v3.TypedExtensionConfig";
    for entry in filters {
        if entry.get("ecdsFilter").is_none_or(|filter| filter.type_name() != NAME) {
            let url = entry.get("ecdsFilter").map(Node::type_url).unwrap_or_default();
            let found = url.rsplit('/').next().unwrap_or_default();
            let text = format!("mismatched message type: got {NAME:?}, want {found:?}");
            return Err(Stop::Error(format!("failed to retrieve TypedExtensionConfig: {text}")));
        }
    }
    Ok(ecds_rows(filters.iter().filter_map(|entry| entry.get("ecdsFilter"))))
}

/// One row a filter.
pub(super) fn ecds_rows<'n, 'a: 'n>(filters: impl Iterator<Item = &'n Node<'a>>) -> String {
    let mut rows: Vec<(&str, &str)> = filters
        .map(|filter| (filter.get("typedConfig").map(Node::type_url).unwrap_or_default(), filter.text("name")))
        .collect();
    go_sort::sort(&mut rows, |a, b| a < b);
    let kind = |url: &str| url.strip_prefix("type.googleapis.com/").unwrap_or(url).to_owned();
    let rows = rows.into_iter().map(|(url, name)| vec![name.to_owned(), kind(url)]);
    print(&["ECDS NAME", "TYPE"], 5, rows.collect())
}
