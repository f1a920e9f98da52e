//! Clusters that are loaded when a request first needs them.

use super::{Call, Verdict};
use crate::proto::envoy::extensions::filters::http::on_demand::v3::{OnDemand, PerRouteConfig};
use crate::trace::upstream;
use crate::trace::walk::Walk;

/// Asks for the route's cluster if it isn't there; whether it comes is in no dump.
pub(super) fn decode_headers(call: &Call<'_>, walk: &mut Walk) -> Verdict {
    let of_route = call.overriding::<PerRouteConfig>(walk, "envoy.extensions.filters.http.on_demand.v3.PerRouteConfig");
    let loads_clusters = match of_route {
        Some(config) => config.odcds.is_some(),
        None => call.own::<OnDemand>(walk).is_some_and(|config| config.odcds.is_some()),
    };
    let cluster = call.selected.and_then(|selected| selected.cluster.as_deref()).filter(|name| !name.is_empty());
    if let Some(cluster) = cluster.filter(|name| loads_clusters && !upstream::is_in_force(call.cx, name)) {
        walk.missing(format!("cluster {cluster}: it may be loaded on demand (ODCDS)"));
    }
    Verdict::Continue
}
