use super::super::{OutcomeAnswer, RejectedAnswer, RequestAnswer, StepAnswer, TraceAnswer};
use super::trace;
use crate::trace::Unknown;

#[track_caller]
fn check(name: &str, answer: &TraceAnswer) {
    let text = anstream::adapter::strip_str(&trace(answer)).to_string();
    let long: Vec<&str> = text.lines().filter(|line| line.chars().count() > 100).collect();
    assert!(long.is_empty(), "lines of more than 100 columns: {long:#?}");
    insta::with_settings!({
        snapshot_path => concat!(env!("CARGO_MANIFEST_DIR"), "/snapshots"),
        prepend_module_to_snapshot => false,
        omit_expression => true,
    }, {
        insta::assert_snapshot!(format!("trace-text-{name}"), text);
    });
}

fn request() -> RequestAnswer {
    RequestAnswer {
        protocol: "http1",
        method: Some("GET".to_owned()),
        authority: Some("catalog:9080".to_owned()),
        path: Some("/products/1".to_owned()),
        tls: false,
        sni: None,
        principal: None,
        connect: None,
        source: "127.0.0.6".to_owned(),
    }
}

fn step(kind: &str, chosen: &str, why: &str, line: usize) -> StepAnswer {
    StepAnswer {
        kind: kind.to_owned(),
        chosen: chosen.to_owned(),
        why: why.to_owned(),
        rejected: Vec::new(),
        object: None,
        file: (line > 0).then(|| "config_dump.json".to_owned()),
        line: (line > 0).then_some(line),
        path: None,
    }
}

fn no(name: &str, because: &str) -> RejectedAnswer {
    RejectedAnswer { name: name.to_owned(), because: because.to_owned() }
}

fn way_in() -> Vec<StepAnswer> {
    let mut route = step("route", "80/catalog.shop.svc.cluster.local:9080/1", "prefix / of /products/1", 812);
    route.object = Some("VirtualService shop/catalog".to_owned());
    route.rejected = vec![no("route 0 (jason)", "header end-user isn't there, exactly \"jason\" is wanted")];
    vec![
        step(
            "destination",
            "10.96.1.11:9080",
            "listener 0.0.0.0_9080 takes port 9080, and its routes know host catalog:9080",
            0,
        ),
        step(
            "listener",
            "0.0.0.0_9080",
            "virtualOutbound hands the connection on: no listener has 10.96.1.11:9080 itself",
            4711,
        ),
        step("filter chain", "chain 1", "the application protocol is http/1.1", 4730),
        step(
            "virtual host",
            "catalog.shop.svc.cluster.local:9080",
            "domain \"catalog:9080\" is the host, letter by letter",
            790,
        ),
        route,
    ]
}

fn delivered(host: &str, version: &str, share: f64, steps: Vec<StepAnswer>) -> OutcomeAnswer {
    let cluster = format!("outbound|9080|{version}|catalog.shop.svc.cluster.local");
    OutcomeAnswer {
        listener: Some("0.0.0.0_9080".to_owned()),
        vhost: Some("catalog.shop.svc.cluster.local:9080".to_owned()),
        explanation: format!("delivered to {host} of cluster {cluster}"),
        cluster: Some(cluster),
        upstream_host: Some(host.to_owned()),
        status: Some(200),
        details: Some("via_upstream".to_owned()),
        upstream_path: Some("/products/1".to_owned()),
        upstream_authority: Some("catalog:9080".to_owned()),
        disposition: "endpoint",
        delivered: true,
        share: Some(share),
        steps,
        ..OutcomeAnswer::default()
    }
}

fn answer(outcomes: Vec<OutcomeAnswer>) -> TraceAnswer {
    TraceAnswer {
        schema: "xdsight.trace/1",
        id: "1".to_owned(),
        request: Some(request()),
        outcomes,
        unknown: Vec::new(),
        settle: Vec::new(),
        assume: Vec::new(),
        assumed: Vec::new(),
        obstacles: Vec::new(),
        error: None,
    }
}

#[test]
fn one_way() {
    let mut steps = way_in();
    steps.push(step("endpoint", "10.244.1.7:9080", "the only one", 9000));
    let mut outcome = delivered("10.244.1.7:9080", "v1", 1.0, steps);
    outcome.upstream_path = Some("/v1/products/1".to_owned());
    outcome.headers_added = vec![("x-version".to_owned(), "1".to_owned())];
    outcome.headers_removed = vec!["x-debug".to_owned()];
    check("one-way", &answer(vec![outcome]));
}

#[test]
fn several_ways_share_their_start() {
    let way = |host: &str, version: &str, weight: u32, share: f64| {
        let mut steps = way_in();
        let cluster = format!("outbound|9080|{version}|catalog.shop.svc.cluster.local");
        let mut chosen = step("cluster", &cluster, &format!("weight {weight} of 100"), 2000);
        chosen.object = Some("DestinationRule shop/catalog".to_owned());
        steps.push(chosen);
        steps.push(step("endpoint", host, "one of 2 healthy endpoints of priority 0", 9000));
        delivered(host, version, share, steps)
    };
    check(
        "several-ways",
        &answer(vec![
            way("10.244.1.7:9080", "v1", 80, 0.4),
            way("10.244.2.9:9080", "v1", 80, 0.4),
            way("10.244.1.12:9080", "v2", 20, 0.2),
        ]),
    );
}

#[test]
fn a_failure_says_all_that_stands_in_the_way() {
    let mut steps = way_in();
    steps.push(step("cluster", "outbound|9080|v9|catalog.shop.svc.cluster.local", "the route names it", 812));
    if let Some(last) = steps.last_mut() {
        last.rejected = vec![
            no("outbound|9080|v1|catalog.shop.svc.cluster.local", "another subset: the route wants v9"),
            no("outbound|9080||catalog.shop.svc.cluster.local", "no subset: the route wants v9"),
        ];
    }
    let outcome = OutcomeAnswer {
        status: Some(503),
        flags: Some("NC".to_owned()),
        details: Some("cluster_not_found".to_owned()),
        disposition: "no_cluster",
        explanation: "answered with 503: the route's cluster doesn't exist in this proxy".to_owned(),
        share: Some(1.0),
        steps,
        ..OutcomeAnswer::default()
    };
    check("failure", &answer(vec![outcome]));
}

#[test]
fn what_is_not_known_is_named_with_its_remedy() {
    let mut steps = way_in();
    steps.push(step("HTTP filter", "envoy.filters.http.ext_authz", "its server may deny", 5000));
    let denied = OutcomeAnswer {
        status: Some(403),
        flags: Some("UAEX".to_owned()),
        details: Some("ext_authz_denied".to_owned()),
        disposition: "filter_reply",
        explanation: "answered with 403 by a filter of this proxy; no upstream sees it".to_owned(),
        steps: steps.clone(),
        ..OutcomeAnswer::default()
    };
    let mut outcome = delivered("10.244.1.7:9080", "v1", 1.0, steps);
    outcome.share = None;
    let mut answer = answer(vec![outcome, denied]);
    let assume = ["allow", "deny", "error"].map(|decision| format!("ext_authz={decision}"));
    let what = "ext_authz decision of authz.shop.svc.cluster.local".to_owned();
    answer.unknown = vec![what.clone(), "whether {a} = 'b'".to_owned()];
    answer.assume = vec![assume.to_vec(), vec!["whether {a} = 'b'=yes".to_owned(), "whether {a} = 'b'=no".to_owned()]];
    answer.settle = super::super::words::settle(&[Unknown { what, assume: Vec::new() }]);
    answer.assumed = vec!["lua=continue".to_owned(), "upstream=503".to_owned()];
    check("unknown", &answer);
}

#[test]
fn tcp_and_names_that_steer_a_terminal() {
    let mut answer = answer(vec![OutcomeAnswer {
        disposition: "no_listener",
        explanation: "the connection is refused: the proxy listens nowhere that would take it".to_owned(),
        steps: vec![step("listener", "\u{1b}[2Jevil\nname", "", 0)],
        ..OutcomeAnswer::default()
    }]);
    answer.request = Some(RequestAnswer {
        protocol: "tcp",
        method: None,
        path: None,
        authority: None,
        tls: true,
        sni: Some("db.example".to_owned()),
        principal: Some("spiffe://cluster.local/ns/a/sa/b".to_owned()),
        connect: Some("10.0.0.1:5432".to_owned()),
        source: "10.0.0.9".to_owned(),
    });
    check("tcp", &answer);
}

#[test]
fn a_line_that_is_no_request() {
    check("error", &TraceAnswer::error("7".to_owned(), "requests.jsonl:7: connect: not a port".to_owned()));
}
