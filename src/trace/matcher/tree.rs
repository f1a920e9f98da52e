//! The xDS matcher API: trees and lists of predicates that end in an action (semantics §2.3b).

use std::cmp::Reverse;
use std::net::{IpAddr, SocketAddr};

use serde_json::Value;
use xxhash_rust::xxh64::xxh64;

use super::{cel, cidr, fraction, metadata, query, string};
use crate::dump::type_of;
use crate::proto::envoy::config::common::matcher::v3::Matcher as CommonMatcher;
use crate::proto::envoy::extensions::matching as pb;
use crate::proto::envoy::r#type::matcher::v3 as envoy;
use crate::proto::xds::core::v3::TypedExtensionConfig;
use crate::proto::xds::r#type::matcher::v3 as xds;
use crate::proto::xds::r#type::matcher::v3::matcher::matcher_list::Predicate;
use crate::proto::xds::r#type::matcher::v3::matcher::matcher_list::predicate::{MatchType, SinglePredicate};
use crate::proto::xds::r#type::matcher::v3::matcher::matcher_tree::TreeType;
use crate::proto::xds::r#type::matcher::v3::matcher::{MatcherTree, MatcherType, OnMatch, on_match};
use crate::trace::assume::Question;
use crate::trace::context::{Context, Subject};
use crate::trace::version::Rule;
use crate::trace::walk::Walk;

/// Deepest nesting of matchers and predicates that is followed.
const MAX_DEPTH: u32 = 64;

/// The action that a matcher ends in; `None` if nothing in it matches.
pub(crate) fn evaluate(
    cx: &Context<'_>,
    walk: &mut Walk,
    matcher: &xds::Matcher,
    subject: Subject<'_>,
) -> Option<TypedExtensionConfig> {
    Tree { cx, subject }.matcher(walk, matcher, MAX_DEPTH)
}

/// As [`evaluate`] for the matcher in Envoy's own package, which has the same shape.
pub(crate) fn evaluate_common(
    cx: &Context<'_>,
    walk: &mut Walk,
    matcher: &CommonMatcher,
    subject: Subject<'_>,
) -> Option<TypedExtensionConfig> {
    let same_shape = serde_json::to_value(matcher).and_then(serde_json::from_value::<xds::Matcher>);
    match same_shape {
        Ok(matcher) => evaluate(cx, walk, &matcher, subject),
        Err(error) => {
            walk.missing(format!("a matcher that can't be read: {error}"));
            None
        }
    }
}

/// What an input says about the connection or request.
enum Seen {
    /// Its text.
    Text(String),
    /// Nothing: no such header, no server name.
    Nothing,
    /// A metadata value, for the metadata matcher only.
    Metadata(Option<Value>),
    /// All attributes, for CEL only.
    Attributes,
    /// An input that nothing here knows; its type.
    Unknown(String),
}

#[derive(Clone, Copy)]
struct Tree<'c, 's> {
    cx: &'c Context<'c>,
    subject: Subject<'s>,
}

impl Tree<'_, '_> {
    fn matcher(self, walk: &mut Walk, matcher: &xds::Matcher, depth: u32) -> Option<TypedExtensionConfig> {
        let Some(deeper) = depth.checked_sub(1) else {
            walk.missing(format!("a matcher nested deeper than {MAX_DEPTH}"));
            return None;
        };
        let found = match &matcher.matcher_type {
            Some(MatcherType::MatcherList(list)) => list.matchers.iter().find_map(|field| {
                let predicate = field.predicate.as_ref()?;
                if !self.predicate(walk, predicate, deeper) {
                    return None;
                }
                self.on_match(walk, field.on_match.as_ref(), deeper)
            }),
            Some(MatcherType::MatcherTree(tree)) => self.tree(walk, tree, deeper),
            None => None,
        };
        found.or_else(|| self.on_match(walk, matcher.on_no_match.as_deref(), deeper))
    }

    fn on_match(self, walk: &mut Walk, on_match: Option<&OnMatch>, depth: u32) -> Option<TypedExtensionConfig> {
        let on_match = on_match?;
        let found = match on_match.on_match.as_ref()? {
            on_match::OnMatch::Matcher(nested) => self.matcher(walk, nested, depth),
            on_match::OnMatch::Action(action) => Some(action.clone()),
        };
        // The action is noted and matching goes on as if nothing had matched.
        found.filter(|_| !on_match.keep_matching)
    }

    fn predicate(self, walk: &mut Walk, predicate: &Predicate, depth: u32) -> bool {
        let Some(deeper) = depth.checked_sub(1) else {
            return walk.assume_bool(&format!("a predicate nested deeper than {MAX_DEPTH}: is it true?"));
        };
        match &predicate.match_type {
            Some(MatchType::SinglePredicate(single)) => self.single(walk, single),
            Some(MatchType::OrMatcher(list)) => list.predicate.iter().any(|p| self.predicate(walk, p, deeper)),
            Some(MatchType::AndMatcher(list)) => list.predicate.iter().all(|p| self.predicate(walk, p, deeper)),
            Some(MatchType::NotMatcher(inner)) => !self.predicate(walk, inner, deeper),
            None => walk.assume_bool("a predicate of unknown kind: is it true?"),
        }
    }

    fn single(self, walk: &mut Walk, single: &SinglePredicate) -> bool {
        use xds::matcher::matcher_list::predicate::single_predicate::Matcher;
        let seen = self.look(single.input.as_ref());
        match (&single.matcher, seen) {
            (Some(Matcher::ValueMatch(matcher)), Seen::Text(text)) => {
                string::xds_string_matches(self.cx, walk, matcher, &text)
            }
            (Some(Matcher::ValueMatch(_)), Seen::Nothing) => false,
            (Some(Matcher::ValueMatch(matcher)), Seen::Unknown(input)) => {
                walk.assume_bool(&format!("matcher input {input}: is it {:?}?", matcher.match_pattern))
            }
            (Some(Matcher::CustomMatch(custom)), seen) => self.custom(walk, custom, seen),
            (matcher, _) => walk.assume_bool(&format!("a predicate that can't be read: {matcher:?}")),
        }
    }

    /// An extension that matches a value.
    fn custom(self, walk: &mut Walk, custom: &TypedExtensionConfig, seen: Seen) -> bool {
        let Some(any) = &custom.typed_config else {
            return walk
                .assume_bool(&format!("matcher extension {:?} without configuration: does it match?", custom.name));
        };
        let type_name = type_of(any).into_owned();
        if let Seen::Unknown(input) = &seen {
            return walk.assume_bool(&format!("matcher input {input}: does {type_name} take it?"));
        }
        let unread = |walk: &mut Walk, error: &str| {
            walk.assume_bool(&format!("matcher {type_name} can't be read ({error}): does it match?"))
        };
        match (type_name.as_str(), seen) {
            ("envoy.extensions.matching.input_matchers.ip.v3.Ip", seen) => {
                let Seen::Text(text) = seen else { return false };
                match self.cx.cache.decode::<pb::input_matchers::ip::v3::Ip>(any) {
                    Ok(ip) => address(&text).is_some_and(|a| ip.cidr_ranges.iter().any(|r| cidr::contains(r, a))),
                    Err(error) => unread(walk, &error),
                }
            }
            ("envoy.extensions.matching.input_matchers.metadata.v3.Metadata", Seen::Metadata(value)) => {
                match self.cx.cache.decode::<pb::input_matchers::metadata::v3::Metadata>(any) {
                    Ok(m) => {
                        let matcher = m.value.as_ref();
                        let matched =
                            matcher.is_some_and(|m| metadata::value_matches(self.cx, walk, m, value.as_ref()));
                        matched != m.invert
                    }
                    Err(error) => unread(walk, &error),
                }
            }
            ("envoy.extensions.matching.input_matchers.runtime_fraction.v3.RuntimeFraction", seen) => {
                let Seen::Text(text) = seen else { return false };
                match self.cx.cache.decode::<pb::input_matchers::runtime_fraction::v3::RuntimeFraction>(any) {
                    Ok(m) => {
                        let Some(of) = &m.runtime_fraction else { return false };
                        fraction::of_hash(self.cx, walk, of, xxh64(text.as_bytes(), m.seed))
                    }
                    Err(error) => unread(walk, &error),
                }
            }
            ("envoy.extensions.matching.input_matchers.consistent_hashing.v3.ConsistentHashing", seen) => {
                let Seen::Text(text) = seen else { return false };
                match self.cx.cache.decode::<pb::input_matchers::consistent_hashing::v3::ConsistentHashing>(any) {
                    Ok(m) => {
                        let part = xxh64(text.as_bytes(), m.seed).checked_rem(u64::from(m.modulo));
                        part.is_some_and(|part| part >= u64::from(m.threshold))
                    }
                    Err(error) => unread(walk, &error),
                }
            }
            ("xds.type.matcher.v3.CelMatcher", _) => match self.cx.cache.decode::<xds::CelMatcher>(any) {
                Ok(m) => cel::matcher(self.cx, walk, &m, self.subject),
                Err(error) => unread(walk, &error),
            },
            (name, Seen::Text(text)) => walk.assume_bool(&format!("matcher {name}: does it take {text:?}?")),
            (name, _) => walk.assume_bool(&format!("matcher {name}: does it match?")),
        }
    }

    fn tree(self, walk: &mut Walk, tree: &MatcherTree, depth: u32) -> Option<TypedExtensionConfig> {
        let seen = self.look(tree.input.as_ref());
        let text = match seen {
            Seen::Text(text) => text,
            Seen::Unknown(input) => {
                walk.missing(format!("matcher input {input}: which branch of the matcher is taken"));
                return self.any_branch(walk, tree, &input, depth);
            }
            Seen::Nothing | Seen::Metadata(_) | Seen::Attributes => return None,
        };
        match tree.tree_type.as_ref()? {
            TreeType::ExactMatchMap(branches) => self.on_match(walk, Some(branches.map.get(&text)?), depth),
            TreeType::PrefixMatchMap(branches) => {
                let mut prefixes: Vec<_> =
                    branches.map.iter().filter(|(prefix, _)| text.starts_with(*prefix)).collect();
                prefixes.sort_by_key(|(prefix, _)| Reverse(prefix.len()));
                if !self.cx.follows(Rule::FindsShorterPrefix) {
                    // A text that is itself the beginning of a longer prefix was found nowhere else.
                    let is_inside = branches.map.keys().any(|prefix| prefix.starts_with(&text) && *prefix != text);
                    prefixes.retain(|(prefix, _)| !is_inside || **prefix == text);
                }
                if !self.cx.follows(Rule::ResumesWithShorterPrefix) {
                    prefixes.truncate(1);
                }
                prefixes.into_iter().find_map(|(_, on_match)| self.on_match(walk, Some(on_match), depth))
            }
            TreeType::CustomMatch(custom) => self.custom_tree(walk, custom, &text, depth),
        }
    }

    /// Each branch of a map whose input isn't known, and none of them.
    fn any_branch(self, walk: &mut Walk, tree: &MatcherTree, input: &str, depth: u32) -> Option<TypedExtensionConfig> {
        let (TreeType::ExactMatchMap(branches) | TreeType::PrefixMatchMap(branches)) = tree.tree_type.as_ref()? else {
            return None;
        };
        let keys: Vec<_> = branches.map.iter().collect();
        let names: Vec<&str> = keys.iter().map(|(key, _)| key.as_str()).collect();
        let what = format!("matcher input {input}: which of {names:?} it is");
        let answers: Vec<&str> = names.iter().copied().chain(["none"]).collect();
        let nth = walk.ask(&Question { what: &what, keys: &[], answers: &answers });
        self.on_match(walk, Some(keys.get(nth)?.1), depth)
    }

    fn custom_tree(
        self,
        walk: &mut Walk,
        custom: &TypedExtensionConfig,
        text: &str,
        depth: u32,
    ) -> Option<TypedExtensionConfig> {
        let any = custom.typed_config.as_ref()?;
        let type_name = type_of(any).into_owned();
        match type_name.as_str() {
            "xds.type.matcher.v3.IPMatcher" => match self.cx.cache.decode::<xds::IpMatcher>(any) {
                Ok(matcher) => return self.by_address(walk, &matcher, text, depth),
                Err(error) => walk.missing(format!("matcher {type_name} can't be read: {error}")),
            },
            "xds.type.matcher.v3.ServerNameMatcher" => match self.cx.cache.decode::<xds::ServerNameMatcher>(any) {
                Ok(matcher) => return self.by_server_name(walk, &matcher, text, depth),
                Err(error) => walk.missing(format!("matcher {type_name} can't be read: {error}")),
            },
            other => walk.missing(format!("matcher {other}: which branch it takes for {text:?}")),
        }
        None
    }

    /// The longest range first; a range whose branch finds nothing makes way for the next shorter one, but an
    /// exclusive one counts only while it is the longest.
    fn by_address(
        self,
        walk: &mut Walk,
        matcher: &xds::IpMatcher,
        text: &str,
        depth: u32,
    ) -> Option<TypedExtensionConfig> {
        let ip = address(text)?;
        let mut ranges = Vec::new();
        for range_matcher in &matcher.range_matchers {
            let networks = range_matcher.ranges.iter().filter_map(cidr::xds_network);
            ranges
                .extend(networks.filter(|net| cidr::in_network(net, ip)).map(|net| (net.prefix_len(), range_matcher)));
        }
        ranges.sort_by_key(|(len, _)| Reverse(*len));
        ranges.into_iter().enumerate().find_map(|(nth, (_, range_matcher))| {
            if range_matcher.exclusive && nth > 0 {
                return None;
            }
            self.on_match(walk, range_matcher.on_match.as_ref(), depth)
        })
    }

    /// The exact name, then wildcards from the longest, then `*`.
    fn by_server_name(
        self,
        walk: &mut Walk,
        matcher: &xds::ServerNameMatcher,
        name: &str,
        depth: u32,
    ) -> Option<TypedExtensionConfig> {
        let parents = name.match_indices('.').filter_map(|(at, _)| Some(format!("*{}", name.get(at..)?)));
        let candidates = std::iter::once(name.to_owned()).chain(parents).chain(std::iter::once("*".to_owned()));
        candidates.into_iter().find_map(|candidate| {
            let entry = matcher.domain_matchers.iter().find(|entry| entry.domains.contains(&candidate))?;
            self.on_match(walk, entry.on_match.as_ref(), depth)
        })
    }

    fn look(self, input: Option<&TypedExtensionConfig>) -> Seen {
        let Some(any) = input.and_then(|input| input.typed_config.as_ref()) else {
            return Seen::Unknown(input.map(|input| input.name.clone()).unwrap_or_default());
        };
        let type_name = type_of(any).into_owned();
        let found = if let Some(short) = type_name.strip_prefix("envoy.extensions.matching.common_inputs.network.v3.") {
            self.network(short, any)
        } else if let Some(short) = type_name.strip_prefix("envoy.extensions.matching.common_inputs.ssl.v3.") {
            self.tls(short)
        } else if let Some(short) = type_name.strip_prefix("envoy.type.matcher.v3.") {
            self.http(short, any)
        } else if type_name == "xds.type.matcher.v3.HttpAttributesCelMatchInput" {
            Some(Seen::Attributes)
        } else {
            None
        };
        found.unwrap_or(Seen::Unknown(type_name))
    }

    fn network(self, input: &str, any: &crate::proto::Any) -> Option<Seen> {
        use pb::common_inputs::network::v3::{DynamicMetadataInput, FilterStateInput};
        let connection = self.subject.connection;
        Some(match input {
            "DestinationIPInput" => Seen::Text(connection.local.ip().to_string()),
            "DestinationPortInput" => Seen::Text(connection.local.port().to_string()),
            "SourceIPInput" => Seen::Text(self.subject.remote().ip().to_string()),
            "SourcePortInput" => Seen::Text(self.subject.remote().port().to_string()),
            "DirectSourceIPInput" => Seen::Text(connection.direct_remote.ip().to_string()),
            "SourceTypeInput" if is_local(connection.remote.ip(), connection.local.ip()) => {
                Seen::Text("local".to_owned())
            }
            "SourceTypeInput" => Seen::Nothing,
            "ServerNameInput" => text_or_nothing(connection.server_name.clone()),
            "TransportProtocolInput" => {
                Seen::Text(connection.transport_protocol.clone().unwrap_or_else(|| "raw_buffer".to_owned()))
            }
            "ApplicationProtocolInput" => {
                let quoted: Vec<String> = connection.application_protocols.iter().map(|p| format!("'{p}'")).collect();
                text_or_nothing(Some(quoted.join(",")))
            }
            "FilterStateInput" => {
                let input = self.cx.cache.decode::<FilterStateInput>(any).ok()?;
                match self.subject.filter_state(&input.key) {
                    // A field of a structured object: its text form doesn't tell.
                    Some(_) if !input.field.is_empty() => return None,
                    Some(value) => Seen::Text(value.to_owned()),
                    None if metadata::is_set_elsewhere(&input.key) => {
                        Seen::Unknown(format!("filter state {:?}", input.key))
                    }
                    None => Seen::Nothing,
                }
            }
            "DynamicMetadataInput" => {
                use pb::common_inputs::network::v3::dynamic_metadata_input::path_segment::Segment;
                let input = self.cx.cache.decode::<DynamicMetadataInput>(any).ok()?;
                let keys =
                    input.path.iter().filter_map(|step| step.segment.as_ref()).map(|Segment::Key(key)| key.as_str());
                let metadata = self.subject.stream.map_or(&connection.metadata, |stream| &stream.metadata);
                Seen::Metadata(metadata::lookup(metadata, &input.filter, keys).cloned())
            }
            _ => return None,
        })
    }

    fn tls(self, input: &str) -> Option<Seen> {
        let peer = self.subject.connection.peer.as_ref();
        let text = match input {
            "UriSanInput" => peer.map(|peer| peer.uri_sans.join(",")),
            "DnsSanInput" => peer.map(|peer| peer.dns_sans.join(",")),
            "SubjectInput" => peer.map(|peer| peer.subject.clone()),
            _ => return None,
        };
        Some(text_or_nothing(text))
    }

    fn http(self, input: &str, any: &crate::proto::Any) -> Option<Seen> {
        let Some(stream) = self.subject.stream else { return Some(Seen::Nothing) };
        Some(match input {
            "HttpRequestHeaderMatchInput" => {
                let input = self.cx.cache.decode::<envoy::HttpRequestHeaderMatchInput>(any).ok()?;
                let values: Vec<&str> = stream.headers.all(&input.header_name).collect();
                // Joined in every release, unlike in header matchers.
                if values.is_empty() { Seen::Nothing } else { Seen::Text(values.join(",")) }
            }
            "HttpRequestQueryParamMatchInput" => {
                let input = self.cx.cache.decode::<envoy::HttpRequestQueryParamMatchInput>(any).ok()?;
                query::decoded_parameter(stream.headers.path(), &input.query_param).map_or(Seen::Nothing, Seen::Text)
            }
            // Trailers and responses aren't there when a request is routed.
            "HttpRequestTrailerMatchInput"
            | "HttpResponseHeaderMatchInput"
            | "HttpResponseTrailerMatchInput"
            | "HttpResponseStatusCodeMatchInput"
            | "HttpResponseStatusCodeClassMatchInput"
            | "HttpResponseLocalReplyMatchInput" => Seen::Nothing,
            _ => return None,
        })
    }
}

impl Subject<'_> {
    /// Remote address, the trusted one of a request.
    fn remote(&self) -> SocketAddr {
        self.stream.map_or(self.connection.remote, |stream| stream.remote)
    }

    fn filter_state(&self, key: &str) -> Option<&str> {
        match self.stream {
            Some(stream) => stream.filter_state(key),
            None => self.connection.filter_state.get(key).map(String::as_str),
        }
    }
}

fn text_or_nothing(text: Option<String>) -> Seen {
    text.filter(|text| !text.is_empty()).map_or(Seen::Nothing, Seen::Text)
}

/// Whether a peer counts as local: the same address, or exactly 127.0.0.1 or ::1 (semantics §2.3, step 7).
fn is_local(remote: IpAddr, local: IpAddr) -> bool {
    remote == local || remote == IpAddr::from([127, 0, 0, 1]) || remote == IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1])
}

fn address(text: &str) -> Option<IpAddr> {
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use super::*;
    use crate::trace::matcher::fixture::{answer, connection, message, proxy, stream};
    use crate::trace::request::Connection;

    fn to(name: &str) -> Json {
        json!({"action": {"name": name}})
    }

    fn header(name: &str) -> Json {
        json!({"name": "h", "typed_config": {
            "@type": "type.googleapis.com/envoy.type.matcher.v3.HttpRequestHeaderMatchInput", "header_name": name}})
    }

    fn network(input: &str) -> Json {
        let kind = format!("type.googleapis.com/envoy.extensions.matching.common_inputs.network.v3.{input}");
        json!({"name": "n", "typed_config": {"@type": kind}})
    }

    fn exact(input: Json, text: &str) -> Json {
        json!({"single_predicate": {"input": input, "value_match": {"exact": text}}})
    }

    /// A list whose one predicate is a header `x-b` of 1.
    fn only_with_b(on_match: Json) -> Json {
        json!({"matcher": {"matcher_list": {"matchers": [{"predicate": exact(header("x-b"), "1"), "on_match": on_match}]}}})
    }

    #[track_caller]
    fn check(matcher: &Json, connection: &Connection, headers: &[(&str, &str)], expected: Option<&str>) {
        let stream = stream(connection.clone(), "/", headers);
        let parsed: xds::Matcher = message(matcher.clone());
        let found = answer(&proxy(40), |cx, walk| {
            let subject = Subject { connection: &stream.connection, stream: Some(&stream) };
            evaluate(cx, walk, &parsed, subject).map(|action| action.name)
        });
        assert_eq!(found.as_deref(), expected, "{matcher} {headers:?}");
    }

    #[test]
    fn a_nested_matcher_without_a_result_falls_through() {
        let c = connection();
        let maps = |kind: &str| {
            json!({
                "matcher_tree": {"input": header("x-a"), kind: {"map": {"ab": only_with_b(to("1")), "a": to("2")}}},
                "on_no_match": to("3"),
            })
        };
        for (kind, without_b) in [("exact_match_map", "3"), ("prefix_match_map", "2")] {
            check(&maps(kind), &c, &[("x-a", "ab")], Some(without_b));
            check(&maps(kind), &c, &[("x-a", "ab"), ("x-b", "1")], Some("1"));
            check(&maps(kind), &c, &[("x-a", "zz")], Some("3"));
            check(&maps(kind), &c, &[], Some("3"));
        }
        let list = json!({"matcher_list": {"matchers": [
            {"predicate": exact(header("x-a"), "a"), "on_match": only_with_b(to("1"))},
            {"predicate": {"not_matcher": exact(header("x-c"), "1")}, "on_match": to("2")},
        ]}});
        check(&list, &c, &[("x-a", "a")], Some("2"));
        check(&list, &c, &[("x-a", "a"), ("x-b", "1")], Some("1"));
        check(&list, &c, &[("x-a", "a"), ("x-c", "1")], None);
    }

    #[test]
    fn repeated_headers_are_joined_as_input() {
        let matcher = json!({"matcher_list": {"matchers": [
            {"predicate": exact(header("x-a"), "1,2"), "on_match": to("joined")}]}});
        check(&matcher, &connection(), &[("x-a", "1"), ("x-a", "2")], Some("joined"));
    }

    #[test]
    fn the_longest_range_goes_first_and_exclusive_ones_only_then() {
        let never = only_with_b(to("never"));
        let range = |len: u32, on_match: &Json, exclusive: bool| {
            json!({"ranges": [{"address_prefix": "10.1.1.1", "prefix_len": len}], "on_match": on_match,
                   "exclusive": exclusive})
        };
        let by_ip = |ranges: &[Json]| {
            json!({"matcher_tree": {"input": network("SourceIPInput"), "custom_match": {"name": "ip", "typed_config": {
                "@type": "type.googleapis.com/xds.type.matcher.v3.IPMatcher", "range_matchers": ranges}}},
                "on_no_match": to("none")})
        };
        let c = connection();
        check(&by_ip(&[range(8, &to("8"), false), range(24, &never, false)]), &c, &[], Some("8"));
        check(&by_ip(&[range(8, &to("8"), true), range(24, &never, false)]), &c, &[], Some("none"));
        check(&by_ip(&[range(8, &to("8"), false), range(24, &never, true)]), &c, &[], Some("8"));
        check(&by_ip(&[range(24, &to("a"), false), range(24, &to("b"), false)]), &c, &[], Some("a"));
    }

    #[test]
    fn server_names_go_from_exact_to_any() {
        let domain = |name: &str| json!({"domains": [name], "on_match": to(name)});
        let matcher = json!({"matcher_tree": {"input": network("ServerNameInput"), "custom_match": {"name": "sni",
            "typed_config": {"@type": "type.googleapis.com/xds.type.matcher.v3.ServerNameMatcher",
                "domain_matchers": [domain("www.a.test"), domain("*.a.test"), domain("*")]}}}});
        for (name, expected) in [
            (Some("www.a.test"), Some("www.a.test")),
            (Some("b.c.a.test"), Some("*.a.test")),
            (Some("a.test"), Some("*")),
            (None, None),
        ] {
            let connection = Connection { server_name: name.map(str::to_owned), ..connection() };
            check(&matcher, &connection, &[], expected);
        }
    }
}
