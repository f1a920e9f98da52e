//! What a route and the levels above it say about a filter (`typed_per_filter_config`, semantics §4.6).

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::dump::type_of;
use crate::proto::Any;
use crate::proto::envoy::config::route::v3::FilterConfig;
use crate::trace::context::{Context, Selected};
use crate::trace::version::Rule;

/// The overrides of one filter, the most specific first: weighted cluster, route, virtual host, route configuration.
///
/// Without a route there are none, even if a virtual host was found.
pub(super) struct Levels<'a> {
    entries: Vec<Entry<'a>>,
}

enum Entry<'a> {
    /// The filter's own override.
    Plain(&'a Any),
    /// An override inside a `FilterConfig`, or that alone.
    Wrapped(Arc<FilterConfig>),
}

impl<'a> Levels<'a> {
    pub(super) fn of(cx: &Context<'_>, name: &str, type_name: &str, selected: Option<&'a Selected<'a>>) -> Self {
        let mut entries = Vec::new();
        let Some(selected) = selected else { return Self { entries } };
        let Some(route) = &selected.route else { return Self { entries } };
        let weight = selected.weight.as_ref().map(|weight| &weight.typed_per_filter_config);
        let vhost = selected.vhost.map(|vhost| &vhost.typed_per_filter_config);
        let levels = weight
            .into_iter()
            .chain(std::iter::once(&route.typed_per_filter_config))
            .chain(vhost)
            .chain(std::iter::once(&selected.config.typed_per_filter_config));
        for level in levels {
            let Some(any) = entry(cx, level, name, type_name) else { continue };
            if type_of(any) == "envoy.config.route.v3.FilterConfig"
                && let Ok(wrapped) = cx.cache.decode::<FilterConfig>(any)
            {
                entries.push(Entry::Wrapped(wrapped));
            } else {
                entries.push(Entry::Plain(any));
            }
        }
        Self { entries }
    }

    /// Whether the filter runs: the most specific level that names it decides, else the connection manager.
    pub(super) fn enabled(&self, by_default: bool) -> bool {
        match self.entries.first() {
            Some(Entry::Plain(_)) => true,
            Some(Entry::Wrapped(wrapped)) => !wrapped.disabled,
            None => by_default,
        }
    }

    /// The overriding configurations, the most specific first.
    pub(super) fn configs(&self) -> impl DoubleEndedIterator<Item = &Any> {
        self.entries.iter().filter_map(|entry| match entry {
            Entry::Plain(any) => Some(*any),
            Entry::Wrapped(wrapped) => wrapped.config.as_ref(),
        })
    }
}

/// The entry of a filter: by its name, by its extension's, or by both, as the release has it.
fn entry<'a>(cx: &Context<'_>, level: &'a BTreeMap<String, Any>, name: &str, type_name: &str) -> Option<&'a Any> {
    let by_name = level.get(name).filter(|_| cx.follows(Rule::OverridesByFilterName));
    if by_name.is_some() || cx.follows(Rule::OverridesByFilterNameOnly) {
        return by_name;
    }
    // An extension of Envoy is named after the package of its configuration, in old releases without `filters.http`;
    // others go by the name they are registered under, which is the filter's.
    let package = type_name.strip_prefix("envoy.extensions.filters.http.").and_then(|rest| rest.split('.').next());
    match package {
        Some(package) => {
            level.get(&format!("envoy.filters.http.{package}")).or_else(|| level.get(&format!("envoy.{package}")))
        }
        None => level.get(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::matcher::fixture::{answer, proxy, proxy_with};

    #[test]
    fn overrides_go_by_the_name_of_the_extension_then_of_either_then_of_the_filter() {
        let any = |text: &str| Any { type_url: text.to_owned(), value: Default::default() };
        let found = |proxy: &crate::dump::Proxy, keys: &[&str]| {
            let level: BTreeMap<String, Any> = keys.iter().map(|key| ((*key).to_owned(), any(key))).collect();
            let fault = "envoy.extensions.filters.http.fault.v3.HTTPFault";
            answer(proxy, |cx, _| entry(cx, &level, "mine", fault).map(|any| any.type_url.clone()))
        };
        let both = ["mine", "envoy.filters.http.fault"];
        assert_eq!(found(&proxy(22), &both).as_deref(), Some("envoy.filters.http.fault"));
        assert_eq!(found(&proxy(22), &["mine"]), None);
        assert_eq!(found(&proxy(13), &["envoy.fault"]).as_deref(), Some("envoy.fault"));
        assert_eq!(found(&proxy(23), &both).as_deref(), Some("mine"));
        assert_eq!(found(&proxy(28), &["envoy.filters.http.fault"]).as_deref(), Some("envoy.filters.http.fault"));
        assert_eq!(found(&proxy(29), &["envoy.filters.http.fault"]), None);
        let guarded = |minor, value: bool| {
            let runtime = serde_json::json!({"envoy.reloadable_features.no_downgrade_to_canonical_name": value});
            found(&proxy_with(minor, &runtime, &serde_json::json!({})), &["envoy.filters.http.fault"])
        };
        assert_eq!((guarded(28, true), guarded(31, false).is_some(), guarded(32, false)), (None, true, None));
    }
}
