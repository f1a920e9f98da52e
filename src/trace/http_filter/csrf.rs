//! CSRF: the origin of a request that changes something must be its target.

use super::{Call, LocalReply, Verdict};
use crate::proto::envoy::extensions::filters::http::csrf::v3::CsrfPolicy;
use crate::trace::context::Stream;
use crate::trace::matcher::fraction::runtime_fraction;
use crate::trace::matcher::string::string_matches;
use crate::trace::outcome::Disposition;
use crate::trace::walk::Walk;

pub(super) fn decode_headers(call: &Call<'_>, walk: &mut Walk, stream: &mut Stream) -> Verdict {
    let overriding = call.overriding::<CsrfPolicy>(walk, "envoy.extensions.filters.http.csrf.v3.CsrfPolicy");
    let Some(policy) = overriding.or_else(|| call.own::<CsrfPolicy>(walk)) else { return Verdict::Continue };
    if !matches!(stream.headers.method(), "POST" | "PUT" | "DELETE" | "PATCH") {
        return Verdict::Continue;
    }
    let enabled = policy.filter_enabled.as_ref().is_some_and(|enabled| runtime_fraction(call.cx, walk, enabled));
    if !enabled {
        return Verdict::Continue;
    }
    let of = |name: &str| stream.headers.get(name).map(host_and_port).filter(|origin| !origin.is_empty());
    let target = host_and_port(stream.headers.authority());
    let why = match of("origin").or_else(|| of("referer")) {
        None => "the request has neither origin nor referer".to_owned(),
        Some(source) if source == target => return Verdict::Continue,
        Some(source) => {
            if policy.additional_origins.iter().any(|allowed| string_matches(call.cx, walk, allowed, source)) {
                return Verdict::Continue;
            }
            format!("the request comes from origin {source}, not from {target} or an additional origin")
        }
    };
    walk.step(call.step("replies 403", why.clone()));
    Verdict::Reply(LocalReply::new(403, "csrf_origin_mismatch", Disposition::FilterReply, why))
}

/// Host and port of a URL; a value that is none stands for itself.
fn host_and_port(value: &str) -> &str {
    let Some((scheme, rest)) = value.split_once("://") else { return value };
    if scheme.is_empty() || !scheme.chars().all(|c| c.is_ascii_alphanumeric()) {
        return value;
    }
    rest.split(['/', '?', '#']).next().unwrap_or_default()
}
