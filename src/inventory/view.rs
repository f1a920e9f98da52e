//! Narrow, borrowed views of resources: the fields that a list shows, and no others.
//!
//! They are read from the text of a resource, so each field is known in both spellings of protobuf's JSON. Tests hold
//! them against the prost types.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, Visitor};

/// Text borrowed from the dump unless it holds escapes.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(transparent)]
pub(super) struct Text<'a>(#[serde(borrow)] pub(super) Cow<'a, str>);

impl std::ops::Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

/// A 32-bit number; protobuf's JSON also writes it as a string.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Number(pub(super) u32);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NumberVisitor;
        impl Visitor<'_> for NumberVisitor {
            type Value = Number;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a 32-bit number")
            }

            fn visit_u64<E: Error>(self, value: u64) -> Result<Number, E> {
                u32::try_from(value).map(Number).map_err(E::custom)
            }

            fn visit_str<E: Error>(self, value: &str) -> Result<Number, E> {
                value.parse().map(Number).map_err(E::custom)
            }
        }
        deserializer.deserialize_any(NumberVisitor)
    }
}

/// The text of `metadata.filter_metadata["istio"]["config"]`: the path of the Istio object behind a resource.
#[derive(Debug, Clone, Default, serde::Deserialize)]
pub(super) struct Metadata<'a> {
    #[serde(borrow, default, alias = "filterMetadata")]
    filter_metadata: FilterMetadata<'a>,
}

#[derive(Debug, Clone, Default, serde::Deserialize)]
struct FilterMetadata<'a> {
    #[serde(borrow, default)]
    istio: IstioMetadata<'a>,
}

#[derive(Debug, Clone, Default, serde::Deserialize)]
struct IstioMetadata<'a> {
    #[serde(borrow, default)]
    config: Option<ConfigPath<'a>>,
}

/// A `config` member, whatever its type.
#[derive(Debug, Clone)]
enum ConfigPath<'a> {
    Text(Cow<'a, str>),
    Other,
}

impl<'de: 'a, 'a> Deserialize<'de> for ConfigPath<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PathVisitor;
        impl<'de> Visitor<'de> for PathVisitor {
            type Value = ConfigPath<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("any value")
            }

            fn visit_borrowed_str<E: Error>(self, value: &'de str) -> Result<Self::Value, E> {
                Ok(ConfigPath::Text(Cow::Borrowed(value)))
            }

            fn visit_str<E: Error>(self, value: &str) -> Result<Self::Value, E> {
                Ok(ConfigPath::Text(Cow::Owned(value.to_owned())))
            }

            fn visit_bool<E: Error>(self, _: bool) -> Result<Self::Value, E> {
                Ok(ConfigPath::Other)
            }

            fn visit_i64<E: Error>(self, _: i64) -> Result<Self::Value, E> {
                Ok(ConfigPath::Other)
            }

            fn visit_u64<E: Error>(self, _: u64) -> Result<Self::Value, E> {
                Ok(ConfigPath::Other)
            }

            fn visit_f64<E: Error>(self, _: f64) -> Result<Self::Value, E> {
                Ok(ConfigPath::Other)
            }

            fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
                Ok(ConfigPath::Other)
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(ConfigPath::Other)
            }

            fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(ConfigPath::Other)
            }
        }
        deserializer.deserialize_any(PathVisitor)
    }
}

impl Metadata<'_> {
    /// `NAME.NAMESPACE` of the Istio object behind a resource, as istioctl derives it; empty if there is none.
    ///
    /// Istio before 1.5 wrote the path without the group's domain; istioctl calls those `<unknown>`, here they are
    /// read (semantics §10).
    pub(super) fn istio_object(&self) -> String {
        const UNKNOWN: &str = "<unknown>";
        match &self.filter_metadata.istio.config {
            None => String::new(),
            Some(ConfigPath::Other) => UNKNOWN.to_owned(),
            Some(ConfigPath::Text(path)) => {
                let parts: Vec<&str> = path.split('/').collect();
                match parts.as_slice() {
                    ["", "apis", "networking.istio.io", _, _, namespace, _, name]
                    | ["", "apis", "networking", _, _, namespace, _, name] => format!("{name}.{namespace}"),
                    ["", "apis", "networking.istio.io", ..] => String::new(),
                    _ => UNKNOWN.to_owned(),
                }
            }
        }
    }
}

/// An `Address`.
#[derive(Debug, Clone, Default, serde::Deserialize)]
pub(super) struct Address<'a> {
    #[serde(borrow, default, alias = "socketAddress")]
    socket_address: Option<SocketAddress<'a>>,
    #[serde(borrow, default)]
    pipe: Option<Pipe<'a>>,
    #[serde(borrow, default, alias = "envoyInternalAddress")]
    envoy_internal_address: Option<InternalAddress<'a>>,
}

#[derive(Debug, Clone, Default, serde::Deserialize)]
struct SocketAddress<'a> {
    #[serde(borrow, default)]
    address: Text<'a>,
    #[serde(default, alias = "portValue")]
    port_value: Number,
}

#[derive(Debug, Clone, Default, serde::Deserialize)]
struct Pipe<'a> {
    #[serde(borrow, default)]
    path: Text<'a>,
}

#[derive(Debug, Clone, Default, serde::Deserialize)]
struct InternalAddress<'a> {
    #[serde(borrow, default, alias = "serverListenerName")]
    server_listener_name: Text<'a>,
    #[serde(borrow, default, alias = "endpointId")]
    endpoint_id: Text<'a>,
}

impl Address<'_> {
    /// Address and port of a listener: a pipe's path has port 0, an internal listener has neither.
    pub(super) fn listener(&self) -> (String, u32) {
        match (&self.socket_address, &self.pipe) {
            (Some(socket), _) => (socket.address.to_string(), socket.port_value.0),
            (None, Some(pipe)) => (pipe.path.to_string(), 0),
            (None, None) => (String::new(), 0),
        }
    }

    /// Address and port of an endpoint, and how the two are written in one cell.
    pub(super) fn endpoint(&self) -> (String, u32, String) {
        if let Some(socket) = &self.socket_address {
            let (address, port) = (socket.address.to_string(), socket.port_value.0);
            let cell = if port == 0 { address.clone() } else { format!("{address}:{port}") };
            return (address, port, cell);
        }
        if let Some(pipe) = &self.pipe {
            let cell = format!("unix://{}", &*pipe.path);
            return (cell.clone(), 0, cell);
        }
        if let Some(internal) = &self.envoy_internal_address {
            let cell = format!("envoy://{}/{}", &*internal.server_listener_name, &*internal.endpoint_id);
            return (cell.clone(), 0, cell);
        }
        ("unknown".to_owned(), 0, "unknown".to_owned())
    }
}

impl Address<'_> {
    /// The address with its port, whatever that is; a pipe's path stands alone.
    pub(super) fn with_port(&self) -> String {
        match (&self.socket_address, &self.pipe) {
            (Some(socket), _) => format!("{}:{}", &*socket.address, socket.port_value.0),
            (None, Some(pipe)) => pipe.path.to_string(),
            (None, None) => self.endpoint().2,
        }
    }

    /// The port; 0 if there is none.
    pub(super) fn port(&self) -> u32 {
        self.socket_address.as_ref().map_or(0, |socket| socket.port_value.0)
    }
}

/// A `RouteMatch`: only the path.
#[derive(Debug, Clone, Default, serde::Deserialize)]
pub(super) struct RouteMatch<'a> {
    #[serde(borrow, default)]
    prefix: Option<Text<'a>>,
    #[serde(borrow, default)]
    path: Option<Text<'a>>,
    #[serde(borrow, default, alias = "pathSeparatedPrefix")]
    path_separated_prefix: Option<Text<'a>>,
    #[serde(borrow, default, alias = "safeRegex")]
    safe_regex: Option<Regex<'a>>,
    /// v1 and early v2.
    #[serde(borrow, default)]
    regex: Option<Text<'a>>,
}

#[derive(Debug, Clone, Default, serde::Deserialize)]
struct Regex<'a> {
    #[serde(borrow, default)]
    regex: Text<'a>,
}

impl RouteMatch<'_> {
    /// The path in one cell, as istioctl writes it.
    pub(super) fn describe(&self) -> String {
        if let Some(prefix) = &self.prefix {
            if prefix.is_empty() { String::new() } else { format!("{}*", &**prefix) }
        } else if let Some(prefix) = &self.path_separated_prefix {
            format!("PathPrefix:{}", &**prefix)
        } else if let Some(path) = &self.path {
            path.to_string()
        } else if let Some(regex) = &self.safe_regex {
            format!("regex {}", &*regex.regex)
        } else if let Some(regex) = &self.regex {
            format!("regex {}", &**regex)
        } else {
            String::new()
        }
    }

    /// The prefix, if that is what is matched.
    pub(super) fn prefix(&self) -> Option<&str> {
        self.prefix.as_deref()
    }
}

/// A `Route`: its match, cluster and the object behind it.
#[derive(Debug, Clone, Default, serde::Deserialize)]
pub(super) struct Route<'a> {
    #[serde(borrow, default, rename = "match")]
    pub(super) route_match: RouteMatch<'a>,
    #[serde(borrow, default)]
    pub(super) route: Option<RouteAction<'a>>,
    #[serde(borrow, default)]
    pub(super) metadata: Metadata<'a>,
    #[serde(borrow, default)]
    redirect: Option<Redirect<'a>>,
    #[serde(default, alias = "directResponse")]
    direct_response: Option<DirectResponse>,
}

/// A `RouteAction`: only where it leads.
#[derive(Debug, Clone, Default, serde::Deserialize)]
pub(super) struct RouteAction<'a> {
    #[serde(borrow, default)]
    pub(super) cluster: Option<Text<'a>>,
    #[serde(borrow, default, alias = "clusterHeader")]
    cluster_header: Option<Text<'a>>,
    #[serde(borrow, default, alias = "weightedClusters")]
    weighted_clusters: Option<WeightedClusters<'a>>,
}

#[derive(Debug, Clone, Default, serde::Deserialize)]
struct WeightedClusters<'a> {
    #[serde(borrow, default)]
    clusters: Vec<WeightedCluster<'a>>,
}

#[derive(Debug, Clone, Default, serde::Deserialize)]
struct WeightedCluster<'a> {
    #[serde(borrow, default)]
    name: Text<'a>,
    #[serde(default)]
    weight: Number,
}

#[derive(Debug, Clone, Default, serde::Deserialize)]
struct Redirect<'a> {
    #[serde(borrow, default, alias = "hostRedirect")]
    host_redirect: Text<'a>,
    #[serde(borrow, default, alias = "pathRedirect")]
    path_redirect: Text<'a>,
}

#[derive(Debug, Clone, Default, serde::Deserialize)]
struct DirectResponse {
    #[serde(default)]
    status: Number,
}

impl Route<'_> {
    /// The cluster, or what else becomes of the request, in one cell.
    pub(super) fn destination(&self) -> String {
        if let Some(redirect) = &self.redirect {
            return format!("redirect {}{}", &*redirect.host_redirect, &*redirect.path_redirect).trim_end().to_owned();
        }
        if let Some(response) = &self.direct_response {
            return format!("direct response {}", response.status.0);
        }
        let Some(action) = &self.route else { return "-".to_owned() };
        if let Some(cluster) = &action.cluster {
            return cluster.to_string();
        }
        if let Some(header) = &action.cluster_header {
            return format!("cluster in header {}", &**header);
        }
        if let Some(weighted) = &action.weighted_clusters {
            let parts: Vec<String> =
                weighted.clusters.iter().map(|cluster| format!("{} {}", &*cluster.name, cluster.weight.0)).collect();
            return parts.join(", ");
        }
        "-".to_owned()
    }
}

/// A `VirtualHost`.
#[derive(Debug, Clone, Default, serde::Deserialize)]
pub(super) struct VirtualHost<'a> {
    #[serde(borrow, default)]
    pub(super) name: Text<'a>,
    #[serde(borrow, default)]
    pub(super) domains: Vec<Text<'a>>,
    #[serde(borrow, default)]
    pub(super) routes: Vec<Route<'a>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn object(json: &str, expected: &str) {
        let metadata: Metadata<'_> = serde_json::from_str(json).unwrap();
        assert_eq!(metadata.istio_object(), expected);
    }

    #[test]
    fn the_object_behind_a_resource() {
        let path = "/apis/networking.istio.io/v1alpha3/namespaces/shop/virtual-service/reviews";
        object(&format!(r#"{{"filter_metadata":{{"istio":{{"config":"{path}"}}}}}}"#), "reviews.shop");
        object(&format!(r#"{{"filterMetadata":{{"a":[1],"istio":{{"config":"{path}/x"}}}}}}"#), "");
        object(r#"{"filter_metadata":{"istio":{"config":"/other"}}}"#, "<unknown>");
        object(r#"{"filter_metadata":{"istio":{"config":{"a":[1]}}}}"#, "<unknown>");
        object(r#"{"filter_metadata":{"istio":{}}}"#, "");
        object("{}", "");
    }
}
