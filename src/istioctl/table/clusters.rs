//! `proxy-config cluster`

use super::super::node::Node;
use super::{Prefix, print, provenance};
use crate::inventory::{SubsetKey, go_sort};

/// Sorts by host, subset, port and direction of a name.
pub(crate) fn sort_by_subset(nodes: &mut [Node<'_>], name: &str) {
    go_sort::sort(nodes, |a, b| SubsetKey::parse(a.text(name)).order(&SubsetKey::parse(b.text(name))).is_lt());
}

/// One row a cluster.
pub(crate) fn clusters(clusters: &[Node<'_>], prefix: Prefix) -> String {
    let mut header = vec!["SERVICE FQDN", "PORT", "SUBSET", "DIRECTION", "TYPE", "DESTINATION RULE"];
    if prefix == Prefix::Kind {
        header.insert(0, "NAME");
    }
    let rows = clusters.iter().map(|cluster| {
        let name = cluster.text("name");
        let key = SubsetKey::parse(name);
        let kind = match cluster.get("type") {
            Some(Node::Text(kind) | Node::Number(kind)) => kind.to_string(),
            _ => "STATIC".to_owned(),
        };
        let shown = if prefix == Prefix::Kind { format!("cluster/{name}") } else { name.to_owned() };
        let dash = || "-".to_owned();
        let mut row = if key.is_subset_key {
            let subset = if key.subset.is_empty() { dash() } else { key.subset.to_owned() };
            vec![key.host.to_owned(), key.port.to_string(), subset, key.direction.to_owned()]
        } else {
            vec![shown.clone(), dash(), dash(), dash()]
        };
        row.extend([kind, provenance(cluster)]);
        if prefix == Prefix::Kind {
            row.insert(0, shown);
        }
        row
    });
    print(&header, 5, rows.collect())
}
