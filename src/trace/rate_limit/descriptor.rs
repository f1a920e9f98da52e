//! Descriptors: what the actions of a rate limit make of a request.

use std::net::IpAddr;

use ipnet::IpNet;
use serde_json::Value;

use crate::proto::envoy::config::route::v3::RateLimit;
use crate::proto::envoy::config::route::v3::rate_limit::action::meta_data::Source;
use crate::proto::envoy::config::route::v3::rate_limit::action::{
    ActionSpecifier, HeaderValueMatch, MetaData, RemoteAddressMatch,
};
use crate::proto::envoy::r#type::metadata::v3::MetadataKey;
use crate::proto::envoy::r#type::metadata::v3::metadata_key::path_segment::Segment;
use crate::trace::context::{Context, Selected, Stream};
use crate::trace::matcher::{cidr, header, metadata, query};
use crate::trace::walk::Walk;

/// Key and value, in the order of the actions.
pub(crate) type Descriptor = Vec<(String, String)>;

/// What the actions look at.
pub(crate) struct Looked<'a> {
    pub(crate) cx: &'a Context<'a>,
    pub(crate) stream: &'a Stream,
    pub(crate) selected: Option<&'a Selected<'a>>,
}

impl Looked<'_> {
    /// The descriptors of the rate limits of a stage; one whose actions don't all give an entry is left out.
    pub(crate) fn descriptors<'r>(
        &self,
        walk: &mut Walk,
        limits: impl IntoIterator<Item = &'r RateLimit>,
        stage: Option<u32>,
    ) -> Vec<Descriptor> {
        let mut found = Vec::new();
        for limit in limits {
            let of_stage = stage.is_none_or(|stage| limit.stage.map_or(0, |stage| stage.value) == stage);
            if of_stage && !self.is_disabled(limit) {
                let entries = limit.actions.iter().filter_map(|action| {
                    let entry = self.entry(walk, action.action_specifier.as_ref());
                    // A value that may be absent leaves the other entries alone, any other one takes them along.
                    if entry.is_none() && may_be_absent(action.action_specifier.as_ref()) { None } else { Some(entry) }
                });
                found.extend(entries.collect::<Option<Descriptor>>().filter(|entries| !entries.is_empty()));
            }
        }
        found
    }

    fn is_disabled(&self, limit: &RateLimit) -> bool {
        !limit.disable_key.is_empty()
            && !self.cx.guard(&format!("ratelimit.{}.http_filter_enabled", limit.disable_key), true)
    }

    /// The entry of one action; `None` drops the whole descriptor.
    fn entry(&self, walk: &mut Walk, action: Option<&ActionSpecifier>) -> Option<(String, String)> {
        let headers = &self.stream.headers;
        let named = |key: &str, default: &str| if key.is_empty() { default.to_owned() } else { key.to_owned() };
        match action? {
            ActionSpecifier::SourceCluster(_) => {
                let cluster = self.cx.proxy.node().map(|node| node.cluster.clone()).unwrap_or_default();
                Some(("source_cluster".to_owned(), cluster))
            }
            ActionSpecifier::DestinationCluster(_) => {
                Some(("destination_cluster".to_owned(), self.selected.and_then(|s| s.cluster.clone())?))
            }
            ActionSpecifier::RequestHeaders(action) => {
                Some((action.descriptor_key.clone(), headers.get(&action.header_name)?.to_owned()))
            }
            ActionSpecifier::QueryParameters(action) => {
                let value = query::decoded_parameter(headers.path(), &action.query_parameter_name)?;
                Some((action.descriptor_key.clone(), value))
            }
            ActionSpecifier::RemoteAddress(_) => {
                Some(("remote_address".to_owned(), self.stream.remote_ip().to_string()))
            }
            ActionSpecifier::MaskedRemoteAddress(action) => {
                let (ip, len) = match self.stream.remote_ip() {
                    ip @ IpAddr::V4(_) => (ip, action.v4_prefix_mask_len.map_or(32, |len| len.value)),
                    ip @ IpAddr::V6(_) => (ip, action.v6_prefix_mask_len.map_or(128, |len| len.value)),
                };
                let net = IpNet::new(ip, u8::try_from(len).ok()?).ok()?;
                Some(("masked_remote_address".to_owned(), net.trunc().to_string()))
            }
            ActionSpecifier::GenericKey(action) => {
                Some((named(&action.descriptor_key, "generic_key"), action.descriptor_value.clone()))
            }
            ActionSpecifier::HeaderValueMatch(action) => self.header_value(walk, action),
            ActionSpecifier::QueryParameterValueMatch(action) => {
                let expected = action.expect_match.is_none_or(|expected| expected.value);
                let path = headers.path();
                let matched = action.query_parameters.iter().all(|m| query::query_matches(self.cx, walk, m, path));
                (matched == expected)
                    .then(|| (named(&action.descriptor_key, "query_match"), action.descriptor_value.clone()))
            }
            ActionSpecifier::DynamicMetadata(action) => {
                let value = text_at(&self.stream.metadata, action.metadata_key.as_ref());
                let value = value.or_else(|| Some(action.default_value.clone()).filter(|text| !text.is_empty()))?;
                Some((action.descriptor_key.clone(), value))
            }
            ActionSpecifier::Metadata(action) => self.metadata(walk, action),
            ActionSpecifier::RemoteAddressMatch(action) => self.remote_address(action),
            ActionSpecifier::Extension(extension) => {
                walk.missing(format!("rate limit descriptor extension {}", extension.name));
                None
            }
        }
    }

    fn header_value(&self, walk: &mut Walk, action: &HeaderValueMatch) -> Option<(String, String)> {
        let expected = action.expect_match.is_none_or(|expected| expected.value);
        let matched = action.headers.iter().all(|m| header::header_matches(self.cx, walk, m, &self.stream.headers));
        let key = if action.descriptor_key.is_empty() { "header_match" } else { &action.descriptor_key };
        (matched == expected).then(|| (key.to_owned(), action.descriptor_value.clone()))
    }

    fn metadata(&self, walk: &mut Walk, action: &MetaData) -> Option<(String, String)> {
        let key = action.metadata_key.as_ref();
        let value = match action.source() {
            Source::Dynamic => text_at(&self.stream.metadata, key),
            Source::RouteEntry => {
                let route = self.selected.and_then(|selected| selected.route.as_ref());
                route.and_then(|route| text_at(&route.metadata.as_ref()?.filter_metadata, key))
            }
            Source::ClusterEntry | Source::ClusterLocalityEntry => {
                walk.missing("a rate limit descriptor from the metadata of the cluster");
                None
            }
        };
        let value = value.or_else(|| Some(action.default_value.clone()).filter(|text| !text.is_empty()))?;
        Some((action.descriptor_key.clone(), value))
    }

    fn remote_address(&self, action: &RemoteAddressMatch) -> Option<(String, String)> {
        let matcher = action.address_matcher.as_ref()?;
        let ip = self.stream.remote_ip();
        let matched = matcher.ranges.iter().any(|range| cidr::xds_contains(range, ip)) != matcher.invert_match;
        let key = if action.descriptor_key.is_empty() { "remote_address_match" } else { &action.descriptor_key };
        matched.then(|| (key.to_owned(), action.descriptor_value.clone()))
    }
}

fn may_be_absent(action: Option<&ActionSpecifier>) -> bool {
    match action {
        Some(ActionSpecifier::RequestHeaders(action)) => action.skip_if_absent,
        Some(ActionSpecifier::QueryParameters(action)) => action.skip_if_absent,
        Some(ActionSpecifier::Metadata(action)) => action.skip_if_absent,
        _ => false,
    }
}

fn text_at(
    metadata: &std::collections::BTreeMap<String, crate::proto::Struct>,
    key: Option<&MetadataKey>,
) -> Option<String> {
    let key = key?;
    let path = key.path.iter().filter_map(|step| step.segment.as_ref()).map(|Segment::Key(key)| key.as_str());
    metadata::lookup(metadata, &key.key, path)
        .and_then(Value::as_str)
        .filter(|text| !text.is_empty())
        .map(str::to_owned)
}
