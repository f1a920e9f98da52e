//! HTTP filters: what each does to a request before the router sees it (semantics §4.6, §5).
//!
//! One file a filter. The connection manager calls [`decode_headers`] for each filter of its list in order; the first
//! that replies ends the walk.

mod api_key_auth;
mod basic_auth;
mod cdn_loop;
mod composite;
mod cors;
mod credential;
mod csrf;
mod effect;
mod ext_authz;
mod fault;
mod header_mutation;
mod health_check;
mod istio_authn;
mod jwt_authn;
mod level;
mod local_ratelimit;
mod metadata;
mod on_demand;
mod ratelimit;
mod rbac;
mod script;
mod set_filter_state;
mod stateful_session;

#[cfg(test)]
mod fixture;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use super::context::{Context, Selected, Stream};
use super::outcome::{Disposition, Step};
use super::session::Session;
use super::unmodelled;
use super::walk::{Opaque, Walk};
use crate::dump::{Kind, type_of};
use crate::proto::Any;
use crate::proto::envoy::extensions::filters::network::http_connection_manager::v3::HttpFilter;
use crate::proto::envoy::extensions::filters::network::http_connection_manager::v3::http_filter::ConfigType;
use effect::Effect;
use level::Levels;
pub(crate) use script::is_built_in;
pub(crate) use set_filter_state::network as set_filter_state_network;

/// What a filter makes of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The next filter is asked.
    Continue,
    /// The same, and the route is chosen anew first.
    ContinueWithNewRoute,
    /// The filter answers.
    Reply(LocalReply),
}

/// An answer that Envoy gives by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LocalReply {
    /// HTTP status, as for a client that doesn't speak gRPC.
    pub(crate) status: u16,
    /// Response flags.
    pub(crate) flags: Vec<&'static str>,
    /// Response code details.
    pub(crate) details: String,
    /// The kind of end that this is.
    pub(crate) disposition: Disposition,
    /// `location` of a redirect.
    pub(crate) location: Option<String>,
    /// Why it came to that.
    pub(crate) why: String,
}

impl LocalReply {
    fn new(status: u16, details: impl Into<String>, disposition: Disposition, why: impl Into<String>) -> Self {
        Self { status, flags: Vec::new(), details: details.into(), disposition, location: None, why: why.into() }
    }

    fn flagged(mut self, flag: &'static str) -> Self {
        self.flags.push(flag);
        self
    }
}

/// Delegations of one filter to another (composite) that are followed.
const MAX_DELEGATIONS: u32 = 8;

/// One filter at work on one request.
struct Call<'a> {
    cx: &'a Context<'a>,
    /// Name of the filter in the connection manager's list: what overrides go by.
    name: &'a str,
    /// The filter's own configuration; `None` in old dumps that give a name only.
    config: Option<&'a Any>,
    /// Overrides of its configuration, the most specific first.
    levels: &'a Levels<'a>,
    selected: Option<&'a Selected<'a>>,
    session: &'a Session,
    delegations: u32,
}

/// Runs one filter of the connection manager's list on a request.
pub(crate) fn decode_headers(
    cx: &Context<'_>,
    walk: &mut Walk,
    filter: &HttpFilter,
    stream: &mut Stream,
    selected: Option<&Selected<'_>>,
    session: &Session,
) -> Verdict {
    let own = match &filter.config_type {
        Some(ConfigType::TypedConfig(any)) => type_of(any),
        _ => Cow::Borrowed(effect::type_of_name(&filter.name)),
    };
    let levels = Levels::of(cx, &filter.name, &own, selected);
    if !levels.enabled(!filter.disabled) {
        return Verdict::Continue;
    }
    let config = match &filter.config_type {
        Some(ConfigType::TypedConfig(any)) => Some(any),
        Some(ConfigType::ConfigDiscovery(source)) => {
            let resource = cx.proxy.extension(&filter.name);
            if let Some(resource) = resource {
                unmodelled::in_resource(cx, walk, resource, |_| true);
            }
            let delivered = resource.and_then(|resource| resource.get().ok());
            match delivered.and_then(|extension| extension.typed_config.as_ref()).or(source.default_config.as_ref()) {
                Some(any) => Some(any),
                None => return without_config(cx, walk, &filter.name),
            }
        }
        None => None,
    };
    let call = Call { cx, name: &filter.name, config, levels: &levels, selected, session, delegations: 0 };
    call.run(walk, stream)
}

/// A filter whose configuration ECDS hasn't delivered.
fn without_config(cx: &Context<'_>, walk: &mut Walk, name: &str) -> Verdict {
    if !cx.proxy.has_section(Kind::Ecds) {
        walk.missing(format!("http filter {name}: its configuration comes by ECDS, which this file doesn't hold"));
        return Verdict::Continue;
    }
    let why = format!("http filter {name} waits for its configuration (ECDS)");
    walk.step(Step::new("http filter", format!("{name} replies 500"), why.clone()));
    // Envoy gives no details with it.
    Verdict::Reply(LocalReply::new(500, "", Disposition::FilterReply, why).flagged("NFCF"))
}

impl Call<'_> {
    /// Full name of the configuration's type, by the filter's name where there is none.
    fn type_name(&self) -> Cow<'_, str> {
        self.config.map(type_of).unwrap_or_else(|| Cow::Borrowed(effect::type_of_name(self.name)))
    }

    fn run(&self, walk: &mut Walk, stream: &mut Stream) -> Verdict {
        let type_name = self.type_name();
        match type_name.as_ref() {
            "envoy.extensions.common.matching.v3.ExtensionWithMatcher" => composite::with_matcher(self, walk, stream),
            "envoy.extensions.filters.http.api_key_auth.v3.ApiKeyAuth" => {
                api_key_auth::decode_headers(self, walk, stream)
            }
            "envoy.extensions.filters.http.basic_auth.v3.BasicAuth" => basic_auth::decode_headers(self, walk, stream),
            "envoy.extensions.filters.http.cdn_loop.v3.CdnLoopConfig" => cdn_loop::decode_headers(self, walk, stream),
            "envoy.extensions.filters.http.composite.v3.Composite" => composite::composite(self, walk, stream),
            "envoy.extensions.filters.http.cors.v3.Cors" => cors::decode_headers(self, walk, stream),
            "envoy.extensions.filters.http.csrf.v3.CsrfPolicy" => csrf::decode_headers(self, walk, stream),
            "envoy.extensions.filters.http.ext_authz.v3.ExtAuthz" => ext_authz::decode_headers(self, walk, stream),
            // It resolves a name for its cluster, which says itself what isn't known of the address.
            "envoy.extensions.filters.http.dynamic_forward_proxy.v3.FilterConfig" => {
                if self.levels.configs().next().is_some() {
                    walk.missing(format!("http filter {}: the route may name another host to resolve", self.name));
                }
                Verdict::Continue
            }
            "envoy.extensions.filters.http.fault.v3.HTTPFault" => fault::decode_headers(self, walk, stream),
            "envoy.extensions.filters.http.header_mutation.v3.HeaderMutation" => {
                header_mutation::decode_headers(self, walk, stream)
            }
            "envoy.extensions.filters.http.header_to_metadata.v3.Config" => metadata::from_headers(self, walk, stream),
            "envoy.extensions.filters.http.health_check.v3.HealthCheck" => {
                health_check::decode_headers(self, walk, stream)
            }
            "envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication" => {
                jwt_authn::decode_headers(self, walk, stream)
            }
            "envoy.extensions.filters.http.lua.v3.Lua" => script::lua(self, walk),
            "envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit" => {
                local_ratelimit::decode_headers(self, walk, stream)
            }
            "envoy.extensions.filters.http.on_demand.v3.OnDemand" => on_demand::decode_headers(self, walk),
            "envoy.extensions.filters.http.ratelimit.v3.RateLimit" => ratelimit::decode_headers(self, walk, stream),
            "envoy.extensions.filters.http.rbac.v3.RBAC" => rbac::decode_headers(self, walk, stream),
            "envoy.extensions.filters.http.set_filter_state.v3.Config" => {
                set_filter_state::decode_headers(self, walk, stream)
            }
            "envoy.extensions.filters.http.set_metadata.v3.Config" => metadata::set(self, walk, stream),
            "envoy.extensions.filters.http.stateful_session.v3.StatefulSession" => {
                stateful_session::decode_headers(self, walk, stream)
            }
            "envoy.extensions.filters.http.wasm.v3.Wasm" if !effect::is_telemetry(self.name) => {
                script::wasm(self, walk)
            }
            "istio.envoy.config.filter.http.authn.v2alpha1.FilterConfig" => {
                istio_authn::decode_headers(self, walk, stream)
            }
            other => match effect::of(other, self.name) {
                Effect::None => Verdict::Continue,
                Effect::Opaque(why) => self.pass_opaque(walk, effect::kind(other), why),
            },
        }
    }

    /// A filter that isn't followed; `kind` is the key by which its effect may be assumed.
    fn pass_opaque(&self, walk: &mut Walk, kind: &str, why: &str) -> Verdict {
        self.pass_or_reply(walk, kind, why, &[])
    }

    /// As [`Call::pass_opaque`] for a filter of which some answers can be seen.
    fn pass_or_reply(&self, walk: &mut Walk, kind: &str, why: &str, replies: &[u16]) -> Verdict {
        let what = format!("http filter {}: {why}", self.name);
        let keys = [self.name, kind];
        match walk.pass_opaque(&what, if kind.is_empty() { &keys[..1] } else { &keys }, replies) {
            Opaque::Passes => Verdict::Continue,
            Opaque::Replies(status) => {
                let details = if kind == "lua" { "lua_response" } else { "" };
                let is_seen = replies.contains(&status);
                let why = if is_seen { "it has such an answer" } else { "that is assumed of it" }.to_owned();
                walk.step(self.step(&format!("replies {status}"), why.clone()));
                Verdict::Reply(LocalReply::new(status, details, Disposition::FilterReply, why))
            }
        }
    }

    /// The filter's own configuration; what can't be read is named as missing.
    fn own<T: crate::proto::Message>(&self, walk: &mut Walk) -> Option<std::sync::Arc<T>> {
        let Some(any) = self.config else { return Some(std::sync::Arc::default()) };
        self.read(walk, any)
    }

    /// The most specific override of a type.
    fn overriding<T: crate::proto::Message>(&self, walk: &mut Walk, type_name: &str) -> Option<std::sync::Arc<T>> {
        let any = self.levels.configs().find(|any| type_of(any) == type_name)?;
        self.read(walk, any)
    }

    fn read<T: crate::proto::Message>(&self, walk: &mut Walk, any: &Any) -> Option<std::sync::Arc<T>> {
        match self.cx.cache.decode::<T>(any) {
            Ok(config) => Some(config),
            Err(error) => {
                walk.missing(format!("http filter {}: its configuration can't be read: {error}", self.name));
                None
            }
        }
    }

    fn step(&self, chosen: &str, why: impl Into<String>) -> Step {
        Step::new("http filter", format!("{} {chosen}", self.name), why)
    }
}
