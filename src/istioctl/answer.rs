//! One question to istioctl, and what it prints.

use jiff::Timestamp;

use super::Fault;
use super::document::{Form, raw_yaml};
use super::dump::{Dump, Section, resources, untyped};
use super::json::{self, Dialect};
use super::node::{Node, Shape};
use super::read::{Reader, Rules};
use super::table::{self, Prefix};
use super::write::{self, NotFound};
use crate::inventory::{ClusterFilter, EndpointFilter, ListenerFilter};

/// What is asked of istioctl.
#[derive(Debug, Clone)]
pub struct Query {
    /// What of the dump.
    pub verb: Verb,
    /// In which form.
    pub output: Output,
    /// Time at which certificates are judged.
    pub as_of: Option<Timestamp>,
}

/// The form of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// A table.
    Short,
    /// JSON.
    Json,
    /// YAML.
    Yaml,
    /// A form that istioctl doesn't have.
    Other(String),
}

/// A sub-command of `proxy-config` with its filters.
#[derive(Debug, Clone)]
pub enum Verb {
    /// `bootstrap`
    Bootstrap,
    /// `cluster`
    Clusters(ClusterFilter),
    /// `listener`, with a row a filter chain or one a listener.
    Listeners(ListenerFilter, bool),
    /// `route` of a name, with a row a route or one a configuration.
    Routes(Option<String>, bool),
    /// `endpoint`, of `/clusters?format=json`.
    Endpoints(EndpointFilter),
    /// `eds`, of a dump.
    Eds(EndpointFilter),
    /// `secret`
    Secrets,
    /// `ecds`
    Ecds,
    /// `all`
    All(Box<All>),
}

/// Filters of `all`.
#[derive(Debug, Clone, Default)]
pub struct All {
    /// Which clusters.
    pub clusters: ClusterFilter,
    /// Which listeners.
    pub listeners: ListenerFilter,
    /// Which route configuration.
    pub route: Option<String>,
    /// Which endpoints.
    pub endpoints: EndpointFilter,
    /// A row a filter chain and route.
    pub verbose: bool,
    /// A title over each table.
    pub with_headers: bool,
}

/// What istioctl prints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Standard output.
    pub stdout: Vec<u8>,
    /// Standard error without the newline at its end.
    pub error: Option<String>,
    /// Exit code.
    pub exit: u8,
}

/// Why there is no answer, or no more of it.
#[derive(Debug)]
pub(super) enum Stop {
    /// An error with its text.
    Error(String),
    /// istioctl crashes.
    Crash,
}

impl From<NotFound> for Stop {
    fn from(_: NotFound) -> Self {
        Self::Error("json: error calling MarshalJSON for type proto.MessageSlice: proto: not found".to_owned())
    }
}

/// Answers as istioctl would for a file of these bytes.
#[must_use]
pub fn answer(bytes: &[u8], query: &Query) -> Answer {
    let mut stdout = Vec::new();
    match run(bytes, query, &mut stdout) {
        Ok(()) => Answer { stdout, error: None, exit: 0 },
        Err(Stop::Error(text)) => Answer { stdout, error: Some(format!("Error: {text}")), exit: 1 },
        Err(Stop::Crash) => {
            let error = "panic: runtime error: invalid memory address or nil pointer dereference".to_owned();
            Answer { stdout, error: Some(error), exit: 2 }
        }
    }
}

fn run(bytes: &[u8], query: &Query, stdout: &mut Vec<u8>) -> Result<(), Stop> {
    if let Verb::All(all) = &query.verb {
        return run_all(bytes, all, query, stdout);
    }
    let text = text_of(bytes)?;
    let out = match &query.verb {
        Verb::Endpoints(filter) => endpoints(text, filter, &query.output)?,
        Verb::Bootstrap => bootstrap(&load(text, &[Section::Bootstrap])?, &query.output)?,
        Verb::Clusters(filter) => clusters(&load(text, &[Section::Clusters])?, filter, &query.output)?,
        Verb::Listeners(filter, verbose) => {
            listeners(&load(text, &[Section::Listeners])?, filter, *verbose, &query.output)?
        }
        Verb::Routes(name, verbose) => {
            routes(&load(text, &[Section::Routes])?, name.as_deref(), *verbose, &query.output)?
        }
        Verb::Eds(filter) => eds(&load(text, &[Section::Endpoints])?, filter, &query.output)?,
        Verb::Secrets => secrets(&load(text, &[Section::Secrets])?, query)?,
        Verb::Ecds => ecds(&load(text, &[Section::Ecds])?, &query.output)?,
        Verb::All(_) => String::new(),
    };
    stdout.extend_from_slice(out.as_bytes());
    Ok(())
}

fn text_of(bytes: &[u8]) -> Result<&str, Stop> {
    std::str::from_utf8(bytes).map_err(|error| {
        let before =
            bytes.get(..error.valid_up_to()).and_then(|valid| std::str::from_utf8(valid).ok()).unwrap_or_default();
        unreadable(&Fault::syntax(before, before.len(), "invalid UTF-8 in string"))
    })
}

/// The no-break space is istioctl's.
fn unreadable(fault: &Fault) -> Stop {
    Stop::Error(format!("error unmarshalling config dump response from Envoy: proto:\u{a0}{fault}"))
}

fn load<'a>(text: &'a str, sections: &[Section]) -> Result<Dump<'a>, Stop> {
    Dump::read(text, sections).map_err(|fault| unreadable(&fault))
}

/// The section, or the error that there is none.
fn section<'d, 'a>(dump: &'d Dump<'a>, kind: Section, context: &str) -> Result<&'d Node<'a>, Stop> {
    dump.section(kind)
        .ok_or_else(|| Stop::Error(format!("{context}config dump has no configuration type {}", kind.type_url())))
}

fn unsupported<T>(output: &Output) -> Result<T, Stop> {
    let name = match output {
        Output::Other(name) => name.as_str(),
        Output::Short => "short",
        Output::Json => "json",
        Output::Yaml => "yaml",
    };
    Err(Stop::Error(format!("output format {name:?} not supported")))
}

/// A list of messages as JSON or YAML, and the newline that istioctl ends with.
fn list(nodes: Vec<Node<'_>>, output: &Output) -> Result<String, Stop> {
    let list = Node::List(Shape::Field, nodes);
    Ok(match output {
        Output::Json => write::json(&list)? + "\n",
        Output::Yaml => {
            let yaml = write::yaml(&list)?;
            check_yaml(&list)?;
            yaml + "\n"
        }
        other => return unsupported(other),
    })
}

/// go-yaml reads the JSON before it writes YAML, and doesn't read all of it.
fn check_yaml(node: &Node<'_>) -> Result<(), Stop> {
    if node.all_texts(json::is_yaml) { Ok(()) } else { Err(Stop::Error(format!("yaml: {}", json::NO_YAML))) }
}

/// One message as JSON or YAML.
fn message(node: &Node<'_>, form: Form, output: &Output, context: &str) -> Result<String, Stop> {
    let printed = match output {
        Output::Json if form == Form::Protojson => write::protojson(node),
        Output::Json => write::jsonpb(node),
        Output::Yaml => write::yaml(node),
        other => return unsupported(other),
    };
    match printed {
        Ok(text) => {
            if *output == Output::Yaml {
                check_yaml(node)?;
            }
            Ok(text + "\n")
        }
        Err(NotFound) => Err(Stop::Error(format!("{context}proto: not found"))),
    }
}

fn bootstrap(dump: &Dump<'_>, output: &Output) -> Result<String, Stop> {
    let section = section(dump, Section::Bootstrap, "")?;
    match output {
        Output::Short => Ok(table::bootstrap(section)),
        output => {
            message(&untyped(section), Form::Jsonpb, output, "unable to marshal bootstrap in Envoy config dump: ")
        }
    }
}

fn clusters(dump: &Dump<'_>, filter: &ClusterFilter, output: &Output) -> Result<String, Stop> {
    let clusters = sorted_clusters(dump, filter)?;
    match output {
        Output::Short => Ok(table::clusters(&clusters, Prefix::None)),
        output => list(clusters, output),
    }
}

fn sorted_clusters<'a>(dump: &Dump<'a>, filter: &ClusterFilter) -> Result<Vec<Node<'a>>, Stop> {
    const NAME: &str = "envoy.config.cluster.v3.Cluster";
    let section = section(dump, Section::Clusters, "")?;
    let mut clusters = resources(section, &["dynamicActiveClusters", "staticClusters"], &["cluster"], NAME);
    if clusters.is_empty() {
        return Err(Stop::Error("no clusters found".to_owned()));
    }
    clusters.retain(|cluster| filter.accepts(cluster.text("name")));
    table::sort_by_subset(&mut clusters, "name");
    Ok(clusters)
}

fn listeners(dump: &Dump<'_>, filter: &ListenerFilter, verbose: bool, output: &Output) -> Result<String, Stop> {
    let listeners = all_listeners(dump)?;
    if let Output::Short = output {
        return table::listeners(&listeners, filter, verbose, Prefix::None);
    }
    let mut kept = Vec::new();
    for listener in listeners {
        if table::is_wanted(&listener, filter)? {
            kept.push(listener);
        }
    }
    list(kept, output).map_err(|stop| match stop {
        Stop::Error(text) if text.ends_with("not found") => Stop::Error(format!("failed to marshal listeners: {text}")),
        stop => stop,
    })
}

fn all_listeners<'a>(dump: &Dump<'a>) -> Result<Vec<Node<'a>>, Stop> {
    const NAME: &str = "envoy.config.listener.v3.Listener";
    let section = section(dump, Section::Listeners, "listener dump: ")?;
    let mut listeners = resources(section, &["dynamicListeners"], &["activeState", "listener"], NAME);
    listeners.extend(resources(section, &["staticListeners"], &["listener"], NAME));
    if listeners.is_empty() {
        return Err(Stop::Error("no listeners found".to_owned()));
    }
    Ok(listeners)
}

fn routes(dump: &Dump<'_>, name: Option<&str>, verbose: bool, output: &Output) -> Result<String, Stop> {
    let routes = sorted_routes(dump, name)?;
    match output {
        Output::Short => Ok(table::routes(&routes, verbose, Prefix::None)),
        output => list(routes, output),
    }
}

fn sorted_routes<'a>(dump: &Dump<'a>, name: Option<&str>) -> Result<Vec<Node<'a>>, Stop> {
    const NAME: &str = "envoy.config.route.v3.RouteConfiguration";
    let section = section(dump, Section::Routes, "")?;
    let mut routes = resources(section, &["dynamicRouteConfigs", "staticRouteConfigs"], &["routeConfig"], NAME);
    if routes.is_empty() {
        return Err(Stop::Error("no routes found".to_owned()));
    }
    table::sort_routes(&mut routes);
    routes.retain(|route| name.is_none_or(|name| name.is_empty() || route.text("name") == name));
    Ok(routes)
}

fn eds(dump: &Dump<'_>, filter: &EndpointFilter, output: &Output) -> Result<String, Stop> {
    let assignments = table::assignments(dump, filter);
    match output {
        Output::Short => Ok(table::eds(&assignments, Prefix::None)),
        output => list(assignments, output),
    }
}

fn endpoints(text: &str, filter: &EndpointFilter, output: &Output) -> Result<String, Stop> {
    let fail = |fault: Fault| Stop::Error(format!("error unmarshalling config dump response from Envoy: {fault}"));
    let value = json::read(text, Dialect::Json).map_err(fail)?;
    let clusters = Reader::new(text, Rules::Clusters).named("envoy.admin.v3.Clusters", &value).map_err(fail)?;
    let statuses = clusters.items("clusterStatuses");
    match output {
        Output::Short => Ok(table::endpoints(statuses, filter)),
        output => list(statuses.iter().filter(|status| table::has_host(status, filter)).cloned().collect(), output),
    }
}

fn secrets(dump: &Dump<'_>, query: &Query) -> Result<String, Stop> {
    match &query.output {
        Output::Short => {
            let section = section(dump, Section::Secrets, "")?;
            Ok(table::secrets(section, query.as_of, Prefix::None))
        }
        output => {
            let section = section(dump, Section::Secrets, "sidecar doesn't support secrets: ")?;
            message(&untyped(section), Form::Jsonpb, output, "unable to marshal secrets in Envoy config dump: ")
        }
    }
}

fn ecds(dump: &Dump<'_>, output: &Output) -> Result<String, Stop> {
    section(dump, Section::Ecds, "")?;
    let filters: Vec<Node<'_>> =
        dump.sections(Section::Ecds).flat_map(|section| section.items("ecdsFilters")).cloned().collect();
    if let Output::Short = output {
        return table::ecds(&filters);
    }
    let members =
        if filters.is_empty() { Vec::new() } else { vec![("ecdsFilters".into(), Node::List(Shape::Field, filters))] };
    let node = Node::Object(Shape::Message, members).as_protojson();
    if let (Output::Json | Output::Yaml, Some(url)) = (output, node.unregistered()) {
        let text = format!("google.protobuf.Any: unable to resolve {url:?}: proto: not found");
        return Err(Stop::Error(format!("proto:\u{a0}{text}")));
    }
    message(&node, Form::Protojson, output, "")
}

fn run_all(bytes: &[u8], all: &All, query: &Query, stdout: &mut Vec<u8>) -> Result<(), Stop> {
    match &query.output {
        Output::Json => stdout.extend_from_slice(bytes),
        Output::Yaml => {
            let yaml = raw_yaml(text_of(bytes)?).map_err(|fault| Stop::Error(format!("yaml: {fault}")))?;
            stdout.extend_from_slice(yaml.as_bytes());
        }
        Output::Short => return all_tables(text_of(bytes)?, all, query, stdout),
        other => return unsupported(other),
    }
    stdout.push(b'\n');
    Ok(())
}

fn all_tables(text: &str, all: &All, query: &Query, stdout: &mut Vec<u8>) -> Result<(), Stop> {
    let sections = [
        Section::Bootstrap,
        Section::Clusters,
        Section::Listeners,
        Section::Routes,
        Section::Secrets,
        Section::Endpoints,
    ];
    let dump = load(text, &sections)?;
    let titles = ["BOOTSTRAP", "CLUSTER", "LISTENER", "ROUTE", "SECRET", "ENDPOINTS"];
    for (nth, title) in titles.into_iter().enumerate() {
        if nth > 0 {
            stdout.push(b'\n');
        }
        if all.with_headers {
            stdout.extend_from_slice(format!("------ {title} INFO ------\n\n").as_bytes());
        }
        let out = match nth {
            0 => bootstrap(&dump, &Output::Short)?,
            1 => table::clusters(&sorted_clusters(&dump, &all.clusters)?, Prefix::Kind),
            2 => table::listeners(&all_listeners(&dump)?, &all.listeners, all.verbose, Prefix::Kind)?,
            3 => table::routes(&sorted_routes(&dump, all.route.as_deref())?, all.verbose, Prefix::Kind),
            4 => table::secrets(section(&dump, Section::Secrets, "")?, query.as_of, Prefix::Kind),
            _ => table::eds(&table::assignments(&dump, &all.endpoints), Prefix::Kind),
        };
        stdout.extend_from_slice(out.as_bytes());
    }
    Ok(())
}
