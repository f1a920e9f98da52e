//! Basic authentication.

use super::credential::base64;
use super::{Call, LocalReply, Verdict};
use crate::dump::REDACTED;
use crate::proto::envoy::config::core::v3::DataSource;
use crate::proto::envoy::config::core::v3::data_source::Specifier;
use crate::proto::envoy::extensions::filters::http::basic_auth::v3::{BasicAuth, BasicAuthPerRoute};
use crate::trace::assume::Question;
use crate::trace::context::Stream;
use crate::trace::outcome::Disposition;
use crate::trace::walk::Walk;

/// A missing or malformed credential is certain; a password is never checked, as a dump hides who may have which.
pub(super) fn decode_headers(call: &Call<'_>, walk: &mut Walk, stream: &mut Stream) -> Verdict {
    let Some(config) = call.own::<BasicAuth>(walk) else { return Verdict::Continue };
    let per_route =
        call.overriding::<BasicAuthPerRoute>(walk, "envoy.extensions.filters.http.basic_auth.v3.BasicAuthPerRoute");
    let users = per_route.as_ref().map_or(config.users.as_ref(), |per_route| per_route.users.as_ref());
    let denied = |walk: &mut Walk, details: &str, why: String| {
        walk.step(call.step("replies 401", why.clone()));
        Verdict::Reply(LocalReply::new(401, details, Disposition::AuthnDenied, why))
    };
    let header = if config.authentication_header.is_empty() { "authorization" } else { &config.authentication_header };
    let Some(value) = stream.headers.get(header).map(str::to_owned) else {
        if config.allow_missing {
            return Verdict::Continue;
        }
        return denied(walk, "no_credential_for_basic_auth", format!("the request has no {header}"));
    };
    let Some(encoded) = value.strip_prefix("Basic ") else {
        if config.allow_missing {
            return Verdict::Continue;
        }
        return denied(walk, "invalid_scheme_for_basic_auth", format!("{header} is of another scheme than Basic"));
    };
    let decoded = base64(encoded).and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_default();
    let Some((user, _)) = decoded.split_once(':') else {
        return denied(walk, "invalid_format_for_basic_auth", format!("{header} holds no user and password"));
    };
    if names(users).is_some_and(|names| !names.contains(&user)) {
        return denied(walk, "invalid_credential_for_basic_auth", format!("there is no user {user}"));
    }
    let what = format!("whether http filter {} knows the password of user {user}", call.name);
    if walk.ask(&Question { what: &what, keys: &["password"], answers: &["valid", "invalid"] }) != 0 {
        return denied(walk, "invalid_credential_for_basic_auth", format!("the password of {user} is wrong"));
    }
    if !config.forward_username_header.is_empty() {
        stream.headers.set(&config.forward_username_header, user);
    }
    walk.step(call.step("lets pass", format!("user {user}")));
    Verdict::Continue
}

/// The users of an htpasswd file; `None` if it isn't in the dump.
fn names(users: Option<&DataSource>) -> Option<Vec<&str>> {
    let Some(Specifier::InlineString(text)) = users?.specifier.as_ref() else { return None };
    let lines = text.lines().filter(|line| !line.is_empty());
    (text != REDACTED).then(|| lines.map(|line| line.split(':').next().unwrap_or_default()).collect())
}
