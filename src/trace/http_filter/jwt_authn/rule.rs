//! Which rule of the filter applies to a request.

use crate::proto::envoy::config::route::v3::RouteMatch;
use crate::proto::envoy::config::route::v3::route_match::PathSpecifier;
use crate::proto::envoy::extensions::path::r#match::uri_template::v3::UriTemplateMatchConfig;
use crate::trace::context::{Context, Stream};
use crate::trace::matcher::header::header_matches;
use crate::trace::matcher::query::query_matches;
use crate::trace::matcher::string::regex_matches;
use crate::trace::matcher::uri_template::template_matches;
use crate::trace::request::path_only;
use crate::trace::walk::Walk;

/// Whether the criteria of a rule hold: path, headers and query, as for routes; nothing else counts here.
pub(super) fn matches(cx: &Context<'_>, walk: &mut Walk, criteria: &RouteMatch, stream: &Stream) -> bool {
    let path = path_only(stream.headers.path());
    let folds = criteria.case_sensitive.is_some_and(|sensitive| !sensitive.value);
    let fold = |text: &str| if folds { text.to_ascii_lowercase() } else { text.to_owned() };
    let has_path = match &criteria.path_specifier {
        Some(PathSpecifier::Prefix(prefix)) => fold(path).starts_with(&fold(prefix)),
        Some(PathSpecifier::Path(exact)) => fold(path) == fold(exact),
        Some(PathSpecifier::SafeRegex(regex)) => regex_matches(cx, walk, &regex.regex, path),
        Some(PathSpecifier::ConnectMatcher(_)) => stream.headers.method() == "CONNECT",
        Some(PathSpecifier::PathSeparatedPrefix(prefix)) => {
            let (path, prefix) = (fold(path), fold(prefix));
            path.strip_prefix(&prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        }
        Some(PathSpecifier::PathMatchPolicy(policy)) => {
            let template = policy.typed_config.as_ref().map(|any| cx.cache.decode::<UriTemplateMatchConfig>(any));
            match template {
                Some(Ok(template)) => template_matches(cx, &template.path_template, path).is_some(),
                _ => walk.assume_bool(&format!("path match policy {:?}: does it match {path}?", policy.name)),
            }
        }
        None => walk.assume_bool("a JWT rule with a path criterion of unknown kind: does it match?"),
    };
    has_path
        && criteria.headers.iter().all(|matcher| header_matches(cx, walk, matcher, &stream.headers))
        && criteria.query_parameters.iter().all(|m| query_matches(cx, walk, m, stream.headers.path()))
}
