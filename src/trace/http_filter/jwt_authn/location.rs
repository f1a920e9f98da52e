//! Where a provider's tokens stand in a request.

use std::collections::BTreeMap;

use crate::proto::envoy::extensions::filters::http::jwt_authn::v3::JwtProvider;
use crate::trace::context::Stream;
use crate::trace::matcher::header::cookie;
use crate::trace::matcher::query::decoded_parameter;

/// A token as found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Located {
    pub(super) text: String,
    pub(super) place: Place,
    /// Issuers of the providers that look here; `None` for any.
    issuers: Option<Vec<String>>,
}

/// Where a token was found.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    Header(String),
    Parameter(String),
    Cookie,
}

impl Located {
    /// Whether a provider that looks here has that issuer.
    pub(super) fn allows_issuer(&self, issuer: &str) -> bool {
        self.issuers.as_ref().is_none_or(|issuers| issuers.iter().any(|listed| listed == issuer))
    }
}

/// The tokens of a request that any of the providers looks for: headers, then parameters, then cookies.
pub(super) fn locate<'p>(stream: &Stream, providers: impl IntoIterator<Item = &'p JwtProvider>) -> Vec<Located> {
    let mut headers: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
    let mut parameters: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut cookies: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for provider in providers {
        let issuer = || provider.issuer.clone();
        for header in &provider.from_headers {
            headers.entry((header.name.to_ascii_lowercase(), header.value_prefix.clone())).or_default().push(issuer());
        }
        for name in &provider.from_params {
            parameters.entry(name.clone()).or_default().push(issuer());
        }
        for name in &provider.from_cookies {
            cookies.entry(name.clone()).or_default().push(issuer());
        }
        if provider.from_headers.is_empty() && provider.from_params.is_empty() && provider.from_cookies.is_empty() {
            headers.entry(("authorization".to_owned(), "Bearer ".to_owned())).or_default().push(issuer());
            parameters.entry("access_token".to_owned()).or_default().push(issuer());
        }
    }
    let mut found = Vec::new();
    for ((name, prefix), issuers) in headers {
        for value in stream.headers.all(&name) {
            let text = if prefix.is_empty() {
                value
            } else {
                match value.find(&prefix) {
                    Some(at) => after_prefix(value, at + prefix.len()),
                    None => continue,
                }
            };
            found.push(Located {
                text: text.to_owned(),
                place: Place::Header(name.clone()),
                issuers: specified(issuers.clone()),
            });
        }
    }
    for (name, issuers) in parameters {
        if let Some(text) = decoded_parameter(stream.headers.path(), &name) {
            found.push(Located { text, place: Place::Parameter(name), issuers: specified(issuers) });
        }
    }
    for (name, issuers) in cookies {
        if let Some(text) = cookie(&stream.headers, &name) {
            found.push(Located { text: text.to_owned(), place: Place::Cookie, issuers: specified(issuers) });
        }
    }
    found
}

/// A provider without an issuer takes any.
fn specified(issuers: Vec<String>) -> Option<Vec<String>> {
    (!issuers.iter().any(String::is_empty)).then_some(issuers)
}

/// The value from the first character behind the prefix that a token may have; all of it if there is none.
fn after_prefix(value: &str, at: usize) -> &str {
    let rest = value.get(at..).unwrap_or_default();
    let start = rest.find(|c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
    start.and_then(|start| rest.get(start..)).unwrap_or(value)
}
