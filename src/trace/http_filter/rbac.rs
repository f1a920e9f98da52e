//! RBAC.

use super::{Call, LocalReply, Verdict};
use crate::proto::envoy::extensions::filters::http::rbac::v3::{Rbac, RbacPerRoute};
use crate::trace::context::Stream;
use crate::trace::outcome::Disposition;
use crate::trace::rbac;
use crate::trace::walk::Walk;

/// Runs also where no route matches; an override without rules turns it off.
pub(super) fn decode_headers(call: &Call<'_>, walk: &mut Walk, stream: &mut Stream) -> Verdict {
    let per_route = call.overriding::<RbacPerRoute>(walk, "envoy.extensions.filters.http.rbac.v3.RBACPerRoute");
    let config = match &per_route {
        Some(per_route) => per_route.rbac.clone().unwrap_or_default(),
        None => match call.own::<Rbac>(walk) {
            Some(own) => own.as_ref().clone(),
            None => return Verdict::Continue,
        },
    };
    let route = call.selected.and_then(|selected| selected.route.as_ref());
    // A route without metadata has empty metadata, which an inverted matcher takes.
    let none = std::collections::BTreeMap::new();
    let metadata = route.map(|route| route.metadata.as_ref().map_or(&none, |metadata| &metadata.filter_metadata));
    let ignores_path_parameters = route.is_some()
        && call.selected.is_some_and(|selected| selected.config.ignore_path_parameters_in_path_matching);
    let route = rbac::Route { metadata, ignores_path_parameters };
    match rbac::http(call.cx, walk, call.name, &config, stream, route) {
        Some(denial) => Verdict::Reply(LocalReply::new(403, denial.details, Disposition::RbacDenied, denial.why)),
        None => Verdict::Continue,
    }
}
