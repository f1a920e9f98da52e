//! The inputs of `proxy-status`: istiod's answers and proxies' dumps, one by one or in a folder.

use std::fs;

use super::super::error::CliError;
use crate::dump::Proxy;
use crate::dump::sync::ControlPlane;
use crate::input::{self, Artifact, ArtifactKind, Limits};
use crate::inventory::{self, HeldProxy};

/// What the inputs hold.
#[derive(Debug, Default)]
pub(super) struct Files {
    /// istiod's answers.
    pub(super) planes: Vec<ControlPlane>,
    /// The text of each, in the same order.
    pub(super) texts: Vec<Artifact>,
    /// Proxies by their own dumps.
    pub(super) dumps: Vec<HeldProxy>,
    /// Dumps that don't say whose they are: istiod's answer to what a proxy should have.
    pub(super) expected: Vec<Artifact>,
}

impl Files {
    /// Reads all inputs.
    pub(super) fn read<'n>(names: impl IntoIterator<Item = &'n str>) -> Result<Self, CliError> {
        let mut files = Self::default();
        for name in names {
            if name != "-" && fs::metadata(name).is_ok_and(|metadata| metadata.is_dir()) {
                files.add_bundle(name)?;
            } else {
                for artifact in super::super::input::read(name)? {
                    files.add(artifact)?;
                }
            }
        }
        Ok(files)
    }

    /// A file that was named: it must be of use.
    fn add(&mut self, artifact: Artifact) -> Result<(), CliError> {
        let file = artifact.source.file().to_owned();
        match ControlPlane::parse(text(&artifact), instance(&file)) {
            Ok(plane) => {
                self.planes.push(plane);
                self.texts.push(artifact);
            }
            Err(error) => {
                let proxy = Proxy::load(std::slice::from_ref(&artifact));
                let Some(proxy) = proxy.ok().filter(|_| !ControlPlane::is_likely(text(&artifact))) else {
                    return Err(CliError::input(format!("{file}: nothing about proxies in it")).caused_by(error));
                };
                match inventory::held_proxy(&proxy) {
                    Some(held) => self.dumps.push(held),
                    None => self.expected.push(artifact),
                }
            }
        }
        Ok(())
    }

    /// A folder and those in it: what is of no use is passed over.
    fn add_bundle(&mut self, folder: &str) -> Result<(), CliError> {
        let before = self.planes.len() + self.dumps.len();
        for artifact in input::read_bundle(folder, Limits::default())? {
            let file = artifact.source.file();
            // An istiod without proxies answers with an empty list.
            let is_sync = ControlPlane::is_likely(text(&artifact))
                || (text(&artifact).trim_ascii() == b"[]" && file.rsplit('/').next().is_some_and(is_syncz));
            if is_sync {
                if let Ok(plane) = ControlPlane::parse(text(&artifact), instance(file)) {
                    self.planes.push(plane);
                    self.texts.push(artifact);
                }
            } else if artifact.kind == ArtifactKind::Dump && has_configs(text(&artifact)) {
                let proxy = Proxy::load(&[artifact]).ok();
                self.dumps.extend(proxy.as_ref().and_then(inventory::held_proxy));
            }
        }
        if self.planes.len() + self.dumps.len() == before {
            let message =
                format!("{folder}: neither an answer of istiod about proxies nor a proxy's dump in this folder");
            return Err(CliError::input(message).hint("istiod's are /debug/syncz; a proxy's is /config_dump"));
        }
        Ok(())
    }
}

/// The text of an artifact.
pub(super) fn text(artifact: &Artifact) -> &[u8] {
    artifact.source.bytes().get(artifact.start..).unwrap_or_default()
}

fn is_syncz(name: &str) -> bool {
    name.starts_with("syncz")
}

/// Whether the text is a whole dump, by its beginning.
fn has_configs(text: &[u8]) -> bool {
    let near = text.get(..text.len().min(4096)).unwrap_or_default();
    memchr::memmem::find(near, b"\"configs\"").is_some()
}

/// `/debug/syncz` doesn't name the instance; bug-reports keep it in a folder of that name: `POD/debug/syncz`.
fn instance(file: &str) -> Option<&str> {
    let folders: Vec<&str> = file.rsplit('/').skip(1).collect();
    match folders.as_slice() {
        ["debug", pod, ..] => Some(pod),
        [folder, ..] if folder.starts_with("istiod-") => Some(folder),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_names_the_istiod() {
        assert_eq!(instance("b/istio/istio-system/istiod-1/debug/syncz"), Some("istiod-1"));
        assert_eq!(instance("istiod-2/syncz.json"), Some("istiod-2"));
        assert_eq!(instance("istiod/syncz.json"), None);
        assert_eq!(instance("-"), None);
    }
}
