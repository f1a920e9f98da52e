use serde_json::{Value as Json, json};

use super::*;
use crate::trace::context::Subject;
use crate::trace::matcher::fixture::{answers, connection, message, proxy, stream};

fn text(value: &str) -> Json {
    json!({"const_expr": {"string_value": value}})
}

fn int(value: i64) -> Json {
    json!({"const_expr": {"int64_value": value.to_string()}})
}

fn select(of: Json, field: &str) -> Json {
    json!({"select_expr": {"operand": of, "field": field}})
}

fn has(of: Json, field: &str) -> Json {
    json!({"select_expr": {"operand": of, "field": field, "test_only": true}})
}

fn ident(name: &str) -> Json {
    json!({"ident_expr": {"name": name}})
}

fn call(function: &str, args: &[Json]) -> Json {
    json!({"call_expr": {"function": function, "args": args}})
}

fn method(target: Json, function: &str, args: &[Json]) -> Json {
    json!({"call_expr": {"target": target, "function": function, "args": args}})
}

fn header(name: &str) -> Json {
    call("_[_]", &[select(ident("request"), "headers"), text(name)])
}

/// `expected`: true, false, or both.
#[track_caller]
fn check(expression: &Json, expected: &[bool]) {
    let stream = stream(connection(), "/a/b?q=1", &[("x-a", "1"), ("x-a", "2"), ("user-agent", "curl")]);
    let parsed = message(expression.clone());
    let (found, unknown) = answers(&proxy(40), |cx, walk| {
        is_true(cx, walk, &parsed, Subject { connection: &stream.connection, stream: Some(&stream) })
    });
    assert_eq!(found, expected, "{expression}");
    assert_eq!(unknown.is_empty(), expected.len() == 1, "{unknown:?}");
}

#[test]
fn attributes_are_envoys() {
    check(&call("_==_", &[select(ident("request"), "path"), text("/a/b?q=1")]), &[true]);
    check(&call("_==_", &[select(ident("request"), "url_path"), text("/a/b")]), &[true]);
    check(&call("_==_", &[select(ident("request"), "query"), text("q=1")]), &[true]);
    check(&call("_==_", &[header("X-A"), text("1,2")]), &[true]);
    check(&call("_==_", &[header("host"), text("example.com")]), &[true]);
    check(&call("_==_", &[select(ident("source"), "address"), text("10.1.1.1:5000")]), &[true]);
    check(&call("_==_", &[select(ident("destination"), "port"), int(80)]), &[true]);
    check(&select(ident("connection"), "mtls"), &[false]);
    check(&call("_<_", &[select(ident("request"), "time"), int(1)]), &[false, true]);
}

#[test]
fn failure_is_false_but_doesnt_spread_past_a_decided_operand() {
    let missing = call("_==_", &[header("x-none"), text("1")]);
    let holds = call("_==_", &[select(ident("request"), "method"), text("GET")]);
    check(&missing, &[false]);
    check(&call("!_", std::slice::from_ref(&missing)), &[false]);
    check(&call("_||_", &[missing.clone(), holds.clone()]), &[true]);
    check(&call("_||_", &[holds.clone(), missing.clone()]), &[true]);
    check(&call("_&&_", &[missing.clone(), call("!_", std::slice::from_ref(&holds))]), &[false]);
    let unknown = call("_==_", &[select(ident("request"), "protocol"), text("HTTP/2")]);
    check(&call("_||_", &[unknown.clone(), holds.clone()]), &[true]);
    check(&call("_&&_", &[unknown, holds]), &[false, true]);
    check(&ident("nobody"), &[false]);
}

#[test]
fn functions_work_on_their_types() {
    let path = || select(ident("request"), "url_path");
    check(&method(path(), "startsWith", &[text("/a")]), &[true]);
    check(&method(path(), "endsWith", &[text("/a")]), &[false]);
    check(&method(path(), "contains", &[text("/b")]), &[true]);
    check(&method(path(), "matches", &[text("a/.$")]), &[true]);
    check(&method(path(), "matches", &[text("^a")]), &[false]);
    check(&method(int(1), "startsWith", &[text("/a")]), &[false]);
    check(&call("_==_", &[call("size", &[path()]), int(4)]), &[true]);
    check(&call("@in", &[text("x-a"), select(ident("request"), "headers")]), &[true]);
    check(&call("@in", &[path(), json!({"list_expr": {"elements": [text("/x"), text("/a/b")]}})]), &[true]);
    check(&has(select(ident("request"), "headers"), "x-none"), &[false]);
    check(&has(ident("request"), "referer"), &[false]);
    check(&call("_==_", &[call("int", &[text("7")]), int(7)]), &[true]);
    check(&call("_==_", &[text("7"), int(7)]), &[false]);
    check(&method(path(), "frobnicate", &[]), &[false, true]);
}
