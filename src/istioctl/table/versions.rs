//! `proxy-config bootstrap -o short`

use super::super::node::Node;

/// The versions that a bootstrap names.
pub(crate) fn bootstrap(section: &Node<'_>) -> String {
    let node = section.path(&["bootstrap", "node"]);
    let metadata = |name: &str| {
        let text = node.and_then(|node| node.path(&["metadata", name])).and_then(Node::as_text);
        text.filter(|text| !text.is_empty())
    };
    let mut lines = Vec::new();
    if let Some(version) = metadata("ISTIO_VERSION") {
        lines.push(("Istio Version:", version.to_owned()));
    }
    if let Some(sha) = metadata("ISTIO_PROXY_SHA") {
        lines.push(("Istio Proxy Version:", sha.split(':').nth(1).unwrap_or(sha).to_owned()));
    }
    let build = node.and_then(|node| node.get("userAgentBuildVersion"));
    let version = build.and_then(|build| build.get("version"));
    let number = |name: &str| version.map_or(0, |version| version.number(name));
    let mut envoy = format!("{}.{}.{}", number("majorNumber"), number("minorNumber"), number("patch"));
    for (key, mark) in [("build.label", '-'), ("revision.status", '/'), ("build.type", '/'), ("ssl.version", '/')] {
        if let Some(value) = build.and_then(|build| build.path(&["metadata", key])) {
            envoy.push(mark);
            envoy.push_str(value.as_text().unwrap_or_default());
        }
    }
    lines.push(("Envoy Version:", envoy));
    let width = lines.iter().map(|(label, _)| label.len()).max().unwrap_or_default() + 1;
    lines.into_iter().map(|(label, version)| format!("{label:<width$}{version}\n")).collect()
}
