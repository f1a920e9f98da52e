//! Files to objects.

use std::sync::Arc;

use rayon::prelude::*;
use serde_json::Value;

use super::key;
use super::object::{Body, Metadata, Object, Place};
use crate::input::Source;

/// What a file held.
#[derive(Default)]
pub(super) struct Read {
    pub(super) objects: Vec<Object>,
    /// Kinds of lists, empty ones too.
    pub(super) kinds: Vec<String>,
    pub(super) warnings: Vec<String>,
}

/// Most lists within lists.
const MAX_DEPTH: usize = 4;

/// Bytes of JSON in which the first object has named its version.
const HEAD: usize = 16 * 1024;

/// Whether the text has objects in it: a cheap look that tells them from dumps.
pub(super) fn holds_objects(bytes: &[u8]) -> bool {
    let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes).trim_ascii_start();
    let has = |text: &[u8], what: &str| memchr::memmem::find(text, what.as_bytes()).is_some();
    if matches!(text.first(), Some(b'{' | b'[')) {
        let head = text.get(..HEAD.min(text.len())).unwrap_or_default();
        return has(head, "\"apiVersion\"") && has(text, "\"kind\"");
    }
    let has_line = |what: &str| text.starts_with(what.as_bytes()) || has(text, &format!("\n{what}"));
    has_line("apiVersion:") && has_line("kind:")
}

pub(super) fn read(source: &Source) -> Read {
    let file: Arc<str> = source.file().into();
    let bytes = source.bytes();
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut read = Read::default();
    let documents = if matches!(bytes.trim_ascii_start().first(), Some(b'{' | b'[')) {
        json(source, bytes)
    } else {
        yaml(&String::from_utf8_lossy(bytes))
    };
    for (line, document) in documents {
        match document {
            Ok(value) => read.add(value, &Place { file: Arc::clone(&file), line, path: String::new() }, 0),
            Err(message) => read.warnings.push(format!("{file}:{line}: a document is left out: {message}")),
        }
    }
    read
}

/// A document with the line that it starts on, or the line of its fault with what is wrong.
type Document = (usize, Result<Value, String>);

fn json(source: &Source, bytes: &[u8]) -> Vec<Document> {
    let mut documents = Vec::new();
    let mut stream = serde_json::Deserializer::from_slice(bytes).into_iter::<Value>();
    loop {
        let start = stream.byte_offset();
        let blank = bytes.get(start..).unwrap_or_default();
        let start = start + (blank.len() - blank.trim_ascii_start().len());
        match stream.next() {
            None => return documents,
            Some(Ok(value)) => documents.push((source.line(start).unwrap_or(1), Ok(value))),
            Some(Err(error)) => {
                documents.push((error.line(), Err(error.to_string())));
                return documents;
            }
        }
    }
}

fn yaml(text: &str) -> Vec<Document> {
    let documents: Vec<(usize, &str)> = documents(text);
    documents
        .into_par_iter()
        .filter_map(|(before, text)| {
            let is_content = |line: &str| {
                let line = line.trim();
                !line.is_empty() && !line.starts_with('#') && !line.starts_with("---") && !line.starts_with("...")
            };
            let first = text.lines().position(is_content)?;
            Some(match serde_saphyr::from_str_with_options::<Value>(text, options()) {
                Ok(value) => (before + first + 1, Ok(value)),
                Err(error) => {
                    let within = error.location().and_then(|at| usize::try_from(at.line()).ok());
                    let line = within.filter(|line| *line > 0).unwrap_or(first + 1);
                    let message = error.without_snippet().to_string().replace('\n', " ");
                    // Lines in it count from the start of the document.
                    let message = message.rsplit_once(" at line ").map_or(message.as_str(), |(what, _)| what);
                    (before + line, Err(message.to_owned()))
                }
            })
        })
        .collect()
}

/// A capture of a cluster is larger than a configuration file.
fn options() -> serde_saphyr::Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_events: 100_000_000,
            max_nodes: 50_000_000,
            max_total_scalar_bytes: 1 << 30,
        },
    }
}

/// The documents of a YAML text, with the number of lines before each.
fn documents(text: &str) -> Vec<(usize, &str)> {
    let mut documents = Vec::new();
    let (mut start, mut line_of_start, mut at) = (0, 0, 0);
    for (nth, line) in text.split_inclusive('\n').enumerate() {
        let rest = line.strip_prefix("---");
        let is_marker = rest.is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']));
        if is_marker && at > start {
            documents.push((line_of_start, text.get(start..at).unwrap_or_default()));
            (start, line_of_start) = (at, nth);
        }
        at += line.len();
    }
    documents.push((line_of_start, text.get(start..).unwrap_or_default()));
    documents
}

impl Read {
    /// Adds the object of a document, or those of a list.
    fn add(&mut self, value: Value, place: &Place, depth: usize) {
        let within = |path: String| Place { path, ..place.clone() };
        let text = |name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let (version, kind) = (text("apiVersion"), text("kind"));
        let group = version.rsplit_once('/').map_or("", |(group, _)| group).to_owned();
        let items = match &value {
            Value::Array(_) => Some(value),
            Value::Object(members) if kind.ends_with("List") && (members.contains_key("items") || kind == "List") => {
                self.kinds
                    .extend(kind.strip_suffix("List").filter(|kind| !kind.is_empty()).map(|kind| key(&group, kind)));
                let Value::Object(mut members) = value else { return };
                members.remove("items")
            }
            _ => return self.object(value, group, kind, place),
        };
        let is_bare = kind.is_empty();
        let Some(Value::Array(items)) = items else { return };
        if depth >= MAX_DEPTH {
            return self.warnings.push(format!("{place}: lists within lists are left out"));
        }
        for (nth, mut item) in items.into_iter().enumerate() {
            // A list of one kind need not repeat it.
            if let (Value::Object(members), Some(kind)) =
                (&mut item, kind.strip_suffix("List").filter(|k| !k.is_empty()))
            {
                members.entry("kind").or_insert_with(|| kind.into());
                members.entry("apiVersion").or_insert_with(|| version.as_str().into());
            }
            let list = if is_bare { "" } else { "items" };
            let path = if place.path.is_empty() { list.to_owned() } else { format!("{}.{list}", place.path) };
            self.add(item, &within(format!("{path}[{nth}]")), depth + 1);
        }
    }

    fn object(&mut self, mut value: Value, group: String, kind: String, place: &Place) {
        if kind.is_empty() {
            // An empty document, or one of something else.
            if value.as_object().is_some_and(|members| !members.is_empty()) {
                self.warnings.push(format!("{place}: no Kubernetes object: it has no kind"));
            }
            return;
        }
        let metadata = value.get_mut("metadata").map(Value::take).unwrap_or_default();
        let metadata = match serde_path_to_error::deserialize::<_, Option<Metadata>>(metadata) {
            Ok(metadata) => metadata.unwrap_or_default(),
            Err(error) => return self.warnings.push(format!("{place}: {kind} is left out: metadata.{error}")),
        };
        let body = Body::read(&group, &kind, value);
        let mut object = Object { group, kind, metadata, place: place.clone(), body: Body::Other };
        match body {
            Ok(body) => object.body = body,
            Err(error) => return self.warnings.push(format!("{place}: {} is left out: {error}", object.name())),
        }
        self.objects.push(object);
    }
}
