//! One proxy, from the bytes of its dump.
//!
//! Takes [`Artifact`]s of one proxy, gives a [`Proxy`]: identity and typed resources. The bytes are indexed first and
//! decoded late: opening a dump finds where each resource stands; a resource becomes its prost message when it is
//! asked for. JSON parsing never leaves this room and `input`.

mod decode;
mod index;
mod kind;
mod legacy;
mod origin;
mod references;
mod resource;
mod route_table;
mod runtime;
mod scan;
mod sensitive;
mod view;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, OnceLock};

use rayon::prelude::*;

pub use decode::{DecodeError, decode, decode_any, string_value, type_of};
pub use kind::{Kind, State};
pub use origin::Origin;
pub use references::{Reference, ReferenceTarget, references};
pub use resource::{Envelope, Resource, UpdateFailure};
pub use route_table::{RouteTable, VirtualHostEntry};
pub use runtime::Version;
pub use sensitive::{REDACTED, redact};

use crate::input::{Artifact, ArtifactKind, Source};
use crate::proto::Message;
use crate::proto::envoy::admin::v3 as admin;
use crate::proto::envoy::config::bootstrap::v3::Bootstrap;
use crate::proto::envoy::config::cluster::v3::Cluster;
use crate::proto::envoy::config::core::v3::{Node, TypedExtensionConfig};
use crate::proto::envoy::config::endpoint::v3::ClusterLoadAssignment;
use crate::proto::envoy::config::listener::v3::Listener;
use crate::proto::envoy::config::route::v3::{RouteConfiguration, ScopedRouteConfiguration};
use crate::proto::envoy::extensions::transport_sockets::tls::v3::Secret;
use index::{Index, IndexError, List};

/// A proxy: what its dump, and the other admin answers beside it, say about it.
#[derive(Debug)]
pub struct Proxy {
    source: Arc<Source>,
    index: Index,
    warnings: Vec<String>,
    listeners: Resources<Listener>,
    routes: Resources<RouteConfiguration>,
    route_tables: OnceLock<Vec<OnceLock<Result<RouteTable, DecodeError>>>>,
    scoped_routes: Resources<ScopedRouteConfiguration>,
    clusters: Resources<Cluster>,
    load_assignments: Resources<ClusterLoadAssignment>,
    secrets: Resources<Secret>,
    ecds: Resources<TypedExtensionConfig>,
    bootstrap: OnceLock<Option<Result<Bootstrap, DecodeError>>>,
    runtime: OnceLock<BTreeMap<String, serde_json::Value>>,
    admin: Companions,
}

/// The other admin answers of the same proxy.
#[derive(Debug, Default)]
struct Companions {
    cluster_statuses: Option<ClusterStatuses>,
    listeners: Option<admin::Listeners>,
    server_info: Option<admin::ServerInfo>,
    certificates: Option<admin::Certificates>,
    init_dump: Option<admin::UnreadyTargetsDumps>,
    runtime: Option<BTreeMap<String, serde_json::Value>>,
}

/// Live status of clusters, in the order of `/clusters`.
#[derive(Debug, Default)]
struct ClusterStatuses {
    all: Vec<admin::ClusterStatus>,
    by_name: HashMap<String, usize>,
}

impl ClusterStatuses {
    fn new(all: Vec<admin::ClusterStatus>) -> Self {
        let by_name = all.iter().enumerate().map(|(nth, status)| (status.name.clone(), nth)).collect();
        Self { all, by_name }
    }
}

/// No proxy can be made of the input.
#[derive(Debug, thiserror::Error)]
#[error("{file}{}: {message}", .line.map(|line| format!(":{line}")).unwrap_or_default())]
pub struct LoadError {
    /// The file.
    pub file: String,
    /// Line where it stops being readable.
    pub line: Option<usize>,
    /// What is wrong, with the JSON path.
    pub message: String,
    /// What to do next.
    pub hint: Option<String>,
}

/// The resources of one kind, found on first use.
#[derive(Debug)]
struct Resources<T> {
    all: OnceLock<Vec<Resource<T>>>,
    in_force: OnceLock<HashMap<String, usize>>,
}

impl<T> Default for Resources<T> {
    fn default() -> Self {
        Self { all: OnceLock::new(), in_force: OnceLock::new() }
    }
}

impl<T: Send> Resources<T> {
    fn all(&self, proxy: &Proxy, kind: Kind) -> &[Resource<T>] {
        self.all.get_or_init(|| {
            let mut all: Vec<Resource<T>> = proxy
                .index
                .lists
                .iter()
                .filter(|list| list.kind == kind)
                .flat_map(|list| read_list(&proxy.source, list))
                .collect();
            if kind == Kind::Listener {
                join_rejections(&mut all);
            }
            all
        })
    }

    /// The resource in force of that name: of several the last, as a later entry replaces an earlier one, but dynamic
    /// before static.
    fn named(&self, proxy: &Proxy, kind: Kind, name: &str) -> Option<&Resource<T>> {
        let all = self.all(proxy, kind);
        let by_name = self.in_force.get_or_init(|| {
            let mut by_name = HashMap::new();
            for state in [State::Static, State::Active] {
                for (nth, resource) in all.iter().enumerate().filter(|(_, r)| r.state == state) {
                    by_name.insert(resource.name.clone(), nth);
                }
            }
            by_name
        });
        all.get(*by_name.get(name)?)
    }
}

fn read_list<T: Send>(source: &Arc<Source>, list: &List) -> Vec<Resource<T>> {
    (0..list.elements.len())
        .into_par_iter()
        .with_min_len(256)
        .flat_map_iter(|nth| resource::resources(source, list, nth))
        .collect()
}

/// A rejected listener is listed twice: under its name, and again without one. The second says nothing new.
fn join_rejections<T>(all: &mut Vec<Resource<T>>) {
    let mut seen: Vec<String> = Vec::new();
    all.retain(|resource| {
        if resource.state != State::Error {
            return true;
        }
        let failed = resource.envelope().error.as_ref().and_then(|error| error.failed_name.clone()).unwrap_or_default();
        let name = if resource.name.is_empty() { failed } else { resource.name.clone() };
        let first = !seen.contains(&name);
        seen.push(name);
        first
    });
}

impl Proxy {
    /// Makes a proxy of the admin answers of one: a dump, and beside it what else there is.
    ///
    /// # Errors
    ///
    /// When there is no dump among them, or the dump isn't one.
    pub fn load(artifacts: &[Artifact]) -> Result<Self, LoadError> {
        let Some(dump) = artifacts.iter().find(|a| a.kind == ArtifactKind::Dump) else {
            let file = artifacts.first().map(|a| a.source.file().to_owned()).unwrap_or_default();
            return Err(LoadError {
                file,
                line: None,
                message: "this is an admin answer, but no config_dump is beside it".to_owned(),
                hint: Some("put the proxy's config_dump.json into the same folder and pass the folder".to_owned()),
            });
        };
        let source = Arc::clone(&dump.source);
        let index = index::index(source.bytes(), dump.start).map_err(|error| load_error(&source, &error))?;
        let mut warnings = Vec::new();
        if dump.start > 0 {
            warnings.push(format!("{}: {} bytes before the document were skipped", source.file(), dump.start));
        }
        if let Some(cut) = &index.cut {
            let whole: usize = index.lists.iter().map(|list| list.elements.len()).sum();
            let line = source.line(cut.offset).map(|line| format!(":{line}")).unwrap_or_default();
            warnings.push(format!(
                "{}{line}: the text ends inside {}; the {whole} resources before it are used, that one and all that followed are lost",
                source.file(),
                if cut.path.is_empty() { "the document" } else { &cut.path },
            ));
        }
        if index.trailing > 0 {
            warnings.push(format!("{}: {} bytes after the document were skipped", source.file(), index.trailing));
        }
        for (path, what) in &index.unknown {
            warnings.push(format!("{}: {path}: no known section or resource: {what}", source.file()));
        }
        let mut admin = Companions::default();
        admin.add_statuses(&source, &index);
        for artifact in artifacts {
            if let Err(warning) = admin.add(artifact) {
                warnings.push(warning);
            }
        }
        Ok(Self {
            source,
            index,
            warnings,
            listeners: Resources::default(),
            routes: Resources::default(),
            route_tables: OnceLock::new(),
            scoped_routes: Resources::default(),
            clusters: Resources::default(),
            load_assignments: Resources::default(),
            secrets: Resources::default(),
            ecds: Resources::default(),
            bootstrap: OnceLock::new(),
            runtime: OnceLock::new(),
            admin,
        })
    }

    /// Name of the dump's file.
    #[must_use]
    pub fn file(&self) -> &str {
        self.source.file()
    }

    /// What was skipped, lost or not understood while loading.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Listeners, one a state, in the order of the dump.
    pub fn listeners(&self) -> &[Resource<Listener>] {
        self.listeners.all(self, Kind::Listener)
    }

    /// Route configurations; inline ones of listeners are repeated here by Envoy, often under one name.
    pub fn routes(&self) -> &[Resource<RouteConfiguration>] {
        self.routes.all(self, Kind::Route)
    }

    /// Scoped route configurations.
    pub fn scoped_routes(&self) -> &[Resource<ScopedRouteConfiguration>] {
        self.scoped_routes.all(self, Kind::ScopedRoute)
    }

    /// Clusters of all states.
    pub fn clusters(&self) -> &[Resource<Cluster>] {
        self.clusters.all(self, Kind::Cluster)
    }

    /// Cluster load assignments (EDS); only in a dump taken with `include_eds`.
    pub fn load_assignments(&self) -> &[Resource<ClusterLoadAssignment>] {
        self.load_assignments.all(self, Kind::Endpoint)
    }

    /// Secrets of all states, redacted.
    pub fn secrets(&self) -> &[Resource<Secret>] {
        self.secrets.all(self, Kind::Secret)
    }

    /// Filters delivered by ECDS.
    pub fn ecds(&self) -> &[Resource<TypedExtensionConfig>] {
        self.ecds.all(self, Kind::Ecds)
    }

    /// The listener in force of that name.
    pub fn listener(&self, name: &str) -> Option<&Resource<Listener>> {
        self.listeners.named(self, Kind::Listener, name)
    }

    /// The cluster in force (active or static) of that name.
    pub fn cluster(&self, name: &str) -> Option<&Resource<Cluster>> {
        self.clusters.named(self, Kind::Cluster, name)
    }

    /// The load assignment of that name: a cluster's EDS service name, else its own.
    pub fn load_assignment(&self, service_name: &str) -> Option<&Resource<ClusterLoadAssignment>> {
        self.load_assignments.named(self, Kind::Endpoint, service_name)
    }

    /// The secret in force of that name.
    pub fn secret(&self, name: &str) -> Option<&Resource<Secret>> {
        self.secrets.named(self, Kind::Secret, name)
    }

    /// The ECDS filter of that name.
    pub fn extension(&self, name: &str) -> Option<&Resource<TypedExtensionConfig>> {
        self.ecds.named(self, Kind::Ecds, name)
    }

    /// The route configuration in force of that name, its virtual hosts decoded on demand: a dynamic one before a
    /// static one.
    pub fn route_table(
        &self,
        name: &str,
    ) -> Option<(&Resource<RouteConfiguration>, Result<&RouteTable, &DecodeError>)> {
        let resource = self.routes.named(self, Kind::Route, name)?;
        Some((resource, self.table_of(resource)?))
    }

    /// The table of one of [`routes`](Self::routes), of which several may share a name; `None` for any other.
    pub fn table_of(&self, resource: &Resource<RouteConfiguration>) -> Option<Result<&RouteTable, &DecodeError>> {
        let nth = self.routes().iter().position(|route| std::ptr::eq(route, resource))?;
        let tables = self.route_tables.get_or_init(|| self.routes().iter().map(|_| OnceLock::new()).collect());
        Some(tables.get(nth)?.get_or_init(|| RouteTable::read(&self.source, resource)).as_ref())
    }

    /// Whether the dump has a section of that kind: if not, its resources are not known, rather than none.
    #[must_use]
    pub fn has_section(&self, kind: Kind) -> bool {
        self.index.lists.iter().any(|list| list.kind == kind)
            || self.index.sections.iter().any(|s| s.kind == Some(kind))
    }

    /// Whether the dump was taken with `include_eds`.
    #[must_use]
    pub fn has_endpoints_section(&self) -> bool {
        self.has_section(Kind::Endpoint)
    }

    /// Sections with their xDS version: kind, type URL, version.
    pub fn sections(&self) -> impl Iterator<Item = (Option<Kind>, &str, Option<&str>)> {
        self.index.sections.iter().map(|s| (s.kind, s.type_url.as_str(), s.version.as_deref()))
    }

    /// Elements of the dump that are no known resource: JSON path and type URL.
    pub fn unknown_elements(&self) -> impl Iterator<Item = (&str, &str)> {
        self.index.unknown.iter().map(|(path, what)| (path.as_str(), what.as_str()))
    }

    /// The bootstrap.
    pub fn bootstrap(&self) -> Option<Result<&Bootstrap, &DecodeError>> {
        let decoded = self.bootstrap.get_or_init(|| {
            let (range, path) = self.index.bootstrap.as_ref()?;
            let origin = Origin::new(Arc::clone(&self.source), range.clone(), path.clone());
            Some(decode(self.source.slice(range.clone())).map_err(|error| error.at(origin)))
        });
        decoded.as_ref().map(Result::as_ref)
    }

    /// The bootstrap's JSON text and where it stands.
    #[must_use]
    pub fn bootstrap_text(&self) -> Option<(&[u8], Origin)> {
        let (range, path) = self.index.bootstrap.as_ref()?;
        Some((self.source.slice(range.clone()), Origin::new(Arc::clone(&self.source), range.clone(), path.clone())))
    }

    /// Identity of the proxy: the bootstrap's node, else that of `server_info`.
    pub fn node(&self) -> Option<&Node> {
        let bootstrap = self.bootstrap().and_then(Result::ok).and_then(|b| b.node.as_ref());
        bootstrap.or_else(|| self.admin.server_info.as_ref().and_then(|info| info.node.as_ref()))
    }

    /// Live status of a cluster from `/clusters`, if that was captured.
    #[must_use]
    pub fn cluster_status(&self, name: &str) -> Option<&admin::ClusterStatus> {
        let statuses = self.admin.cluster_statuses.as_ref()?;
        statuses.all.get(*statuses.by_name.get(name)?)
    }

    /// Live status of all clusters, in the order of `/clusters`; nothing if that wasn't captured.
    pub fn cluster_statuses(&self) -> impl Iterator<Item = &admin::ClusterStatus> {
        self.admin.cluster_statuses.iter().flat_map(|statuses| &statuses.all)
    }

    /// Whether `/clusters` was captured.
    #[must_use]
    pub fn has_cluster_statuses(&self) -> bool {
        self.admin.cluster_statuses.is_some()
    }

    /// `/listeners`, if captured.
    #[must_use]
    pub fn listener_statuses(&self) -> Option<&admin::Listeners> {
        self.admin.listeners.as_ref()
    }

    /// `/server_info`, if captured.
    #[must_use]
    pub fn server_info(&self) -> Option<&admin::ServerInfo> {
        self.admin.server_info.as_ref()
    }

    /// `/certs`, if captured.
    #[must_use]
    pub fn certificates(&self) -> Option<&admin::Certificates> {
        self.admin.certificates.as_ref()
    }

    /// `/init_dump`, if captured.
    #[must_use]
    pub fn init_dump(&self) -> Option<&admin::UnreadyTargetsDumps> {
        self.admin.init_dump.as_ref()
    }
}

fn load_error(source: &Arc<Source>, error: &IndexError) -> LoadError {
    let (line, hint) = match error {
        IndexError::Syntax { error, .. } => (source.line(error.offset()), None),
        IndexError::Nothing(_) => (
            None,
            Some("pass a config_dump, a resource printed by istioctl proxy-config -o json, or a bootstrap".to_owned()),
        ),
    };
    LoadError { file: source.file().to_owned(), line, message: error.to_string(), hint }
}

impl Companions {
    fn add(&mut self, artifact: &Artifact) -> Result<(), String> {
        let bytes = artifact.source.bytes().get(artifact.start..).unwrap_or_default();
        let file = artifact.source.file();
        fn read<T: Message>(file: &str, bytes: &[u8]) -> Result<Option<T>, String> {
            decode(bytes).map(Some).map_err(|error| format!("{file}: {error}"))
        }
        match &artifact.kind {
            ArtifactKind::Dump => {}
            ArtifactKind::Clusters => {
                let clusters: Option<admin::Clusters> = read(file, bytes)?;
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
    fn add_statuses(&mut self, source: &Source, index: &Index) {
        if index.cluster_statuses.is_empty() {
            return;
        }
        let statuses = index.cluster_statuses.iter().filter_map(|range| decode(source.slice(range.clone())).ok());
        self.cluster_statuses = Some(ClusterStatuses::new(statuses.collect()));
    }
}
