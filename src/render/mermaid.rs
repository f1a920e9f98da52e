//! A graph as a Mermaid flowchart, which renders in Markdown.

use std::fmt::Write as _;

use super::escape::is_unsafe;
use super::graph::{is_side, label};
use crate::dump::State;
use crate::graph::{EdgeKind, Presence, View};

/// Most references that Mermaid draws unless its `maxEdges` is raised.
pub const MAX_EDGES: usize = 500;

/// Classes of nodes: name, style.
const CLASSES: &[(&str, &str)] = &[
    ("missing", "stroke:#d00,color:#d00,stroke-dasharray:4"),
    ("unseen", "stroke:#999,color:#777,stroke-dasharray:4"),
    ("warming", "fill:#fb6"),
    ("draining", "fill:#ddd"),
    ("error", "fill:#f98"),
];

/// Writes a view as a flowchart from left to right.
#[must_use]
pub fn mermaid(view: &View) -> String {
    let mut out = String::from("flowchart LR\n");
    let mut used = Vec::new();
    for (nth, node) in view.nodes.iter().enumerate() {
        let text: Vec<String> = label(node).iter().map(|line| escape(line)).collect();
        let class = class(node.presence);
        used.extend(class);
        let class = class.map(|class| format!(":::{class}")).unwrap_or_default();
        // Writing to a string can't fail.
        let _ = writeln!(out, "  n{nth}[\"{}\"]{class}", text.join("<br>"));
    }
    for edge in &view.edges {
        let arrow = if is_side(edge.kind) { "-.->" } else { "-->" };
        let label = match edge.kind {
            EdgeKind::Part => String::new(),
            kind => format!("|\"{kind}\"|"),
        };
        let _ = writeln!(out, "  n{} {arrow}{label} n{}", edge.from, edge.to);
    }
    for (class, style) in CLASSES.iter().filter(|(class, _)| used.contains(class)) {
        let _ = writeln!(out, "  classDef {class} {style}");
    }
    out
}

fn class(presence: Presence) -> Option<&'static str> {
    match presence {
        Presence::Missing => Some("missing"),
        Presence::NotInFile | Presence::Dynamic => Some("unseen"),
        Presence::Held(State::Warming) => Some("warming"),
        Presence::Held(State::Draining) => Some("draining"),
        Presence::Held(State::Error) => Some("error"),
        Presence::Held(State::Static | State::Active) => None,
    }
}

/// Text inside a quoted label: Mermaid reads HTML and Markdown in it, so all that either knows becomes an entity.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' | '#' | '&' | '<' | '>' | '`' | '\\' | '*' | '~' | ';' => {
                let _ = write!(out, "#{};", u32::from(c));
            }
            c if is_unsafe(c) => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_escaped() {
        assert_eq!(escape("outbound|80|<b>|\"x\"\n"), "outbound|80|#60;b#62;|#34;x#34;\u{fffd}");
    }
}
