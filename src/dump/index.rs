//! The index of a dump: which resource stands where, in which section and state. Nothing is decoded here.
//!
//! All forms that a dump comes in lead to the same lists (semantics §1.1, §1.2): the list of sections, the map of
//! 2018, one section alone, the elements of `?resource=`, bare resources as `istioctl proxy-config … -o json` prints
//! them, and a bootstrap with static resources. Members are known by name in both spellings, so the order of members
//! and the envelope's type don't matter.

use std::borrow::Cow;
use std::ops::Range;

use super::kind::{Kind, State};
use super::scan::{Closers, ScanError, Scanner};

/// Where everything stands in the bytes of a dump.
#[derive(Debug, Default)]
pub(crate) struct Index {
    /// Lists of resources in the order of the file.
    pub(crate) lists: Vec<List>,
    /// The bootstrap and its JSON path.
    pub(crate) bootstrap: Option<(Range<usize>, String)>,
    /// Sections in the order of the file: type URL (may be empty), JSON path, version.
    pub(crate) sections: Vec<Section>,
    /// Cluster statuses printed by `istioctl proxy-config endpoints -o json`.
    pub(crate) cluster_statuses: Vec<Range<usize>>,
    /// Where the text was cut off, if it was.
    pub(crate) cut: Option<Cut>,
    /// Bytes after the document.
    pub(crate) trailing: usize,
    /// Elements that are no known resource: JSON path and type URL.
    pub(crate) unknown: Vec<(String, String)>,
}

/// One section (a `*ConfigDump` message).
#[derive(Debug, Clone)]
pub(crate) struct Section {
    pub(crate) type_url: String,
    pub(crate) path: String,
    pub(crate) version: Option<String>,
    pub(crate) kind: Option<Kind>,
}

/// One list of resources of a kind.
#[derive(Debug)]
pub(crate) struct List {
    pub(crate) kind: Kind,
    pub(crate) state: State,
    /// JSON path of the list, or of the single element where `element` is false.
    pub(crate) path: String,
    /// Member of an element that holds the resource, in snake_case; `None` where the element is the resource.
    pub(crate) body: Option<&'static str>,
    /// Whether `path` needs an index to name an element.
    pub(crate) indexed: bool,
    pub(crate) elements: Vec<Range<usize>>,
}

/// A truncated text.
#[derive(Debug, Clone)]
pub(crate) struct Cut {
    /// JSON path of the value that isn't whole.
    pub(crate) path: String,
    pub(crate) offset: usize,
}

/// An index can't be built.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum IndexError {
    /// The text isn't JSON.
    #[error("{error}, in {path}")]
    Syntax {
        /// Where and what.
        error: ScanError,
        /// JSON path of the innermost value that was entered.
        path: String,
    },
    /// JSON, but nothing of a dump.
    #[error("this is JSON, but neither a config_dump nor a resource of one{0}")]
    Nothing(String),
}

/// Members that are lists of resources: name, kind, state, member with the resource.
const LISTS: &[(&str, Kind, State, &str)] = &[
    ("static_listeners", Kind::Listener, State::Static, "listener"),
    ("dynamic_listeners", Kind::Listener, State::Active, ""),
    ("dynamic_active_listeners", Kind::Listener, State::Active, "listener"),
    ("dynamic_warming_listeners", Kind::Listener, State::Warming, "listener"),
    ("dynamic_draining_listeners", Kind::Listener, State::Draining, "listener"),
    ("static_route_configs", Kind::Route, State::Static, "route_config"),
    ("dynamic_route_configs", Kind::Route, State::Active, "route_config"),
    ("inline_scoped_route_configs", Kind::ScopedRoute, State::Static, "scoped_route_configs"),
    ("dynamic_scoped_route_configs", Kind::ScopedRoute, State::Active, "scoped_route_configs"),
    ("static_clusters", Kind::Cluster, State::Static, "cluster"),
    ("dynamic_active_clusters", Kind::Cluster, State::Active, "cluster"),
    ("dynamic_warming_clusters", Kind::Cluster, State::Warming, "cluster"),
    ("static_endpoint_configs", Kind::Endpoint, State::Static, "endpoint_config"),
    ("dynamic_endpoint_configs", Kind::Endpoint, State::Active, "endpoint_config"),
    ("static_secrets", Kind::Secret, State::Static, "secret"),
    ("dynamic_active_secrets", Kind::Secret, State::Active, "secret"),
    ("dynamic_warming_secrets", Kind::Secret, State::Warming, "secret"),
    ("ecds_filters", Kind::Ecds, State::Active, "ecds_filter"),
];

/// Elements of `?resource=` by the end of their type, each with the list that they come from (warming and active are
/// one type).
const ELEMENTS: &[(&str, &str)] = &[
    ("StaticListener", "static_listeners"),
    ("DynamicListener", "dynamic_listeners"),
    ("StaticRouteConfig", "static_route_configs"),
    ("DynamicRouteConfig", "dynamic_route_configs"),
    ("InlineScopedRouteConfigs", "inline_scoped_route_configs"),
    ("DynamicScopedRouteConfigs", "dynamic_scoped_route_configs"),
    ("StaticCluster", "static_clusters"),
    ("DynamicCluster", "dynamic_active_clusters"),
    ("StaticEndpointConfig", "static_endpoint_configs"),
    ("DynamicEndpointConfig", "dynamic_endpoint_configs"),
    ("StaticSecret", "static_secrets"),
    ("DynamicSecret", "dynamic_active_secrets"),
    ("EcdsFilterConfig", "ecds_filters"),
];

/// Bare resources by type name and by the members that only they have.
const RESOURCES: &[(&str, Kind, &[&str])] = &[
    (
        "Listener",
        Kind::Listener,
        &[
            "filter_chains",
            "listener_filters",
            "default_filter_chain",
            "filter_chain_matcher",
            "traffic_direction",
            "bind_to_port",
        ],
    ),
    (
        "RouteConfiguration",
        Kind::Route,
        &["virtual_hosts", "validate_clusters", "ignore_port_in_host_matching", "vhds"],
    ),
    (
        "Cluster",
        Kind::Cluster,
        &[
            "connect_timeout",
            "lb_policy",
            "eds_cluster_config",
            "load_assignment",
            "cluster_type",
            "circuit_breakers",
            "hosts",
            "transport_socket_matches",
        ],
    ),
    ("ClusterLoadAssignment", Kind::Endpoint, &["cluster_name", "endpoints"]),
    ("Secret", Kind::Secret, &["tls_certificate", "validation_context", "session_ticket_keys", "generic_secret"]),
    ("TypedExtensionConfig", Kind::Ecds, &[]),
];

/// Builds the index of the document that starts at `start`.
pub(crate) fn index(bytes: &[u8], start: usize) -> Result<Index, IndexError> {
    let closers = element_indent(bytes, start).map(|indent| Closers::find(bytes, indent));
    let mut builder = Builder { bytes, index: Index::default(), path: Vec::new() };
    let mut scanner = Scanner::new(bytes, start);
    if let Some(closers) = &closers {
        scanner = scanner.with_closers(closers);
    }
    let result = builder.document(&mut scanner);
    let Builder { mut index, path, .. } = builder;
    match result {
        Ok(()) => {
            let rest = bytes.get(scanner.pos()..).unwrap_or_default();
            index.trailing = rest.iter().filter(|b| !b.is_ascii_whitespace()).count();
        }
        Err(ScanError::Truncated { offset }) => index.cut = Some(Cut { path: path.concat(), offset }),
        Err(error) => return Err(IndexError::Syntax { error, path: path.concat() }),
    }
    let nothing = index.lists.is_empty()
        && index.bootstrap.is_none()
        && index.sections.is_empty()
        && index.cluster_statuses.is_empty();
    if nothing {
        let seen = index.unknown.first().map(|(_, what)| format!(" ({what})")).unwrap_or_default();
        return Err(IndexError::Nothing(seen));
    }
    Ok(index)
}

/// Indentation of a resource in a pretty-printed dump: four steps of the indentation of the second line.
fn element_indent(bytes: &[u8], start: usize) -> Option<usize> {
    let body = bytes.get(start..)?.strip_prefix(b"{")?;
    let body = body.strip_prefix(b"\r").unwrap_or(body).strip_prefix(b"\n")?;
    let step = body.iter().take(9).take_while(|b| **b == b' ').count();
    (1..=8).contains(&step).then_some(step * 4)
}

/// A member's name in snake_case: protobuf's JSON names are a pure function of it (semantics §1.1).
pub(crate) fn snake(key: &str) -> Cow<'_, str> {
    let key = key.strip_prefix("hidden_envoy_deprecated_").unwrap_or(key);
    if !key.bytes().any(|b| b.is_ascii_uppercase()) {
        return Cow::Borrowed(key);
    }
    let mut out = String::with_capacity(key.len() + 4);
    for c in key.chars() {
        if c.is_ascii_uppercase() {
            out.push('_');
        }
        out.push(c.to_ascii_lowercase());
    }
    Cow::Owned(out)
}

struct Builder<'a> {
    bytes: &'a [u8],
    index: Index,
    /// JSON path of the value being walked, a part an element; left as it is when the walk fails.
    path: Vec<String>,
}

/// What the members of one object say about it.
#[derive(Default)]
struct Item {
    type_url: String,
    version: Option<String>,
    /// Lists or a bootstrap were found among its members.
    is_section: bool,
    kind: Option<Kind>,
    keys: Vec<String>,
}

impl<'a> Builder<'a> {
    fn document(&mut self, scanner: &mut Scanner<'a>) -> Result<(), ScanError> {
        match scanner.peek()? {
            b'[' => self.items(scanner),
            _ => self.item(scanner, true),
        }
    }

    fn here(&self) -> String {
        self.path.concat()
    }

    /// Runs `inside` with one more part of the JSON path; the part stays when it fails, to say where.
    fn within(
        &mut self,
        part: String,
        inside: impl FnOnce(&mut Self) -> Result<(), ScanError>,
    ) -> Result<(), ScanError> {
        let part = if self.path.is_empty() { part.trim_start_matches('.').to_owned() } else { part };
        self.path.push(part);
        inside(self)?;
        self.path.pop();
        Ok(())
    }

    /// An array of sections, elements or bare resources.
    fn items(&mut self, scanner: &mut Scanner<'a>) -> Result<(), ScanError> {
        scanner.array(|scanner, nth| {
            self.within(format!("[{nth}]"), |this| match scanner.peek()? {
                b'{' => this.item(scanner, false),
                _ => scanner.skip().map(|_| ()),
            })
        })
    }

    /// One object: the whole dump, a section, an element of one, a bootstrap or a bare resource.
    fn item(&mut self, scanner: &mut Scanner<'a>, is_root: bool) -> Result<(), ScanError> {
        let mut copy = *scanner;
        if scanner.peek()? == b'{' && self.is_element(&mut copy) {
            // Members of an element or a bare resource aren't looked into now.
            let range = scanner.skip()?;
            self.element(range);
            return Ok(());
        }
        let start = scanner.pos();
        let mut item = Item::default();
        scanner.object(|scanner, key| {
            let name = snake(&key).into_owned();
            self.within(format!(".{key}"), |this| this.member(scanner, &name, &mut item))
        })?;
        let range = start..scanner.pos();
        if item.is_section {
            if !(is_root && item.type_url.is_empty() && item.kind.is_none()) {
                self.index.sections.push(Section {
                    type_url: item.type_url,
                    path: self.here(),
                    version: item.version,
                    kind: item.kind,
                });
            }
        } else if item
            .keys
            .iter()
            .any(|key| matches!(key.as_str(), "static_resources" | "dynamic_resources" | "admin" | "node"))
        {
            self.bootstrap(range)?;
        } else {
            let known_section = item.type_url.ends_with("ConfigDump");
            if known_section {
                let kind = section_kind(&item.type_url);
                if kind.is_none() && !item.type_url.ends_with("BootstrapConfigDump") {
                    self.index.unknown.push((self.here(), item.type_url.clone()));
                }
                self.index.sections.push(Section {
                    type_url: item.type_url,
                    path: self.here(),
                    version: item.version,
                    kind,
                });
            } else {
                let what =
                    if item.type_url.is_empty() { format!("members {}", item.keys.join(", ")) } else { item.type_url };
                self.index.unknown.push((self.here(), what));
            }
        }
        Ok(())
    }

    /// Looks at the first members of an object: is it one resource, rather than something that holds lists of them?
    fn is_element(&self, scanner: &mut Scanner<'a>) -> bool {
        let mut verdict = None;
        let mut seen = 0;
        let _ = scanner.object(|scanner, key| {
            seen += 1;
            let name = snake(&key);
            if name == "@type" {
                let url = scanner.string().map(super::scan::text).unwrap_or_default();
                verdict = Some(list_of_element(&url).is_some() || kind_of_resource(&url).is_some());
            } else if name == "configs" || name == "bootstrap" || LISTS.iter().any(|(list, ..)| *list == name) {
                verdict = Some(false);
            } else if RESOURCES.iter().any(|(_, _, keys)| keys.contains(&name.as_ref()))
                || matches!(name.as_ref(), "host_statuses" | "added_via_api")
            {
                verdict = Some(true);
            } else if matches!(name.as_ref(), "static_resources" | "dynamic_resources" | "node" | "admin") {
                verdict = Some(false);
            }
            if verdict.is_some() || seen > 64 {
                // Any error ends the walk: what was wanted is known.
                return Err(ScanError::Truncated { offset: 0 });
            }
            scanner.skip().map(|_| ())
        });
        verdict.unwrap_or(false)
    }

    fn member(&mut self, scanner: &mut Scanner<'a>, name: &str, item: &mut Item) -> Result<(), ScanError> {
        if let Some((_, kind, state, body)) = LISTS.iter().find(|(list, ..)| *list == name) {
            item.is_section = true;
            item.kind = Some(*kind);
            return match scanner.peek()? {
                b'[' => self.list(scanner, *kind, *state, body),
                _ => scanner.skip().map(|_| ()),
            };
        }
        match (name, scanner.peek()?) {
            ("@type", b'"') => item.type_url = super::scan::text(scanner.string()?).into_owned(),
            ("version_info", b'"') => item.version = Some(super::scan::text(scanner.string()?).into_owned()),
            ("configs", b'[') => {
                item.is_section = true;
                self.items(scanner)?;
            }
            ("configs", b'{') => {
                item.is_section = true;
                scanner.object(|scanner, key| {
                    self.within(format!(".{key}"), |this| match scanner.peek()? {
                        b'{' => this.item(scanner, false),
                        _ => scanner.skip().map(|_| ()),
                    })
                })?;
            }
            ("bootstrap", b'{') => {
                item.is_section = true;
                let range = scanner.skip()?;
                self.index.bootstrap.get_or_insert((range, self.path.concat()));
            }
            _ => {
                item.keys.push(name.to_owned());
                scanner.skip()?;
            }
        }
        Ok(())
    }

    fn list(
        &mut self,
        scanner: &mut Scanner<'a>,
        kind: Kind,
        state: State,
        body: &'static str,
    ) -> Result<(), ScanError> {
        let list = self.index.lists.len();
        let body = (!body.is_empty()).then_some(body);
        self.index.lists.push(List { kind, state, path: self.here(), body, indexed: true, elements: Vec::new() });
        scanner.array(|scanner, nth| {
            self.within(format!("[{nth}]"), |this| {
                let range = scanner.skip()?;
                if let Some(list) = this.index.lists.get_mut(list) {
                    list.elements.push(range);
                }
                Ok(())
            })
        })
    }

    /// An element of `?resource=` or a bare resource.
    fn element(&mut self, range: Range<usize>) {
        let bytes = self.bytes.get(..range.end).unwrap_or_default();
        let mut url = String::new();
        let mut keys = Vec::new();
        let _ = Scanner::new(bytes, range.start).object(|scanner, key| {
            let name = snake(&key).into_owned();
            if name == "@type" && scanner.peek()? == b'"' {
                url = super::scan::text(scanner.string()?).into_owned();
                return Ok(());
            }
            keys.push(name);
            scanner.skip().map(|_| ())
        });
        let path = self.here();
        if let Some((_, kind, state, body)) = list_of_element(&url) {
            let body = (!body.is_empty()).then_some(*body);
            self.index.lists.push(List {
                kind: *kind,
                state: *state,
                path,
                body,
                indexed: false,
                elements: vec![range],
            });
        } else if let Some(kind) = kind_of_resource(&url).or_else(|| kind_by_keys(&keys)) {
            self.index.lists.push(List {
                kind,
                state: State::Active,
                path,
                body: None,
                indexed: false,
                elements: vec![range],
            });
        } else if keys.iter().any(|key| key == "host_statuses" || key == "added_via_api") {
            self.index.cluster_statuses.push(range);
        } else {
            let what = if url.is_empty() { format!("members {}", keys.join(", ")) } else { url };
            self.index.unknown.push((path, what));
        }
    }

    /// A bootstrap alone: its static resources are the resources of the proxy.
    fn bootstrap(&mut self, range: Range<usize>) -> Result<(), ScanError> {
        let path = self.here();
        let bytes = self.bytes.get(..range.end).unwrap_or_default();
        self.index.bootstrap.get_or_insert((range.clone(), path));
        Scanner::new(bytes, range.start).object(|scanner, key| {
            if snake(&key) != "static_resources" || scanner.peek()? != b'{' {
                return scanner.skip().map(|_| ());
            }
            self.within(format!(".{key}"), |this| {
                scanner.object(|scanner, key| {
                    let kind = match key.as_ref() {
                        "listeners" => Kind::Listener,
                        "clusters" => Kind::Cluster,
                        "secrets" => Kind::Secret,
                        _ => return scanner.skip().map(|_| ()),
                    };
                    this.within(format!(".{key}"), |this| this.list(scanner, kind, State::Static, ""))
                })
            })
        })
    }
}

fn section_kind(url: &str) -> Option<Kind> {
    let name = url.rsplit('.').next()?;
    Some(match name {
        "ListenersConfigDump" => Kind::Listener,
        "RoutesConfigDump" => Kind::Route,
        "ScopedRoutesConfigDump" => Kind::ScopedRoute,
        "ClustersConfigDump" => Kind::Cluster,
        "EndpointsConfigDump" => Kind::Endpoint,
        "SecretsConfigDump" => Kind::Secret,
        "EcdsConfigDump" => Kind::Ecds,
        _ => return None,
    })
}

fn list_of_element(url: &str) -> Option<&'static (&'static str, Kind, State, &'static str)> {
    let (section, name) = url.rsplit_once('.')?;
    if !section.ends_with("ConfigDump") {
        return None;
    }
    let (_, list) = ELEMENTS.iter().find(|(element, _)| *element == name)?;
    LISTS.iter().find(|(field, ..)| field == list)
}

fn kind_of_resource(url: &str) -> Option<Kind> {
    let name = url.rsplit('.').next()?;
    RESOURCES.iter().find(|(resource, ..)| *resource == name).map(|(_, kind, _)| *kind)
}

/// The kind whose own members are most among the keys.
fn kind_by_keys(keys: &[String]) -> Option<Kind> {
    RESOURCES
        .iter()
        .map(|(_, kind, own)| (keys.iter().filter(|key| own.contains(&key.as_str())).count(), *kind))
        .rev()
        .max_by_key(|(count, _)| *count)
        .filter(|(count, _)| *count > 0)
        .map(|(_, kind)| kind)
}
