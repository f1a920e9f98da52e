//! The entry to the tracer: one proxy, many requests.

use super::cache::Cache;
use super::context::Context;
use super::destination;
use super::inspect::Bytes;
use super::network::{self, Hop};
use super::outcome::{Disposition, Trace};
use super::request::Request;
use super::session::Session;
use super::walk::explore;
use crate::dump::Proxy;

/// Traces requests through one proxy. What is decoded and compiled for one is kept for the next; rate limits count the
/// requests in the order they are given.
pub struct Tracer<'a> {
    proxy: &'a Proxy,
    cache: Cache,
    session: Session,
}

impl<'a> Tracer<'a> {
    /// A tracer of a proxy just started: no tokens used, no host ejected.
    #[must_use]
    pub fn new(proxy: &'a Proxy) -> Self {
        Self { proxy, cache: Cache::default(), session: Session::default() }
    }

    /// Every outcome held possible for a request, and the way to each.
    ///
    /// A request without `connect` gets a destination derived from its authority and the proxy's configuration; the
    /// first step says how.
    pub fn trace(&self, request: &Request) -> Trace {
        let cx = Context { proxy: self.proxy, cache: &self.cache };
        let derived = request.connect.is_none().then(|| destination::derive(&cx, request));
        let (request, steps) = match derived {
            Some(derived) => (derived.request, derived.steps),
            None => (request.clone(), Vec::new()),
        };
        let mut taken = Vec::new();
        let (branches, unknown) = explore(|walk| {
            walk.steps.clone_from(&steps);
            let Some(to) = request.connect else {
                walk.missing("the destination address: give it with --to ADDRESS:PORT");
                walk.end(Disposition::InsufficientInfo);
                return;
            };
            let hop = Hop { cx, session: &self.session, bytes: Bytes::Client(&request), depth: 0 };
            network::connect(&hop, walk, to);
            taken.push(std::mem::take(&mut walk.consumed));
        });
        self.session.keep(&taken);
        Trace { id: request.id.clone(), branches, unknown }
    }
}
