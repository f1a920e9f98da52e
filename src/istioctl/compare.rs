//! `istioctl proxy-status POD`: what istiod means a proxy to have against what it has (spec/istioctl.md §4).
//!
//! Both dumps are brought into one form, without versions and times and in the order of names, printed as JSON, and
//! the texts are compared.

use jiff::Timestamp;

use super::Fault;
use super::answer::Answer;
use super::dump::{Dump, Section, untyped};
use super::node::{Node, Shape};
use super::unified::unified;
use super::write;
use crate::inventory::go_sort;

/// A section that is compared.
struct Compared {
    section: Section,
    /// In the plural, as it is printed.
    title: &'static str,
    list: &'static str,
    /// Path from an element of the list to the resource.
    resource: &'static [&'static str],
    message: &'static str,
}

const COMPARED: [Compared; 3] = [
    Compared {
        section: Section::Clusters,
        title: "Clusters",
        list: "dynamicActiveClusters",
        resource: &["cluster"],
        message: "envoy.config.cluster.v3.Cluster",
    },
    Compared {
        section: Section::Listeners,
        title: "Listeners",
        list: "dynamicListeners",
        resource: &["activeState", "listener"],
        message: "envoy.config.listener.v3.Listener",
    },
    Compared {
        section: Section::Routes,
        title: "Routes",
        list: "dynamicRouteConfigs",
        resource: &["routeConfig"],
        message: "envoy.config.route.v3.RouteConfiguration",
    },
];

/// Compares istiod's dump of a proxy with the proxy's own.
#[must_use]
pub fn compare(istiod: &[u8], envoy: &[u8]) -> Answer {
    match run(istiod, envoy) {
        Ok(text) => Answer { stdout: text.into_bytes(), error: None, exit: 0 },
        Err(fault) => Answer { stdout: Vec::new(), error: Some(format!("Error: {fault}")), exit: 1 },
    }
}

fn run(istiod: &[u8], envoy: &[u8]) -> Result<String, Fault> {
    let sections = COMPARED.map(|compared| compared.section);
    let read = |bytes| -> Result<Dump<'_>, Fault> {
        let text = std::str::from_utf8(bytes).map_err(|error| Fault::new(error.to_string()))?;
        Dump::read(text, &sections)
    };
    let (istiod, envoy) = (read(istiod)?, read(envoy)?);
    let mut out = String::new();
    for compared in &COMPARED {
        let title = compared.title;
        let loaded = match compared.section {
            Section::Routes => last_loaded(&envoy),
            _ => String::new(),
        };
        let (ours, theirs) = (compared.text(&istiod), compared.text(&envoy));
        match unified(&format!("Istiod {title}"), &ours, &format!("Envoy {title}"), &theirs) {
            None => out.push_str(&format!("{title} Match{loaded}\n")),
            Some(diff) => out.push_str(&format!("{title} Don't Match{loaded}\n{diff}\n")),
        }
    }
    Ok(out)
}

/// When the newest of the proxy's routes came.
fn last_loaded(envoy: &Dump<'_>) -> String {
    let routes = envoy.section(Section::Routes).map(|section| section.items("dynamicRouteConfigs")).unwrap_or_default();
    let newest: Option<Timestamp> = routes.iter().filter_map(|route| route.text("lastUpdated").parse().ok()).max();
    match newest {
        Some(time) => format!(" (RDS last loaded at {})", time.strftime("%a, %d %b %Y %H:%M:%S UTC")),
        None => String::new(),
    }
}

impl Compared {
    /// The section in the form that is compared; the error that istioctl has where there is none stands for its text.
    fn text(&self, dump: &Dump<'_>) -> String {
        let Some(section) = dump.section(self.section) else {
            return format!("config dump has no configuration type {}", self.section.type_url());
        };
        let entries = section.items(self.list).iter().filter(|entry| entry.path(self.resource).is_some());
        let mut entries: Vec<(String, Node<'_>)> = entries.map(|entry| self.entry(entry)).collect();
        go_sort::sort(&mut entries, |a, b| a.0 < b.0);
        let entries: Vec<Node<'_>> = entries.into_iter().map(|(_, entry)| entry).collect();
        let members =
            if entries.is_empty() { Vec::new() } else { vec![(self.list.into(), Node::List(Shape::Field, entries))] };
        // Nothing that can't be printed is left.
        write::jsonpb(&Node::Object(Shape::Message, members)).unwrap_or_default()
    }

    /// An element of the list, with the name of the resource in it.
    fn entry<'a>(&self, entry: &Node<'a>) -> (String, Node<'a>) {
        let name = entry.path(self.resource).map(|resource| resource.text("name")).unwrap_or_default().to_owned();
        (name, self.strip(entry, self.resource))
    }

    /// The same without version, time and what only one side has, and the resource at the end of `path` in its form.
    fn strip<'a>(&self, node: &Node<'a>, path: &[&str]) -> Node<'a> {
        let Some((first, rest)) = path.split_first() else { return self.resource(node) };
        let is_left_out = |name: &str| {
            matches!(name, "versionInfo" | "lastUpdated")
                || (self.section == Section::Listeners && matches!(name, "drainingState" | "name"))
        };
        let members = node.members().iter().filter(|(name, _)| !is_left_out(name));
        let members = members.map(|(name, member)| {
            let member = if name == first { self.strip(member, rest) } else { printable(member) };
            (name.clone(), member)
        });
        Node::Object(Shape::Message, members.collect())
    }

    /// The resource, of the current type whatever it says, virtual hosts in the order of their names.
    fn resource<'a>(&self, resource: &Node<'a>) -> Node<'a> {
        let message = printable(&resource.clone().into_message(self.message));
        let url = format!("type.googleapis.com/{}", self.message);
        let mut members = vec![("@type".into(), Node::Text(url.into()))];
        for (name, member) in untyped(&message).members() {
            let member = match member {
                Node::List(shape, hosts) if name == "virtualHosts" => {
                    let mut hosts = hosts.clone();
                    go_sort::sort(&mut hosts, |a, b| a.text("name") < b.text("name"));
                    Node::List(*shape, hosts)
                }
                other => other.clone(),
            };
            members.push((name.clone(), member));
        }
        Node::Object(Shape::Message, members)
    }
}

/// The same with a stand-in for each `Any` that istioctl doesn't know: they compare equal.
fn printable<'a>(node: &Node<'a>) -> Node<'a> {
    match node {
        Node::Unregistered(_) => Node::Object(Shape::Message, Vec::new()),
        Node::List(shape, items) => Node::List(*shape, items.iter().map(printable).collect()),
        Node::Object(shape, members) => {
            Node::Object(*shape, members.iter().map(|(name, member)| (name.clone(), printable(member))).collect())
        }
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compared(istiod: &str, envoy: &str) -> String {
        let dump = |configs: &str| format!("{{\"configs\": [{configs}]}}").into_bytes();
        String::from_utf8(compare(&dump(istiod), &dump(envoy)).stdout).unwrap()
    }

    #[test]
    fn order_versions_and_times_do_not_count() {
        let section = |first: &str, second: &str, version: &str| {
            let cluster = |name: &str| {
                format!(
                    r#"{{"version_info": "{version}", "last_updated": "2026-01-0{version}T00:00:00Z",
                        "cluster": {{"@type": "type.googleapis.com/envoy.config.cluster.v3.Cluster", "name": "{name}"}}}}"#
                )
            };
            format!(
                r#"{{"@type": "type.googleapis.com/envoy.admin.v3.ClustersConfigDump", "version_info": "{version}",
                    "dynamic_active_clusters": [{}, {}]}}"#,
                cluster(first),
                cluster(second)
            )
        };
        let text = compared(&section("a", "b", "1"), &section("b", "a", "2"));
        assert_eq!(text, "Clusters Match\nListeners Match\nRoutes Match\n");
    }

    #[test]
    fn a_section_that_is_not_there_is_a_difference() {
        let routes = r#"{"@type": "type.googleapis.com/envoy.admin.v3.RoutesConfigDump", "dynamic_route_configs": [
            {"last_updated": "2026-01-02T03:04:05.678Z", "route_config": {
                "@type": "type.googleapis.com/envoy.config.route.v3.RouteConfiguration", "name": "80"}}]}"#;
        let text = compared("", routes);
        assert!(
            text.contains("Routes Don't Match (RDS last loaded at Fri, 02 Jan 2026 03:04:05 UTC)\n--- Istiod Routes")
        );
        assert!(text.contains("-config dump has no configuration type"), "{text}");
    }
}
