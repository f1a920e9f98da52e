//! What a route does with a request: redirect it, answer it, or rewrite and forward it (semantics §4.5).

use std::collections::BTreeMap;

use super::context::{Context, Selected, Stream};
use super::format;
use super::matcher::uri_template;
use super::octets::{self, from_latin1};
use super::path::port_start;
use super::request::path_only;
use super::version::Rule;
use super::walk::Walk;
use crate::dump::type_of;
use crate::proto::envoy::config::core::v3::HeaderValueOption;
use crate::proto::envoy::config::core::v3::header_value_option::HeaderAppendAction;
use crate::proto::envoy::config::route::v3::redirect_action::{
    PathRewriteSpecifier, RedirectResponseCode, SchemeRewriteSpecifier,
};
use crate::proto::envoy::config::route::v3::route_action::HostRewriteSpecifier;
use crate::proto::envoy::config::route::v3::route_match::PathSpecifier;
use crate::proto::envoy::config::route::v3::{RedirectAction, RouteAction, RouteMatch};
use crate::proto::envoy::extensions::path::r#match::uri_template::v3::UriTemplateMatchConfig;
use crate::proto::envoy::extensions::path::rewrite::uri_template::v3::UriTemplateRewriteConfig;
use crate::proto::envoy::r#type::matcher::v3::RegexMatchAndSubstitute;

/// HTTP status of a redirect.
pub(crate) fn redirect_status(action: &RedirectAction) -> u16 {
    match RedirectResponseCode::try_from(action.response_code) {
        Ok(RedirectResponseCode::Found) => 302,
        Ok(RedirectResponseCode::SeeOther) => 303,
        Ok(RedirectResponseCode::TemporaryRedirect) => 307,
        Ok(RedirectResponseCode::PermanentRedirect) => 308,
        Ok(RedirectResponseCode::MovedPermanently) | Err(_) => 301,
    }
}

/// `location` of a redirect.
pub(crate) fn location(
    cx: &Context<'_>,
    walk: &mut Walk,
    action: &RedirectAction,
    criteria: Option<&RouteMatch>,
    stream: &Stream,
) -> String {
    let headers = &stream.headers;
    let scheme = match &action.scheme_rewrite_specifier {
        Some(SchemeRewriteSpecifier::SchemeRedirect(scheme)) if !scheme.is_empty() => scheme.clone(),
        Some(SchemeRewriteSpecifier::HttpsRedirect(true)) => "https".to_owned(),
        _ => {
            let kept = if cx.follows(Rule::RedirectKeepsScheme) { ":scheme" } else { "x-forwarded-proto" };
            headers.get(kept).unwrap_or("http").to_owned()
        }
    };
    let port = if action.port_redirect == 0 { String::new() } else { format!(":{}", action.port_redirect) };
    let host = if action.host_redirect.is_empty() {
        kept_host(headers.authority(), headers.get("x-forwarded-proto").unwrap_or_default(), &scheme, !port.is_empty())
    } else {
        action.host_redirect.clone()
    };
    let current = headers.path();
    let query_at = current.find('?').unwrap_or(current.len());
    let query = if action.strip_query { "" } else { current.get(query_at..).unwrap_or_default() };
    let path = match &action.path_rewrite_specifier {
        Some(PathRewriteSpecifier::PathRedirect(path))
            if path.contains('?') || (!path.is_empty() && !cx.follows(Rule::PathRedirectKeepsQuery)) =>
        {
            path.clone()
        }
        Some(PathRewriteSpecifier::PathRedirect(path)) if !path.is_empty() => format!("{path}{query}"),
        Some(PathRewriteSpecifier::PrefixRewrite(prefix)) => {
            format!("{}{query}", replace_matched(criteria, current.get(..query_at).unwrap_or_default(), prefix))
        }
        Some(PathRewriteSpecifier::RegexRewrite(rewrite)) => {
            let path = current.get(..query_at).unwrap_or_default();
            let rewritten = substitute(cx, walk, rewrite, path);
            if cx.follows(Rule::RegexRedirectGivesWholePath) {
                format!("{rewritten}{query}")
            } else {
                format!("{}{query}", replace_matched(criteria, path, &rewritten))
            }
        }
        Some(PathRewriteSpecifier::PathRewrite(text)) => {
            format!("{}{query}", format::evaluate(walk, text, stream).unwrap_or_default())
        }
        Some(PathRewriteSpecifier::PathRedirect(_)) | None => {
            format!("{}{query}", current.get(..query_at).unwrap_or_default())
        }
    };
    let slash = if path.starts_with('/') { "" } else { "/" };
    format!("{scheme}://{host}{port}{slash}{path}")
}

/// The request's own host; its port goes where a new one comes, or where it was the default of the old scheme.
fn kept_host(host: &str, protocol: &str, scheme: &str, has_new_port: bool) -> String {
    let Some(colon) = port_start(host) else { return host.to_owned() };
    let port = host.get(colon..).unwrap_or_default();
    let is = |name: &str| protocol.eq_ignore_ascii_case(name);
    let was_default = is("https") && port == ":443" || is("http") && port == ":80";
    if has_new_port || (scheme != protocol && was_default) {
        host.get(..colon).unwrap_or_default().to_owned()
    } else {
        host.to_owned()
    }
}

/// Replaces what the route's path criterion matched: the prefix, or the whole path (the query is not part of `path`).
fn replace_matched(criteria: Option<&RouteMatch>, path: &str, by: &str) -> String {
    let matched = match criteria.and_then(|c| c.path_specifier.as_ref()) {
        Some(PathSpecifier::Prefix(prefix) | PathSpecifier::PathSeparatedPrefix(prefix)) => prefix.len(),
        _ => path.len(),
    };
    format!("{by}{}", path.get(matched..).unwrap_or_default())
}

/// RE2's global replacement: `\1` in the substitution is the first group.
pub(crate) fn substitute(cx: &Context<'_>, walk: &mut Walk, rewrite: &RegexMatchAndSubstitute, text: &str) -> String {
    let pattern = rewrite.pattern.as_ref().map(|p| p.regex.as_str()).unwrap_or_default();
    let replaced = |walk: &mut Walk, pattern: &str, text: &str, by: &str| match cx.cache.search_regex(pattern) {
        Ok(regex) => regex.replace_all(text, replacement(by).as_str()).into_owned(),
        Err(error) => {
            walk.missing(error);
            text.to_owned()
        }
    };
    if text.is_ascii() {
        return replaced(walk, pattern, text, &rewrite.substitution);
    }
    let by_bytes = |walk: &mut Walk| {
        let (pattern, text) = (octets::to_latin1(pattern), octets::to_latin1(text));
        from_latin1(&replaced(walk, &pattern, &text, &octets::to_latin1(&rewrite.substitution))).into_owned()
    };
    let by_characters = |walk: &mut Walk| {
        if !octets::is_utf8(text) {
            walk.missing("a regular expression's rewrite of what isn't UTF-8");
        }
        replaced(walk, pattern, text, &rewrite.substitution)
    };
    cx.settle(walk, Rule::RegexReadsBytes, by_characters, by_bytes)
}

/// RE2's `\1` and `\\` in the notation of the regex crate.
fn replacement(substitution: &str) -> String {
    let mut out = String::with_capacity(substitution.len());
    let mut chars = substitution.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some(digit) if digit.is_ascii_digit() => {
                    out.push_str("${");
                    out.push(digit);
                    out.push('}');
                }
                Some('\\') | None => out.push('\\'),
                Some(other) => out.push(other),
            },
            '$' => out.push_str("$$"),
            other => out.push(other),
        }
    }
    out
}

/// Changes headers, path and authority as router and route tell; `hostname` is that of the chosen endpoint.
pub(crate) fn rewrite(
    cx: &Context<'_>,
    walk: &mut Walk,
    action: &RouteAction,
    selected: &Selected<'_>,
    hostname: &str,
    stream: &mut Stream,
) {
    mutate_headers(walk, selected, stream);
    // The host comes first: it may be made from the path as it was.
    rewrite_host(cx, walk, action, selected, hostname, stream);
    let original = stream.headers.path().to_owned();
    if let Some(path) = rewritten_path(cx, walk, action, selected, stream) {
        stream.headers.set("x-envoy-original-path", &original);
        stream.headers.set(":path", &path);
    }
}

fn rewritten_path(
    cx: &Context<'_>,
    walk: &mut Walk,
    action: &RouteAction,
    selected: &Selected<'_>,
    stream: &Stream,
) -> Option<String> {
    let criteria = selected.route.as_ref().and_then(|route| route.r#match.clone());
    let current = stream.headers.get(":path")?;
    let query_at = current.find('?').unwrap_or(current.len());
    let (path, query) = current.split_at(query_at);
    if !action.prefix_rewrite.is_empty() {
        return Some(format!("{}{query}", replace_matched(criteria.as_ref(), path, &action.prefix_rewrite)));
    }
    if let Some(regex) = &action.regex_rewrite {
        return Some(format!("{}{query}", substitute(cx, walk, regex, path)));
    }
    if let Some(policy) = &action.path_rewrite_policy {
        let rewritten = policy.typed_config.as_ref().and_then(|any| {
            let rewrite = cx
                .cache
                .decode::<UriTemplateRewriteConfig>(any)
                .ok()
                .filter(|_| type_of(any).ends_with("UriTemplateRewriteConfig"))?;
            let Some(PathSpecifier::PathMatchPolicy(matched)) = criteria.as_ref()?.path_specifier.as_ref() else {
                return None;
            };
            let template = cx.cache.decode::<UriTemplateMatchConfig>(matched.typed_config.as_ref()?).ok()?;
            let variables = uri_template::template_matches(cx, &template.path_template, path)?;
            Some(fill(&rewrite.path_template_rewrite, &variables))
        });
        if rewritten.is_none() {
            walk.missing(format!("path rewrite policy {} can't be evaluated", policy.name));
        }
        let query = if cx.follows(Rule::TemplateRewriteKeepsQuery) { query } else { "" };
        return rewritten.map(|path| format!("{path}{query}"));
    }
    if !action.path_rewrite.is_empty() {
        let path = format::evaluate(walk, &action.path_rewrite, stream)?;
        return Some(path).filter(|path| !path.is_empty());
    }
    None
}

/// A rewrite template with its `{variables}` filled in.
fn fill(template: &str, variables: &BTreeMap<String, String>) -> String {
    variables.iter().fold(template.to_owned(), |text, (name, value)| text.replace(&format!("{{{name}}}"), value))
}

fn rewrite_host(
    cx: &Context<'_>,
    walk: &mut Walk,
    action: &RouteAction,
    selected: &Selected<'_>,
    hostname: &str,
    stream: &mut Stream,
) {
    let from_weight = selected.weight.as_ref().and_then(|weight| {
        use crate::proto::envoy::config::route::v3::weighted_cluster::cluster_weight::HostRewriteSpecifier as OfWeight;
        weight.host_rewrite_specifier.as_ref().map(|OfWeight::HostRewriteLiteral(host)| host.clone())
    });
    let from_weight = from_weight.filter(|host| !host.is_empty());
    let of_weight = from_weight.is_some();
    let host = from_weight.or_else(|| match action.host_rewrite_specifier.as_ref()? {
        HostRewriteSpecifier::HostRewriteLiteral(host) => Some(host.clone()),
        HostRewriteSpecifier::AutoHostRewrite(auto) => auto.value.then(|| hostname.to_owned()),
        HostRewriteSpecifier::HostRewriteHeader(name) => stream.headers.get(name).map(str::to_owned),
        HostRewriteSpecifier::HostRewritePathRegex(rewrite) => {
            Some(substitute(cx, walk, rewrite, path_only(stream.headers.path())))
        }
        HostRewriteSpecifier::HostRewrite(text) => format::evaluate(walk, text, stream),
    });
    if let Some(host) = host.filter(|host| !host.is_empty()) {
        let old = stream.headers.authority().to_owned();
        if action.append_x_forwarded_host {
            let last = stream.headers.get("x-forwarded-host").and_then(|hosts| hosts.rsplit(',').next()).map(str::trim);
            if last != Some(old.as_str()) || !cx.follows(Rule::ForwardedHostOnce) {
                stream.headers.append("x-forwarded-host", &old);
            }
        }
        if !of_weight && cx.follows(Rule::KeepsOriginalHost) {
            stream.headers.set("x-envoy-original-host", &old);
        }
        stream.headers.set(":authority", &host);
    }
}

/// Header mutations of weighted cluster, route, virtual host and route configuration, in Envoy's order.
fn mutate_headers(walk: &mut Walk, selected: &Selected<'_>, stream: &mut Stream) {
    let mut levels: Vec<(&[HeaderValueOption], &[String])> = Vec::new();
    if let Some(weight) = &selected.weight {
        levels.push((&weight.request_headers_to_add, &weight.request_headers_to_remove));
    }
    if let Some(route) = &selected.route {
        levels.push((&route.request_headers_to_add, &route.request_headers_to_remove));
    }
    if let Some(vhost) = selected.vhost {
        levels.push((&vhost.request_headers_to_add, &vhost.request_headers_to_remove));
    }
    levels.push((&selected.config.request_headers_to_add, &selected.config.request_headers_to_remove));
    if selected.config.most_specific_header_mutations_wins {
        levels.reverse();
    }
    for (add, remove) in levels {
        // Removal comes first within a level, so that a header can be replaced.
        for name in remove {
            stream.headers.remove(name);
        }
        for option in add {
            add_header(walk, option, stream);
        }
    }
}

/// Adds one header as its append action says.
pub(crate) fn add_header(walk: &mut Walk, option: &HeaderValueOption, stream: &mut Stream) {
    let Some(header) = &option.header else { return };
    let Some(value) = format::evaluate(walk, &header.value, stream) else { return };
    if value.is_empty() && !option.keep_empty_value {
        return;
    }
    let append = match option.append {
        Some(append) if !append.value => HeaderAppendAction::OverwriteIfExistsOrAdd,
        _ => HeaderAppendAction::try_from(option.append_action).unwrap_or_default(),
    };
    match append {
        HeaderAppendAction::AppendIfExistsOrAdd => stream.headers.add(&header.key, &value),
        HeaderAppendAction::AddIfAbsent if stream.headers.contains(&header.key) => {}
        HeaderAppendAction::OverwriteIfExists if !stream.headers.contains(&header.key) => {}
        HeaderAppendAction::AddIfAbsent
        | HeaderAppendAction::OverwriteIfExists
        | HeaderAppendAction::OverwriteIfExistsOrAdd => {
            stream.headers.set(&header.key, &value);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::trace::matcher::fixture::{answer, connection, message, proxy, stream};

    #[test]
    fn default_ports_go_with_their_scheme() {
        assert_eq!(kept_host("a:80", "http", "https", false), "a");
        assert_eq!(kept_host("a:8080", "http", "https", false), "a:8080");
        assert_eq!(kept_host("a:80", "http", "http", false), "a:80");
        assert_eq!(kept_host("a:81", "http", "http", true), "a");
        assert_eq!(kept_host("[::1]:80", "http", "https", false), "[::1]");
    }

    #[test]
    fn redirects_of_older_releases_lose_and_double() {
        let to = |minor, redirect: serde_json::Value, path: &str| {
            let redirect: RedirectAction = message(redirect);
            let criteria: RouteMatch = message(json!({"prefix": "/a"}));
            let stream = stream(connection(), path, &[(":scheme", "http"), ("x-forwarded-proto", "https")]);
            answer(&proxy(minor), |cx, walk| location(cx, walk, &redirect, Some(&criteria), &stream))
        };
        let path = json!({"path_redirect": "/b", "scheme_redirect": "http"});
        assert_eq!(to(14, path.clone(), "/a?q"), "http://example.com/b");
        assert_eq!(to(15, path, "/a?q"), "http://example.com/b?q");
        let regex = json!({"regex_rewrite": {"pattern": {"regex": "a"}, "substitution": "b"}, "scheme_redirect": "x"});
        assert_eq!(to(24, regex.clone(), "/a/c?q"), "x://example.com/b/c/c?q");
        assert_eq!(to(25, regex, "/a/c?q"), "x://example.com/b/c?q");
        assert_eq!(to(19, json!({}), "/a"), "https://example.com/a");
        assert_eq!(to(20, json!({}), "/a"), "http://example.com/a");
    }

    #[test]
    fn substitutions_are_rewritten() {
        assert_eq!(replacement(r"/\2$\\"), r"/${2}$$\");
    }
}
