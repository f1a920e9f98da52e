//! The text form of a summary.

use anstyle::Style;

use super::flow::Flow;
use super::style::{FAINT, HEAD, NOTE, paint};
use super::table::Table;
use crate::dump::Counts;
use crate::inventory::{Identity, Summary};

const PLAIN: Style = Style::new();

/// The summary as text.
#[must_use]
pub fn summary(summary: &Summary) -> String {
    let mut out = String::new();
    identity(&mut out, summary);
    section(&mut out, "Resources");
    counts(&mut out, &summary.counts);
    if !summary.freshness.is_empty() {
        let as_of = summary.as_of.as_deref().map(|time| format!(" as of {time}")).unwrap_or_default();
        section(&mut out, &format!("Freshness{as_of}"));
        freshness(&mut out, summary);
    }
    section(&mut out, "What stands out");
    attention(&mut out, summary);
    out
}

fn section(out: &mut String, title: &str) {
    out.push_str(&format!("\n{}\n", paint(HEAD, title)));
}

fn identity(out: &mut String, summary: &Summary) {
    let Identity { pod, namespace, node_type, .. } = &summary.identity;
    let title = match (pod, namespace, &summary.identity.id) {
        (Some(pod), Some(namespace), _) => format!("{namespace}/{pod}"),
        (_, _, Some(id)) => id.clone(),
        _ => "a proxy without a name".to_owned(),
    };
    let kind = node_type.as_deref().map(|kind| format!("({kind})")).unwrap_or_default();
    Flow::new(out, 0).text(HEAD, &title).text(PLAIN, &kind).end();
    let identity = &summary.identity;
    let rows: [(&str, Option<String>); 13] = [
        ("file", Some(summary.file.clone())),
        ("workload", identity.workload.clone()),
        ("service account", identity.service_account.clone()),
        ("addresses", (!identity.addresses.is_empty()).then(|| identity.addresses.join(", "))),
        ("node cluster", identity.node_cluster.clone()),
        ("cluster", identity.cluster.clone()),
        ("mesh", identity.mesh.clone()),
        ("network", identity.network.clone()),
        ("locality", identity.locality.clone()),
        ("Istio", identity.istio_version.clone()),
        ("Envoy", identity.envoy_version.clone()),
        ("server state", identity.server_state.clone()),
        ("node id", identity.id.clone()),
    ];
    for (label, value) in rows {
        if let Some(value) = value {
            Flow::new(out, 19).label(2, FAINT, label).text(PLAIN, &value).end();
        }
    }
}

fn counts(out: &mut String, counts: &Counts) {
    let mut row = |label: &str, numbers: &[(usize, &str)]| {
        let parts: Vec<String> =
            numbers.iter().filter(|(count, _)| *count > 0).map(|(count, state)| format!("{count} {state}")).collect();
        let text = if parts.is_empty() { "none".to_owned() } else { parts.join(", ") };
        Flow::new(out, 19).label(2, FAINT, label).text(PLAIN, &text).end();
    };
    let listeners = &counts.listeners;
    row(
        "listeners",
        &[
            (listeners.active, "active"),
            (listeners.statics, "static"),
            (listeners.warming, "warming"),
            (listeners.draining, "draining"),
            (listeners.error, "rejected"),
        ],
    );
    row("routes", &[(counts.routes.dynamic, "dynamic"), (counts.routes.statics, "static or inline")]);
    if counts.scoped_routes.dynamic + counts.scoped_routes.statics > 0 {
        row("scoped routes", &[(counts.scoped_routes.dynamic, "dynamic"), (counts.scoped_routes.statics, "inline")]);
    }
    for (label, of) in [("clusters", &counts.clusters), ("secrets", &counts.secrets)] {
        row(label, &[(of.active, "active"), (of.statics, "static"), (of.warming, "warming")]);
    }
    row("endpoints of", &[(counts.endpoints.dynamic, "EDS clusters"), (counts.endpoints.statics, "static clusters")]);
    if counts.ecds > 0 {
        row("ECDS filters", &[(counts.ecds, "active")]);
    }
}

fn freshness(out: &mut String, summary: &Summary) {
    let mut table = Table::new(&["  TYPE", "RESOURCES", "LAST CHANGE", "AGE", "VERSION"], 3);
    for row in &summary.freshness {
        let more = row.versions.saturating_sub(1);
        let version = match (row.version.as_deref().unwrap_or("-"), more) {
            (version, 0) => version.to_owned(),
            (version, more) => format!("{version} + {more} older"),
        };
        table.row([
            format!("  {}", row.xds).into(),
            row.resources.to_string().into(),
            row.last_updated.clone().unwrap_or_else(|| "-".to_owned()).into(),
            row.age_seconds.map_or("-".to_owned(), age).into(),
            version.into(),
        ]);
    }
    out.push_str(&table.render());
}

/// `3d4h`, `2h5m`, `17s`: the two largest units.
fn age(seconds: i64) -> String {
    let sign = if seconds < 0 { "-" } else { "" };
    let all = seconds.unsigned_abs();
    let units = [(all / 86_400, "d"), (all / 3_600 % 24, "h"), (all / 60 % 60, "m"), (all % 60, "s")];
    let shown: Vec<String> = units
        .iter()
        .skip_while(|(count, _)| *count == 0)
        .take(2)
        .filter(|(count, _)| *count > 0)
        .map(|(count, unit)| format!("{count}{unit}"))
        .collect();
    if shown.is_empty() { "0s".to_owned() } else { format!("{sign}{}", shown.concat()) }
}

/// Most lines of one kind; the rest is in the JSON.
const MOST: usize = 10;

fn attention(out: &mut String, summary: &Summary) {
    let mut lines = 0;
    let mut kinds: Vec<&str> = Vec::new();
    for attention in &summary.attention {
        if !kinds.contains(&attention.what) {
            kinds.push(attention.what);
        }
    }
    for kind in kinds {
        let all: Vec<_> = summary.attention.iter().filter(|attention| attention.what == kind).collect();
        for attention in all.iter().take(MOST) {
            let place = match (&attention.file, attention.line) {
                (Some(file), Some(line)) => format!("{file}:{line}"),
                _ => attention.path.clone().unwrap_or_default(),
            };
            Flow::new(out, 4).label(2, NOTE, "!").text(PLAIN, &attention.text).text(FAINT, &place).end();
            lines += 1;
        }
        if all.len() > MOST {
            let rest = format!("and {} more that are {kind}; -o json has them all", all.len() - MOST);
            Flow::new(out, 4).hang().text(FAINT, &rest).end();
        }
    }
    for (title, unknown) in [("type", &summary.unknown_types), ("field", &summary.unknown_fields)] {
        for (name, count) in unknown {
            let text = format!("{title} {name} isn't known here ({count} times)");
            Flow::new(out, 4).label(2, NOTE, "!").text(PLAIN, &text).end();
            lines += 1;
        }
    }
    for warning in &summary.warnings {
        Flow::new(out, 4).label(2, NOTE, "!").text(PLAIN, warning).end();
        lines += 1;
    }
    if lines == 0 {
        Flow::new(out, 2).hang().text(PLAIN, "nothing").end();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_in_two_units() {
        assert_eq!(age(0), "0s");
        assert_eq!(age(59), "59s");
        assert_eq!(age(3_600), "1h");
        assert_eq!(age(90_061), "1d1h");
        assert_eq!(age(-61), "-1m1s");
    }
}
