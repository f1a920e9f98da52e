//! One proxy, from the bytes of its dump.
//!
//! Takes [`Artifact`]s of one proxy, gives a [`Proxy`]: identity and typed resources. The bytes are indexed first and
//! decoded late: opening a dump finds where each resource stands; a resource becomes its prost message when it is
//! asked for. JSON parsing never leaves this room and `input`.

mod admin;
mod counts;
mod decode;
mod index;
mod kind;
pub mod kubernetes;
mod legacy;
mod load;
mod marks;
mod origin;
mod references;
mod resource;
mod route_table;
mod runtime;
mod scan;
mod sensitive;
pub mod sync;
mod text;
mod unmodelled;
mod view;
pub mod ztunnel;

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use rayon::prelude::*;

pub use counts::{Counts, ListenerCounts, Sources, States};
pub use decode::{DecodeError, decode, decode_any, string_value, type_of};
pub use kind::{Kind, State};
pub use load::LoadError;
pub use origin::Origin;
pub use references::{Reference, ReferenceTarget, references};
pub use resource::{Envelope, Resource, UpdateFailure};
pub use route_table::{RouteTable, VirtualHostEntry};
pub use runtime::Version;
pub use sensitive::{REDACTED, redact};
pub use unmodelled::{Occurrences, Unmodelled};

use crate::input::{Artifact, ArtifactKind};
use crate::proto::envoy::admin::v3 as pb;
use crate::proto::envoy::config::bootstrap::v3::Bootstrap;
use crate::proto::envoy::config::cluster::v3::Cluster;
use crate::proto::envoy::config::core::v3::{Node, TypedExtensionConfig};
use crate::proto::envoy::config::endpoint::v3::ClusterLoadAssignment;
use crate::proto::envoy::config::listener::v3::Listener;
use crate::proto::envoy::config::route::v3::{RouteConfiguration, ScopedRouteConfiguration};
use crate::proto::envoy::extensions::transport_sockets::tls::v3::Secret;
use admin::Companions;
use text::Document;

/// A proxy: what its dump, and the other admin answers beside it, say about it.
#[derive(Debug)]
pub struct Proxy {
    document: Arc<Document>,
    /// Where the document starts in its file.
    start: usize,
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

/// The resources of one kind, found on first use.
#[derive(Debug)]
struct Resources<T> {
    all: OnceLock<Vec<Resource<T>>>,
    by_name: OnceLock<HashMap<String, Named>>,
    /// How often a name was looked for without `by_name`.
    looked: AtomicUsize,
}

/// Looking through all for a few names costs less than preparing for any.
const MOST_LOOKS: usize = 16;

/// The resources of one name.
#[derive(Debug, Clone, Copy, Default)]
struct Named {
    /// Index of the one in force: of several the last, as a later entry replaces an earlier one, but dynamic before
    /// static.
    in_force: Option<usize>,
    /// How many there are, in any state.
    count: usize,
}

impl Named {
    /// Counts the next one of the name.
    fn add<T>(&mut self, all: &[Resource<T>], nth: usize, resource: &Resource<T>) {
        self.count += 1;
        let replaces = |held: usize| {
            resource.state == State::Active || all.get(held).is_none_or(|held| held.state == State::Static)
        };
        if resource.state.is_in_force() && self.in_force.is_none_or(replaces) {
            self.in_force = Some(nth);
        }
    }
}

impl<T> Default for Resources<T> {
    fn default() -> Self {
        Self { all: OnceLock::new(), by_name: OnceLock::new(), looked: AtomicUsize::new(0) }
    }
}

impl<T: Send> Resources<T> {
    fn all(&self, proxy: &Proxy, kind: Kind) -> &[Resource<T>] {
        self.all.get_or_init(|| {
            let lists = proxy.document.index.lists.iter().enumerate().filter(|(_, list)| list.kind == kind);
            let places = lists.flat_map(|(nth, list)| (0..list.elements.len()).map(move |element| (nth, element)));
            let places: Vec<(usize, usize)> = places.collect();
            let mut all: Vec<Resource<T>> = places
                .into_par_iter()
                .with_min_len(256)
                .flat_map_iter(|place| resource::resources(&proxy.document, place))
                .collect();
            if kind == Kind::Listener {
                join_rejections(&mut all);
            }
            all
        })
    }

    fn named(&self, proxy: &Proxy, kind: Kind, name: &str) -> Option<Named> {
        let all = self.all(proxy, kind);
        if self.by_name.get().is_none() && self.looked.fetch_add(1, Ordering::Relaxed) < MOST_LOOKS {
            let mut named = Named::default();
            for (nth, resource) in all.iter().enumerate().filter(|(_, resource)| resource.name == name) {
                named.add(all, nth, resource);
            }
            return (named.count > 0).then_some(named);
        }
        let by_name = self.by_name.get_or_init(|| {
            let mut by_name: HashMap<String, Named> = HashMap::with_capacity(all.len());
            for (nth, resource) in all.iter().enumerate() {
                by_name.entry(resource.name.clone()).or_default().add(all, nth, resource);
            }
            by_name
        });
        by_name.get(name).copied()
    }

    /// The resource in force of that name.
    fn in_force(&self, proxy: &Proxy, kind: Kind, name: &str) -> Option<&Resource<T>> {
        self.all(proxy, kind).get(self.named(proxy, kind, name)?.in_force?)
    }
}

/// A rejected listener is listed twice: under its name, and again without one. The second says nothing new.
fn join_rejections<T>(all: &mut Vec<Resource<T>>) {
    let mut seen = HashSet::new();
    all.retain(|resource| {
        if resource.state != State::Error {
            return true;
        }
        let failed = resource.envelope().error.as_ref().and_then(|error| error.failed_name.clone()).unwrap_or_default();
        let name = if resource.name.is_empty() { failed } else { resource.name.clone() };
        seen.insert(name)
    });
}

/// What `/clusters` alone says, where no dump is beside it.
///
/// # Errors
///
/// When it can't be read.
#[must_use]
pub fn cluster_statuses(artifacts: &[Artifact]) -> Option<Result<Vec<pb::ClusterStatus>, LoadError>> {
    if artifacts.iter().any(|artifact| artifact.kind == ArtifactKind::Dump) {
        return None;
    }
    let clusters = artifacts.iter().find(|artifact| artifact.kind == ArtifactKind::Clusters)?;
    let text = clusters.source.bytes().get(clusters.start..).unwrap_or_default();
    let file = clusters.source.file().to_owned();
    let read = decode(text).map(|all: pb::Clusters| all.cluster_statuses);
    Some(read.map_err(|error| LoadError { file, line: None, message: error.to_string(), hint: None }))
}

impl Proxy {
    /// Makes a proxy of the admin answers of one: a dump, and beside it what else there is.
    ///
    /// # Errors
    ///
    /// When there is no dump among them, or the dump isn't one.
    pub fn load(artifacts: &[Artifact]) -> Result<Self, LoadError> {
        let dumps = || artifacts.iter().filter(|artifact| artifact.kind == ArtifactKind::Dump);
        // In a folder there may be other JSON: a file of requests, an answer of another program.
        let is_dump = |artifact: &&Artifact| Document::new(Arc::clone(&artifact.source), artifact.start).is_ok();
        let several = dumps().nth(1).is_some();
        let Some(dump) = dumps().find(|dump| several && is_dump(dump)).or_else(|| dumps().next()) else {
            let file = artifacts.first().map(|a| a.source.file().to_owned()).unwrap_or_default();
            return Err(LoadError {
                file,
                line: None,
                message: "this is an admin answer, but no config_dump is beside it".to_owned(),
                hint: Some("put the proxy's config_dump.json into the same folder and pass the folder".to_owned()),
            });
        };
        let document = Document::new(Arc::clone(&dump.source), dump.start);
        let document = document.map_err(|error| load::load_error(&dump.source, error))?;
        let mut warnings = load::warnings(&document, dump.start);
        let mut admin = Companions::default();
        admin.add_statuses(&document);
        for artifact in artifacts.iter().filter(|artifact| !std::ptr::eq(*artifact, dump)) {
            if let Err(warning) = admin.add(artifact) {
                warnings.push(warning);
            }
        }
        Ok(Self {
            document: Arc::new(document),
            start: dump.start,
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
        self.document.text.source().file()
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
        self.listeners.in_force(self, Kind::Listener, name)
    }

    /// The cluster in force (active or static) of that name.
    pub fn cluster(&self, name: &str) -> Option<&Resource<Cluster>> {
        self.clusters.in_force(self, Kind::Cluster, name)
    }

    /// The load assignment of that name: a cluster's EDS service name, else its own.
    pub fn load_assignment(&self, service_name: &str) -> Option<&Resource<ClusterLoadAssignment>> {
        self.load_assignments.in_force(self, Kind::Endpoint, service_name)
    }

    /// How many load assignments of that name there are, in any state: several clusters may use one EDS name.
    pub(crate) fn count_load_assignments(&self, service_name: &str) -> usize {
        self.load_assignments.named(self, Kind::Endpoint, service_name).map_or(0, |named| named.count)
    }

    /// The secret in force of that name.
    pub fn secret(&self, name: &str) -> Option<&Resource<Secret>> {
        self.secrets.in_force(self, Kind::Secret, name)
    }

    /// The ECDS filter of that name.
    pub fn extension(&self, name: &str) -> Option<&Resource<TypedExtensionConfig>> {
        self.ecds.in_force(self, Kind::Ecds, name)
    }

    /// The route configuration in force of that name, its virtual hosts decoded on demand: a dynamic one before a
    /// static one.
    pub fn route_table(
        &self,
        name: &str,
    ) -> Option<(&Resource<RouteConfiguration>, Result<&RouteTable, &DecodeError>)> {
        let nth = self.routes.named(self, Kind::Route, name)?.in_force?;
        Some((self.routes().get(nth)?, self.table(nth)?))
    }

    /// The table of one of [`routes`](Self::routes), of which several may share a name; `None` for any other.
    pub fn table_of(&self, resource: &Resource<RouteConfiguration>) -> Option<Result<&RouteTable, &DecodeError>> {
        self.table(self.routes().iter().position(|route| std::ptr::eq(route, resource))?)
    }

    fn table(&self, nth: usize) -> Option<Result<&RouteTable, &DecodeError>> {
        let resource = self.routes().get(nth)?;
        let tables = self.route_tables.get_or_init(|| self.routes().iter().map(|_| OnceLock::new()).collect());
        Some(tables.get(nth)?.get_or_init(|| RouteTable::read(resource)).as_ref())
    }

    /// Whether the dump has a section of that kind: if not, its resources are not known, rather than none.
    #[must_use]
    pub fn has_section(&self, kind: Kind) -> bool {
        self.document.index.lists.iter().any(|list| list.kind == kind)
            || self.document.index.sections.iter().any(|s| s.kind == Some(kind))
    }

    /// Whether the dump was taken with `include_eds`.
    #[must_use]
    pub fn has_endpoints_section(&self) -> bool {
        self.has_section(Kind::Endpoint)
    }

    /// Sections with their xDS version: kind, type URL, version.
    pub fn sections(&self) -> impl Iterator<Item = (Option<Kind>, &str, Option<&str>)> {
        self.document.index.sections.iter().map(|s| (s.kind, s.type_url.as_str(), s.version.as_deref()))
    }

    /// Elements of the dump that are no known resource: JSON path, and type URL if it has one.
    pub fn unknown_elements(&self) -> impl Iterator<Item = (&str, &str)> {
        self.document.index.unknown.iter().map(|unknown| (unknown.path.as_str(), unknown.type_url.as_str()))
    }

    /// The bootstrap.
    pub fn bootstrap(&self) -> Option<Result<&Bootstrap, &DecodeError>> {
        let decoded = self.bootstrap.get_or_init(|| {
            let (range, path) = self.document.index.bootstrap.clone()?;
            let text = &self.document.text;
            Some(decode(text.slice(range.clone())).map_err(|error| error.at(text.origin(range, path))))
        });
        decoded.as_ref().map(Result::as_ref)
    }

    /// The bootstrap's JSON text as it stands in the file and where that is. Not redacted: not for printing.
    pub(crate) fn bootstrap_text(&self) -> Option<(&[u8], Origin)> {
        let (range, path) = self.document.index.bootstrap.clone()?;
        let text = &self.document.text;
        Some((text.slice(range.clone()), text.origin(range, path)))
    }

    /// The bootstrap's JSON text for printing it: its section as it stands, or the bootstrap alone where it is in none;
    /// redacted. With it, whether it is the section.
    pub(crate) fn printable_bootstrap(&self) -> Option<(Cow<'_, [u8]>, bool)> {
        let (bootstrap, _) = self.document.index.bootstrap.clone()?;
        let holds = |range: &std::ops::Range<usize>| range.start < bootstrap.start && bootstrap.end <= range.end;
        let mut sections = self.document.index.sections.iter();
        let section =
            sections.find(|section| section.type_url.ends_with("BootstrapConfigDump") && holds(&section.range));
        let range = section.map_or(bootstrap.clone(), |section| section.range.clone());
        Some((redact(self.document.text.slice(range)), section.is_some()))
    }

    /// The whole text for printing it, as it stands but redacted; `None` if not all of it is JSON.
    pub(crate) fn printable(&self) -> Option<Cow<'_, [u8]>> {
        let text = &self.document.text;
        sensitive::redact_whole(text.bytes(), text.structure(), self.start)
    }

    /// Identity of the proxy: the bootstrap's node, else that of `server_info`.
    pub fn node(&self) -> Option<&Node> {
        let bootstrap = self.bootstrap().and_then(Result::ok).and_then(|b| b.node.as_ref());
        bootstrap.or_else(|| self.admin.server_info.as_ref().and_then(|info| info.node.as_ref()))
    }

    /// Live status of a cluster from `/clusters`, if that was captured.
    #[must_use]
    pub fn cluster_status(&self, name: &str) -> Option<&pb::ClusterStatus> {
        let statuses = self.admin.cluster_statuses.as_ref()?;
        statuses.all.get(*statuses.by_name.get(name)?)
    }

    /// Live status of all clusters, in the order of `/clusters`; nothing if that wasn't captured.
    pub fn cluster_statuses(&self) -> impl Iterator<Item = &pb::ClusterStatus> {
        self.admin.cluster_statuses.iter().flat_map(|statuses| &statuses.all)
    }

    /// Whether `/clusters` was captured.
    #[must_use]
    pub fn has_cluster_statuses(&self) -> bool {
        self.admin.cluster_statuses.is_some()
    }

    /// `/listeners`, if captured.
    #[must_use]
    pub fn listener_statuses(&self) -> Option<&pb::Listeners> {
        self.admin.listeners.as_ref()
    }

    /// `/server_info`, if captured.
    #[must_use]
    pub fn server_info(&self) -> Option<&pb::ServerInfo> {
        self.admin.server_info.as_ref()
    }

    /// `/certs`, if captured.
    #[must_use]
    pub fn certificates(&self) -> Option<&pb::Certificates> {
        self.admin.certificates.as_ref()
    }

    /// `/init_dump`, if captured.
    #[must_use]
    pub fn init_dump(&self) -> Option<&pb::UnreadyTargetsDumps> {
        self.admin.init_dump.as_ref()
    }
}
