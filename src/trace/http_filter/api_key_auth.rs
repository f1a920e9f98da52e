//! API key authentication.

use super::{Call, LocalReply, Verdict};
use crate::dump::REDACTED;
use crate::proto::envoy::extensions::filters::http::api_key_auth::v3::{
    ApiKeyAuth, ApiKeyAuthPerRoute, Credential, KeySource,
};
use crate::trace::assume::Question;
use crate::trace::context::Stream;
use crate::trace::matcher::header::cookie;
use crate::trace::matcher::query::{decoded_parameter, decoded_parameters, with_parameters};
use crate::trace::outcome::Disposition;
use crate::trace::walk::Walk;

/// A missing key is certain; whether a key is known is so only where the dump shows the keys.
pub(super) fn decode_headers(call: &Call<'_>, walk: &mut Walk, stream: &mut Stream) -> Verdict {
    let Some(config) = call.own::<ApiKeyAuth>(walk) else { return Verdict::Continue };
    let per_route =
        call.overriding::<ApiKeyAuthPerRoute>(walk, "envoy.extensions.filters.http.api_key_auth.v3.ApiKeyAuthPerRoute");
    let of_route = per_route.as_ref();
    let credentials = of_route.map(|r| &r.credentials).filter(|c| !c.is_empty()).unwrap_or(&config.credentials);
    let sources = of_route.map(|r| &r.key_sources).filter(|s| !s.is_empty()).unwrap_or(&config.key_sources);
    let denied = |walk: &mut Walk, status: u16, details: &str, why: String| {
        walk.step(call.step(&format!("replies {status}"), why.clone()));
        Verdict::Reply(LocalReply::new(status, details, Disposition::AuthnDenied, why))
    };
    if sources.is_empty() {
        return denied(walk, 401, "missing_key_sources", "no place for the key is configured".to_owned());
    }
    if credentials.is_empty() {
        return denied(walk, 401, "missing_credentials", "no key is configured".to_owned());
    }
    let Some(key) = sources.iter().find_map(|source| key(source, stream)) else {
        return denied(walk, 401, "missing_api_key", "the request has no key".to_owned());
    };
    let client = match client(walk, call.name, credentials, &key) {
        Ok(client) => client,
        Err(()) => return denied(walk, 401, "unknown_api_key", "the key is not a known one".to_owned()),
    };
    let allowed = of_route.map(|r| r.allowed_clients.as_slice()).unwrap_or_default();
    let is_allowed = match &client {
        _ if allowed.is_empty() => true,
        Some(client) => allowed.contains(client),
        None => walk.assume_bool(&format!("whether the key's client is one of {allowed:?}")),
    };
    if !is_allowed {
        return denied(walk, 403, "client_not_allowed", "the route doesn't allow the key's client".to_owned());
    }
    let forwarding = of_route.and_then(|r| r.forwarding.as_ref()).or(config.forwarding.as_ref());
    if let (Some(forwarding), Some(client)) = (forwarding, &client)
        && !forwarding.header.is_empty()
    {
        stream.headers.set(&forwarding.header, client);
    }
    if forwarding.is_some_and(|forwarding| forwarding.hide_credentials) {
        for source in sources {
            hide(source, stream);
        }
    }
    walk.step(
        call.step("lets pass", client.map_or("the key is known".to_owned(), |client| format!("client {client}"))),
    );
    Verdict::Continue
}

fn key(source: &KeySource, stream: &Stream) -> Option<String> {
    let found = if !source.header.is_empty() {
        let value = stream.headers.get(&source.header)?;
        Some(value.strip_prefix("Bearer ").unwrap_or(value).to_owned())
    } else if !source.query.is_empty() {
        decoded_parameter(stream.headers.path(), &source.query)
    } else {
        cookie(&stream.headers, &source.cookie).map(str::to_owned)
    };
    found.filter(|key| !key.is_empty())
}

fn hide(source: &KeySource, stream: &mut Stream) {
    if !source.header.is_empty() {
        stream.headers.remove(&source.header);
    } else if !source.query.is_empty() {
        let mut parameters = decoded_parameters(stream.headers.path());
        parameters.remove(&source.query);
        let path = with_parameters(stream.headers.path(), &parameters);
        stream.headers.set(":path", &path);
    }
}

/// The client of a key; `None` in it if the dump hides which it is.
fn client(walk: &mut Walk, filter: &str, credentials: &[Credential], key: &str) -> Result<Option<String>, ()> {
    if let Some(credential) = credentials.iter().find(|credential| credential.key == key) {
        return Ok(Some(credential.client.clone()));
    }
    let is_hidden = credentials.iter().any(|credential| credential.key == REDACTED);
    let what = format!("whether http filter {filter} knows the key of the request");
    let question = Question { what: &what, keys: &["password"], answers: &["valid", "invalid"] };
    if is_hidden && walk.ask(&question) == 0 {
        let client = credentials.first().filter(|_| credentials.len() == 1).map(|one| one.client.clone());
        return Ok(client);
    }
    Err(())
}
