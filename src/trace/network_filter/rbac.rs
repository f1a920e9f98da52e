//! RBAC of connections.

use super::Denial;
use crate::proto::envoy::extensions::filters::network::rbac::v3::Rbac;
use crate::trace::context::Context;
use crate::trace::outcome::Disposition;
use crate::trace::rbac;
use crate::trace::request::Connection;
use crate::trace::walk::Walk;

/// Decides at the first byte: whatever the chain connected to by then is still logged.
pub(crate) fn on_data(cx: &Context<'_>, walk: &mut Walk, config: &Rbac, connection: &mut Connection) -> Option<Denial> {
    let termination = rbac::network(cx, walk, config, connection)?;
    Some(Denial { termination: Some(termination), details: None, flag: None, disposition: Disposition::RbacDenied })
}
