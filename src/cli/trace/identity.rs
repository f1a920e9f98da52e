//! Identities of clients.

use crate::trace::ClientCertificate;

/// Who a client is that presents a certificate without a name being given.
pub(super) const UNNAMED: &str = "spiffe://cluster.local/ns/default/sa/client";

/// The certificate of a principal: a SPIFFE id, also in Istio's spelling without the scheme, or a DNS name.
pub(super) fn certificate(principal: &str) -> ClientCertificate {
    if principal.contains("://") {
        ClientCertificate { uri_sans: vec![principal.to_owned()], ..ClientCertificate::default() }
    } else if principal.contains("/ns/") {
        ClientCertificate { uri_sans: vec![format!("spiffe://{principal}")], ..ClientCertificate::default() }
    } else {
        ClientCertificate { dns_sans: vec![principal.to_owned()], ..ClientCertificate::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn principals_in_all_spellings() {
        assert_eq!(certificate("cluster.local/ns/a/sa/b").uri_sans, ["spiffe://cluster.local/ns/a/sa/b"]);
        assert_eq!(certificate("spiffe://t/x").uri_sans, ["spiffe://t/x"]);
        assert_eq!(certificate("a.example").dns_sans, ["a.example"]);
    }
}
