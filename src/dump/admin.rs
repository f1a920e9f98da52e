//! The other admin answers of a proxy, beside its dump.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::decode::decode;
use super::runtime;
use super::text::Document;
use crate::input::{Artifact, ArtifactKind};
use crate::proto::Message;
use crate::proto::envoy::admin::v3 as pb;

/// The other admin answers of the same proxy.
#[derive(Debug, Default)]
pub(super) struct Companions {
    pub(super) cluster_statuses: Option<ClusterStatuses>,
    pub(super) listeners: Option<pb::Listeners>,
    pub(super) server_info: Option<pb::ServerInfo>,
    pub(super) certificates: Option<pb::Certificates>,
    pub(super) init_dump: Option<pb::UnreadyTargetsDumps>,
    pub(super) runtime: Option<BTreeMap<String, serde_json::Value>>,
}

/// Live status of clusters, in the order of `/clusters`.
#[derive(Debug, Default)]
pub(super) struct ClusterStatuses {
    pub(super) all: Vec<pb::ClusterStatus>,
    pub(super) by_name: HashMap<String, usize>,
}

impl ClusterStatuses {
    fn new(all: Vec<pb::ClusterStatus>) -> Self {
        let by_name = all.iter().enumerate().map(|(nth, status)| (status.name.clone(), nth)).collect();
        Self { all, by_name }
    }
}

impl Companions {
    /// Reads one answer; the error is a warning.
    pub(super) fn add(&mut self, artifact: &Artifact) -> Result<(), String> {
        let bytes = artifact.source.bytes().get(artifact.start..).unwrap_or_default();
        let file = artifact.source.file();
        fn read<T: Message>(file: &str, bytes: &[u8]) -> Result<Option<T>, String> {
            decode(bytes).map(Some).map_err(|error| format!("{file}: {error}"))
        }
        match &artifact.kind {
            ArtifactKind::Dump => {
                let is_dump = Document::new(Arc::clone(&artifact.source), artifact.start).is_ok();
                let what =
                    if is_dump { "there is another config_dump beside it" } else { "nothing here is read of it" };
                return Err(format!("{file}: not used: {what}"));
            }
            ArtifactKind::Clusters => {
                let clusters: Option<pb::Clusters> = read(file, bytes)?;
                self.cluster_statuses = Some(ClusterStatuses::new(clusters.unwrap_or_default().cluster_statuses));
            }
            ArtifactKind::Listeners => self.listeners = read(file, bytes)?,
            ArtifactKind::ServerInfo => self.server_info = read(file, bytes)?,
            ArtifactKind::Certs => self.certificates = read(file, bytes)?,
            ArtifactKind::InitDump => self.init_dump = read(file, bytes)?,
            ArtifactKind::Runtime => self.runtime = Some(runtime::entries(bytes)),
            ArtifactKind::Unusable(reason) => return Err(format!("{file}: not used: {reason}")),
        }
        Ok(())
    }

    /// Cluster statuses that stand in the dump's own file (`istioctl proxy-config endpoints -o json`).
    pub(super) fn add_statuses(&mut self, document: &Document) {
        let ranges = &document.index.cluster_statuses;
        if ranges.is_empty() {
            return;
        }
        let statuses = ranges.iter().filter_map(|range| decode(document.text.slice(range.clone())).ok());
        self.cluster_statuses = Some(ClusterStatuses::new(statuses.collect()));
    }
}
