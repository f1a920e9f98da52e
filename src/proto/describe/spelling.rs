//! Names of members in protobuf's own JSON spelling.
//!
//! Envoy's admin interface prints the names as they stand in `.proto` files; istioctl prints `lowerCamelCase`. Keys of
//! maps and of free-form objects are data, and stay: only the message tells the two apart.

use serde_json::{Map, Value};

use super::{Shape, lower_camel, table};

/// Fields that are maps or free-form objects, where the message around isn't modelled and can't say so.
const DATA: &[&str] = &[
    "filter_metadata",
    "typed_filter_metadata",
    "typed_per_filter_config",
    "typed_extension_protocol_options",
    "per_filter_config",
    "json_format",
    "metadata_match",
    "labels",
    "attributes",
    "value",
    "config",
    "fields",
];

/// Rewrites the members' names of a message's JSON to `lowerCamelCase`; values stay as they are written.
pub fn lower_camel_names(message: &str, json: &mut Value) {
    match table().message(message) {
        Some(message) => rename(json, Shape::Message(message)),
        None => rename_unknown(json),
    }
}

fn rename(json: &mut Value, shape: Shape) {
    match (shape, json) {
        (Shape::Message(message), Value::Object(members)) => replace(members, |key, value| {
            let Some(field) = message.fields.get(key) else { return unknown_member(key, value) };
            rename(value, Shape::of_field(field));
            lower_camel(&field.name)
        }),
        (Shape::Any, json) => rename_any(json),
        (Shape::Map(values), Value::Object(members)) => {
            members.values_mut().for_each(|value| rename(value, Shape::of(values)));
        }
        (Shape::Repeated(kind), Value::Array(items)) => {
            items.iter_mut().for_each(|item| rename(item, Shape::of(kind)));
        }
        _ => {}
    }
}

fn rename_any(json: &mut Value) {
    let type_url = json.get("@type").and_then(Value::as_str).unwrap_or_default();
    let name = type_url.rsplit('/').next().unwrap_or_default();
    match table().message(name) {
        // Google's own have a JSON form that isn't made of fields.
        _ if name.starts_with("google.protobuf.") => {}
        Some(message) => rename(json, Shape::Message(message)),
        None => rename_unknown(json),
    }
}

/// All that can be said without knowing the message: names look like names of fields, but for those below a field that
/// holds data.
fn rename_unknown(json: &mut Value) {
    match json {
        Value::Object(members) => replace(members, unknown_member),
        Value::Array(items) => items.iter_mut().for_each(rename_unknown),
        _ => {}
    }
}

fn unknown_member(key: &str, value: &mut Value) -> String {
    if !DATA.contains(&key) {
        if value.get("@type").is_some() { rename_any(value) } else { rename_unknown(value) }
    }
    if key.starts_with('@') { key.to_owned() } else { lower_camel(key) }
}

/// Puts each member under the name that `rename` gives; the order stays.
fn replace(members: &mut Map<String, Value>, mut rename: impl FnMut(&str, &mut Value) -> String) {
    *members = std::mem::take(members).into_iter().map(|(key, mut value)| (rename(&key, &mut value), value)).collect();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_renamed_and_data_is_not() {
        let mut json = serde_json::json!({
            "@type": "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
            "name": "a_b",
            "virtual_hosts": [{
                "name": "x",
                "typed_per_filter_config": {"envoy.filters.http.some_filter": {
                    "@type": "type.googleapis.com/some.unknown_Type", "some_field": {"other_field": [{"a_b": "c_d"}]},
                }},
                "routes": [{
                    "match": {"prefix": "/", "case_sensitive": true},
                    "metadata": {"filter_metadata": {"my_ns": {"my_key": "my_value"}}},
                }],
            }],
        });
        lower_camel_names("envoy.config.route.v3.RouteConfiguration", &mut json);
        assert_eq!(
            json,
            serde_json::json!({
                "@type": "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
                "name": "a_b",
                "virtualHosts": [{
                    "name": "x",
                    "typedPerFilterConfig": {"envoy.filters.http.some_filter": {
                        "@type": "type.googleapis.com/some.unknown_Type", "someField": {"otherField": [{"aB": "c_d"}]},
                    }},
                    "routes": [{
                        "match": {"prefix": "/", "caseSensitive": true},
                        "metadata": {"filterMetadata": {"my_ns": {"my_key": "my_value"}}},
                    }],
                }],
            })
        );
    }
}
