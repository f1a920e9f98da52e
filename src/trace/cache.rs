//! What is decoded and compiled once per tracer, on demand: typed configs and regular expressions.

use std::any::{Any as StdAny, TypeId};
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use memchr::memmem::Finder;
use prost::bytes::Bytes;
use regex::Regex;
use regex_syntax::hir::{Hir, HirKind};

use super::cluster::Tables;
use super::destination::Services;
use super::listener::Places;
use super::octets;
use super::version::Release;
use super::vhost::Domains;
use crate::dump::RouteTable;
use crate::proto::describe::Unmodelled;
use crate::proto::envoy::config::cluster::v3::Cluster;
use crate::proto::envoy::config::listener::v3::FilterChain;
use crate::proto::envoy::config::route::v3::RouteConfiguration;
use crate::proto::{Any, Message};

/// A text, and the message that was decoded from it.
type Kept = (Bytes, Arc<dyn StdAny + Send + Sync>);

/// Decoded `typed_config`s by the place of their JSON text in memory, and compiled regular expressions by pattern.
///
/// A kept text can't be freed, so its address names it.
#[derive(Default)]
pub(crate) struct Cache {
    decoded: RwLock<HashMap<(usize, TypeId), Kept>>,
    patterns: RwLock<HashMap<String, Arc<Pattern>>>,
    /// By pattern, of what is read byte by byte.
    byte_patterns: RwLock<HashMap<String, Arc<Pattern>>>,
    regexes: RwLock<HashMap<String, Result<Arc<Regex>, String>>>,
    tables: RwLock<HashMap<usize, Arc<RouteTable>>>,
    domains: RwLock<HashMap<usize, Arc<Domains>>>,
    unmodelled: RwLock<HashMap<usize, Arc<[Unmodelled]>>>,
    places: OnceLock<Places>,
    release: OnceLock<Release>,
    services: OnceLock<Services>,
    names: RwLock<HashMap<usize, Arc<[String]>>>,
    assignments: RwLock<HashMap<usize, Option<usize>>>,
    hash_tables: Tables,
}

impl Cache {
    /// The message in an `Any`, whatever its type URL says: the caller has looked at that.
    pub(crate) fn decode<T: Message>(&self, any: &Any) -> Result<Arc<T>, String> {
        let key = (any.value.as_ptr() as usize, TypeId::of::<T>());
        let of_kept = |(_, hit): &Kept| Arc::clone(hit).downcast::<T>().ok();
        if let Some(hit) = read(&self.decoded).get(&key).and_then(of_kept) {
            return Ok(hit);
        }
        let value = Arc::new(crate::dump::decode_any::<T>(any).map_err(|e| e.to_string())?);
        let kept = (any.value.clone(), Arc::clone(&value) as Arc<dyn StdAny + Send + Sync>);
        // Another thread may have been faster: there must be one message only, as addresses in it are names, too.
        Ok(of_kept(write(&self.decoded).entry(key).or_insert(kept)).unwrap_or(value))
    }

    /// What is known of the proxy's release, found on first use.
    pub(crate) fn release(&self, find: impl FnOnce() -> Release) -> Release {
        *self.release.get_or_init(find)
    }

    /// Where listeners listen, found on first use.
    pub(crate) fn places(&self, find: impl FnOnce() -> Places) -> &Places {
        self.places.get_or_init(find)
    }

    /// What isn't modelled of something of the proxy's, by its place in memory.
    pub(crate) fn unmodelled(&self, key: usize, find: impl FnOnce() -> Vec<Unmodelled>) -> Arc<[Unmodelled]> {
        kept(&self.unmodelled, key, || find().into())
    }

    /// Load assignments by the services that they are of, found on first use.
    pub(crate) fn services(&self, find: impl FnOnce() -> Services) -> &Services {
        self.services.get_or_init(find)
    }

    /// The names of clusters and routes that a chain of one of the proxy's listeners leads to.
    pub(crate) fn names(&self, chain: &FilterChain, find: impl FnOnce() -> Vec<String>) -> Arc<[String]> {
        kept(&self.names, address(chain), || find().into())
    }

    /// What consistent hashing has built.
    pub(crate) fn tables(&self) -> &Tables {
        &self.hash_tables
    }

    /// Which load assignment is that of one of the proxy's clusters.
    pub(crate) fn assignment(&self, cluster: &Cluster, find: impl FnOnce() -> Option<usize>) -> Option<usize> {
        kept(&self.assignments, address(cluster), find)
    }

    /// The table of a route configuration inside a decoded (and so kept) message.
    pub(crate) fn table(&self, config: &RouteConfiguration) -> Arc<RouteTable> {
        kept(&self.tables, address(config), || Arc::new(RouteTable::of(config.clone())))
    }

    /// The domains of a table that lives as long as the tracer: the proxy's own, or one of [`Cache::table`].
    pub(crate) fn domains(&self, table: &RouteTable) -> Arc<Domains> {
        kept(&self.domains, address(table), Arc::<Domains>::default)
    }

    /// Envoy's RE2 pattern as a matcher of the whole text.
    pub(crate) fn pattern(&self, pattern: &str) -> Arc<Pattern> {
        if let Some(known) = read(&self.patterns).get(pattern) {
            return Arc::clone(known);
        }
        kept(&self.patterns, pattern.to_owned(), || Arc::new(Pattern::of(pattern)))
    }

    /// As [`Cache::pattern`] for texts with a character for each byte, of which the pattern is read the same way.
    pub(crate) fn byte_pattern(&self, pattern: &str) -> Arc<Pattern> {
        kept(&self.byte_patterns, pattern.to_owned(), || Arc::new(Pattern::of(&octets::to_latin1(pattern))))
    }

    /// As [`Cache::pattern`] where the parts that groups match are asked for; the error says what isn't supported.
    pub(crate) fn regex(&self, pattern: &str) -> Result<Arc<Regex>, String> {
        kept(&self.regexes, pattern.to_owned(), || compile(pattern, true).map(Arc::new))
    }

    /// Envoy's RE2 pattern as a matcher of any part of the text, for substitutions.
    pub(crate) fn search_regex(&self, pattern: &str) -> Result<Arc<Regex>, String> {
        kept(&self.regexes, format!("search {pattern}"), || compile(pattern, false).map(Arc::new))
    }
}

/// The address of a message that lives as long as the cache names it.
fn address<T>(message: &T) -> usize {
    std::ptr::from_ref(message) as usize
}

fn read<K, V>(map: &RwLock<HashMap<K, V>>) -> RwLockReadGuard<'_, HashMap<K, V>> {
    map.read().unwrap_or_else(PoisonError::into_inner)
}

fn write<K, V>(map: &RwLock<HashMap<K, V>>) -> RwLockWriteGuard<'_, HashMap<K, V>> {
    map.write().unwrap_or_else(PoisonError::into_inner)
}

/// What a map holds for a key, made if it holds nothing; not under the lock, as making it may ask the cache.
fn kept<K: Eq + Hash, V: Clone>(map: &RwLock<HashMap<K, V>>, key: K, make: impl FnOnce() -> V) -> V {
    if let Some(known) = read(map).get(&key) {
        return known.clone();
    }
    let made = make();
    write(map).entry(key).or_insert(made).clone()
}

/// A regular expression that must match the whole text, compiled when it may.
///
/// A table of thousands is tried one after the other: most are out because a text that they ask for isn't there.
pub(crate) struct Pattern {
    text: String,
    /// A text that every match holds.
    needle: Option<Finder<'static>>,
    regex: OnceLock<Result<Regex, String>>,
}

impl Pattern {
    fn of(pattern: &str) -> Self {
        let needle = regex_syntax::parse(&ascii_classes(pattern)).ok().and_then(|hir| needle(&hir));
        let needle = needle.map(|needle| Finder::new(&needle).into_owned());
        Self { text: pattern.to_owned(), needle, regex: OnceLock::new() }
    }

    /// Whether it matches; the error says what isn't supported.
    pub(crate) fn is_match(&self, text: &str) -> Result<bool, String> {
        if self.needle.as_ref().is_some_and(|needle| needle.find(text.as_bytes()).is_none()) {
            return Ok(false);
        }
        match self.regex.get_or_init(|| compile(&self.text, true)) {
            Ok(regex) => Ok(regex.is_match(text)),
            Err(error) => Err(error.clone()),
        }
    }
}

/// The longest text that stands in every match of an expression, as far as that is easily told.
fn needle(hir: &Hir) -> Option<Vec<u8>> {
    match hir.kind() {
        HirKind::Literal(literal) => Some(literal.0.to_vec()),
        HirKind::Capture(group) => needle(&group.sub),
        HirKind::Concat(parts) => parts.iter().filter_map(needle).max_by_key(Vec::len),
        _ => None,
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
        let matches = |pattern: &str, text: &str| cache.pattern(pattern).is_match(text);
        assert_eq!(matches(r"/v\d+", "/v12"), Ok(true));
        assert_eq!(matches(r"/v\d+", "/v٣"), Ok(false));
        assert_eq!(matches("/a", "/ab"), Ok(false));
        assert_eq!(matches(r"\Q/a.b\E", "/a.b"), Ok(true));
        assert!(matches("(a", "a").is_err());
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

    #[test]
    fn what_every_match_holds_is_found() {
        let needle =
            |pattern: &str| needle(&regex_syntax::parse(pattern).unwrap()).map(|n| String::from_utf8(n).unwrap());
        assert_eq!(needle(r"/v[0-9]+/(orders|items)/xy").as_deref(), Some("/xy"));
        assert_eq!(needle(r"/v[0-9]+/(orders)/x").as_deref(), Some("orders"));
        assert_eq!(needle("/orders?").as_deref(), Some("/order"));
        for pattern in ["a|b", "(?i)abc", "(abc)*", "(abc)?", "abc|abd|", ".*", ""] {
            let found = needle(pattern);
            assert!(found.as_deref().is_none_or(|found| found == "ab" || found.is_empty()), "{pattern}: {found:?}");
        }
    }
}
