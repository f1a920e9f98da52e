//! Files to a mesh.

use std::collections::BTreeMap;

use rayon::prelude::*;

use super::{Member, Mesh};
use crate::dump::Proxy;
use crate::dump::kubernetes::Objects;
use crate::input::{Artifact, ArtifactKind, ReadError, Source, recognise};
use crate::inventory;

impl Mesh {
    /// Sorts files into objects and the admin answers of proxies; those of one folder are of one proxy if there is one
    /// dump among them. What is neither is told of together.
    #[must_use]
    pub fn load(files: Vec<Result<Source, ReadError>>) -> Self {
        let mut mesh = Self::default();
        let mut folders: BTreeMap<String, Vec<Artifact>> = BTreeMap::new();
        let mut unused = Vec::new();
        for file in files {
            let source = match file {
                Ok(source) => source,
                Err(error) => {
                    mesh.warnings.push(error.to_string());
                    continue;
                }
            };
            if Objects::are_in(&source) {
                mesh.objects.add(&source);
                continue;
            }
            if mesh.config.is_none()
                && let Some(config) = mesh_config(source.bytes())
            {
                mesh.config = Some(config);
                continue;
            }
            let name = source.file().to_owned();
            match recognise(source) {
                Ok(artifact) => folders.entry(folder(&name).to_owned()).or_default().push(artifact),
                Err(_) => unused.push(name),
            }
        }
        let groups: Vec<Vec<Artifact>> = folders.into_values().flat_map(groups).collect();
        for artifact in groups.iter().flatten().filter(|artifact| is_blank(artifact)) {
            mesh.members.push(Member::blank(artifact.source.file()));
        }
        let members: Vec<Result<Member, Vec<String>>> = groups.into_par_iter().map(member).collect();
        for member in members {
            match member {
                Ok(member) => {
                    let warnings = member.proxy.iter().flat_map(Proxy::warnings).cloned();
                    mesh.warnings.extend(warnings);
                    mesh.members.push(member);
                }
                Err(files) => unused.extend(files),
            }
        }
        mesh.members.sort_by(|a, b| a.file.cmp(&b.file));
        mesh.warnings.extend(mesh.objects.warnings());
        mesh.warnings.extend(tell(unused));
        mesh
    }
}

/// Members of a mesh configuration that no other file has at its top.
const MESH_CONFIG: [&str; 14] = [
    "accessLogFile",
    "caCertificates",
    "defaultConfig",
    "defaultProviders",
    "discoverySelectors",
    "enableAutoMtls",
    "enablePrometheusMerge",
    "extensionProviders",
    "ingressControllerMode",
    "localityLbSetting",
    "meshMTLS",
    "outboundTrafficPolicy",
    "rootNamespace",
    "trustDomain",
];

/// Longer than any mesh configuration: logs and dumps aren't read in vain.
const MAX_MESH_CONFIG: usize = 1 << 20;

/// The mesh configuration that a file is, as `istioctl analyze --meshConfigFile` takes it.
fn mesh_config(bytes: &[u8]) -> Option<serde_json::Value> {
    let text =
        Some(bytes).filter(|bytes| bytes.len() <= MAX_MESH_CONFIG).and_then(|bytes| std::str::from_utf8(bytes).ok())?;
    if !MESH_CONFIG.iter().any(|name| text.contains(name)) {
        return None;
    }
    let config: serde_json::Value = serde_saphyr::from_str(text).ok()?;
    let members = config.as_object()?;
    // A dump, or any answer of Envoy, has none of them at its top.
    let known = MESH_CONFIG.iter().filter(|name| members.contains_key(**name)).count();
    (known > 0 && !members.contains_key("configs") && !members.contains_key("kind")).then_some(config)
}

fn folder(file: &str) -> &str {
    file.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// The answers of one proxy each.
fn groups(artifacts: Vec<Artifact>) -> Vec<Vec<Artifact>> {
    let dumps = artifacts.iter().filter(|artifact| artifact.kind == ArtifactKind::Dump).count();
    if dumps == 1 && artifacts.iter().any(is_companion) {
        return vec![artifacts];
    }
    artifacts.into_iter().map(|artifact| vec![artifact]).collect()
}

/// An object without members: a dump in which nothing is, or `/init_dump` when nothing is pending.
fn is_blank(artifact: &Artifact) -> bool {
    artifact.kind == ArtifactKind::InitDump && artifact.source.bytes().trim_ascii() == b"{}"
}

fn is_companion(artifact: &Artifact) -> bool {
    !matches!(artifact.kind, ArtifactKind::Dump | ArtifactKind::Unusable(_))
}

fn member(artifacts: Vec<Artifact>) -> Result<Member, Vec<String>> {
    let files = || {
        let files = artifacts.iter().filter(|artifact| !is_blank(artifact));
        files.map(|artifact| artifact.source.file().to_owned()).collect()
    };
    if !artifacts.iter().any(|artifact| artifact.kind == ArtifactKind::Dump) {
        return Err(files());
    }
    let proxy = Proxy::load(&artifacts).map_err(|_| files())?;
    let identity = inventory::identity(&proxy);
    Ok(Member {
        file: proxy.file().to_owned(),
        node_type: identity.node_type,
        pod: identity.pod,
        namespace: identity.namespace,
        proxy: Some(proxy),
    })
}

/// Whether a file's path names a pod: `<pod>.<namespace>.json`, `<namespace>_<pod>/…`, `<namespace>/<pod>/…`.
pub(super) fn is_named_for(file: &str, namespace: &str, pod: &str) -> bool {
    let mut parts = file.rsplit('/');
    let name = parts.next().unwrap_or_default();
    let stem = name.strip_suffix(".json").unwrap_or(name);
    let (first, second) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let both = [format!("{pod}.{namespace}"), format!("{namespace}_{pod}")];
    both.iter().any(|both| both == stem || both == first) || (first == pod && second == namespace)
}

/// Files that are neither dumps nor objects, in one line.
fn tell(mut unused: Vec<String>) -> Option<String> {
    const SHOWN: usize = 3;
    unused.sort();
    let more = unused.len().saturating_sub(SHOWN);
    unused.truncate(SHOWN);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let what = "no config_dump of an Envoy and no Kubernetes objects in it";
    (!unused.is_empty()).then(|| format!("not used, as there is {what}: {}{more}", unused.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mesh_configuration_is_a_file_of_its_own() {
        let config = mesh_config(b"trustDomain: a.b\nrootNamespace: root\n").unwrap();
        assert_eq!(config.get("rootNamespace").and_then(serde_json::Value::as_str), Some("root"));
        assert!(mesh_config(b"{\"rootNamespace\": \"root\"}").is_some());
        for text in ["a: b\n", "a:\n  trustDomain: b\n", "", "trustDomain\n"] {
            assert!(mesh_config(text.as_bytes()).is_none(), "{text}");
        }
    }

    #[test]
    fn a_path_names_a_pod() {
        for file in
            ["a-1.shop.json", "x/a-1.shop", "shop_a-1/config_dump.json", "p/shop/a-1/config_dump", "e/shop_a-1.json"]
        {
            assert!(is_named_for(file, "shop", "a-1"), "{file}");
        }
        for file in ["a-1.json", "shop/config_dump.json", "a-1.shop/x/config_dump.json", "ba-1.shop.json"] {
            assert!(!is_named_for(file, "shop", "a-1"), "{file}");
        }
    }
}
