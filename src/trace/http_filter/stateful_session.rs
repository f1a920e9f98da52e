//! Stateful sessions: a request that carries one goes to the host in it.

use super::{Call, Verdict};
use crate::dump::type_of;
use crate::proto::envoy::extensions::filters::http::stateful_session::v3::stateful_session_per_route::Override;
use crate::proto::envoy::extensions::filters::http::stateful_session::v3::{StatefulSession, StatefulSessionPerRoute};
use crate::proto::envoy::extensions::http::stateful_session::cookie::v3::CookieBasedSessionState;
use crate::proto::envoy::extensions::http::stateful_session::envelope::v3::EnvelopeSessionState;
use crate::proto::envoy::extensions::http::stateful_session::header::v3::HeaderBasedSessionState;
use crate::trace::context::Stream;
use crate::trace::matcher::header::cookie;
use crate::trace::walk::Walk;

/// Without a session in the request the load balancer chooses as ever.
pub(super) fn decode_headers(call: &Call<'_>, walk: &mut Walk, stream: &mut Stream) -> Verdict {
    let per_route = call.overriding::<StatefulSessionPerRoute>(
        walk,
        "envoy.extensions.filters.http.stateful_session.v3.StatefulSessionPerRoute",
    );
    let own = call.own::<StatefulSession>(walk);
    let config = match per_route.as_ref().and_then(|per_route| per_route.r#override.as_ref()) {
        Some(Override::Disabled(true)) => return Verdict::Continue,
        Some(Override::StatefulSession(session)) => Some(session),
        _ => own.as_deref(),
    };
    let state = config.and_then(|config| config.session_state.as_ref());
    let Some(any) = state.and_then(|state| state.typed_config.as_ref()) else { return Verdict::Continue };
    let carries = match type_of(any).as_ref() {
        "envoy.extensions.http.stateful_session.cookie.v3.CookieBasedSessionState" => {
            let state = call.read::<CookieBasedSessionState>(walk, any);
            let name = state.as_ref().and_then(|state| state.cookie.as_ref()).map(|cookie| cookie.name.as_str());
            name.is_some_and(|name| cookie(&stream.headers, name).is_some())
        }
        "envoy.extensions.http.stateful_session.header.v3.HeaderBasedSessionState" => {
            let state = call.read::<HeaderBasedSessionState>(walk, any);
            state.is_some_and(|state| stream.headers.contains(&state.name))
        }
        "envoy.extensions.http.stateful_session.envelope.v3.EnvelopeSessionState" => {
            let state = call.read::<EnvelopeSessionState>(walk, any);
            let name = state.as_ref().and_then(|state| state.header.as_ref()).map(|header| header.name.as_str());
            name.is_some_and(|name| stream.headers.contains(name))
        }
        _ => true,
    };
    if carries {
        walk.missing(format!("http filter {}: the host that the request's session is bound to", call.name));
    }
    Verdict::Continue
}
