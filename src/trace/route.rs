//! Which route of a virtual host takes a request, and which cluster it names (semantics §4.4, §4.5).

use std::borrow::Cow;

use super::cluster::hash::{self, RequestHash};
use super::codec;
use super::context::{Context, RouteRef, Selected, Stream, Subject};
use super::matcher::string::regex_matches;
use super::matcher::{fraction, header, metadata, query, tree, uri_template};
use super::outcome::Rejected;
use super::request::path_only;
use super::version::Rule;
use super::walk::Walk;
use crate::dump::type_of;
use crate::proto::envoy::config::core::v3::TypedExtensionConfig;
use crate::proto::envoy::config::route::v3::route::Action;
use crate::proto::envoy::config::route::v3::route_action::{ClusterSpecifier, HashPolicy};
use crate::proto::envoy::config::route::v3::route_match::PathSpecifier;
use crate::proto::envoy::config::route::v3::weighted_cluster::{ClusterWeight, RandomValueSpecifier};
use crate::proto::envoy::config::route::v3::{
    HeaderMatcher, QueryParameterMatcher, Route, RouteConfiguration, RouteList, RouteMatch, VirtualHost,
    WeightedCluster,
};
use crate::proto::envoy::extensions::path::r#match::uri_template::v3::UriTemplateMatchConfig;
use crate::proto::envoy::extensions::router::cluster_specifiers::matcher::v3::{
    ClusterAction, MatcherClusterSpecifier,
};

/// The criterion of a route that a request fails, in the order that Envoy tests them.
#[derive(Clone, Copy)]
pub(crate) enum Mismatch<'a> {
    Path(&'a RouteMatch),
    Connect,
    Header(&'a HeaderMatcher),
    Query(&'a QueryParameterMatcher),
    Cookie(&'a str),
    Grpc,
    TlsContext,
    Metadata,
    FilterState,
    Fraction,
}

impl Mismatch<'_> {
    /// How far the request got: the higher, the nearer it was.
    fn nearness(self) -> u8 {
        match self {
            Self::Path(_) | Self::Connect => 0,
            _ => 1,
        }
    }

    fn describe(self, stream: &Stream) -> String {
        match self {
            Self::Path(criteria) => format!("path {} isn't {}", path_only(stream.headers.path()), path_text(criteria)),
            Self::Connect => "only CONNECT requests match it".to_owned(),
            Self::Header(matcher) => {
                let value = stream
                    .headers
                    .get(&matcher.name)
                    .map_or_else(|| "it is missing".to_owned(), |v| format!("it is {v:?}"));
                format!("{}: {value}", header::describe(matcher))
            }
            Self::Query(matcher) => format!("query parameter {} doesn't match", matcher.name),
            Self::Cookie(name) => format!("cookie {name} doesn't match"),
            Self::Grpc => "the request isn't gRPC".to_owned(),
            Self::TlsContext => "the client certificate isn't as it asks".to_owned(),
            Self::Metadata => "the dynamic metadata doesn't match".to_owned(),
            Self::FilterState => "the filter state doesn't match".to_owned(),
            Self::Fraction => "runtime_fraction leaves this request out".to_owned(),
        }
    }
}

/// The path criterion in words: `prefix /a`, `path /a`, `regex …`.
pub(crate) fn path_text(criteria: &RouteMatch) -> Cow<'_, str> {
    match &criteria.path_specifier {
        Some(PathSpecifier::Prefix(prefix)) => Cow::Owned(format!("prefix {prefix}")),
        Some(PathSpecifier::Path(path)) => Cow::Owned(format!("path {path}")),
        Some(PathSpecifier::PathSeparatedPrefix(prefix)) => Cow::Owned(format!("path-separated prefix {prefix}")),
        Some(PathSpecifier::SafeRegex(regex)) => Cow::Owned(format!("regex {}", regex.regex)),
        Some(PathSpecifier::ConnectMatcher(_)) => Cow::Borrowed("CONNECT"),
        Some(PathSpecifier::PathMatchPolicy(policy)) => Cow::Owned(format!("path template {}", policy.name)),
        None => Cow::Borrowed("any path"),
    }
}

/// Routes that came next closest, for the explanation.
pub(crate) struct Passed<'a>(Vec<(usize, &'a Route, Mismatch<'a>)>);

impl Passed<'_> {
    /// The three nearest: those that failed on something else than the path first, then in the order of the list.
    pub(crate) fn rejected(&self, stream: &Stream) -> Vec<Rejected> {
        let mut nearest: Vec<_> = self.0.iter().collect();
        nearest.sort_by_key(|(_, _, mismatch)| std::cmp::Reverse(mismatch.nearness()));
        nearest
            .iter()
            .take(3)
            .map(|(index, route, mismatch)| Rejected {
                name: display_name(route, *index),
                because: mismatch.describe(stream),
            })
            .collect()
    }
}

/// Name for messages: the route's own, with its position.
pub(crate) fn display_name(route: &Route, index: usize) -> String {
    if route.name.is_empty() { format!("[{index}]") } else { format!("{} [{index}]", route.name) }
}

/// What a virtual host chose.
pub(crate) struct Choice<'a> {
    pub(crate) route: Option<RouteRef<'a>>,
    /// Position: an index, or `m<number>` in a matcher tree.
    pub(crate) position: String,
    pub(crate) passed: Passed<'a>,
    /// JSON path in the virtual host.
    pub(crate) path: String,
}

/// The first route of a virtual host whose criteria the request meets.
pub(crate) fn choose<'a>(
    cx: &Context<'_>,
    walk: &mut Walk,
    config: &RouteConfiguration,
    vhost: &'a VirtualHost,
    stream: &Stream,
) -> Choice<'a> {
    let mut passed = Vec::new();
    if let Some(matcher) = &vhost.matcher {
        let subject = Subject { connection: &stream.connection, stream: Some(stream) };
        let action = tree::evaluate(cx, walk, matcher, subject);
        let chosen = action.as_ref().and_then(|action| of_action(cx, walk, config, action, stream));
        let number = action
            .zip(chosen.as_ref())
            .and_then(|(action, (nth, _))| super::matcher_routes::number(cx, vhost, &action, *nth));
        let position = number.map(|number| format!("m{number}")).unwrap_or_default();
        return Choice {
            route: chosen.map(|(_, route)| RouteRef::Decoded(route)),
            position,
            passed: Passed(passed),
            path: ".matcher".to_owned(),
        };
    }
    for (index, route) in vhost.routes.iter().enumerate() {
        match route.r#match.as_ref().map(|criteria| mismatch(cx, walk, config, criteria, stream)) {
            Some(None) => {
                let path = format!(".routes[{index}]");
                return Choice {
                    route: Some(RouteRef::Listed(route)),
                    position: index.to_string(),
                    passed: Passed(passed),
                    path,
                };
            }
            Some(Some(mismatch)) => passed.push((index, route, mismatch)),
            None => {}
        }
    }
    Choice { route: None, position: String::new(), passed: Passed(passed), path: String::new() }
}

/// The route that an action of `virtual_host.matcher` gives, and its place in the action's list; its own match must
/// pass, too.
fn of_action(
    cx: &Context<'_>,
    walk: &mut Walk,
    config: &RouteConfiguration,
    action: &crate::proto::xds::core::v3::TypedExtensionConfig,
    stream: &Stream,
) -> Option<(usize, std::sync::Arc<Route>)> {
    let any = action.typed_config.as_ref()?;
    let mut fits = |route: &Route| {
        route.r#match.as_ref().is_some_and(|criteria| mismatch(cx, walk, config, criteria, stream).is_none())
    };
    match type_of(any).as_ref() {
        "envoy.config.route.v3.Route" => {
            let route = cx.cache.decode::<Route>(any).ok()?;
            fits(&route).then_some((0, route))
        }
        "envoy.config.route.v3.RouteList" => {
            let list = cx.cache.decode::<RouteList>(any).ok()?;
            let (nth, route) = list.routes.iter().enumerate().find(|(_, route)| fits(route))?;
            Some((nth, std::sync::Arc::new(route.clone())))
        }
        other => {
            walk.missing(format!("virtual host matcher: action {other} isn't a route"));
            None
        }
    }
}

/// The first criterion that the request fails, or `None` if it meets all.
pub(crate) fn mismatch<'a>(
    cx: &Context<'_>,
    walk: &mut Walk,
    config: &RouteConfiguration,
    criteria: &'a RouteMatch,
    stream: &Stream,
) -> Option<Mismatch<'a>> {
    let is_connect_matcher = matches!(criteria.path_specifier, Some(PathSpecifier::ConnectMatcher(_)));
    if !stream.headers.contains(":path") && !is_connect_matcher {
        // A plain CONNECT has no path: only connect_matcher takes it.
        return Some(Mismatch::Path(criteria));
    }
    if is_connect_matcher {
        let is_connect = stream.headers.method() == "CONNECT" || codec::is_connect_udp(&stream.headers);
        if !is_connect {
            return Some(Mismatch::Connect);
        }
    }
    if !path_matches(cx, walk, config, criteria, stream.headers.path()) {
        return Some(Mismatch::Path(criteria));
    }
    if let Some(failed) = criteria.headers.iter().find(|m| !header::header_matches(cx, walk, m, &stream.headers)) {
        return Some(Mismatch::Header(failed));
    }
    if let Some(failed) =
        criteria.query_parameters.iter().find(|m| !query::query_matches(cx, walk, m, stream.headers.path()))
    {
        return Some(Mismatch::Query(failed));
    }
    if let Some(failed) = criteria.cookies.iter().find(|m| !header::cookie_matches(cx, walk, m, &stream.headers)) {
        return Some(Mismatch::Cookie(&failed.name));
    }
    if criteria.grpc.is_some() && !stream.is_grpc() {
        return Some(Mismatch::Grpc);
    }
    if let Some(tls) = &criteria.tls_context {
        let presented = tls.presented.is_none_or(|wanted| wanted.value == stream.connection.peer.is_some());
        let validated = tls.validated.is_none_or(|wanted| wanted.value == stream.connection.peer_validated);
        if !presented || !validated {
            return Some(Mismatch::TlsContext);
        }
    }
    if criteria.dynamic_metadata.iter().any(|m| !metadata::metadata_matches(cx, walk, m, &stream.metadata)) {
        return Some(Mismatch::Metadata);
    }
    if criteria.filter_state.iter().any(|m| !metadata::filter_state_matches(cx, walk, m, stream.filter_state(&m.key))) {
        return Some(Mismatch::FilterState);
    }
    // Last, so that chance decides for those requests only that everything else lets through.
    if let Some(share) = &criteria.runtime_fraction
        && !fraction::runtime_fraction(cx, walk, share)
    {
        return Some(Mismatch::Fraction);
    }
    None
}

fn path_matches(
    cx: &Context<'_>,
    walk: &mut Walk,
    config: &RouteConfiguration,
    criteria: &RouteMatch,
    full: &str,
) -> bool {
    let path = path_only(full);
    if !config.ignore_path_parameters_in_path_matching || !path.contains(';') {
        return takes_path(cx, walk, criteria, path);
    }
    cx.settle(
        walk,
        Rule::StripsParametersOfEachSegment,
        |walk| takes_path(cx, walk, criteria, path.split(';').next().unwrap_or_default()),
        |walk| takes_path(cx, walk, criteria, &without_parameters(path)),
    )
}

/// Whether the path criterion takes a path, parameters left aside.
fn takes_path(cx: &Context<'_>, walk: &mut Walk, criteria: &RouteMatch, path: &str) -> bool {
    let is_exact = criteria.case_sensitive.is_none_or(|v| v.value);
    let same = |a: &str, b: &str| if is_exact { a == b } else { a.eq_ignore_ascii_case(b) };
    let starts = |prefix: &str| path.get(..prefix.len()).is_some_and(|start| same(start, prefix));
    match &criteria.path_specifier {
        Some(PathSpecifier::Prefix(prefix)) => starts(prefix),
        Some(PathSpecifier::Path(wanted)) => same(path, wanted),
        Some(PathSpecifier::PathSeparatedPrefix(prefix)) => {
            starts(prefix) && matches!(path.as_bytes().get(prefix.len()), None | Some(b'/'))
        }
        Some(PathSpecifier::SafeRegex(regex)) => regex_matches(cx, walk, &regex.regex, path),
        Some(PathSpecifier::PathMatchPolicy(policy)) => {
            let template = policy.typed_config.as_ref().filter(|any| type_of(any).ends_with("UriTemplateMatchConfig"));
            match template.and_then(|any| cx.cache.decode::<UriTemplateMatchConfig>(any).ok()) {
                Some(template) => uri_template::template_matches(cx, &template.path_template, path).is_some(),
                None => walk.assume_bool(&format!("path match policy {} is not known", policy.name)),
            }
        }
        Some(PathSpecifier::ConnectMatcher(_)) => true,
        None => walk.assume_bool("a route's path specifier is of a kind that isn't known"),
    }
}

/// A path without what stands behind a `;` in its segments.
pub(crate) fn without_parameters(path: &str) -> String {
    path.split('/').map(|segment| segment.split(';').next().unwrap_or_default()).collect::<Vec<_>>().join("/")
}

/// The cluster that a route's action names, and the weighted entry it came from.
pub(crate) fn cluster(cx: &Context<'_>, walk: &mut Walk, selected: &mut Selected<'_>, stream: &Stream) {
    let Some(route) = selected.route.clone() else { return };
    let Some(Action::Route(action)) = &route.action else { return };
    match &action.cluster_specifier {
        Some(ClusterSpecifier::Cluster(name)) => selected.cluster = Some(name.clone()),
        Some(ClusterSpecifier::ClusterHeader(header)) => {
            selected.cluster = Some(stream.headers.get(header).unwrap_or_default().to_owned());
        }
        Some(ClusterSpecifier::WeightedClusters(weighted)) => {
            if let Some(entry) = weighted_entry(cx, walk, weighted, &action.hash_policy, stream) {
                let from_header = || stream.headers.get(&entry.cluster_header).unwrap_or_default().to_owned();
                selected.cluster = Some(if entry.name.is_empty() { from_header() } else { entry.name.clone() });
                selected.weight = Some(entry.clone());
            }
        }
        Some(ClusterSpecifier::ClusterSpecifierPlugin(name)) => {
            let mut plugins = selected.config.cluster_specifier_plugins.iter().filter_map(|p| p.extension.as_ref());
            selected.cluster = by_plugin(cx, walk, plugins.find(|plugin| plugin.name == *name), stream);
        }
        Some(ClusterSpecifier::InlineClusterSpecifierPlugin(plugin)) => {
            selected.cluster = by_plugin(cx, walk, plugin.extension.as_ref(), stream);
        }
        None => walk.missing("how the route's cluster is chosen"),
    }
}

/// The cluster that a matcher tree names; what matches nothing has the cluster without a name.
fn by_plugin(
    cx: &Context<'_>,
    walk: &mut Walk,
    plugin: Option<&TypedExtensionConfig>,
    stream: &Stream,
) -> Option<String> {
    let config = plugin
        .and_then(|plugin| plugin.typed_config.as_ref())
        .filter(|any| type_of(any) == "envoy.extensions.router.cluster_specifiers.matcher.v3.MatcherClusterSpecifier");
    let Some(matcher) = config.and_then(|any| cx.cache.decode::<MatcherClusterSpecifier>(any).ok()) else {
        walk.missing("the route's cluster is chosen by a plugin");
        return None;
    };
    let subject = Subject { connection: &stream.connection, stream: Some(stream) };
    let action = matcher.cluster_matcher.as_ref().and_then(|tree| tree::evaluate(cx, walk, tree, subject));
    let action = action.and_then(|action| cx.cache.decode::<ClusterAction>(action.typed_config.as_ref()?).ok());
    Some(action.map(|action| action.cluster.clone()).unwrap_or_default())
}

/// Weights of the entries: the runtime key of a cluster, if the route gives a prefix for it, outweighs its own.
fn weights(cx: &Context<'_>, walk: &mut Walk, weighted: &WeightedCluster) -> Vec<u64> {
    let prefix = weighted.runtime_key_prefix.as_str();
    if !prefix.is_empty() && !cx.proxy.runtime_is_known() {
        walk.missing(format!("runtime keys {prefix}.* may decide the weights of clusters"));
    }
    let weight = |entry: &ClusterWeight| {
        let set = (!prefix.is_empty()).then(|| cx.runtime(&format!("{prefix}.{}", entry.name))).flatten();
        let own = entry.weight.map_or(0, |weight| u64::from(weight.value));
        set.and_then(serde_json::Value::as_u64).unwrap_or(own)
    };
    weighted.clusters.iter().map(weight).collect()
}

/// The entry in whose part of all weights a value falls.
fn weighted_by<'a>(weighted: &'a WeightedCluster, weights: &[u64], value: u64) -> Option<&'a ClusterWeight> {
    let value = value.checked_rem(weights.iter().sum())?;
    let mut below = 0;
    weighted.clusters.iter().zip(weights).find_map(|(cluster, weight)| {
        below += weight;
        (value < below).then_some(cluster)
    })
}

fn weighted_entry<'a>(
    cx: &Context<'_>,
    walk: &mut Walk,
    weighted: &'a WeightedCluster,
    policies: &[HashPolicy],
    stream: &Stream,
) -> Option<&'a ClusterWeight> {
    let weights = weights(cx, walk, weighted);
    if let Some(RandomValueSpecifier::HeaderName(name)) = &weighted.random_value_specifier
        // A header that stands there twice says nothing.
        && stream.headers.all(name).count() == 1
        && let Some(value) = stream.headers.get(name).and_then(|text| text.parse::<u64>().ok())
    {
        return weighted_by(weighted, &weights, value);
    }
    if let Some(RandomValueSpecifier::UseHashPolicy(used)) = &weighted.random_value_specifier
        && used.value
    {
        match hash::of_stream(cx, policies, stream) {
            RequestHash::Known(hash) => return weighted_by(weighted, &weights, hash),
            RequestHash::Random => {}
            RequestHash::Unknown(reason) => walk.missing(reason),
        }
    }
    let shares: Vec<f64> = weights.iter().map(|weight| *weight as f64).collect();
    let index = walk.pick(&shares)?;
    weighted.clusters.get(index)
}
