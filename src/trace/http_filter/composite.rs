//! Filters behind a matcher: `ExtensionWithMatcher`, and the composite filter that runs what an action says.

use super::{Call, Verdict};
use crate::dump::type_of;
use crate::proto::Any;
use crate::proto::envoy::extensions::common::matching::v3::{ExtensionWithMatcher, ExtensionWithMatcherPerRoute};
use crate::proto::envoy::extensions::filters::http::composite::v3::{
    Composite, CompositePerRoute, ExecuteFilterAction, FilterChainConfiguration,
};
use crate::proto::xds::core::v3::TypedExtensionConfig;
use crate::trace::context::{Stream, Subject};
use crate::trace::matcher::fraction::runtime_fraction;
use crate::trace::matcher::tree;
use crate::trace::walk::Walk;

/// A filter that is skipped, or told what to run, by a matcher.
pub(super) fn with_matcher(call: &Call<'_>, walk: &mut Walk, stream: &mut Stream) -> Verdict {
    let Some(config) = call.own::<ExtensionWithMatcher>(walk) else { return Verdict::Continue };
    let per_route = call.overriding::<ExtensionWithMatcherPerRoute>(
        walk,
        "envoy.extensions.common.matching.v3.ExtensionWithMatcherPerRoute",
    );
    let subject = Subject { connection: &stream.connection, stream: Some(stream) };
    let matcher =
        per_route.as_ref().and_then(|per_route| per_route.xds_matcher.as_ref()).or(config.xds_matcher.as_ref());
    let action = match (matcher, &config.matcher) {
        (Some(matcher), _) => tree::evaluate(call.cx, walk, matcher, subject),
        (None, Some(matcher)) => tree::evaluate_common(call.cx, walk, matcher, subject),
        (None, None) => None,
    };
    let inner = config.extension_config.as_ref().and_then(|extension| extension.typed_config.as_ref());
    let is_composite = inner.is_some_and(|any| type_of(any) == "envoy.extensions.filters.http.composite.v3.Composite");
    match action {
        Some(action) if is_composite => execute(call, walk, None, &action, stream),
        Some(action) if is_skip(&action) => {
            walk.step(call.step("is skipped", "its matcher says so"));
            Verdict::Continue
        }
        _ if is_composite => Verdict::Continue,
        _ => delegate(call, walk, inner, stream),
    }
}

/// The composite filter with a matcher of its own.
pub(super) fn composite(call: &Call<'_>, walk: &mut Walk, stream: &mut Stream) -> Verdict {
    let Some(config) = call.own::<Composite>(walk) else { return Verdict::Continue };
    let per_route =
        call.overriding::<CompositePerRoute>(walk, "envoy.extensions.filters.http.composite.v3.CompositePerRoute");
    let matcher = per_route.as_ref().and_then(|per_route| per_route.matcher.as_ref()).or(config.matcher.as_ref());
    let subject = Subject { connection: &stream.connection, stream: Some(stream) };
    match matcher.and_then(|matcher| tree::evaluate(call.cx, walk, matcher, subject)) {
        Some(action) => execute(call, walk, Some(&config), &action, stream),
        None => Verdict::Continue,
    }
}

fn is_skip(action: &TypedExtensionConfig) -> bool {
    let any = action.typed_config.as_ref();
    any.is_some_and(|any| type_of(any) == "envoy.extensions.filters.common.matcher.action.v3.SkipFilter")
}

/// Runs the filters of an action in order.
fn execute(
    call: &Call<'_>,
    walk: &mut Walk,
    composite: Option<&Composite>,
    action: &TypedExtensionConfig,
    stream: &mut Stream,
) -> Verdict {
    if is_skip(action) {
        return Verdict::Continue;
    }
    let execute = action
        .typed_config
        .as_ref()
        .filter(|any| type_of(any) == "envoy.extensions.filters.http.composite.v3.ExecuteFilterAction")
        .and_then(|any| call.read::<ExecuteFilterAction>(walk, any));
    let Some(execute) = execute else {
        walk.missing(format!("http filter {}: action {:?} is not known here", call.name, action.name));
        return Verdict::Continue;
    };
    if let Some(sample) = &execute.sample_percent
        && !runtime_fraction(call.cx, walk, sample)
    {
        return Verdict::Continue;
    }
    if let Some(dynamic) = &execute.dynamic_config {
        let delivered = call.cx.proxy.extension(&dynamic.name).and_then(|resource| resource.get().ok());
        let Some(any) = delivered.and_then(|extension| extension.typed_config.as_ref()) else {
            return super::without_config(call.cx, walk, &dynamic.name);
        };
        return delegate(call, walk, Some(any), stream);
    }
    let named = composite.and_then(|composite| composite.named_filter_chains.get(&execute.filter_chain_name));
    let chain: Option<&FilterChainConfiguration> = execute.filter_chain.as_ref().or(named);
    let mut verdict = Verdict::Continue;
    for extension in execute.typed_config.iter().chain(chain.into_iter().flat_map(|chain| &chain.typed_config)) {
        match delegate(call, walk, extension.typed_config.as_ref(), stream) {
            Verdict::Continue => {}
            Verdict::ContinueWithNewRoute => verdict = Verdict::ContinueWithNewRoute,
            reply @ Verdict::Reply(_) => return reply,
        }
    }
    verdict
}

/// Runs another configuration under this filter's name.
fn delegate(call: &Call<'_>, walk: &mut Walk, config: Option<&Any>, stream: &mut Stream) -> Verdict {
    if call.delegations >= super::MAX_DELEGATIONS || config.is_none() {
        walk.missing(format!("http filter {}: what it delegates to", call.name));
        return Verdict::Continue;
    }
    Call { config, delegations: call.delegations + 1, ..*call }.run(walk, stream)
}
