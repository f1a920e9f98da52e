//! Which tokens a request must have, and whether it has them.

use serde_json::{Map, Value};

use super::location::{Located, Place, locate};
use super::token::Token;
use crate::proto::envoy::config::core::v3::data_source::Specifier;
use crate::proto::envoy::extensions::filters::http::jwt_authn::v3::jwt_provider::JwksSourceSpecifier;
use crate::proto::envoy::extensions::filters::http::jwt_authn::v3::jwt_requirement::RequiresType;
use crate::proto::envoy::extensions::filters::http::jwt_authn::v3::{JwtAuthentication, JwtProvider, JwtRequirement};
use crate::trace::assume::Question;
use crate::trace::context::{Context, Stream};
use crate::trace::matcher::query;
use crate::trace::matcher::string::string_matches;
use crate::trace::request::Headers;
use crate::trace::version::Rule;
use crate::trace::walk::Walk;

/// Deepest nesting of any and all that is followed.
const MAX_DEPTH: u32 = 32;

pub(super) struct Requirements<'a> {
    pub(super) cx: &'a Context<'a>,
    pub(super) filter: &'a str,
    pub(super) config: &'a JwtAuthentication,
}

/// Whether a requirement is met.
pub(super) enum Outcome {
    /// With the tokens that were accepted.
    Passed(Vec<Accepted>),
    Failed(Failure),
}

/// Why it isn't.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) reason: String,
    /// There is no token at all.
    pub(super) is_missing: bool,
    /// The token is for someone else: the one failure that is a 403.
    pub(super) is_audience: bool,
}

/// A token that a provider accepts.
pub(super) struct Accepted {
    pub(super) provider_name: String,
    provider: JwtProvider,
    place: Place,
    token: Token,
}

impl Failure {
    fn of(reason: &str) -> Self {
        Self { reason: reason.to_owned(), is_missing: false, is_audience: false }
    }

    fn missing() -> Self {
        Self { is_missing: true, ..Self::of("Jwt is missing") }
    }
}

impl Requirements<'_> {
    pub(super) fn check(&self, walk: &mut Walk, requirement: &JwtRequirement, stream: &mut Stream) -> Outcome {
        self.check_at(walk, requirement, stream, &[], MAX_DEPTH)
    }

    /// `beside`: providers that the same `requires_any` names, which is whom `allow_missing` looks at.
    fn check_at(
        &self,
        walk: &mut Walk,
        requirement: &JwtRequirement,
        stream: &mut Stream,
        beside: &[&str],
        depth: u32,
    ) -> Outcome {
        let Some(deeper) = depth.checked_sub(1) else {
            walk.missing(format!("http filter {}: requirements nested deeper than {MAX_DEPTH}", self.filter));
            return Outcome::Passed(Vec::new());
        };
        match &requirement.requires_type {
            Some(RequiresType::ProviderName(name)) => self.provider(walk, name, None, stream),
            Some(RequiresType::ProviderAndAudiences(wanted)) => {
                let audiences = (!wanted.audiences.is_empty()).then_some(wanted.audiences.as_slice());
                self.provider(walk, &wanted.provider_name, audiences, stream)
            }
            Some(RequiresType::RequiresAny(any)) => self.any(walk, &any.requirements, stream, deeper),
            Some(RequiresType::RequiresAll(all)) => {
                let mut accepted = Vec::new();
                for requirement in &all.requirements {
                    match self.check_at(walk, requirement, stream, &[], deeper) {
                        Outcome::Passed(tokens) => accepted.extend(tokens),
                        failed @ Outcome::Failed(_) => return failed,
                    }
                }
                Outcome::Passed(accepted)
            }
            Some(RequiresType::AllowMissingOrFailed(_)) => self.lenient(walk, stream, beside, true),
            Some(RequiresType::AllowMissing(_)) => self.lenient(walk, stream, beside, false),
            Some(RequiresType::ExtractOnlyWithoutValidation(_)) => self.lenient(walk, stream, beside, true),
            None => Outcome::Passed(Vec::new()),
        }
    }

    /// One that is met suffices; the lenient ones are asked last, the most lenient of them.
    fn any(&self, walk: &mut Walk, requirements: &[JwtRequirement], stream: &mut Stream, depth: u32) -> Outcome {
        let mut beside = Vec::new();
        let mut lenient: Option<&JwtRequirement> = None;
        let mut failure: Option<Failure> = None;
        for requirement in requirements {
            match &requirement.requires_type {
                Some(RequiresType::ProviderName(name)) => beside.push(name.as_str()),
                Some(RequiresType::ProviderAndAudiences(wanted)) => beside.push(wanted.provider_name.as_str()),
                Some(RequiresType::AllowMissing(_)) => {
                    lenient = lenient.or(Some(requirement));
                    continue;
                }
                Some(RequiresType::AllowMissingOrFailed(_)) => {
                    lenient = Some(requirement);
                    continue;
                }
                _ => {}
            }
        }
        let strict = requirements.iter().filter(|requirement| {
            !matches!(
                requirement.requires_type,
                Some(RequiresType::AllowMissing(_) | RequiresType::AllowMissingOrFailed(_))
            )
        });
        for requirement in strict.chain(lenient) {
            match self.check_at(walk, requirement, stream, &beside, depth) {
                passed @ Outcome::Passed(_) => return passed,
                // A token that is there and wrong says more than one that is missing.
                Outcome::Failed(new) => failure = Some(failure.filter(|_| new.is_missing).unwrap_or(new)),
            }
        }
        Outcome::Failed(failure.unwrap_or_else(Failure::missing))
    }

    /// All tokens at the provider's locations must be valid, and there must be one.
    fn provider(&self, walk: &mut Walk, name: &str, audiences: Option<&[String]>, stream: &mut Stream) -> Outcome {
        let Some(provider) = self.config.providers.get(name) else {
            walk.missing(format!("http filter {}: there is no provider {name}", self.filter));
            return Outcome::Failed(Failure::missing());
        };
        sanitize(&mut stream.headers, provider);
        let mut accepted = Vec::new();
        let located = locate(stream, [provider]);
        if located.is_empty() {
            return Outcome::Failed(Failure::missing());
        }
        for token in located.iter().rev() {
            match self.verify(walk, token, Some((name, provider)), audiences) {
                Ok(token) => accepted.push(token),
                Err(failure) => return Outcome::Failed(failure),
            }
        }
        Outcome::Passed(accepted)
    }

    /// `allow_missing`, and `allow_missing_or_failed`, which never fails.
    fn lenient(&self, walk: &mut Walk, stream: &mut Stream, beside: &[&str], may_fail: bool) -> Outcome {
        let all: Vec<&str> = self.config.providers.keys().map(String::as_str).collect();
        let names = if beside.is_empty() { all.as_slice() } else { beside };
        let providers: Vec<&JwtProvider> = names.iter().filter_map(|name| self.config.providers.get(*name)).collect();
        for provider in &providers {
            sanitize(&mut stream.headers, provider);
        }
        let located = locate(stream, providers.iter().copied());
        let mut accepted = Vec::new();
        let mut last = None;
        for token in located.iter().rev() {
            match self.verify(walk, token, None, None) {
                Ok(token) => {
                    accepted.push(token);
                    last = None;
                }
                Err(failure) => last = Some(failure),
            }
        }
        match last {
            Some(failure) if !may_fail => Outcome::Failed(failure),
            _ => Outcome::Passed(accepted),
        }
    }

    fn verify(
        &self,
        walk: &mut Walk,
        located: &Located,
        of: Option<(&str, &JwtProvider)>,
        audiences: Option<&[String]>,
    ) -> Result<Accepted, Failure> {
        let token = Token::parse(&located.text).map_err(Failure::of)?;
        if !located.allows_issuer(&token.issuer) {
            return Err(Failure::of("Jwt issuer is not configured"));
        }
        let (name, provider) = match of {
            Some(found) => found,
            None => self.by_issuer(&token.issuer).ok_or_else(|| Failure::of("Jwt issuer is not configured"))?,
        };
        self.check_time(walk, provider, &token)?;
        let allowed = audiences.unwrap_or(&provider.audiences);
        let is_for_us = |audience: &String| allowed.iter().any(|allowed| bare(allowed) == bare(audience));
        if !allowed.is_empty() && !token.audiences.iter().any(is_for_us) {
            return Err(Failure { is_audience: true, ..Failure::of("Audiences in Jwt are not allowed") });
        }
        if let Some(subjects) = &provider.subjects
            && !string_matches(self.cx, walk, subjects, &token.subject)
        {
            return Err(Failure::of("Jwt subject is not allowed"));
        }
        self.check_signature(walk, name, provider, &token)?;
        let place = located.place.clone();
        Ok(Accepted { provider_name: name.to_owned(), provider: provider.clone(), place, token })
    }

    /// The first provider of an issuer, else the first without one.
    fn by_issuer(&self, issuer: &str) -> Option<(&str, &JwtProvider)> {
        let mut with_issuer = self.config.providers.iter().filter(|(_, provider)| provider.issuer == issuer);
        let mut without = self.config.providers.iter().filter(|(_, provider)| provider.issuer.is_empty());
        with_issuer.next().or_else(|| without.next()).map(|(name, provider)| (name.as_str(), provider))
    }

    fn check_time(&self, walk: &mut Walk, provider: &JwtProvider, token: &Token) -> Result<(), Failure> {
        let bound = |claim: &str| token.payload.get(claim).is_some_and(|value| value.as_f64() != Some(0.0));
        if !bound("exp") && (provider.require_expiration || provider.max_lifetime.is_some()) {
            return Err(Failure::of("Jwt has no expiration"));
        }
        let answers = ["valid|invalid", "expired"];
        let question = Question {
            what: "whether the token is valid at the time of the request",
            keys: &["jwt"],
            answers: &answers,
        };
        if (bound("exp") || bound("nbf")) && walk.ask(&question) != 0 {
            return Err(Failure::of("Jwt is expired"));
        }
        Ok(())
    }

    /// A key that fits must be there; whether it verifies the signature is not computed.
    fn check_signature(
        &self,
        walk: &mut Walk,
        name: &str,
        provider: &JwtProvider,
        token: &Token,
    ) -> Result<(), Failure> {
        if let Some(JwksSourceSpecifier::LocalJwks(source)) = &provider.jwks_source_specifier
            && let Some(Specifier::InlineString(text)) = &source.specifier
            && let Some(keys) = keys(text)
            && !keys.iter().any(|key| fits(key, token))
        {
            return Err(Failure::of("Jwks doesn't have key to match kid or alg from Jwt"));
        }
        let what = format!("whether the keys of JWT provider {name} verify the token's signature");
        if walk.ask(&Question { what: &what, keys: &["jwt"], answers: &["valid", "invalid"] }) == 0 {
            Ok(())
        } else {
            Err(Failure::of("Jwt verification fails"))
        }
    }
}

fn keys(jwks: &str) -> Option<Vec<Value>> {
    let parsed: Value = serde_json::from_str(jwks).ok()?;
    parsed.get("keys")?.as_array().cloned()
}

/// Whether a key may have signed a token: the same key id and algorithm, where both have one.
fn fits(key: &Value, token: &Token) -> bool {
    let of = |name: &str| key.get(name).and_then(Value::as_str).unwrap_or_default();
    let (kid, algorithm) = (of("kid"), of("alg"));
    let same_id = kid.is_empty() || token.key_id.is_empty() || kid == token.key_id;
    same_id && (algorithm.is_empty() || algorithm == token.algorithm)
}

/// An audience without scheme and trailing slash.
fn bare(audience: &str) -> &str {
    let audience = audience.strip_prefix("https://").or_else(|| audience.strip_prefix("http://")).unwrap_or(audience);
    audience.strip_suffix('/').unwrap_or(audience)
}

/// Headers that the filter sets itself aren't taken from the client.
pub(super) fn sanitize(headers: &mut Headers, provider: &JwtProvider) {
    if !provider.forward_payload_header.is_empty() {
        headers.remove(&provider.forward_payload_header);
    }
    for claim in &provider.claim_to_headers {
        headers.remove(&claim.header_name);
    }
}

impl Accepted {
    /// What the filter does to the request for this token; whether the route is to be chosen anew.
    pub(super) fn apply(&self, cx: &Context<'_>, stream: &mut Stream) -> bool {
        let provider = &self.provider;
        if !provider.forward_payload_header.is_empty() {
            let mut payload = self.token.payload_text.clone();
            while provider.pad_forward_payload_header && !payload.len().is_multiple_of(4) {
                payload.push('=');
            }
            stream.headers.add(&provider.forward_payload_header, &payload);
        }
        let mut added = false;
        for claim in &provider.claim_to_headers {
            if let Some(text) = self.token.claim(&claim.claim_name).and_then(claim_text) {
                stream.headers.add(&claim.header_name, &text);
                added = true;
            }
        }
        match &self.place {
            Place::Header(name) if !provider.forward => stream.headers.remove(name),
            Place::Parameter(name) if !provider.forward && cx.follows(Rule::JwtIsRemovedFromQuery) => {
                let mut parameters = query::decoded_parameters(stream.headers.path());
                parameters.remove(name);
                let path = query::with_parameters(stream.headers.path(), &parameters);
                stream.headers.set(":path", &path);
            }
            _ => {}
        }
        provider.clear_route_cache && (added || !provider.payload_in_metadata.is_empty())
    }

    /// Entries for the filter's dynamic metadata.
    pub(super) fn metadata(&self) -> Vec<(String, Value)> {
        let mut entries = Vec::new();
        if !self.provider.header_in_metadata.is_empty() {
            entries.push((self.provider.header_in_metadata.clone(), Value::Object(self.token.header.clone())));
        }
        if !self.provider.payload_in_metadata.is_empty() {
            let mut payload: Map<String, Value> = self.token.payload.clone();
            let normal = self.provider.normalize_payload_in_metadata.as_ref();
            for claim in normal.map(|normal| normal.space_delimited_claims.as_slice()).unwrap_or_default() {
                if let Some(Value::String(text)) = payload.get(claim) {
                    let words: Value = text.split(' ').filter(|word| !word.is_empty()).map(Value::from).collect();
                    payload.insert(claim.clone(), words);
                }
            }
            entries.push((self.provider.payload_in_metadata.clone(), Value::Object(payload)));
        }
        entries
    }
}

fn claim_text(claim: &Value) -> Option<String> {
    match claim {
        Value::String(text) => Some(text.clone()).filter(|text| !text.is_empty()),
        Value::Bool(value) => Some(value.to_string()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}
