//! Header mutation: adds, changes and removes request headers and query parameters.

use std::sync::Arc;

use pbjson_types::value::Kind;

use super::{Call, Verdict};
use crate::dump::type_of;
use crate::proto::envoy::config::common::mutation_rules::v3::header_mutation::Action;
use crate::proto::envoy::config::core::v3::KeyValueMutation;
use crate::proto::envoy::config::core::v3::key_value_append::KeyValueAppendAction;
use crate::proto::envoy::extensions::filters::http::header_mutation::v3::{
    HeaderMutation, HeaderMutationPerRoute, Mutations,
};
use crate::trace::action::add_header;
use crate::trace::context::{Context, Stream};
use crate::trace::format;
use crate::trace::matcher::query;
use crate::trace::matcher::string::string_matches;
use crate::trace::version::Rule;
use crate::trace::walk::Walk;

/// The filter's own mutations first, then those of all levels; the route stays as chosen.
pub(super) fn decode_headers(call: &Call<'_>, walk: &mut Walk, stream: &mut Stream) -> Verdict {
    let Some(config) = call.own::<HeaderMutation>(walk) else { return Verdict::Continue };
    // The last one wins: by default that is the most general. One alone counted before all did.
    let counted = if call.cx.follows(Rule::HeaderMutationOfAllLevels) { usize::MAX } else { 1 };
    let mut levels: Vec<Arc<HeaderMutationPerRoute>> = Vec::new();
    for any in call.levels.configs().take(counted) {
        if type_of(any) == "envoy.extensions.filters.http.header_mutation.v3.HeaderMutationPerRoute" {
            levels.extend(call.read::<HeaderMutationPerRoute>(walk, any));
        }
    }
    if config.most_specific_header_mutations_wins {
        levels.reverse();
    }
    let all = config.mutations.iter().chain(levels.iter().filter_map(|level| level.mutations.as_ref()));
    for mutations in all {
        apply(call, walk, mutations, stream);
    }
    Verdict::Continue
}

fn apply(call: &Call<'_>, walk: &mut Walk, mutations: &Mutations, stream: &mut Stream) {
    for mutation in &mutations.request_mutations {
        match &mutation.action {
            Some(Action::Append(option)) => add_header(walk, option, stream),
            Some(Action::Remove(name)) => remove(stream, name),
            Some(Action::RemoveOnMatch(on_match)) => {
                let names: Vec<String> = stream.headers.iter().map(|(name, _)| name.to_owned()).collect();
                for name in names {
                    let matcher = on_match.key_matcher.as_ref();
                    if matcher.is_some_and(|matcher| string_matches(call.cx, walk, matcher, &name)) {
                        remove(stream, &name);
                    }
                }
            }
            None => walk.missing(format!("http filter {}: a mutation of unknown kind", call.name)),
        }
    }
    if !mutations.query_parameter_mutations.is_empty() && stream.headers.contains(":path") {
        mutate_query(call.cx, walk, &mutations.query_parameter_mutations, stream);
    }
}

/// Pseudo-headers and the host stay.
fn remove(stream: &mut Stream, name: &str) {
    if !name.starts_with(':') && !name.eq_ignore_ascii_case("host") {
        stream.headers.remove(name);
    }
}

/// Envoy writes the query anew, in the order of keys.
fn mutate_query(cx: &Context<'_>, walk: &mut Walk, mutations: &[KeyValueMutation], stream: &mut Stream) {
    let encodes = cx.follows(Rule::EncodesMutatedQuery);
    let path = stream.headers.path().to_owned();
    let mut parameters = query::decoded_parameters(&path);
    for mutation in mutations {
        parameters.remove(&mutation.remove);
        let Some(append) = &mutation.append else { continue };
        let Some(record) = &append.record else { continue };
        let Some(Kind::StringValue(text)) = record.value.as_ref().and_then(|value| value.kind.as_ref()) else {
            continue;
        };
        let Some(value) = format::evaluate(walk, text, stream) else { continue };
        let value = if encodes { query::percent_encode(&value) } else { value };
        let is_there = parameters.contains_key(&record.key);
        let action = append.action();
        match action {
            KeyValueAppendAction::AppendIfExistsOrAdd => {
                parameters.entry(record.key.clone()).or_default().push(value);
            }
            KeyValueAppendAction::AddIfAbsent if is_there => {}
            KeyValueAppendAction::OverwriteIfExists if !is_there => {}
            KeyValueAppendAction::AddIfAbsent
            | KeyValueAppendAction::OverwriteIfExists
            | KeyValueAppendAction::OverwriteIfExistsOrAdd => {
                parameters.insert(record.key.clone(), vec![value]);
            }
        }
    }
    stream.headers.set(":path", &query::with_parameters(&path, &parameters));
}
