//! ORIGINAL_DST clusters: the host is where the client wanted to go, or what a header, metadata or filter state says.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use serde_json::Value;

use super::Balance;
use crate::proto::Struct;
use crate::proto::envoy::config::cluster::v3::Cluster;
use crate::proto::envoy::config::cluster::v3::cluster::{LbConfig, OriginalDstLbConfig};
use crate::proto::envoy::extensions::clusters::original_dst::v3::OriginalDstCluster;
use crate::proto::envoy::r#type::metadata::v3::MetadataKey;
use crate::proto::envoy::r#type::metadata::v3::metadata_key::path_segment::Segment;
use crate::trace::context::Context;

const FILTER_STATE: &str = "envoy.network.transport_socket.original_dst_address";
const HEADER: &str = "x-envoy-original-dst-host";

/// Where an ORIGINAL_DST cluster sends a request, and how it knows; the error says why nowhere.
pub(super) fn destination(
    cx: &Context<'_>,
    cluster: &Cluster,
    input: &Balance<'_>,
) -> Result<(SocketAddr, String), String> {
    let config = config(cx, cluster);
    let filter_state = match input.stream {
        Some(stream) => stream.filter_state(FILTER_STATE),
        None => input.connection.filter_state.get(FILTER_STATE).map(String::as_str),
    };
    let mut tried = Vec::new();
    let mut found: Option<(SocketAddr, String)> = None;
    if let Some(text) = filter_state {
        found = text.parse().ok().map(|address| (address, format!("filter state {FILTER_STATE}")));
    }
    if found.is_none()
        && let Some(key) = config.metadata_key.as_ref()
    {
        let levels = [input.stream.map(|stream| &stream.metadata), input.connection_metadata];
        let text = levels.into_iter().flatten().find_map(|metadata| metadata_text(metadata, key));
        found = text.and_then(|text| text.parse().ok()).map(|address| (address, format!("metadata {}", key.key)));
        tried.push(format!("no address in metadata {}", key.key));
    }
    if found.is_none() && config.use_http_header {
        let name = if config.http_header_name.is_empty() { HEADER } else { config.http_header_name.as_str() };
        match input.stream.and_then(|stream| stream.headers.get(name)) {
            Some(text) => {
                found = text.parse().ok().map(|address| (address, format!("request header {name}")));
                tried.push(format!("{text:?} in header {name} is no address"));
            }
            None => tried.push(format!("no header {name}")),
        }
    }
    if found.is_none() && input.connection.restored {
        found = Some((input.connection.local, "the connection's original destination".to_owned()));
    }
    match found {
        Some((address, how)) => Ok(match config.upstream_port_override {
            Some(port) => {
                let port = u16::try_from(port.value).unwrap_or_default();
                (SocketAddr::new(address.ip(), port), format!("{how}, with port {port} by upstream_port_override"))
            }
            None => (address, how),
        }),
        None => {
            tried.push("no original destination was restored".to_owned());
            Err(tried.join(", "))
        }
    }
}

fn config(cx: &Context<'_>, cluster: &Cluster) -> OriginalDstLbConfig {
    use crate::proto::envoy::config::cluster::v3::cluster::ClusterDiscoveryType;
    if let Some(ClusterDiscoveryType::ClusterType(custom)) = cluster.cluster_discovery_type.as_ref()
        && let Some(any) = custom.typed_config.as_ref()
        && let Ok(typed) = cx.cache.decode::<OriginalDstCluster>(any)
    {
        return OriginalDstLbConfig {
            use_http_header: typed.use_http_header,
            http_header_name: typed.http_header_name.clone(),
            upstream_port_override: typed.upstream_port_override,
            metadata_key: typed.metadata_key.clone(),
        };
    }
    match cluster.lb_config.as_ref() {
        Some(LbConfig::OriginalDstLbConfig(config)) => config.clone(),
        _ => OriginalDstLbConfig::default(),
    }
}

/// The text at a path of metadata; of a list the first.
pub(super) fn metadata_text<'m>(metadata: &'m BTreeMap<String, Struct>, key: &MetadataKey) -> Option<&'m str> {
    let mut path = key.path.iter().filter_map(|segment| segment.segment.as_ref()).map(|Segment::Key(key)| key.as_str());
    let first = metadata.get(&key.key)?.get(path.next()?)?;
    let value = path.try_fold(first, |value, key| value.as_object()?.get(key))?;
    match value {
        Value::Array(values) => values.first()?.as_str(),
        value => value.as_str(),
    }
}
