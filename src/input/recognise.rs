//! What a file is, told by its content.

use std::sync::Arc;

use super::clusters_page;
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
    /// `/clusters`, with `?format=json` or without.
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
    #[error("column {column}: this is a Python literal (quotes are ' and not \"), not JSON")]
    PythonLiteral {
        /// Line of the first wrong quote.
        line: usize,
        /// Column of the first wrong quote.
        column: usize,
    },
    /// An answer of Envoy's admin interface that reports an error.
    #[error("this is an error of Envoy's admin interface: {0:?}")]
    AdminError(String),
    /// What a command printed when it couldn't get the dump.
    #[error("this is what a command printed instead of a config_dump: {0:?}")]
    CommandError(String),
    /// The head of an HTTP answer.
    #[error("this is the head of an HTTP answer without a body: {0:?}")]
    HttpHead(String),
    /// The text form of `/clusters` or `/listeners`.
    #[error("this is the text form of the admin page /{0}, not a config_dump")]
    TextPage(&'static str),
    /// A container or compression that isn't read.
    #[error("this is a file of {0}, not a config_dump")]
    Packed(&'static str),
    /// Neither JSON nor YAML.
    #[error("this is neither JSON nor YAML; it starts with {start:?}")]
    Text {
        /// Line of the first character that isn't white space.
        line: usize,
        /// First characters.
        start: String,
    },
    /// YAML that doesn't parse.
    #[error("this is not YAML: {message}")]
    Yaml {
        /// Where the parser stopped.
        line: usize,
        /// What it said.
        message: String,
    },
}

impl NotADump {
    /// Line that the fault is on, if it is on one.
    #[must_use]
    pub fn line(&self) -> Option<usize> {
        match self {
            Self::PythonLiteral { line, .. } | Self::Text { line, .. } | Self::Yaml { line, .. } => Some(*line),
            _ => None,
        }
    }

    pub(super) fn hint(&self) -> Option<&'static str> {
        match self {
            Self::PythonLiteral { .. } => Some(
                "save the answer itself, not what Python prints of the parsed object: curl -s 'localhost:15000/config_dump?include_eds' > config_dump.json",
            ),
            Self::TextPage("clusters") => {
                Some("capture it with ?format=json and put it beside config_dump.json in one folder")
            }
            Self::Packed(_) => Some("unpack it and pass the config_dump in it"),
            Self::Yaml { .. } => Some("mend the place named, or pass JSON"),
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
    if let Some(start) = document_start(head, first) {
        return Ok(json(source, start));
    }
    let body = head.get(first..).unwrap_or_default();
    let line = source.line(first).unwrap_or(1);
    if let Some(not_a_dump) = explain(head, body, first, line) {
        if not_a_dump == NotADump::TextPage("clusters")
            && let Some(clusters) = std::str::from_utf8(bytes).ok().and_then(clusters_page::to_json)
        {
            return Ok(json(Source::converted(source.file(), clusters.to_string().into_bytes()), 0));
        }
        return Err(not_a_dump);
    }
    if is_yaml(body) {
        return yaml(&source);
    }
    Err(NotADump::Text { line, start: shorten(&first_line(body)) })
}

/// Start of the JSON document: the first text, or what follows an HTTP status line, headers or log text. Of several that
/// could be it, such as log lines in JSON, the first with a member that is known.
fn document_start(head: &[u8], first: usize) -> Option<usize> {
    let rest_of = |at: usize| head.get(at..).unwrap_or_default();
    let lines = memchr::memchr_iter(b'\n', head).map(|newline| newline + 1).filter(|at| *at > first);
    let starts = std::iter::once(first).chain(lines.filter(|at| matches!(rest_of(*at).first(), Some(b'{' | b'['))));
    let mut likely = None;
    for start in starts.filter(|at| looks_like_json(rest_of(*at))) {
        if start == first && is_known(first_key(rest_of(start))) {
            return Some(start);
        }
        if is_known(first_key(rest_of(start))) {
            return Some(start);
        }
        likely = likely.or(Some(start));
    }
    // Log text may stand on the same line.
    let inline = || {
        let mut braces = memchr::memchr_iter(b'{', head);
        braces.find(|at| is_known(first_key(rest_of(*at))))
    };
    match likely {
        Some(start) if start == first => likely,
        _ => inline().or(likely),
    }
}

/// Whether a JSON document starts here: a brace is followed by a key or its end, a bracket by a value. Log lines start
/// with a time in brackets.
fn looks_like_json(body: &[u8]) -> bool {
    let mut rest = body.iter().copied().filter(|b| !b.is_ascii_whitespace());
    match (rest.next(), rest.next()) {
        (Some(b'{'), Some(b'"' | b'}') | None) => true,
        (Some(b'['), Some(b'{')) => rest.next() != Some(b'\''),
        (Some(b'['), Some(b']' | b'"' | b'[') | None) => true,
        _ => false,
    }
}

/// Members that admin answers, and what is made of them, start with.
fn is_known(key: Option<&[u8]>) -> bool {
    const KNOWN: &[&[u8]] = &[
        b"configs",
        b"bootstrap",
        b"@type",
        b"version_info",
        b"versionInfo",
        b"resources",
        b"name",
        b"node",
        b"admin",
        b"static_resources",
        b"staticResources",
    ];
    key.is_some_and(|key| {
        KNOWN.contains(&key) || key.starts_with(b"static") || key.starts_with(b"dynamic") || answer(key).is_some()
    })
}

fn answer(key: &[u8]) -> Option<ArtifactKind> {
    Some(match key {
        b"cluster_statuses" | b"clusterStatuses" => ArtifactKind::Clusters,
        b"listener_statuses" | b"listenerStatuses" => ArtifactKind::Listeners,
        b"certificates" => ArtifactKind::Certs,
        b"unready_targets_dumps" | b"unreadyTargetsDumps" => ArtifactKind::InitDump,
        b"layers" | b"entries" => ArtifactKind::Runtime,
        b"version" | b"state" | b"uptime_current_epoch" | b"hot_restart_version" | b"command_line_options" => {
            ArtifactKind::ServerInfo
        }
        _ => return None,
    })
}

fn json(source: Source, start: usize) -> Artifact {
    let body = source.bytes().get(start..).unwrap_or_default();
    let kind = match first_key(body) {
        // ztunnel's dump starts with certificates of another form.
        Some(b"certificates") if !is_certs(body) => ArtifactKind::Dump,
        Some(key) => answer(key).unwrap_or(ArtifactKind::Dump),
        // `/init_dump` when nothing is pending.
        None if body.first() == Some(&b'{') => ArtifactKind::InitDump,
        None => ArtifactKind::Dump,
    };
    Artifact { source: Arc::new(source), kind, start }
}

/// Envoy's own, also when it has none.
fn is_certs(body: &[u8]) -> bool {
    let near = body.get(..body.len().min(512)).unwrap_or_default();
    memchr::memmem::find(near, b"\"identity\"").is_none()
}

/// First key of the object that starts here.
fn first_key(bytes: &[u8]) -> Option<&[u8]> {
    let rest = bytes.strip_prefix(b"[").unwrap_or(bytes).trim_ascii_start().strip_prefix(b"{")?;
    let rest = rest.trim_ascii_start().strip_prefix(b"\"")?;
    rest.get(..memchr::memchr(b'"', rest)?)
}

/// Whether lines look like YAML: a list of objects, a document marker, or several members.
fn is_yaml(body: &[u8]) -> bool {
    let is_member = |line: &[u8]| {
        let name = line
            .iter()
            .position(|b| !(b.is_ascii_alphanumeric() || matches!(b, b'_' | b'@' | b'\'' | b'"' | b'.' | b'-')));
        name.is_some_and(|end| end > 0 && matches!(line.get(end..), Some([b':', b' ' | b'\r', ..] | [b':'])))
    };
    let mut members = 0;
    for line in body.split(|b| *b == b'\n').take(200) {
        match line {
            [b'-', b'-', b'-', ..] => return true,
            [b'-', b' ', rest @ ..] if is_member(rest) => return true,
            [] | [b'#' | b' ' | b'\r', ..] => {}
            line if is_member(line) => members += 1,
            _ => return false,
        }
    }
    members > 0
}

fn yaml(source: &Source) -> Result<Artifact, NotADump> {
    let fail = |line: usize, message: String| NotADump::Yaml { line, message: shorten(&message) };
    let text = std::str::from_utf8(source.bytes())
        .map_err(|e| fail(source.line(e.valid_up_to()).unwrap_or(1), "it is not UTF-8".to_owned()))?;
    let mut documents: Vec<serde_json::Value> = serde_saphyr::from_multiple(text).map_err(|error| {
        let line = error.location().map_or(1, |at| usize::try_from(at.line()).unwrap_or(1));
        fail(line, error.without_snippet().to_string())
    })?;
    let value = if documents.len() == 1 { documents.remove(0) } else { documents.into() };
    let bytes = value.to_string().into_bytes();
    Ok(json(Source::converted(source.file(), bytes), 0))
}

/// Says what a text is that isn't JSON; `None` if it may be YAML.
fn explain(head: &[u8], body: &[u8], first: usize, line: usize) -> Option<NotADump> {
    const PACKED: &[(usize, &[u8], &str)] =
        &[(0, b"PK\x03\x04", "zip"), (0, b"\xfd7zXZ\0", "xz"), (0, b"BZh", "bzip2"), (257, b"ustar", "tar")];
    if let Some((.., what)) = PACKED.iter().find(|(at, magic, _)| head.get(*at..).is_some_and(|b| b.starts_with(magic)))
    {
        return Some(NotADump::Packed(what));
    }
    if let Some(quote) = python_quote(body) {
        let before = head.get(..first + quote).unwrap_or_default();
        let newline = memchr::memrchr(b'\n', before).map_or(0, |at| at + 1);
        let line = memchr::memchr_iter(b'\n', before).count() + 1;
        return Some(NotADump::PythonLiteral { line, column: before.len() - newline + 1 });
    }
    let near = body.get(..512.min(body.len())).unwrap_or_default();
    let lower = near.to_ascii_lowercase();
    if [b"<!doctype".as_slice(), b"<html", b"<head", b"<body"].iter().any(|tag| lower.starts_with(tag))
        || memchr::memmem::find(&lower, b"<body").is_some()
    {
        return Some(NotADump::Html);
    }
    let text = String::from_utf8_lossy(near);
    let first_line = first_line(body);
    const ADMIN: &[&str] = &[
        "Failed to convert protobuf message",
        "not found in config dump",
        "FieldMask",
        "is not a repeated field",
        "invalid path. admin commands are",
        "upstream connect error",
        "no healthy upstream",
        "Method Not Allowed",
    ];
    const COMMAND: &[&str] = &[
        "Error from server",
        "error: ",
        "Error: ",
        "curl: (",
        "command terminated with exit code",
        "command not found",
        "No such file or directory",
        "Connection refused",
        "Unable to connect to the server",
    ];
    if ADMIN.iter().any(|message| text.contains(message)) {
        return Some(NotADump::AdminError(shorten(&first_line)));
    }
    if COMMAND.iter().any(|message| first_line.contains(message)) {
        return Some(NotADump::CommandError(shorten(&first_line)));
    }
    if first_line.starts_with("HTTP/") {
        return Some(NotADump::HttpHead(shorten(&first_line)));
    }
    if let Some((name, rest)) = first_line.split_once("::")
        && !name.contains(' ')
    {
        return Some(NotADump::TextPage(if rest.contains("::") { "clusters" } else { "listeners" }));
    }
    let control = near.iter().filter(|b| b.is_ascii_control() && !b.is_ascii_whitespace()).count();
    (control > 0).then(|| NotADump::Text { line, start: shorten(&first_line) })
}

/// Offset of the first quote of a text that starts as Python prints a dict or a list of them.
fn python_quote(body: &[u8]) -> Option<usize> {
    if !matches!(body.first(), Some(b'{' | b'[')) {
        return None;
    }
    let quote = body.iter().position(|b| !(b.is_ascii_whitespace() || matches!(b, b'{' | b'[' | b'u' | b'b')))?;
    (body.get(quote) == Some(&b'\'')).then_some(quote)
}

fn first_line(body: &[u8]) -> String {
    let near = body.get(..512.min(body.len())).unwrap_or_default();
    String::from_utf8_lossy(near).lines().next().unwrap_or_default().to_owned()
}

/// The start of a text, fit to print.
fn shorten(text: &str) -> String {
    const MOST: usize = 80;
    let mut out: String = text.chars().filter(|c| !c.is_control()).take(MOST).collect();
    if text.chars().nth(MOST).is_some() {
        out.push('…');
    }
    out
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
        check("[2024-01-01 10:00:00] up\n{\"configs\": []}", "Dump at 25");
        check("{\"level\":\"info\"}\n{\"configs\": []}", "Dump at 17");
        check("info: dump is {\"configs\": []}", "Dump at 14");
        check("HTTP/1.1 200 OK\r\nserver: envoy\r\n\r\n{\"configs\": []}", "Dump at 34");
        check("{\"certificates\":[{\"identity\":\"a\"}]}", "Dump at 0");
        check("{\"certificates\":[{\"ca_cert\":[]}]}", "Certs at 0");
        check("{\n \"certificates\": []\n}", "Certs at 0");
        check("a::1.2.3.4:80::weight::1\n", "Clusters at 0");
        check("- name: a\n  type: EDS\n", "Dump at 0");
        check("a: 1\n---\nb: 2\n", "Dump at 0");
    }

    #[test]
    fn what_is_no_dump_is_named() {
        check(" \n", "the file is empty");
        check("<!DOCTYPE html><html>", "this is an HTML page, not a config_dump");
        check("\n{'configs': []}", "column 2: this is a Python literal (quotes are ' and not \"), not JSON");
        check("a::b::c\nd\n", "this is the text form of the admin page /clusters, not a config_dump");
        check("a::1.2.3.4:80", "this is the text form of the admin page /listeners, not a config_dump");
        check("hello", "this is neither JSON nor YAML; it starts with \"hello\"");
        check("PK\u{3}\u{4}x", "this is a file of zip, not a config_dump");
        check(
            "curl: (7) Failed to connect",
            "this is what a command printed instead of a config_dump: \"curl: (7) Failed to connect\"",
        );
    }
}
