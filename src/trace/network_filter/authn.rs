//! Istio's filter that keeps the principals of a connection as filter state.

use crate::trace::request::Connection;

/// Key of the peer's principal, which RBAC of older releases and waypoints looks at.
const PEER_PRINCIPAL: &str = "io.istio.peer_principal";

/// Keeps the first SPIFFE URI of the peer's certificate.
pub(crate) fn on_new_connection(connection: &mut Connection) {
    let uris = connection.peer.iter().flat_map(|peer| &peer.uri_sans);
    let principal = uris.into_iter().find(|uri| uri.starts_with("spiffe://")).cloned();
    if let Some(principal) = principal {
        connection.filter_state.insert(PEER_PRINCIPAL.to_owned(), principal);
    }
}
