//! What is decoded and compiled once per tracer, on demand: typed configs and regular expressions.

use std::any::{Any as StdAny, TypeId};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use prost::bytes::Bytes;
use regex::Regex;

use super::listener::Place;
use super::version::Release;
use super::vhost::Domains;
use crate::dump::RouteTable;
use crate::proto::describe::Unmodelled;
use crate::proto::envoy::config::route::v3::RouteConfiguration;
use crate::proto::{Any, Message};

/// A text, and the message that was decoded from it.
type Kept = (Bytes, Arc<dyn StdAny + Send + Sync>);

/// Decoded `typed_config`s by the place of their JSON text in memory, and compiled regular expressions by pattern.
///
/// A kept text can't be freed, so its address names it.
#[derive(Default)]
pub(crate) struct Cache {
    decoded: Mutex<HashMap<(usize, TypeId), Kept>>,
    regexes: Mutex<HashMap<String, Result<Arc<Regex>, String>>>,
    tables: Mutex<HashMap<usize, Arc<RouteTable>>>,
    domains: Mutex<HashMap<usize, Arc<Domains>>>,
    unmodelled: Mutex<HashMap<usize, Arc<[Unmodelled]>>>,
    places: OnceLock<Vec<Place>>,
    release: OnceLock<Release>,
}

impl Cache {
    /// The message in an `Any`, whatever its type URL says: the caller has looked at that.
    pub(crate) fn decode<T: Message>(&self, any: &Any) -> Result<Arc<T>, String> {
        let key = (any.value.as_ptr() as usize, TypeId::of::<T>());
        let mut decoded = self.decoded.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(hit) = decoded.get(&key).and_then(|(_, hit)| Arc::clone(hit).downcast::<T>().ok()) {
            return Ok(hit);
        }
        let value = Arc::new(crate::dump::decode_any::<T>(any).map_err(|e| e.to_string())?);
        decoded.insert(key, (any.value.clone(), Arc::clone(&value) as Arc<dyn StdAny + Send + Sync>));
        Ok(value)
    }

    /// What is known of the proxy's release, found on first use.
    pub(crate) fn release(&self, find: impl FnOnce() -> Release) -> Release {
        *self.release.get_or_init(find)
    }

    /// Where listeners listen, found on first use.
    pub(crate) fn places(&self, find: impl FnOnce() -> Vec<Place>) -> &[Place] {
        self.places.get_or_init(find)
    }

    /// What isn't modelled of something of the proxy's, by its place in memory.
    pub(crate) fn unmodelled(&self, key: usize, find: impl FnOnce() -> Vec<Unmodelled>) -> Arc<[Unmodelled]> {
        let mut unmodelled = self.unmodelled.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(unmodelled.entry(key).or_insert_with(|| find().into()))
    }

    /// The table of a route configuration inside a decoded (and so kept) message.
    pub(crate) fn table(&self, config: &RouteConfiguration) -> Arc<RouteTable> {
        let key = std::ptr::from_ref(config) as usize;
        let mut tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(tables.entry(key).or_insert_with(|| Arc::new(RouteTable::of(config.clone()))))
    }

    /// The domains of a table that lives as long as the tracer: the proxy's own, or one of [`Cache::table`].
    pub(crate) fn domains(&self, table: &RouteTable) -> Arc<Domains> {
        let key = std::ptr::from_ref(table) as usize;
        let mut domains = self.domains.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(domains.entry(key).or_insert_with(|| Arc::new(Domains::of(table))))
    }

    /// Envoy's RE2 pattern as a matcher of the whole text; the error says what isn't supported.
    pub(crate) fn regex(&self, pattern: &str) -> Result<Arc<Regex>, String> {
        let mut regexes = self.regexes.lock().unwrap_or_else(PoisonError::into_inner);
        regexes.entry(pattern.to_owned()).or_insert_with(|| compile(pattern, true).map(Arc::new)).clone()
    }

    /// Envoy's RE2 pattern as a matcher of any part of the text, for substitutions.
    pub(crate) fn search_regex(&self, pattern: &str) -> Result<Arc<Regex>, String> {
        let mut regexes = self.regexes.lock().unwrap_or_else(PoisonError::into_inner);
        regexes.entry(format!("search {pattern}")).or_insert_with(|| compile(pattern, false).map(Arc::new)).clone()
    }
}

/// Builds a matcher with RE2's reading of the pattern: `\d`, `\w`, `\s` and `\b` are ASCII, `.` is any
/// character but a newline (style.md §3, "Regex").
fn compile(pattern: &str, whole: bool) -> Result<Regex, String> {
    let ascii = ascii_classes(pattern);
    let text = if whole { format!(r"\A(?:{ascii})\z") } else { ascii };
    Regex::new(&text).map_err(|error| format!("regex {pattern:?}: {error}"))
}

/// Rewrites a pattern of RE2 as the regex crate reads the same: Perl classes in their ASCII form, `\Q…\E` quoting,
/// octal escapes, braces that repeat nothing, and characters that mean something only in the crate's classes.
pub(crate) fn ascii_classes(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len());
    let mut rest = pattern;
    let mut in_class = false;
    while let Some(c) = rest.chars().next() {
        let after = rest.get(c.len_utf8()..).unwrap_or_default();
        rest = after;
        match c {
            '\\' => rest = escape(after, in_class, &mut out),
            '[' if in_class => match posix_class(after) {
                Some((name, after)) => {
                    out.push_str(&format!("[:{name}:]"));
                    rest = after;
                }
                None => out.push_str(r"\["),
            },
            '[' => {
                in_class = true;
                out.push('[');
                // What follows the opening is a member, also `]`.
                for mark in ["^", "]"] {
                    if let Some(after) = rest.strip_prefix(mark) {
                        out.push_str(if mark == "]" { r"\]" } else { mark });
                        rest = after;
                    }
                }
            }
            ']' if in_class => {
                in_class = false;
                out.push(']');
            }
            '&' | '~' if in_class => {
                out.push('\\');
                out.push(c);
            }
            '{' if !in_class && !is_repetition(after) => out.push_str(r"\{"),
            other => out.push(other),
        }
    }
    out
}

/// Writes what follows a backslash; gives the rest.
fn escape<'a>(after: &'a str, in_class: bool, out: &mut String) -> &'a str {
    let Some(c) = after.chars().next() else {
        out.push('\\');
        return after;
    };
    let rest = after.get(c.len_utf8()..).unwrap_or_default();
    let class = |inside: &'static str, outside: &'static str| if in_class { inside } else { outside };
    match c {
        'Q' => {
            let (quoted, rest) = rest.split_once(r"\E").unwrap_or((rest, ""));
            out.push_str(&regex::escape(quoted));
            return rest;
        }
        'd' => out.push_str(class("0-9", "[0-9]")),
        'D' => out.push_str("[^0-9]"),
        'w' => out.push_str(class("0-9A-Za-z_", "[0-9A-Za-z_]")),
        'W' => out.push_str("[^0-9A-Za-z_]"),
        's' => out.push_str(class(r"\t\n\f\r ", r"[\t\n\f\r ]")),
        'S' => out.push_str(r"[^\t\n\f\r ]"),
        'b' => out.push_str(r"(?-u:\b)"),
        'B' => out.push_str(r"(?-u:\B)"),
        // The crate's word boundaries; to RE2 the characters themselves.
        '<' | '>' => out.push(c),
        // Octal: one to three digits after 0, two or three after another one.
        '0'..='7' => {
            let digits = after.chars().take(3).take_while(|d| ('0'..='7').contains(d)).count();
            let code = after.get(..digits).and_then(|digits| u32::from_str_radix(digits, 8).ok());
            match code.filter(|_| c == '0' || digits > 1) {
                Some(code) => {
                    out.push_str(&format!(r"\x{{{code:X}}}"));
                    return after.get(digits..).unwrap_or_default();
                }
                None => out.extend(['\\', c]),
            }
        }
        other => out.extend(['\\', other]),
    }
    rest
}

/// `[:alpha:]` inside a class: its name, and what follows.
fn posix_class(after: &str) -> Option<(&str, &str)> {
    let (name, rest) = after.strip_prefix(':')?.split_once(":]")?;
    name.trim_start_matches('^').chars().all(|c| c.is_ascii_lowercase()).then_some((name, rest))
}

/// Whether a brace opens a repetition: `{2}`, `{2,}` or `{2,3}`.
fn is_repetition(after: &str) -> bool {
    let Some((inside, _)) = after.split_once('}') else { return false };
    let (least, most) = inside.split_once(',').unwrap_or((inside, ""));
    let is_number = |text: &str| text.chars().all(|c| c.is_ascii_digit());
    !least.is_empty() && is_number(least) && is_number(most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_ascii_and_the_whole_text_must_match() {
        let cache = Cache::default();
        assert!(cache.regex(r"/v\d+").unwrap().is_match("/v12"));
        assert!(!cache.regex(r"/v\d+").unwrap().is_match("/v٣"));
        assert!(!cache.regex("/a").unwrap().is_match("/ab"));
        assert!(cache.regex(r"\Q/a.b\E").unwrap().is_match("/a.b"));
        assert!(cache.regex("(a").is_err());
    }

    #[test]
    fn patterns_are_read_as_re2_reads_them() {
        for (pattern, text, expected) in [
            ("[a&&b]", "&", true),
            ("[a&&b]", "a", true),
            ("[a~~b]", "~", true),
            ("[[a]]", "[]", true),
            ("[[]", "[", true),
            ("[]a]", "]", true),
            ("[^]a]", "]", false),
            (r"[a\]b]", "]", true),
            ("a{,2}", "a{,2}", true),
            ("a{,2}", "aa", false),
            ("a{2", "a{2", true),
            ("{a}", "{a}", true),
            ("a{2,3}", "aaa", true),
            (r"\<a\>", "<a>", true),
            (r"\101\0", "A\0", true),
            (r"[\d\-]+", "1-2", true),
            ("[[:upper:][:^alpha:]]+", "A1", true),
            (r"\pL", "\u{e9}", true),
        ] {
            assert_eq!(
                Cache::default().regex(pattern).map(|regex| regex.is_match(text)),
                Ok(expected),
                "{pattern} {text}"
            );
        }
    }
}
