//! The Istio object behind a resource, as its metadata names it (semantics §10).

use crate::proto::envoy::config::core::v3::Metadata;

/// `VirtualService shop/catalog` out of `filter_metadata.istio.config`.
pub(crate) fn istio_config(metadata: Option<&Metadata>) -> Option<String> {
    let istio = metadata?.filter_metadata.get("istio")?;
    object(istio.get("config")?.as_str()?)
}

/// Reads `/apis/<group>/<version>/namespaces/<ns>/<kebab-kind>/<name>` from the right.
fn object(path: &str) -> Option<String> {
    let mut parts = path.rsplit('/');
    let (name, kind, namespace) = (parts.next()?, parts.next()?, parts.next()?);
    let kind: String = kind.split('-').map(capitalised).collect();
    Some(format!("{kind} {namespace}/{name}"))
}

fn capitalised(word: &str) -> String {
    let mut chars = word.chars();
    chars.next().map(|first| first.to_ascii_uppercase().to_string() + chars.as_str()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_read_from_the_right() {
        let path = "/apis/networking.istio.io/v1alpha3/namespaces/shop/virtual-service/catalog";
        assert_eq!(object(path).as_deref(), Some("VirtualService shop/catalog"));
    }
}
