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

/// Rewrites Perl classes to their ASCII form and drops RE2's `\Q…\E` quoting.
pub(crate) fn ascii_classes(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len());
    let mut chars = pattern.chars().peekable();
    let mut in_class = 0_u32;
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('Q') => {
                    let mut quoted = String::new();
                    while let Some(q) = chars.next() {
                        if q == '\\' && chars.peek() == Some(&'E') {
                            chars.next();
                            break;
                        }
                        quoted.push(q);
                    }
                    out.push_str(&regex::escape(&quoted));
                }
                Some('d') => out.push_str(if in_class > 0 { "0-9" } else { "[0-9]" }),
                Some('D') => out.push_str("[^0-9]"),
                Some('w') => out.push_str(if in_class > 0 { "0-9A-Za-z_" } else { "[0-9A-Za-z_]" }),
                Some('W') => out.push_str("[^0-9A-Za-z_]"),
                Some('s') => out.push_str(if in_class > 0 { r"\t\n\f\r " } else { r"[\t\n\f\r ]" }),
                Some('S') => out.push_str(r"[^\t\n\f\r ]"),
                Some('b') => out.push_str(r"(?-u:\b)"),
                Some('B') => out.push_str(r"(?-u:\B)"),
                Some(other) => {
                    out.push('\\');
                    out.push(other);
                }
                None => out.push('\\'),
            },
            '[' => {
                in_class += 1;
                out.push(c);
            }
            ']' => {
                in_class = in_class.saturating_sub(1);
                out.push(c);
            }
            other => out.push(other),
        }
    }
    out
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
}
