//! Parts of Istio objects in protobuf's text format, as istioctl prints them.

use serde_json::{Map, Value};

/// Order of declaration of the fields that occur.
const ORDER: [&str; 16] = [
    "delay",
    "abort",
    "percent",
    "fixedDelay",
    "exponentialDelay",
    "httpStatus",
    "grpcStatus",
    "http2Error",
    "percentage",
    "sniHosts",
    "destinationSubnets",
    "port",
    "sourceSubnet",
    "sourceLabels",
    "gateways",
    "sourceNamespace",
];

/// Members, one space between them.
pub(super) fn text_format<'a>(members: impl IntoIterator<Item = (&'a String, &'a Value)>) -> String {
    let mut members: Vec<(&String, &Value)> = members.into_iter().collect();
    let place = |name: &str| ORDER.iter().position(|other| snake(other) == snake(name)).unwrap_or(ORDER.len());
    members.sort_by_key(|(name, _)| place(name));
    members.into_iter().flat_map(|(name, value)| fields(name, value)).collect::<Vec<_>>().join(" ")
}

fn fields(name: &str, value: &Value) -> Vec<String> {
    let name = snake(name);
    match value {
        Value::Null => Vec::new(),
        Value::Array(items) => items.iter().flat_map(|item| fields(&name, item)).collect(),
        Value::Object(labels) if name == "source_labels" => {
            let mut labels: Vec<_> = labels.iter().collect();
            labels.sort_by_key(|(key, _)| key.as_str());
            labels
                .iter()
                .map(|(key, value)| format!("{name}:{{key:{} value:{}}}", quoted(key), scalar(value)))
                .collect()
        }
        Value::Object(members) => vec![format!("{name}:{{{}}}", text_format(members))],
        Value::String(text) if name.ends_with("_delay") => vec![format!("{name}:{{{}}}", duration(text))],
        other => vec![format!("{name}:{}", scalar(other))],
    }
}

fn scalar(value: &Value) -> String {
    match value {
        Value::String(text) => quoted(text),
        Value::Number(number) => match number.as_f64() {
            Some(float) if float.fract() == 0.0 && float.abs() < 1e15 => format!("{float:.0}"),
            _ => number.to_string(),
        },
        other => other.to_string(),
    }
}

pub(super) fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}

/// `1.5s` as `seconds:1 nanos:500000000`; what can't be read as it stands.
fn duration(text: &str) -> String {
    let parsed: Option<jiff::SignedDuration> = text.parse().ok();
    let Some(duration) = parsed else { return quoted(text) };
    let seconds = Some(duration.as_secs()).filter(|n| *n != 0).map(|n| format!("seconds:{n}"));
    let nanos = Some(duration.subsec_nanos()).filter(|n| *n != 0).map(|n| format!("nanos:{n}"));
    seconds.into_iter().chain(nanos).collect::<Vec<_>>().join(" ")
}

fn snake(name: &str) -> String {
    let mut out = String::with_capacity(name.len() + 4);
    for c in name.chars() {
        if c.is_ascii_uppercase() {
            out.push('_');
        }
        out.push(c.to_ascii_lowercase());
    }
    out
}

/// The members of an object; none of anything else.
pub(super) fn members(value: &Value) -> &Map<String, Value> {
    static NONE: std::sync::LazyLock<Map<String, Value>> = std::sync::LazyLock::new(Map::new);
    value.as_object().unwrap_or(&NONE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_come_in_order_of_declaration() {
        let fault = serde_json::json!({
            "abort": {"percentage": {"value": 1.5}, "httpStatus": 503},
            "delay": {"percentage": {"value": 100.0}, "fixedDelay": "7.5s"},
        });
        assert_eq!(
            text_format(members(&fault)),
            "delay:{fixed_delay:{seconds:7 nanos:500000000} percentage:{value:100}} \
             abort:{http_status:503 percentage:{value:1.5}}"
        );
        let traffic = serde_json::json!({"gateways": ["a", "mesh"], "port": 27017, "sourceLabels": {"b": "c"}});
        assert_eq!(
            text_format(members(&traffic)),
            "port:27017 source_labels:{key:\"b\" value:\"c\"} gateways:\"a\" gateways:\"mesh\""
        );
    }
}
