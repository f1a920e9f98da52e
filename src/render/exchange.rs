//! The answer of a trace as plain data: the exchange format, and more than it asks for.
//!
//! One outcome is one object with Envoy's own terms (listener, route, response flags …). What a reader of the exchange
//! format doesn't know, it ignores: shares, steps, and the outcome in words.

use serde::Serialize;

use super::words;
use crate::trace::{Outcome, Protocol, Request, Step, Trace};

/// The answer for one request.
#[derive(Debug, Clone, Serialize)]
pub struct TraceAnswer {
    /// Name and version of this form.
    pub schema: &'static str,
    /// Id of the request.
    pub id: String,
    /// What was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request: Option<RequestAnswer>,
    /// Every outcome held possible.
    pub outcomes: Vec<OutcomeAnswer>,
    /// What the input lacks to decide.
    pub unknown: Vec<String>,
    /// What would settle it, one text for each kind of lack.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub settle: Vec<&'static str>,
    /// For each of `unknown` the assumptions of which any one would settle it, as `KEY=ANSWER`.
    #[serde(skip_serializing_if = "no_assumption")]
    pub assume: Vec<Vec<String>>,
    /// What was taken for granted, as `KEY=ANSWER`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub assumed: Vec<String>,
    /// Of a request that isn't delivered on some way: everything that refuses it, where that is more than one thing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub obstacles: Vec<StepAnswer>,
    /// Why the request couldn't be read; then there is no outcome.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// The request as it was understood.
#[derive(Debug, Clone, Serialize)]
pub struct RequestAnswer {
    /// `http1`, `h2` or `tcp`.
    pub protocol: &'static str,
    /// Request method; absent for `tcp`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// Host or `:authority`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authority: Option<String>,
    /// Path and query; absent for `tcp`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Whether the client speaks TLS.
    pub tls: bool,
    /// Server name of its ClientHello.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sni: Option<String>,
    /// Identity in its certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub principal: Option<String>,
    /// Address dialled, if given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connect: Option<String>,
    /// Address dialled from.
    pub source: String,
}

/// One way that the request can end.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct OutcomeAnswer {
    /// Listener that handled the connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listener: Option<String>,
    /// Filter chain chosen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filter_chain: Option<String>,
    /// Virtual host chosen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vhost: Option<String>,
    /// `<route configuration>/<virtual host>/<index>`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route: Option<String>,
    /// Name of the route.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route_name: Option<String>,
    /// Cluster of the route or TCP proxy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// Endpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upstream_host: Option<String>,
    /// HTTP status that the client reads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Response flags, as in the access log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flags: Option<String>,
    /// Response code details.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub details: Option<String>,
    /// Connection termination details.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub termination: Option<String>,
    /// Target of a redirect.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    /// Path and query that reach the upstream.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upstream_path: Option<String>,
    /// Authority that reaches the upstream.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upstream_authority: Option<String>,
    /// Entry of the closed list of outcomes.
    pub disposition: &'static str,
    /// Whether the client gets what it asked for from where it asked.
    pub delivered: bool,
    /// The outcome in words.
    pub explanation: String,
    /// Share of requests that end this way, 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub share: Option<f64>,
    /// Request headers that Envoy added or changed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub headers_added: Vec<(String, String)>,
    /// Request headers that Envoy removed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub headers_removed: Vec<String>,
    /// Decisions in the order taken.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<StepAnswer>,
}

/// One decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StepAnswer {
    /// What was decided.
    pub kind: String,
    /// The thing chosen.
    pub chosen: String,
    /// Why.
    pub why: String,
    /// What came next closest.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rejected: Vec<RejectedAnswer>,
    /// The Istio object behind it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object: Option<String>,
    /// File in which it stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Line in that file, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// JSON path in that file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
}

/// An alternative that wasn't chosen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RejectedAnswer {
    /// Its name.
    pub name: String,
    /// The criterion that it failed.
    pub because: String,
}

fn no_assumption(assume: &[Vec<String>]) -> bool {
    assume.iter().all(Vec::is_empty)
}

impl TraceAnswer {
    const SCHEMA: &str = "xdsight.trace/1";

    /// The answer with everything that a reader wants.
    #[must_use]
    pub fn new(request: &Request, trace: &Trace) -> Self {
        let mut answer = Self::exchange(trace);
        answer.request = Some(RequestAnswer::new(request));
        if trace.obstacles.len() > 1 {
            answer.obstacles = trace.obstacles.iter().map(StepAnswer::new).collect();
        }
        for (outcome, branch) in answer.outcomes.iter_mut().zip(&trace.branches) {
            outcome.steps = branch.steps.iter().map(StepAnswer::new).collect();
        }
        answer
    }

    /// The answer without the request and the steps: one line of a batch.
    #[must_use]
    pub fn exchange(trace: &Trace) -> Self {
        let outcomes = trace.branches.iter().map(|branch| OutcomeAnswer::new(&branch.outcome, branch.share)).collect();
        Self {
            schema: Self::SCHEMA,
            id: trace.id.clone(),
            request: None,
            outcomes,
            settle: words::settle(&trace.unknown),
            unknown: trace.unknown.iter().map(|unknown| unknown.what.clone()).collect(),
            assume: trace.unknown.iter().map(|unknown| unknown.assume.clone()).collect(),
            assumed: trace.assumed.clone(),
            obstacles: Vec::new(),
            error: None,
        }
    }

    /// The answer to a request that couldn't be read.
    #[must_use]
    pub fn error(id: String, error: String) -> Self {
        Self {
            schema: Self::SCHEMA,
            id,
            request: None,
            outcomes: Vec::new(),
            unknown: Vec::new(),
            settle: Vec::new(),
            assume: Vec::new(),
            assumed: Vec::new(),
            obstacles: Vec::new(),
            error: Some(error),
        }
    }

    /// Whether every outcome held possible delivers the request.
    #[must_use]
    pub fn is_delivered(&self) -> bool {
        !self.outcomes.is_empty() && self.outcomes.iter().all(|outcome| outcome.delivered)
    }
}

impl RequestAnswer {
    fn new(request: &Request) -> Self {
        let is_http = request.protocol != Protocol::Tcp;
        let certificate = request.tls.as_ref().and_then(|tls| tls.certificate.as_ref());
        Self {
            protocol: match request.protocol {
                Protocol::Http10 => "http1.0",
                Protocol::Http1 => "http1",
                Protocol::Http2 => "h2",
                Protocol::Tcp => "tcp",
            },
            method: is_http.then(|| request.method.clone()),
            authority: request.authority.clone(),
            path: is_http.then(|| request.path.clone()),
            tls: request.tls.is_some(),
            sni: request.tls.as_ref().and_then(|tls| tls.sni.clone()),
            principal: certificate.map(|c| c.uri_sans.first().or(c.dns_sans.first()).unwrap_or(&c.subject).clone()),
            connect: request.connect.map(|address| address.to_string()),
            source: request.source.to_string(),
        }
    }
}

impl OutcomeAnswer {
    fn new(outcome: &Outcome, share: Option<f64>) -> Self {
        let flags: Vec<&str> = outcome.flags.iter().copied().collect();
        Self {
            listener: outcome.listener.clone(),
            filter_chain: outcome.filter_chain.clone(),
            vhost: outcome.vhost.clone(),
            route: outcome.route.clone(),
            route_name: outcome.route_name.clone(),
            cluster: outcome.cluster.clone(),
            upstream_host: outcome.upstream_host.clone(),
            status: outcome.status,
            flags: (!flags.is_empty()).then(|| flags.join(",")),
            details: outcome.details.clone(),
            termination: outcome.termination.clone(),
            location: outcome.location.clone(),
            upstream_path: outcome.upstream_path.clone(),
            upstream_authority: outcome.upstream_authority.clone(),
            disposition: words::disposition(outcome.disposition),
            delivered: outcome.disposition.is_some_and(|d| d.is_delivered()),
            explanation: words::explain(outcome),
            share,
            headers_added: outcome.headers_added.clone(),
            headers_removed: outcome.headers_removed.clone(),
            steps: Vec::new(),
        }
    }
}

impl StepAnswer {
    fn new(step: &Step) -> Self {
        Self {
            kind: step.kind.to_owned(),
            chosen: step.chosen.clone(),
            why: step.why.clone(),
            rejected: step
                .rejected
                .iter()
                .map(|r| RejectedAnswer { name: r.name.clone(), because: r.because.clone() })
                .collect(),
            object: step.object.clone(),
            file: step.origin.as_ref().map(|origin| origin.file().to_owned()),
            line: step.origin.as_ref().and_then(crate::dump::Origin::line),
            path: step.origin.as_ref().map(crate::dump::Origin::path),
        }
    }
}
