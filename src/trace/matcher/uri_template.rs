//! URI templates: path patterns with wildcards and named variables (`envoy.path.match.uri_template`).

use std::collections::BTreeMap;

use crate::trace::context::Context;
use crate::trace::request::path_only;
use crate::trace::version::Rule;

/// Whether a template takes a path, query and fragment left aside; gives the values of its variables.
///
/// `*` is one segment of at least one character, `**` any number of them; a variable without a pattern is `*`
/// (semantics §4.4, "uri_template").
pub(crate) fn template_matches(cx: &Context<'_>, template: &str, path: &str) -> Option<BTreeMap<String, String>> {
    let asterisk = if cx.follows(Rule::TemplateTakesAsterisk) { "*" } else { "" };
    let regex = cx.cache.regex(&to_regex(template, asterisk)?).ok()?;
    let captures = regex.captures(path_only(path))?;
    let named = regex.capture_names().flatten();
    Some(named.filter_map(|name| Some((name.to_owned(), captures.name(name)?.as_str().to_owned()))).collect())
}

// The characters of a path segment; those that would mean something to a regex in brackets are escaped.
const SEGMENT: &str = r"a-zA-Z0-9\-._~%!$&'()+,;:@=";

/// The template as a regular expression of the whole path; `None` if its brackets don't pair. `more` is what wildcards
/// take besides.
fn to_regex(template: &str, more: &str) -> Option<String> {
    let mut out = String::new();
    let mut rest = template;
    while let Some(at) = rest.find(['{', '*']) {
        out.push_str(&regex::escape(rest.get(..at)?));
        rest = rest.get(at..)?;
        if let Some(variable) = rest.strip_prefix('{') {
            let (inside, after) = variable.split_once('}')?;
            let (name, pattern) = inside.split_once('=').unwrap_or((inside, "*"));
            out.push_str(&format!("(?P<{name}>{})", to_regex(pattern, more)?));
            rest = after;
        } else if let Some(after) = rest.strip_prefix("**") {
            out.push_str(&format!("[{SEGMENT}{more}/]*"));
            rest = after;
        } else {
            out.push_str(&format!("[{SEGMENT}{more}]+"));
            rest = rest.get(1..)?;
        }
    }
    out.push_str(&regex::escape(rest));
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::matcher::fixture::{answer, proxy};

    #[track_caller]
    fn check(template: &str, path: &str, expected: Option<&[(&str, &str)]>) {
        let captures = answer(&proxy(40), |cx, _| template_matches(cx, template, path));
        let expected = expected.map(|pairs| pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect());
        assert_eq!(captures, expected, "{template} {path}");
    }

    #[test]
    fn templates_take_what_envoy_takes() {
        check("/a/{x}", "/a/b=c?q", Some(&[("x", "b=c")]));
        check("/a/{x}", "/a/b*c", Some(&[("x", "b*c")]));
        let older = |path: &str| answer(&proxy(34), |cx, _| template_matches(cx, "/a/**", path).is_some());
        assert!(older("/a/b") && !older("/a/b*c"));
        check("/a/{x}", "/a/", None);
        check("/a/{x}", "/a/b/c", None);
        check("/a/{x}", "/a/b[", None);
        check("/a/**", "/a/", Some(&[]));
        check("/a/**", "/a", None);
        check("/a/*.b", "/a/b.b", Some(&[]));
        check("/a/*.b", "/a/.b", None);
        check("/a/{x=*/c}/d", "/a/b/c/d", Some(&[("x", "b/c")]));
        check("/a(b)+/c", "/a(b)+/c", Some(&[]));
        check("/{all=**}.m3u8", "/x/y.m3u8", Some(&[("all", "x/y")]));
        check("/{open", "/x", None);
    }
}
