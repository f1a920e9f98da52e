//! Versions in a bootstrap (spec/istioctl.md §1.6).

use serde::Serialize;
use serde_json::Value;

use crate::dump::Proxy;
use crate::proto::envoy::config::core::v3::node::UserAgentVersionType;

/// The versions that a proxy is made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Versions {
    /// Version of Istio's agent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub istio: Option<String>,
    /// Revision of Istio's build of Envoy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub istio_proxy: Option<String>,
    /// Version of Envoy with the labels of its build.
    pub envoy: String,
}

/// Reads them from the node of the bootstrap.
#[must_use]
pub fn versions(proxy: &Proxy) -> Versions {
    let node = proxy.node();
    let text = |name: &str| -> Option<String> {
        let text = node?.metadata.as_ref()?.get(name)?.as_str()?;
        (!text.is_empty()).then(|| text.to_owned())
    };
    let build = match node.and_then(|node| node.user_agent_version_type.as_ref()) {
        Some(UserAgentVersionType::UserAgentBuildVersion(build)) => Some(build),
        _ => None,
    };
    let mut envoy = build.and_then(|build| build.version.as_ref()).map_or("0.0.0".to_owned(), |version| {
        format!("{}.{}.{}", version.major_number, version.minor_number, version.patch)
    });
    for (key, mark) in [("build.label", '-'), ("revision.status", '/'), ("build.type", '/'), ("ssl.version", '/')] {
        if let Some(text) = build.and_then(|build| build.metadata.as_ref()?.get(key)).and_then(Value::as_str) {
            envoy.push(mark);
            envoy.push_str(text);
        }
    }
    let istio_proxy = text("ISTIO_PROXY_SHA").map(|sha| sha.split(':').nth(1).unwrap_or(&sha).to_owned());
    Versions { istio: text("ISTIO_VERSION"), istio_proxy, envoy }
}
