//! istioctl's tables, of messages as it has decoded them (spec/istioctl.md §1).

mod clusters;
mod endpoints;
mod listeners;
mod routes;
mod secrets;
mod versions;

use super::Document;
use super::node::Node;
use crate::render::Table;

pub(super) use clusters::{clusters, sort_by_subset};
pub(super) use endpoints::{assignments, eds, endpoints, has_host};
pub(super) use listeners::{is_wanted, listeners};
pub(super) use routes::{routes, sort as sort_routes};
pub(super) use secrets::{ecds, secrets};
pub(super) use versions::bootstrap;

/// The table `ecds` of filters with their envelopes.
#[must_use]
pub fn ecds_table(filters: &[Document<'_>]) -> String {
    let filters = filters.iter().map(|filter| filter.node().get("ecdsFilter").unwrap_or(filter.node()));
    secrets::ecds_rows(filters)
}

/// Whether rows say of what kind they are: in `all`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Prefix {
    None,
    Kind,
}

/// The text of a table without styles.
fn print(header: &[&'static str], padding: usize, rows: Vec<Vec<String>>) -> String {
    let mut table = Table::new(header, padding);
    for row in rows {
        table.row(row.into_iter().map(Into::into));
    }
    anstream::adapter::strip_str(&table.render()).to_string()
}

/// The object of Istio that a resource comes from.
fn provenance(node: &Node<'_>) -> String {
    let Some(config) = node.path(&["metadata", "filterMetadata", "istio", "config"]) else { return String::new() };
    let path = config.as_text().unwrap_or_default();
    if !path.starts_with("/apis/networking.istio.io/") {
        return "<unknown>".to_owned();
    }
    match path.split('/').collect::<Vec<_>>().as_slice() {
        [_, _, _, _, _, namespace, _, name] => format!("{name}.{namespace}"),
        _ => String::new(),
    }
}

/// What a route matches, without headers and query.
fn route_match(route: &Node<'_>) -> String {
    let Some(matcher) = route.get("match") else { return String::new() };
    let path = matcher.text("path");
    let prefix = matcher.text("prefix");
    let separated = matcher.text("pathSeparatedPrefix");
    let regex = matcher.get("safeRegex");
    if !prefix.is_empty() {
        format!("{prefix}*")
    } else if !separated.is_empty() {
        format!("PathPrefix:{separated}")
    } else if let Some(regex) = regex {
        format!("regex {}", regex.text("regex"))
    } else {
        path.to_owned()
    }
}
