//! `set_filter_state`: values of the connection or request under a key, for filters and clusters that come later.

use super::{Call, Verdict};
use crate::proto::Any;
use crate::proto::envoy::config::core::v3::data_source::Specifier;
use crate::proto::envoy::config::core::v3::substitution_format_string::Format;
use crate::proto::envoy::extensions::filters::common::set_filter_state::v3::{FilterStateValue, filter_state_value};
use crate::proto::envoy::extensions::filters::http::set_filter_state::v3::Config as HttpConfig;
use crate::proto::envoy::extensions::filters::network::set_filter_state::v3::Config as NetworkConfig;
use crate::trace::context::{Context, Stream};
use crate::trace::format;
use crate::trace::matcher::metadata::is_set_elsewhere;
use crate::trace::outcome::Step;
use crate::trace::request::{Connection, Headers, Protocol};
use crate::trace::walk::Walk;

/// The HTTP filter.
pub(super) fn decode_headers(call: &Call<'_>, walk: &mut Walk, stream: &mut Stream) -> Verdict {
    let overriding = call.overriding::<HttpConfig>(walk, "envoy.extensions.filters.http.set_filter_state.v3.Config");
    let Some(config) = overriding.or_else(|| call.own::<HttpConfig>(walk)) else { return Verdict::Continue };
    for value in &config.on_request_headers {
        if let Some((key, text)) = evaluate(walk, call.name, value, stream) {
            walk.step(call.step("sets filter state", format!("{key} = {text}")));
            stream.filter_state.insert(key, text);
        }
    }
    if config.clear_route_cache { Verdict::ContinueWithNewRoute } else { Verdict::Continue }
}

/// The network filter, at its three points of time: all of them come before the connection is used.
pub(crate) fn network(cx: &Context<'_>, walk: &mut Walk, config: &Any, connection: &mut Connection) {
    let config = match cx.cache.decode::<NetworkConfig>(config) {
        Ok(config) => config,
        Err(error) => {
            walk.missing(format!("network filter set_filter_state can't be read: {error}"));
            return;
        }
    };
    let on_tls = connection.tls.then_some(&config.on_downstream_tls_handshake);
    let values = config.on_new_connection.iter().chain(on_tls.into_iter().flatten()).chain(&config.on_downstream_data);
    for value in values {
        let stream = Stream {
            remote: connection.remote,
            connection: connection.clone(),
            headers: Headers::default(),
            metadata: std::collections::BTreeMap::new(),
            filter_state: std::collections::BTreeMap::new(),
            is_internal: false,
            protocol: Protocol::Http1,
            sent: Headers::default(),
        };
        if let Some((key, text)) = evaluate(walk, "set_filter_state", value, &stream) {
            walk.step(Step::new("network filter", "set_filter_state", format!("{key} = {text}")));
            connection.filter_state.insert(key, text);
        }
    }
}

/// Key and text of one value; `None` if it is empty and to be skipped, or not known.
fn evaluate(walk: &mut Walk, name: &str, value: &FilterStateValue, stream: &Stream) -> Option<(String, String)> {
    let Some(filter_state_value::Key::ObjectKey(key)) = &value.key else {
        walk.missing(format!("{name}: a filter state value without a key"));
        return None;
    };
    let Some(filter_state_value::Value::FormatString(format)) = &value.value else {
        walk.missing(format!("{name}: filter state {key:?} has a value of unknown kind"));
        return None;
    };
    let text = match &format.format {
        Some(Format::TextFormat(text)) => text,
        Some(Format::TextFormatSource(source)) => match &source.specifier {
            Some(Specifier::InlineString(text)) => text,
            _ => {
                walk.missing(format!("{name}: the format of filter state {key:?} stands outside this file"));
                return None;
            }
        },
        _ => {
            walk.missing(format!("{name}: filter state {key:?} has a format of unknown kind"));
            return None;
        }
    };
    // What depends on such a key says so itself; mostly nothing does (Istio keeps the proxy's own identity for telemetry).
    let text = match is_set_elsewhere(key) {
        true => format::try_evaluate(&walk.outcome, text, stream).ok()?,
        false => format::evaluate(walk, text, stream)?,
    };
    (!(text.is_empty() && value.skip_if_empty)).then(|| (key.clone(), text))
}
