//! Envoy's version and runtime values, which decide how some rules are read.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Proxy;

/// A release of Envoy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// 1.
    pub major: u32,
    /// 40 in 1.40.2.
    pub minor: u32,
    /// 2 in 1.40.2.
    pub patch: u32,
}

impl Proxy {
    /// Release of Envoy that wrote the dump: the bootstrap's node, else `/server_info`; `None` if neither says.
    pub fn envoy_version(&self) -> Option<Version> {
        use crate::proto::envoy::config::core::v3::node::UserAgentVersionType;
        let built = self.node().and_then(|node| match node.user_agent_version_type.as_ref()? {
            UserAgentVersionType::UserAgentBuildVersion(build) => build.version.map(|version| Version {
                major: version.major_number,
                minor: version.minor_number,
                patch: version.patch,
            }),
            UserAgentVersionType::UserAgentVersion(text) => parse_version(text),
        });
        if built.is_some() {
            return built;
        }
        // "<sha>/1.40.0/Clean/RELEASE/BoringSSL"
        let text = self.server_info().map(|info| info.version.as_str())?;
        parse_version(text.split('/').nth(1)?)
    }

    /// Whether that release is a build from between two releases (`1.37.1-dev`), which may lack what the release of the
    /// same number brought.
    pub fn is_development_build(&self) -> bool {
        use crate::proto::envoy::config::core::v3::node::UserAgentVersionType;
        let label = self.node().and_then(|node| match node.user_agent_version_type.as_ref()? {
            UserAgentVersionType::UserAgentBuildVersion(build) => {
                Some(build.metadata.as_ref()?.fields.get("build.label")?.as_str()?.to_owned())
            }
            UserAgentVersionType::UserAgentVersion(_) => None,
        });
        match label {
            Some(label) => label.ends_with("dev"),
            None => self
                .server_info()
                .and_then(|info| info.version.split('/').nth(1))
                .is_some_and(|version| version.ends_with("-dev")),
        }
    }

    /// Final value of a runtime key: `/runtime` if captured, else the static layers of the bootstrap, the last of
    /// which wins (semantics §1.3, "/runtime").
    pub fn runtime(&self, key: &str) -> Option<&Value> {
        if let Some(captured) = &self.admin.runtime {
            return captured.get(key);
        }
        self.runtime.get_or_init(|| self.static_runtime()).get(key)
    }

    /// Whether runtime values are all known: `/runtime` was captured, or the bootstrap has only static layers.
    pub fn runtime_is_known(&self) -> bool {
        self.admin.runtime.is_some()
            || self
                .bootstrap()
                .and_then(Result::ok)
                .is_some_and(|b| b.layered_runtime.as_ref().is_none_or(|l| l.layers.iter().all(is_known_layer)))
    }

    fn static_runtime(&self) -> BTreeMap<String, Value> {
        use crate::proto::envoy::config::bootstrap::v3::runtime_layer::LayerSpecifier;
        let mut out = BTreeMap::new();
        let layers = self.bootstrap().and_then(Result::ok).and_then(|b| b.layered_runtime.as_ref());
        for layer in layers.map(|l| l.layers.as_slice()).unwrap_or_default() {
            if let Some(LayerSpecifier::StaticLayer(values)) = &layer.layer_specifier {
                for (key, value) in &values.fields {
                    flatten(key, value, &mut out);
                }
            }
        }
        out
    }
}

/// A static layer is known; an admin layer is empty unless someone wrote to it, which only `/runtime` shows. Disk and
/// RTDS layers are elsewhere.
fn is_known_layer(layer: &crate::proto::envoy::config::bootstrap::v3::RuntimeLayer) -> bool {
    use crate::proto::envoy::config::bootstrap::v3::runtime_layer::LayerSpecifier;
    matches!(layer.layer_specifier, Some(LayerSpecifier::StaticLayer(_) | LayerSpecifier::AdminLayer(_)) | None)
}

/// Nested objects spell dotted keys; an object that is a FractionalPercent is a value.
fn flatten(key: &str, value: &Value, out: &mut BTreeMap<String, Value>) {
    match value {
        Value::Object(members) if !members.contains_key("numerator") => {
            for (inner, value) in members {
                flatten(&format!("{key}.{inner}"), value, out);
            }
        }
        other => {
            out.insert(key.to_owned(), other.clone());
        }
    }
}

fn parse_version(text: &str) -> Option<Version> {
    let mut parts = text.split(['.', '-']).map(str::parse);
    Some(Version {
        major: parts.next()?.ok()?,
        minor: parts.next()?.ok()?,
        patch: parts.next().and_then(Result::ok).unwrap_or_default(),
    })
}

/// Final values of `/runtime`.
pub(super) fn entries(bytes: &[u8]) -> BTreeMap<String, Value> {
    let Ok(Value::Object(page)) = serde_json::from_slice::<Value>(bytes) else { return BTreeMap::new() };
    let Some(Value::Object(entries)) = page.get("entries") else { return BTreeMap::new() };
    entries
        .iter()
        .filter_map(|(key, entry)| {
            let text = entry.get("final_value")?.as_str()?;
            // Values are printed as text: "true", "50", "{numerator: …}".
            Some((key.clone(), serde_json::from_str(text).unwrap_or_else(|_| Value::from(text))))
        })
        .collect()
}
