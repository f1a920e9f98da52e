//! Clusters (spec/istioctl.md §1.1).

use rayon::prelude::*;

use super::Listing;
use super::name::SubsetKey;
use super::view::{Metadata, Text};
use crate::dump::{DecodeError, Proxy, Resource};
use crate::proto::envoy::config::cluster::v3::Cluster;

/// Which clusters to list; all that are set must hold. As in istioctl all are parts of the cluster's name.
#[derive(Debug, Clone, Default)]
pub struct ClusterFilter {
    /// Part of the name.
    pub fqdn: Option<String>,
    /// The name has `|PORT|`.
    pub port: Option<u32>,
    /// Part of the name.
    pub subset: Option<String>,
    /// Part of the name.
    pub direction: Option<String>,
}

/// One cluster in force.
#[derive(Debug)]
pub struct ClusterRow<'a> {
    /// The resource.
    pub resource: &'a Resource<Cluster>,
    /// Discovery type, or the name of the custom one.
    pub kind: String,
    /// `NAME.NAMESPACE` of the DestinationRule, or empty.
    pub destination_rule: String,
}

/// The clusters in force in istioctl's order: host, subset, port, direction.
#[must_use]
pub fn clusters<'a>(proxy: &'a Proxy, filter: &ClusterFilter) -> Listing<ClusterRow<'a>> {
    list(proxy, filter, |resource| resource.state.is_in_force())
}

/// The same of clusters in all states: also those that warm.
#[must_use]
pub fn all_clusters<'a>(proxy: &'a Proxy, filter: &ClusterFilter) -> Listing<ClusterRow<'a>> {
    list(proxy, filter, |_| true)
}

fn list<'a>(
    proxy: &'a Proxy,
    filter: &ClusterFilter,
    is_wanted: impl Fn(&Resource<Cluster>) -> bool + Sync,
) -> Listing<ClusterRow<'a>> {
    let entries: Vec<_> = proxy
        .clusters()
        .par_iter()
        .filter(|resource| is_wanted(resource) && filter.accepts(&resource.name))
        .map(|resource| {
            row(resource).map(Some).map_err(|error| format!("cluster {:?} is left out: {error}", resource.name))
        })
        .collect();
    let Listing { rows, warnings } = Listing::collect(entries);
    let mut keyed: Vec<_> = rows.into_iter().map(|row| (SubsetKey::parse(&row.resource.name), row)).collect();
    keyed.par_sort_by(|(a, _), (b, _)| a.order(b));
    Listing { rows: keyed.into_iter().map(|(_, row)| row).collect(), warnings }
}

impl ClusterFilter {
    pub(crate) fn accepts(&self, name: &str) -> bool {
        let has = |part: &Option<String>| part.as_ref().is_none_or(|part| name.contains(part.as_str()));
        has(&self.fqdn)
            && has(&self.subset)
            && has(&self.direction)
            && self.port.is_none_or(|port| name.contains(&format!("|{port}|")))
    }
}

fn row(resource: &Resource<Cluster>) -> Result<ClusterRow<'_>, DecodeError> {
    let [kind, custom, metadata] = resource.pick(["type", "cluster_type", "metadata"])?;
    let fail = |error: serde_json::Error| resource.malformed(&error);
    let custom: CustomType<'_> = read(custom).map_err(fail)?;
    let kind: Text<'_> = read(kind).map_err(fail)?;
    let metadata: Metadata<'_> = read(metadata).map_err(fail)?;
    let kind = match (&*custom.name, &*kind) {
        ("", "") => "STATIC".to_owned(),
        ("", kind) => kind.to_owned(),
        (custom, _) => custom.to_owned(),
    };
    Ok(ClusterRow { resource, kind, destination_rule: metadata.istio_object() })
}

/// A member's view; that of an absent one is empty.
fn read<'a, V: serde::Deserialize<'a> + Default>(member: Option<&'a [u8]>) -> Result<V, serde_json::Error> {
    member.map_or_else(|| Ok(V::default()), serde_json::from_slice)
}

#[derive(Debug, Default, serde::Deserialize)]
struct CustomType<'a> {
    #[serde(borrow, default)]
    name: Text<'a>,
}
