//! What the tests of filters start from.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{Verdict, decode_headers};
use crate::proto::envoy::config::route::v3::RouteConfiguration;
use crate::proto::envoy::extensions::filters::network::http_connection_manager::v3::HttpFilter;
use crate::trace::assume::Assumptions;
use crate::trace::cache::Cache;
use crate::trace::context::{Context, RouteRef, Selected};
use crate::trace::matcher::fixture::{connection, message, proxy, stream};
use crate::trace::session::Session;
use crate::trace::walk::explore;

/// A request, and the route that it takes.
pub(super) struct Sent<'a> {
    pub(super) method: &'a str,
    pub(super) path: &'a str,
    pub(super) headers: &'a [(&'a str, &'a str)],
    /// The action of its route; none matches where this is `None`.
    pub(super) route: Option<Value>,
    /// The route's override of the filter.
    pub(super) over: Option<Value>,
}

impl Default for Sent<'_> {
    fn default() -> Self {
        Self { method: "GET", path: "/", headers: &[], route: Some(json!({"route": {"cluster": "c"}})), over: None }
    }
}

/// The verdicts of a filter on a request over all walks, sorted: `continue`, `anew`, or `<status> <details>`.
pub(super) fn replies(type_name: &str, config: Value, sent: &Sent<'_>) -> Vec<String> {
    replies_of(&[sent], type_name, config).pop().unwrap_or_default()
}

/// As [`replies`] for requests of one session.
pub(super) fn replies_of(batch: &[&Sent<'_>], type_name: &str, mut config: Value) -> Vec<Vec<String>> {
    config["@type"] = json!(format!("type.googleapis.com/{type_name}"));
    let filter: HttpFilter = message(json!({"name": "filter", "typed_config": config}));
    let session = Session::default();
    let proxy = proxy(40);
    let cache = Cache::default();
    let assumptions = Assumptions::default();
    let cx = Context { proxy: &proxy, cache: &cache, assumptions: &assumptions };
    let mut out = Vec::new();
    for sent in batch {
        let mut route = json!({"match": {"prefix": "/"}});
        if let Some(action) = &sent.route {
            route.as_object_mut().unwrap().extend(action.as_object().unwrap().clone());
        }
        if let Some(over) = &sent.over {
            route["typed_per_filter_config"] = json!({"filter": over});
        }
        let routes: RouteConfiguration =
            message(json!({"virtual_hosts": [{"name": "v", "domains": ["*"], "routes": [route]}]}));
        let vhost = &routes.virtual_hosts[0];
        let selected = Selected {
            config: &routes,
            vhost: Some(vhost),
            route: sent.route.as_ref().map(|_| RouteRef::Listed(&vhost.routes[0])),
            weight: None,
            cluster: sent.route.as_ref().map(|_| "c".to_owned()),
        };
        let (mut ways, mut found) = (Vec::new(), Vec::new());
        explore(&Arc::default(), |walk| {
            let mut stream = stream(connection(), sent.path, sent.headers);
            stream.headers.set(":method", sent.method);
            let verdict = decode_headers(&cx, walk, &filter, &mut stream, Some(&selected), &session);
            ways.push(walk.consumed.clone());
            found.push(match verdict {
                Verdict::Continue => "continue".to_owned(),
                Verdict::ContinueWithNewRoute => "anew".to_owned(),
                Verdict::Reply(reply) => format!("{} {}", reply.status, reply.details),
            });
        });
        session.keep(&ways);
        found.sort();
        found.dedup();
        out.push(found);
    }
    out
}
