//! `xdsight graph`

use super::error::CliError;
use super::format::Format;
use super::suggest::closest;
use super::ui::Ui;
use super::{Verdict, input};
use crate::graph::{Found, Graph, NodeId, Reach, Selection};
use crate::render;

/// Most candidates that are named when a name is ambiguous.
const CANDIDATES: usize = 12;

/// Draw what refers to what: listeners, routes, clusters, endpoints, secrets
///
/// NODE is `kind:name`, for example listener:0.0.0.0_80, route-config:8080, cluster:outbound|80||shop; a name alone
/// is enough where it is unique. Kinds: bootstrap, listener, filter-chain, scoped-route, route-config, virtual-host,
/// route, cluster, load-assignment, endpoint, secret, extension. What something refers to but the file lacks is drawn
/// dashed.
#[derive(Debug, clap::Args)]
pub(super) struct GraphArgs {
    /// Dump of the proxy: a file, - or a folder of admin answers
    input: String,

    /// Only this node and what it leads to
    #[arg(long, value_name = "NODE")]
    from: Option<String>,

    /// Only this node and what leads to it; with --from only the ways between the two
    #[arg(long, value_name = "NODE")]
    to: Option<String>,

    /// Follow at most this many references
    #[arg(long, value_name = "N")]
    depth: Option<usize>,

    /// Draw every endpoint instead of their number
    #[arg(long)]
    endpoints: bool,

    /// Form of the answer
    #[arg(short, long, value_name = "FORMAT", default_value = "dot",
        value_parser = Format::among(&[Format::Dot, Format::Mermaid, Format::Json, Format::Yaml]))]
    output: Format,
}

pub(super) fn run(ui: &mut Ui, args: &GraphArgs) -> Result<Verdict, CliError> {
    if args.depth.is_some() && args.from.is_none() && args.to.is_none() {
        return Err(CliError::usage("--depth needs --from or --to"));
    }
    let proxy = input::load(&args.input)?;
    input::warn(ui, &proxy);
    let graph = Graph::build(&proxy);
    let find = |text: &Option<String>| text.as_ref().map(|text| find(&graph, text)).transpose();
    let (from, to) = (find(&args.from)?, find(&args.to)?);
    let selection: Option<Selection> = match (from, to) {
        (Some(from), Some(to)) => Some(graph.between(from, to, args.depth)),
        (Some(from), None) => Some(graph.around(from, args.depth, Reach::Down)),
        (None, Some(to)) => Some(graph.around(to, args.depth, Reach::Up)),
        (None, None) => None,
    };
    let keep: Vec<NodeId> = from.into_iter().chain(to).collect();
    let view = graph.view(selection.as_ref(), &keep, args.endpoints);
    let text = match args.output {
        Format::Mermaid => {
            if view.edges.len() > render::MAX_EDGES {
                let (edges, most) = (view.edges.len(), render::MAX_EDGES);
                ui.warn(&format!(
                    "Mermaid draws at most {most} references unless its maxEdges is raised, here are {edges}"
                ));
                ui.hint("--from, --to and --depth draw a part");
            }
            render::mermaid(&view)
        }
        Format::Json | Format::Yaml => {
            let answer = render::GraphAnswer::new(proxy.file(), &view, &graph.dangling());
            if args.output == Format::Yaml {
                render::yaml(&answer)?
            } else {
                format!("{}\n", render::pretty(&answer, 2)?)
            }
        }
        _ => render::dot(&view),
    };
    ui.answer(&text)?;
    if let (true, Some(from), Some(to)) = (view.nodes.is_empty(), &args.from, &args.to) {
        let within = args.depth.map(|depth| format!(" within {depth} references")).unwrap_or_default();
        ui.warn(&format!("nothing leads from {from} to {to}{within}"));
        return Ok(Verdict::Found);
    }
    Ok(Verdict::Clean)
}

fn find(graph: &Graph, text: &str) -> Result<NodeId, CliError> {
    let id = |node: &NodeId| graph.node(*node).map(crate::graph::Node::id).unwrap_or_default();
    match graph.find(text) {
        Found::One(node) => Ok(node),
        Found::Ambiguous(nodes) => {
            let mut error = CliError::input(format!("{text} may mean {} nodes", nodes.len()));
            for node in nodes.iter().take(CANDIDATES) {
                error = error.hint(id(node));
            }
            if nodes.len() > CANDIDATES {
                error = error.hint(format!("and {} more", nodes.len() - CANDIDATES));
            }
            Err(error)
        }
        Found::Nothing => {
            let error = CliError::input(format!("the input has no node {text}"));
            let ids: Vec<String> = graph.nodes().map(|(_, node)| node.id()).collect();
            let names = graph.nodes().map(|(_, node)| node.name.as_ref());
            match closest(text, ids.iter().map(String::as_str).chain(names)) {
                Some(near) => Err(error.hint(format!("did you mean {near}?"))),
                None => {
                    Err(error.hint("a node is kind:name, for example cluster:outbound|80||shop; -o json lists them"))
                }
            }
        }
    }
}
