//! Calls that filters make on their own: to authorization servers, rate limit services.

use std::sync::Arc;

use super::{Balance, Selection, select};
use crate::proto::envoy::config::core::v3::RoutingPriority;
use crate::trace::context::Context;
use crate::trace::request::Connection;
use crate::trace::walk::explore;

/// Why a call to a cluster is bound to fail; `None` if it may succeed.
pub(crate) fn unreachable(cx: &Context<'_>, cluster: &str, connection: &Connection) -> Option<String> {
    let input = Balance {
        connection,
        stream: None,
        connection_metadata: None,
        metadata_match: Vec::new(),
        hash_policy: &[],
        connection_hash_policy: &[],
        priority: RoutingPriority::Default,
    };
    // Which host is asked is no part of the answer, so this has walks of its own.
    let mut reached = false;
    let mut reason = None;
    let explored = explore(&Arc::default(), |walk| match select(cx, walk, cluster, &input) {
        Selection::Host(_) => reached = true,
        Selection::Failure(failure) => reason = Some(failure.why),
    });
    if reached || !explored.unknown.is_empty() {
        return None;
    }
    reason.map(|reason| format!("cluster {cluster} can't be asked: {reason}"))
}
