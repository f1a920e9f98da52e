//! What a route and the levels above it say about a filter (`typed_per_filter_config`, semantics §4.6).

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::dump::type_of;
use crate::proto::Any;
use crate::proto::envoy::config::route::v3::FilterConfig;
use crate::trace::context::{Context, Selected};

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
    pub(super) fn of(cx: &Context<'_>, name: &str, selected: Option<&'a Selected<'a>>) -> Self {
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
            let Some(any) = entry(cx, level, name) else { continue };
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

/// The entry of a filter by its name; releases before 1.24 also look under the extension's canonical name.
fn entry<'a>(cx: &Context<'_>, level: &'a BTreeMap<String, Any>, name: &str) -> Option<&'a Any> {
    if let Some(any) = level.get(name) {
        return Some(any);
    }
    if cx.is_at_least(24) {
        return None;
    }
    let legacy = ["envoy.cors", "envoy.fault", "envoy.buffer", "envoy.lua", "envoy.ext_authz", "envoy.csrf"];
    let canonical = legacy.contains(&name).then(|| name.replacen("envoy.", "envoy.filters.http.", 1))?;
    level.get(&canonical)
}
