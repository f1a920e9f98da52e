//! A graph as DOT, for Graphviz.

use std::fmt::Write as _;

use super::escape::escape as visible;
use super::graph::{is_side, label};
use crate::dump::State;
use crate::graph::{EdgeKind, NodeKind, Presence, View, ViewNode};

const HEAD: &str = "\
digraph xdsight {
  rankdir=LR;
  node [fontname=\"Helvetica\", fontsize=10, shape=box, style=filled, fillcolor=white];
  edge [fontname=\"Helvetica\", fontsize=9, color=gray40];
";

/// Writes a view as a directed graph from left to right.
#[must_use]
pub fn dot(view: &View) -> String {
    let mut out = HEAD.to_owned();
    for (nth, node) in view.nodes.iter().enumerate() {
        let label: Vec<String> = label(node).iter().map(|line| escape(line)).collect();
        // Writing to a string can't fail.
        let _ = writeln!(out, "  n{nth} [label=\"{}\"{}];", label.join("\\n"), attributes(node));
    }
    for edge in &view.edges {
        let attributes = match edge.kind {
            EdgeKind::Part => String::new(),
            kind => format!(" [label=\"{kind}\"{}]", if is_side(kind) { ", style=dashed" } else { "" }),
        };
        let _ = writeln!(out, "  n{} -> n{}{attributes};", edge.from, edge.to);
    }
    out.push_str("}\n");
    out
}

fn attributes(node: &ViewNode) -> &'static str {
    match (node.presence, node.kind) {
        (Presence::Missing, _) => ", style=\"filled,dashed\", color=red, fontcolor=red",
        (Presence::NotInFile, _) => ", style=\"filled,dashed\", color=gray, fontcolor=gray40",
        (Presence::Dynamic, _) => ", shape=ellipse, style=\"filled,dashed\"",
        (Presence::Held(State::Warming), _) => ", fillcolor=orange",
        (Presence::Held(State::Draining), _) => ", fillcolor=gray85",
        (Presence::Held(State::Error), _) => ", fillcolor=tomato",
        (_, NodeKind::Listener) => ", fillcolor=lightblue",
        (_, NodeKind::Cluster) => ", fillcolor=palegreen",
        (_, NodeKind::RouteConfiguration) => ", fillcolor=lightyellow",
        (_, NodeKind::Secret) => ", shape=note",
        _ => "",
    }
}

/// Text inside the quotes of DOT: names come from the dump and may hold anything.
fn escape(text: &str) -> String {
    visible(text).replace('\\', "\\\\").replace('"', "\\\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_escaped() {
        assert_eq!(escape("a\"b\\c\nd"), r#"a\"b\\c\\nd"#);
    }
}
