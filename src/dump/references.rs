//! Names that a resource refers to, found by the shape of the JSON around them rather than by type.
//!
//! Envoy names a service of a filter, an access log, a tracer or a config source in few shapes, whatever the message
//! is called: `envoy_grpc: {cluster_name}`, an `HttpUri` (`{uri, cluster}`), `collector_cluster`, the `cluster_names`
//! of a REST config source, and for secrets an `SdsSecretConfig` (`{name, sds_config}`). Proxies of protocols other than
//! HTTP name theirs by `cluster` and `weighted_clusters`. So extensions that `proto/` doesn't hold, and the untyped
//! `config` of API v2, are covered too.

use std::sync::OnceLock;

use aho_corasick::AhoCorasick;

use super::index::snake;
use super::scan::{ScanError, Scanner, text};

/// A name that stands in a resource and means another resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// What it is a name of.
    pub target: ReferenceTarget,
    /// The name.
    pub name: String,
    /// JSON path of the object with the name, from the start of the resource and in `snake_case`.
    pub path: String,
    /// Full name of the message of the nearest `@type` around it; empty if there is none.
    pub message: String,
}

/// What a [`Reference`] names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReferenceTarget {
    /// A cluster that serves a filter, an access log or a tracer.
    ServiceCluster,
    /// A cluster that a config source (xDS) is reached by.
    ConfigCluster,
    /// A secret of a TLS context, or a token.
    Secret,
    /// A cluster that a route names; of use where the route's own message isn't read.
    RouteCluster,
}

/// Texts without which nothing here can be found.
const MARKS: &[&str] = &[
    "envoy_grpc",
    "envoyGrpc",
    "sds_config",
    "sdsConfig",
    "sds_secret_config",
    "SdsSecretConfig",
    "\"uri\"",
    "collector_cluster",
    "collectorCluster",
    "cluster_names",
    "clusterNames",
    "redis_proxy",
    "thrift_proxy",
    "dubbo_proxy",
    "udp_proxy",
    "generic_proxy",
    "meta_protocol_proxy",
];

/// Deeper values are stepped over: no configuration nests like that, but a hostile file may.
const MAX_DEPTH: usize = 96;

/// References by shape in the JSON text of a resource, in the order of the text.
#[must_use]
pub fn references(json: &[u8]) -> Vec<Reference> {
    let mut walk = Walk::default();
    if may_refer(json) {
        // Text that can't be walked is reported by whoever decodes the resource; what was found before stays.
        let _ = walk.value(&mut Scanner::new(json, 0), "", 0);
    }
    walk.found
}

fn may_refer(json: &[u8]) -> bool {
    static SEARCHER: OnceLock<Option<AhoCorasick>> = OnceLock::new();
    // The patterns are fixed and few, so that they always compile; without them every text is walked.
    let searcher = SEARCHER.get_or_init(|| AhoCorasick::new(MARKS).ok());
    searcher.as_ref().is_none_or(|searcher| searcher.is_match(json))
}

#[derive(Default)]
struct Walk {
    found: Vec<Reference>,
    path: String,
}

/// What an object's own members say about it.
#[derive(Default)]
struct Members {
    message: String,
    name: Option<String>,
    cluster: Option<String>,
    has_uri: bool,
    has_sds: bool,
}

impl Walk {
    fn value(&mut self, scanner: &mut Scanner<'_>, member: &str, depth: usize) -> Result<(), ScanError> {
        match scanner.peek()? {
            b'{' if depth < MAX_DEPTH => self.object(scanner, member, depth),
            b'[' if depth < MAX_DEPTH => scanner.array(|scanner, nth| {
                let length = self.path.len();
                self.path.push_str(&format!("[{nth}]"));
                self.value(scanner, member, depth + 1)?;
                self.path.truncate(length);
                Ok(())
            }),
            _ => scanner.skip().map(|_| ()),
        }
    }

    fn object(&mut self, scanner: &mut Scanner<'_>, member: &str, depth: usize) -> Result<(), ScanError> {
        let before = self.found.len();
        let mut members = Members::default();
        scanner.object(|scanner, key| {
            let key = snake(&key);
            let is_text = scanner.peek()? == b'"';
            match key.as_ref() {
                "@type" | "type_url" if is_text => {
                    let url = text(scanner.string()?);
                    members.message = url.rsplit('/').next().unwrap_or_default().to_owned();
                }
                "name" if is_text => members.name = Some(text(scanner.string()?).into_owned()),
                "cluster" if is_text => members.cluster = Some(text(scanner.string()?).into_owned()),
                "uri" if is_text => {
                    members.has_uri = true;
                    scanner.skip()?;
                }
                "cluster_name" if is_text && member == "envoy_grpc" => {
                    let name = text(scanner.string()?).into_owned();
                    self.cluster(name);
                }
                "collector_cluster" if is_text => {
                    let name = text(scanner.string()?).into_owned();
                    self.cluster(name);
                }
                "cluster_names" if !is_text && scanner.peek()? == b'[' => scanner.array(|scanner, _| {
                    if scanner.peek()? == b'"' {
                        let name = text(scanner.string()?).into_owned();
                        self.cluster(name);
                        return Ok(());
                    }
                    scanner.skip().map(|_| ())
                })?,
                // Opaque to Envoy's own configuration.
                "metadata" | "filter_metadata" | "typed_filter_metadata" => {
                    scanner.skip()?;
                }
                other => {
                    members.has_sds |= other == "sds_config";
                    let length = self.path.len();
                    self.path.push('.');
                    self.path.push_str(other);
                    self.value(scanner, other, depth + 1)?;
                    self.path.truncate(length);
                }
            }
            Ok(())
        })?;
        match members.cluster {
            Some(name) if members.has_uri => self.cluster(name),
            Some(name) if !name.is_empty() => self.push(ReferenceTarget::RouteCluster, name),
            _ => {}
        }
        if self.path.contains(".weighted_clusters.clusters[")
            && let Some(name) = members.name.take_if(|_| self.path.ends_with(']'))
        {
            self.push(ReferenceTarget::RouteCluster, name);
        }
        if (members.has_sds || member.contains("sds_secret_config"))
            && let Some(name) = members.name
        {
            self.push(ReferenceTarget::Secret, name);
        }
        if !members.message.is_empty() {
            for reference in self.found.iter_mut().skip(before).filter(|reference| reference.message.is_empty()) {
                reference.message.clone_from(&members.message);
            }
        }
        Ok(())
    }

    fn cluster(&mut self, name: String) {
        let is_source = self.path.split('.').any(|part| {
            let part = part.split('[').next().unwrap_or_default();
            matches!(part, "api_config_source" | "ads_config") || part.ends_with("_config_source")
        });
        self.push(if is_source { ReferenceTarget::ConfigCluster } else { ReferenceTarget::ServiceCluster }, name);
    }

    fn push(&mut self, target: ReferenceTarget, name: String) {
        self.found.push(Reference { target, name, path: self.path.clone(), message: String::new() });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(json: &str, expected: &[(&str, &str, &str)]) {
        let found = references(json.as_bytes());
        let found = found.iter().filter(|r| r.target != ReferenceTarget::RouteCluster);
        let found: Vec<_> =
            found.map(|r| (r.name.as_str(), r.path.as_str(), r.message.rsplit('.').next().unwrap())).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn services_are_found_in_both_spellings() {
        check(
            r#"{"a":[{"@type":"x/e.ExtAuthz","grpcService":{"envoyGrpc":{"clusterName":"authz"}}},
                     {"remote_jwks":{"http_uri":{"cluster":"keys","uri":"https://k"}},"@type":"x/e.Jwt"},
                     {"cluster":"no service"}]}"#,
            &[("authz", ".a[0].grpc_service.envoy_grpc", "ExtAuthz"), ("keys", ".a[1].remote_jwks.http_uri", "Jwt")],
        );
    }

    #[test]
    fn secrets_are_found_with_and_without_a_source() {
        check(
            r#"{"common":{"tls_certificate_sds_secret_configs":[{"name":"cert"}],
                "combined":{"validation_context_sds_secret_config":{"sds_config":{"ads":{}},"name":"ca"}}},
                "name":"not one"}"#,
            &[
                ("cert", ".common.tls_certificate_sds_secret_configs[0]", ""),
                ("ca", ".common.combined.validation_context_sds_secret_config", ""),
            ],
        );
        let found = references(
            br#"{"name":"ca","sds_config":{"api_config_source":{"grpc_services":[{"envoy_grpc":{"cluster_name":"sds"}}]}}}"#,
        );
        let targets: Vec<_> = found.iter().map(|r| (r.target, r.name.as_str())).collect();
        assert_eq!(targets, [(ReferenceTarget::ConfigCluster, "sds"), (ReferenceTarget::Secret, "ca")]);
    }

    #[test]
    fn proxies_of_other_protocols_name_clusters() {
        let json =
            br#"{"@type":"x/envoy.redis_proxy.v3.RedisProxy","prefix_routes":{"catch_all_route":{"cluster":"cache"}},
            "route":{"weighted_clusters":{"clusters":[{"name":"a","weight":1},{"name":"b"}]}}}"#;
        let found = references(json);
        assert_eq!(found.iter().map(|r| r.name.as_str()).collect::<Vec<_>>(), ["cache", "a", "b"]);
        assert!(found.iter().all(|r| r.target == ReferenceTarget::RouteCluster && r.message.ends_with("RedisProxy")));
    }

    #[test]
    fn depth_is_limited() {
        let deep = format!("{}{}", "{\"uri\":[".repeat(100_000), "1");
        assert_eq!(references(deep.as_bytes()), []);
    }
}
