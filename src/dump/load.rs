//! What is said of a dump that can't be loaded, or not in full.

use std::sync::Arc;

use super::index::{Cut, IndexError, Unknown};
use super::text::Document;
use crate::input::Source;

/// No proxy can be made of the input.
#[derive(Debug, thiserror::Error)]
#[error("{file}{}: {message}", .line.map(|line| format!(":{line}")).unwrap_or_default())]
pub struct LoadError {
    /// The file.
    pub file: String,
    /// Line where it stops being readable.
    pub line: Option<usize>,
    /// What is wrong, with the JSON path.
    pub message: String,
    /// What to do next.
    pub hint: Option<String>,
}

/// What was skipped, lost or not understood.
pub(super) fn warnings(document: &Document, start: usize) -> Vec<String> {
    let (source, index) = (document.text.source(), &document.index);
    let file = source.file();
    let mut warnings = Vec::new();
    let before = source.slice(0..start);
    if !before.strip_prefix(b"\xef\xbb\xbf").unwrap_or(before).trim_ascii().is_empty() {
        warnings.push(format!("{file}: {start} bytes before the document are skipped"));
    }
    if let Some(cut) = &index.cut {
        let whole: usize = index.lists.iter().map(|list| list.elements.len()).sum();
        let line = source.line(cut.offset).map(|line| format!(":{line}")).unwrap_or_default();
        warnings.push(format!(
            "{file}{line}: the text ends inside {}; {} before it {} used, whatever followed is lost",
            place(cut),
            if whole == 1 { "the one resource".to_owned() } else { format!("the {whole} resources") },
            if whole == 1 { "is" } else { "are" },
        ));
    }
    if index.trailing > 0 {
        warnings.push(format!("{file}: {} bytes after the document are skipped", index.trailing));
    }
    for unknown in &index.unknown {
        let place = if unknown.path.is_empty() { String::new() } else { format!(" {}:", escape(&unknown.path)) };
        warnings.push(format!("{file}:{place} no known section or resource: {}", describe(unknown)));
    }
    warnings
}

fn place(cut: &Cut) -> String {
    if cut.path.is_empty() { "the document".to_owned() } else { escape(&cut.path) }
}

fn describe(unknown: &Unknown) -> String {
    const MOST: usize = 8;
    if !unknown.type_url.is_empty() {
        return escape(&unknown.type_url);
    }
    if unknown.members.is_empty() {
        return "no object with members".to_owned();
    }
    let members: Vec<&str> = unknown.members.iter().take(MOST).map(String::as_str).collect();
    let more = if unknown.members.len() > MOST { ", …" } else { "" };
    format!("members {}{more}", escape(&members.join(", ")))
}

/// Names of a dump are untrusted: control characters don't reach a terminal.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() { out.extend(c.escape_default()) } else { out.push(c) }
    }
    out
}

/// Says why there is no index.
pub(super) fn load_error(source: &Arc<Source>, error: IndexError) -> LoadError {
    let file = source.file().to_owned();
    match error {
        IndexError::Syntax { error, path } => {
            let found = source.bytes().get(error.offset()..).and_then(|rest| rest.iter().next());
            let found = found.map(|byte| format!(", but there is {:?}", char::from(*byte))).unwrap_or_default();
            let path = if path.is_empty() { String::new() } else { format!("{}: ", escape(&path)) };
            LoadError {
                file,
                line: source.line(error.offset()),
                message: format!("{path}this is not JSON: {error}{found}"),
                hint: Some("save the answer again as it was sent, or mend the place named".to_owned()),
            }
        }
        IndexError::Nothing { cut: Some(cut), .. } => LoadError {
            file,
            line: source.line(cut.offset),
            message: format!("the text ends inside {}, before any whole resource", place(&cut)),
            hint: Some("capture it again, and look at what ended the transfer".to_owned()),
        },
        IndexError::Nothing { unknown, .. } => {
            let first = unknown.first();
            let (message, hint) = match first.and_then(|first| other_tool(&first.members)) {
                Some(known) => known,
                None => {
                    let seen = first.map(|first| format!(" ({})", describe(first))).unwrap_or_default();
                    (format!("this is JSON, but neither a config_dump nor a resource of one{seen}"), None)
                }
            };
            let hint = hint
                .unwrap_or("pass a config_dump, a resource printed by istioctl proxy-config -o json, or a bootstrap");
            LoadError { file, line: None, message, hint: Some(hint.to_owned()) }
        }
    }
}

/// JSON of other programs that is taken for a dump by mistake, by its members in snake_case.
fn other_tool(members: &[String]) -> Option<(String, Option<&'static str>)> {
    let has = |names: &[&str]| names.iter().all(|name| members.iter().any(|member| member == name));
    let istiod = Some("for what istiod sends to one proxy, capture /debug/config_dump?proxyID=POD.NAMESPACE");
    let (what, hint) = if has(&["workloads", "services"]) || has(&["by_addr"]) || has(&["workload_state"]) {
        ("a config_dump of ztunnel, not of Envoy", Some("xdsight ztunnel-config lists what a ztunnel holds"))
    } else if has(&["api_version", "kind"]) {
        ("a Kubernetes object, not what a proxy was sent", None)
    } else if has(&["proxy", "istio_version"]) {
        ("istiod's /debug/syncz, not a config_dump", istiod)
    } else if has(&["total_clients", "clients"]) {
        ("istiod's /debug/adsz, not a config_dump", istiod)
    } else if members == ["config"] || has(&["generic_xds_configs"]) {
        ("a client status (CSDS), not a config_dump", istiod)
    } else {
        return None;
    };
    Some((format!("this is {what}"), hint))
}
