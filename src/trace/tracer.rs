//! The entry to the tracer: one proxy, many requests.

use std::sync::Arc;

use rayon::prelude::*;

use super::assume::Assumptions;
use super::cache::Cache;
use super::context::Context;
use super::destination;
use super::inspect::Bytes;
use super::network::{self, Hop};
use super::outcome::{Branch, Disposition, Step, Trace};
use super::request::Request;
use super::session::Session;
use super::version;
use super::walk::{Explored, Walk, explore};
use crate::dump::Proxy;

/// Traces requests through one proxy. What is decoded and compiled for one is kept for the next; rate limits count the
/// requests in the order they are given.
pub struct Tracer<'a> {
    proxy: &'a Proxy,
    cache: Cache,
    session: Session,
    assumptions: Arc<Assumptions>,
}

impl<'a> Tracer<'a> {
    /// A tracer of a proxy just started: no tokens used, no host ejected.
    #[must_use]
    pub fn new(proxy: &'a Proxy) -> Self {
        Self { proxy, cache: Cache::default(), session: Session::default(), assumptions: Arc::default() }
    }

    /// The same tracer with answers to what the proxy's files don't tell.
    #[must_use]
    pub fn assuming(mut self, assumptions: Assumptions) -> Self {
        self.assumptions = Arc::new(assumptions);
        self
    }

    /// Traces a batch of requests; the answers are in their order, and as if one request were traced after the other.
    pub fn trace_all(&self, requests: &[Request]) -> Vec<Trace> {
        // Only what takes tokens of rate limits depends on the requests before it; all else is traced in parallel.
        let alone: Vec<Option<Trace>> = requests
            .par_iter()
            .map(|request| {
                let session = Session::default();
                let trace = self.trace_in(&session, request);
                (!session.is_used()).then_some(trace)
            })
            .collect();
        let each = requests.iter().zip(alone);
        each.map(|(request, alone)| alone.unwrap_or_else(|| self.trace(request))).collect()
    }

    /// Every outcome held possible for a request, and the way to each.
    ///
    /// A request without `connect` gets a destination derived from its authority and the proxy's configuration; the
    /// first step says how.
    pub fn trace(&self, request: &Request) -> Trace {
        self.trace_in(&self.session, request)
    }

    fn trace_in(&self, session: &Session, request: &Request) -> Trace {
        let cx = Context { proxy: self.proxy, cache: &self.cache, assumptions: &self.assumptions };
        let derived = request.connect.is_none().then(|| destination::derive(&cx, request));
        let (request, steps, stands_for) = match derived {
            Some(derived) => (derived.request, derived.steps, derived.stands_for),
            None => (request.clone(), Vec::new(), None),
        };
        let mut taken = Vec::new();
        let follow = |walk: &mut Walk| {
            walk.steps.clone_from(&steps);
            let Some(to) = request.connect else {
                walk.missing("the destination address: give it with --to ADDRESS:PORT");
                walk.end(Disposition::InsufficientInfo);
                return;
            };
            let hop = Hop { cx, session, bytes: Bytes::Client(&request), depth: 0 };
            network::connect(&hop, walk, to);
            version::name_flags(&cx, &mut walk.outcome.flags);
            if let Some(host) = &stands_for
                && walk.outcome.upstream_host.as_deref() == Some(to.to_string().as_str())
            {
                // An address that was made up must not come out as an answer.
                walk.outcome.upstream_host = None;
                walk.missing(format!("the address of {host}: give it with --to ADDRESS:PORT"));
            }
        };
        let Explored { branches, unknown, assumed } = explore(&self.assumptions, |walk| {
            follow(walk);
            taken.push(std::mem::take(&mut walk.consumed));
        });
        session.keep(&taken);
        let is_delivered = |branch: &Branch| branch.outcome.disposition.is_some_and(Disposition::is_delivered);
        let obstacles =
            if branches.iter().all(is_delivered) { Vec::new() } else { obstacles(&self.assumptions, follow) };
        Trace { id: request.id.clone(), branches, unknown, assumed, obstacles }
    }
}

/// Walks once more past everything that refuses the request, and gives what did.
fn obstacles(assumptions: &Arc<Assumptions>, follow: impl Fn(&mut Walk)) -> Vec<Step> {
    let mut all: Vec<Step> = Vec::new();
    let _ = explore(assumptions, |walk| {
        walk.goes_on = true;
        follow(walk);
        if !walk.outcome.disposition.is_some_and(Disposition::is_delivered) {
            walk.obstacles.extend(walk.steps.last().cloned());
        }
        for step in walk.obstacles.drain(..) {
            if !all.contains(&step) {
                all.push(step);
            }
        }
    });
    all
}
