//! What a file is, told by its content.

use std::sync::Arc;

use super::source::Source;

/// One input with what it is.
#[derive(Debug, Clone)]
pub struct Artifact {
    /// The bytes and their name.
    pub source: Arc<Source>,
    /// What they are.
    pub kind: ArtifactKind,
    /// Offset of the first byte of the document: what is before it is an HTTP status line or log text.
    pub start: usize,
}

/// What an input is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ArtifactKind {
    /// A configuration dump in any of its forms, resources of one, or a bootstrap.
    Dump,
    /// `/clusters?format=json`.
    Clusters,
    /// `/listeners?format=json`.
    Listeners,
    /// `/server_info`.
    ServerInfo,
    /// `/certs`.
    Certs,
    /// `/init_dump`.
    InitDump,
    /// `/runtime`.
    Runtime,
    /// Of no use, with the reason; only in a folder.
    Unusable(String),
}

impl ArtifactKind {
    /// Whether anything can be read from it.
    #[must_use]
    pub fn is_usable(&self) -> bool {
        !matches!(self, Self::Unusable(_))
    }
}

impl Artifact {
    pub(crate) fn unusable(file: &str, reason: String) -> Self {
        Self { source: Arc::new(Source::from_bytes(file, Vec::new())), kind: ArtifactKind::Unusable(reason), start: 0 }
    }
}

/// A text that is no dump: what it is instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotADump {
    /// No bytes.
    #[error("the file is empty")]
    Empty,
    /// An HTML page.
    #[error("this is an HTML page, not a config_dump")]
    Html,
    /// What Python prints of a dict.
    #[error("line {line}: this is a Python literal (quotes are ' and not \"), not JSON")]
    PythonLiteral {
        /// Where it starts.
        line: usize,
    },
    /// An answer of Envoy's admin interface that reports an error.
    #[error("this is an error of Envoy's admin interface: {0:?}")]
    AdminError(String),
    /// The text form of `/clusters` or `/listeners`.
    #[error("this is the text form of the admin page /{0}, not a config_dump")]
    TextPage(&'static str),
    /// Neither JSON nor YAML with anything known in it.
    #[error("line {line}: this is neither JSON nor a bootstrap in YAML; it starts with {start:?}")]
    Text {
        /// Line of the first character that isn't white space.
        line: usize,
        /// First characters.
        start: String,
    },
    /// YAML that doesn't parse.
    #[error("line {line}: {message}")]
    Yaml {
        /// Where the parser stopped.
        line: usize,
        /// What it said.
        message: String,
    },
}

impl NotADump {
    pub(super) fn hint(&self) -> Option<&'static str> {
        match self {
            Self::PythonLiteral { .. } => Some(
                "save the body of the answer instead of printing the parsed object: curl -s localhost:15000/config_dump?include_eds > config_dump.json",
            ),
            Self::TextPage("clusters") => {
                Some("capture it with ?format=json and put it beside config_dump.json in one folder")
            }
            _ => None,
        }
    }
}

/// Text before the document is searched for its start this far.
const PREAMBLE: usize = 64 * 1024;

/// Tells what the bytes are.
///
/// # Errors
///
/// When they are nothing that can be read; the error says what they are.
pub fn recognise(source: Source) -> Result<Artifact, NotADump> {
    let bytes = source.bytes();
    let head = bytes.get(..PREAMBLE.min(bytes.len())).unwrap_or_default();
    let text = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
    let first = text.iter().position(|b| !b.is_ascii_whitespace()).ok_or(NotADump::Empty)?;
    let first = first + (head.len() - text.len());
    let body = head.get(first..).unwrap_or_default();
    if looks_like_json(body) {
        return Ok(json(source, first));
    }
    let line = source.line(first).unwrap_or(1);
    if body.starts_with(b"{'") || body.starts_with(b"{u'") || body.starts_with(b"[{'") {
        return Err(NotADump::PythonLiteral { line });
    }
    let lower = body.get(..512.min(body.len())).unwrap_or_default().to_ascii_lowercase();
    if lower.starts_with(b"<!doctype")
        || lower.starts_with(b"<html")
        || memchr::memmem::find(&lower, b"<body").is_some()
    {
        return Err(NotADump::Html);
    }
    if is_yaml(body) {
        return yaml(&source);
    }
    if let Some(start) = after_preamble(head, first) {
        return Ok(json(source, start));
    }
    Err(explain(body, line))
}

/// Whether a JSON document starts here: a brace is followed by a key or its end, a bracket by a value.
fn looks_like_json(body: &[u8]) -> bool {
    let mut rest = body.iter().copied().filter(|b| !b.is_ascii_whitespace());
    match (rest.next(), rest.next()) {
        (Some(b'{'), Some(b'"' | b'}') | None) => true,
        (Some(b'['), Some(b'{' | b']') | None) => rest.next() != Some(b'\''),
        _ => false,
    }
}

/// Start of a JSON document after an HTTP status line, headers or log text: a brace or bracket at the start of a line.
fn after_preamble(head: &[u8], from: usize) -> Option<usize> {
    memchr::memchr_iter(b'\n', head).map(|at| at + 1).filter(|at| *at > from).find(|at| {
        let rest = head.get(*at..).unwrap_or_default();
        matches!(rest.first(), Some(b'{' | b'[')) && looks_like_json(rest) && rest.len() > 2
    })
}

fn json(source: Source, start: usize) -> Artifact {
    let kind = match first_key(source.bytes().get(start..).unwrap_or_default()) {
        Some(b"cluster_statuses" | b"clusterStatuses") => ArtifactKind::Clusters,
        Some(b"listener_statuses" | b"listenerStatuses") => ArtifactKind::Listeners,
        Some(b"certificates") => ArtifactKind::Certs,
        Some(b"unready_targets_dumps" | b"unreadyTargetsDumps") => ArtifactKind::InitDump,
        Some(b"layers" | b"entries") => ArtifactKind::Runtime,
        Some(b"version" | b"state" | b"uptime_current_epoch" | b"hot_restart_version" | b"command_line_options") => {
            ArtifactKind::ServerInfo
        }
        None if source.bytes().get(start) == Some(&b'{') => ArtifactKind::InitDump,
        _ => ArtifactKind::Dump,
    };
    Artifact { source: Arc::new(source), kind, start }
}

/// First key of the object that starts here.
fn first_key(bytes: &[u8]) -> Option<&[u8]> {
    let rest = bytes.strip_prefix(b"{")?;
    let open = rest.iter().position(|b| !b.is_ascii_whitespace())?;
    let rest = rest.get(open..)?.strip_prefix(b"\"")?;
    rest.get(..memchr::memchr(b'"', rest)?)
}

/// Top-level keys of a bootstrap, and of what `istioctl … -o yaml` prints.
const YAML_KEYS: &[&[u8]] = &[
    b"static_resources:",
    b"staticResources:",
    b"node:",
    b"admin:",
    b"dynamic_resources:",
    b"dynamicResources:",
    b"configs:",
    b"bootstrap:",
    b"layered_runtime:",
    b"stats_config:",
    b"- name:",
    b"'@type':",
    b"\"@type\":",
    b"---",
];

fn is_yaml(body: &[u8]) -> bool {
    body.split(|b| *b == b'\n').take(200).any(|line| YAML_KEYS.iter().any(|key| line.starts_with(key)))
}

fn yaml(source: &Source) -> Result<Artifact, NotADump> {
    let text = std::str::from_utf8(source.bytes()).map_err(|e| NotADump::Yaml {
        line: source.line(e.valid_up_to()).unwrap_or(1),
        message: "not UTF-8".to_owned(),
    })?;
    let value: serde_json::Value = serde_saphyr::from_str(text).map_err(|error| NotADump::Yaml {
        line: error.location().map_or(1, |at| usize::try_from(at.line()).unwrap_or(1)),
        message: error.to_string().lines().next().unwrap_or_default().to_owned(),
    })?;
    let bytes = value.to_string().into_bytes();
    Ok(json(Source::converted(source.file(), bytes), 0))
}

/// Says what a text is that is neither JSON nor YAML.
fn explain(body: &[u8], line: usize) -> NotADump {
    let text = String::from_utf8_lossy(body.get(..512.min(body.len())).unwrap_or_default());
    let first = text.lines().next().unwrap_or_default();
    let admin = [
        "Failed to convert protobuf message",
        "not found in config dump",
        "FieldMask",
        "is not a repeated field",
        "invalid path. admin commands are",
        "error: ",
        "upstream connect error",
        "no healthy upstream",
    ];
    if admin.iter().any(|message| text.contains(message)) {
        return NotADump::AdminError(shorten(first));
    }
    if first.contains("::") {
        return NotADump::TextPage(if first.matches("::").count() >= 2 { "clusters" } else { "listeners" });
    }
    NotADump::Text { line, start: shorten(first) }
}

fn shorten(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(80).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let got = match recognise(Source::from_bytes("f", text.as_bytes().to_vec())) {
            Ok(artifact) => format!("{:?} at {}", artifact.kind, artifact.start),
            Err(error) => error.to_string(),
        };
        assert_eq!(got, expected);
    }

    #[test]
    fn content_decides() {
        check("{\"configs\": []}", "Dump at 0");
        check("200\n{\n \"configs\": []}", "Dump at 4");
        check("{\"cluster_statuses\":[]}", "Clusters at 0");
        check("{}", "InitDump at 0");
        check("node:\n  id: a\nstatic_resources: {}\n", "Dump at 0");
        check("[{\"name\":\"a\"}]", "Dump at 0");
    }

    #[test]
    fn what_is_no_dump_is_named() {
        check(" \n", "the file is empty");
        check("<!DOCTYPE html><html>", "this is an HTML page, not a config_dump");
        check("\n{'configs': []}", "line 2: this is a Python literal (quotes are ' and not \"), not JSON");
        check("a::b::c", "this is the text form of the admin page /clusters, not a config_dump");
        check("hello", "line 1: this is neither JSON nor a bootstrap in YAML; it starts with \"hello\"");
    }
}
