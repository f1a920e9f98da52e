//! Local rate limit of connections.

use std::sync::Arc;

use super::Denial;
use crate::proto::envoy::extensions::filters::network::local_ratelimit::v3::LocalRateLimit;
use crate::trace::context::Context;
use crate::trace::outcome::{Disposition, Step};
use crate::trace::rate_limit::bucket::Bucket;
use crate::trace::session::Session;
use crate::trace::walk::Walk;

/// Takes a token before any filter behind it sees the connection.
pub(crate) fn on_new_connection(
    cx: &Context<'_>,
    walk: &mut Walk,
    session: &Session,
    config: &Arc<LocalRateLimit>,
) -> Option<Denial> {
    let enabled = config
        .runtime_enabled
        .as_ref()
        .is_none_or(|flag| cx.guard(&flag.runtime_key, flag.default_value.is_none_or(|value| value.value)));
    // Limits of one share key draw on one bucket.
    let key = match config.share_key.as_str() {
        "" => format!("{:p}", Arc::as_ptr(config)),
        shared => format!("network local_ratelimit {shared}"),
    };
    let bucket = config.token_bucket.as_ref().filter(|_| enabled).and_then(|bucket| Bucket::new(key, bucket))?;
    let state = bucket.describe(walk, session);
    if bucket.take(walk, session, 1) {
        return None;
    }
    walk.step(Step::new("network filter", "local_ratelimit closes the connection", state));
    Some(Denial { termination: None, details: None, flag: Some("URX"), disposition: Disposition::FilterReply })
}
