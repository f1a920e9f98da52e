//! A resource of a dump: what is known of it without decoding, and its message once asked for.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use super::decode::{DecodeError, decode};
use super::index::snake;
use super::kind::{Kind, State};
use super::origin::Origin;
use super::scan::{ScanError, Scanner, text};
use super::text::Document;
use crate::proto::Message;

/// One resource in one state. A listener that is active and warming at once is two.
#[derive(Debug)]
pub struct Resource<T> {
    document: Arc<Document>,
    kind: Kind,
    /// Name of the resource; empty if it has none.
    pub name: String,
    /// State that the dump lists it in.
    pub state: State,
    /// Its list among those of the index, and its place in it.
    place: (usize, usize),
    parts: Parts,
    // Boxed: a dump has ten thousands of resources of which a question needs few, and these are large.
    envelope_data: OnceLock<Box<Envelope>>,
    /// Where it stands; every step of a trace asks, and the end of a large resource is far.
    origin: OnceLock<Box<Origin>>,
    message: OnceLock<Box<Result<T, DecodeError>>>,
    /// The text as v3 where it is of an older version, for views.
    lifted: OnceLock<Option<Vec<u8>>>,
}

/// Where the parts of a resource are.
#[derive(Debug, Clone)]
struct Parts {
    /// The list's element, envelope included.
    entry: Range<usize>,
    /// First byte of the object that holds version and time (the element, or its `active_state`).
    envelope: usize,
    /// First byte of the resource itself; `None` if the entry has none (a listener that was never accepted).
    body: Option<usize>,
}

/// What the dump says about a resource besides its body.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Envelope {
    /// Version of the xDS response that delivered it.
    pub version: Option<String>,
    /// RFC 3339 time of the last change.
    pub last_updated: Option<String>,
    /// Why the last update was rejected.
    pub error: Option<UpdateFailure>,
}

/// A rejected update (`UpdateFailureState`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UpdateFailure {
    /// Text of the rejection.
    pub details: String,
    /// RFC 3339 time of the attempt.
    pub last_update_attempt: Option<String>,
    /// Version that was rejected.
    pub version: Option<String>,
    /// Name of the resource in the rejected version.
    pub failed_name: Option<String>,
}

impl<T: Message> Resource<T> {
    /// The decoded message; decoded on the first call.
    ///
    /// # Errors
    ///
    /// When the text isn't JSON, or not of the message's shape.
    pub fn get(&self) -> Result<&T, &DecodeError> {
        self.message.get_or_init(|| Box::new(self.read())).as_ref().as_ref()
    }

    /// The same for one look at many: what isn't decoded yet isn't kept.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    pub fn decode(&self) -> Result<Cow<'_, T>, DecodeError> {
        match self.message.get() {
            Some(known) => known.as_ref().as_ref().map(Cow::Borrowed).map_err(Clone::clone),
            None => self.read().map(Cow::Owned),
        }
    }

    fn read(&self) -> Result<T, DecodeError> {
        decode(self.raw()).map_err(|error| error.at(self.origin()))
    }
}

impl<T> Resource<T> {
    /// Kind of the resource.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Whether the entry holds the resource itself: not so for a listener that was never accepted.
    #[must_use]
    pub fn has_body(&self) -> bool {
        self.parts.body.is_some()
    }

    /// The resource's JSON text as it stands in the dump; empty if the entry has no body. Not redacted: not for
    /// printing.
    pub(crate) fn raw(&self) -> &[u8] {
        self.document.text.slice(self.body_range())
    }

    pub(super) fn document(&self) -> &Arc<Document> {
        &self.document
    }

    /// First byte of the resource's JSON text; the end of the entry if it has none.
    pub(super) fn body_start(&self) -> usize {
        self.parts.body.unwrap_or(self.parts.entry.end)
    }

    /// The list's element that holds the resource.
    pub(super) fn entry_range(&self) -> Range<usize> {
        self.parts.entry.clone()
    }

    /// Whether the element is the resource itself, without an envelope.
    #[must_use]
    pub fn is_bare(&self) -> bool {
        self.parts.body == Some(self.parts.entry.start)
    }

    /// End of the entry around the resource.
    pub(super) fn entry_end(&self) -> usize {
        self.parts.entry.end
    }

    /// Byte range of the resource's JSON text.
    #[must_use]
    pub fn body_range(&self) -> Range<usize> {
        let entry = &self.parts.entry;
        match self.parts.body {
            None => entry.end..entry.end,
            Some(start) if start == entry.start => entry.clone(),
            Some(start) => self.document.text.scanner(start, entry.end).skip().unwrap_or(start..entry.end),
        }
    }

    /// Where it stands.
    #[must_use]
    pub fn origin(&self) -> Origin {
        let place = || Box::new(self.document.text.origin(self.body_range(), self.path()));
        self.origin.get_or_init(place).as_ref().clone()
    }

    pub(super) fn lifted_text(&self) -> &OnceLock<Option<Vec<u8>>> {
        &self.lifted
    }

    /// Name of the list's element, which for a scope is that of its set of scoped routes.
    #[must_use]
    pub fn set_name(&self) -> Option<String> {
        let entry = &self.parts.entry;
        let name = peek_name(self.document.text.scanner(entry.start, entry.end), self.kind);
        Some(name).filter(|name| !name.is_empty())
    }

    /// JSON path of the body from the root of the document.
    pub(super) fn path(&self) -> String {
        let Parts { entry, body, .. } = &self.parts;
        let mut path = self.document.path_of(self.place);
        if let Some(body) = body {
            path.push_str(&path_to(self.document.text.scanner(entry.start, entry.end), *body));
        }
        path
    }

    /// Type URL as written; `None` if the text has none.
    #[must_use]
    pub fn type_url(&self) -> Option<String> {
        let mut url = None;
        let _ = self.document.text.scanner(self.parts.body?, self.parts.entry.end).object(|scanner, key| {
            if key == "@type" {
                url = Some(text(scanner.string()?).into_owned());
                return Err(ScanError::Enough);
            }
            scanner.skip().map(|_| ())
        });
        url
    }

    /// Version, time and rejection.
    pub fn envelope(&self) -> &Envelope {
        self.envelope_data.get_or_init(|| {
            let Parts { entry, envelope: start, .. } = &self.parts;
            let mut envelope = read_envelope(self.document.text.scanner(*start, entry.end));
            if *start != entry.start {
                // A listener's rejection stands beside its states, not in them.
                envelope.error = read_envelope(self.document.text.scanner(entry.start, entry.end)).error;
            }
            Box::new(envelope)
        })
    }
}

/// JSON path from a value to the value in it that starts at `target`.
fn path_to(mut scanner: Scanner<'_>, target: usize) -> String {
    let mut path = String::new();
    // An entry has its body two levels down at most: a state or a list of scoped routes, and the body in it.
    for _ in 0..3 {
        let (mut part, mut inside) = (String::new(), None);
        let mut step = |scanner: &mut Scanner<'_>, name: &dyn Fn() -> String| {
            let range = scanner.skip()?;
            if range.contains(&target) {
                part = name();
                inside = Some(range.start);
                return Err(ScanError::Enough);
            }
            Ok(())
        };
        let mut copy = scanner;
        // The error ends the walk.
        let _ = match copy.peek() {
            Ok(b'{') => copy.object(|scanner, key| step(scanner, &|| format!(".{key}"))),
            _ => copy.array(|scanner, nth| step(scanner, &|| format!("[{nth}]"))),
        };
        let Some(start) = inside else { break };
        path.push_str(&part);
        if start == target {
            break;
        }
        scanner = scanner.at(start);
    }
    path
}

fn read_envelope(mut scanner: Scanner<'_>) -> Envelope {
    let mut envelope = Envelope::default();
    // What can't be read stays absent: the resource itself reports malformed text.
    let _ = scanner.object(|scanner, key| {
        match snake(&key).as_ref() {
            "version_info" if scanner.peek()? == b'"' => envelope.version = Some(text(scanner.string()?).into_owned()),
            "last_updated" if scanner.peek()? == b'"' => {
                envelope.last_updated = Some(text(scanner.string()?).into_owned())
            }
            "error_state" if scanner.peek()? == b'{' => envelope.error = Some(read_failure(scanner)?),
            _ => {
                scanner.skip()?;
            }
        }
        Ok(())
    });
    envelope
}

fn read_failure(scanner: &mut Scanner<'_>) -> Result<UpdateFailure, ScanError> {
    let mut failure = UpdateFailure::default();
    scanner.object(|scanner, key| {
        match snake(&key).as_ref() {
            "details" if scanner.peek()? == b'"' => failure.details = text(scanner.string()?).into_owned(),
            "last_update_attempt" if scanner.peek()? == b'"' => {
                failure.last_update_attempt = Some(text(scanner.string()?).into_owned());
            }
            "version_info" if scanner.peek()? == b'"' => failure.version = Some(text(scanner.string()?).into_owned()),
            "failed_configuration" if scanner.peek()? == b'{' => {
                failure.failed_name = name_of(scanner, Kind::Listener)?;
            }
            _ => {
                scanner.skip()?;
            }
        }
        Ok(())
    })?;
    Ok(failure)
}

/// Steps over a resource and gives its name.
fn name_of(scanner: &mut Scanner<'_>, kind: Kind) -> Result<Option<String>, ScanError> {
    let mut name = None;
    scanner.object(|scanner, key| {
        if is_name(&key, kind) && scanner.peek()? == b'"' {
            name = Some(text(scanner.string()?).into_owned());
            return Ok(());
        }
        scanner.skip().map(|_| ())
    })?;
    Ok(name)
}

/// Name of the resource that starts here, without walking past it.
fn peek_name(mut scanner: Scanner<'_>, kind: Kind) -> String {
    let mut name = String::new();
    let _ = scanner.object(|scanner, key| {
        if is_name(&key, kind) && scanner.peek()? == b'"' {
            name = text(scanner.string()?).into_owned();
            return Err(ScanError::Enough);
        }
        scanner.skip().map(|_| ())
    });
    name
}

fn is_name(key: &str, kind: Kind) -> bool {
    if kind == Kind::Endpoint { key == "cluster_name" || key == "clusterName" } else { key == "name" }
}

/// The resources of one element of a list: one, or one a state for a `DynamicListener` and one a scope for scoped
/// routes.
pub(super) fn resources<T>(document: &Arc<Document>, place: (usize, usize)) -> Vec<Resource<T>> {
    let Some((list, entry)) = document.entry(place) else { return Vec::new() };
    let kind = list.kind;
    let make = |name: String, state, envelope, body| Resource {
        document: Arc::clone(document),
        kind,
        name,
        state,
        place,
        parts: Parts { entry: entry.clone(), envelope, body },
        envelope_data: OnceLock::new(),
        origin: OnceLock::new(),
        message: OnceLock::new(),
        lifted: OnceLock::new(),
    };
    let mut scanner = document.text.scanner(entry.start, entry.end);
    match list.body {
        Some("scoped_route_configs") => {
            let mut bodies = Vec::new();
            let _ = scanner.object(|scanner, key| {
                if snake(&key) == "scoped_route_configs" && scanner.peek()? == b'[' {
                    return scanner.array(|scanner, _| {
                        bodies.push(scanner.skip()?.start);
                        Ok(())
                    });
                }
                scanner.skip().map(|_| ())
            });
            let one = |body| make(peek_name(scanner.at(body), kind), list.state, entry.start, Some(body));
            bodies.into_iter().map(one).collect()
        }
        Some(body_key) => {
            let mut body = None;
            let mut name = String::new();
            let mut stands_bare = false;
            let _ = scanner.object(|scanner, key| {
                let first = scanner.peek()?;
                stands_bare |= !ENVELOPE.contains(&snake(&key).as_ref());
                if snake(&key) == body_key && first == b'{' {
                    body = Some(scanner.pos());
                    return Err(ScanError::Enough);
                }
                // DynamicSecret and ScopedRoutes carry a name of their own in front of the resource.
                if key == "name" && first == b'"' {
                    name = text(scanner.string()?).into_owned();
                    return Ok(());
                }
                scanner.skip().map(|_| ())
            });
            // Envoy before 1.8 lists static resources without an envelope.
            let body = body.or_else(|| (stands_bare && list.state == State::Static).then_some(entry.start));
            if let Some(body) = body {
                let own = peek_name(scanner.at(body), kind);
                if !own.is_empty() {
                    name = own;
                }
            }
            vec![make(name, list.state, entry.start, body)]
        }
        None if kind == Kind::Listener && has_states(scanner) => dynamic_listener(scanner, entry.start, make),
        None => vec![make(peek_name(scanner, kind), list.state, entry.start, Some(entry.start))],
    }
}

/// Members of a list's element besides the resource.
const ENVELOPE: &[&str] = &["@type", "name", "version_info", "last_updated", "error_state", "client_status"];

fn has_states(mut scanner: Scanner<'_>) -> bool {
    let mut found = false;
    let _ = scanner.object(|scanner, key| {
        if listener_state(&key).is_some() {
            found = true;
            return Err(ScanError::Enough);
        }
        scanner.skip().map(|_| ())
    });
    found
}

/// State that a member of a `DynamicListener` stands for.
pub(super) fn listener_state(key: &str) -> Option<State> {
    Some(match snake(key).as_ref() {
        "active_state" => State::Active,
        "warming_state" => State::Warming,
        "draining_state" => State::Draining,
        "error_state" => State::Error,
        _ => return None,
    })
}

/// A `DynamicListener` holds a listener a state; a rejection is a resource in state error.
fn dynamic_listener<T>(
    mut scanner: Scanner<'_>,
    entry: usize,
    make: impl Fn(String, State, usize, Option<usize>) -> Resource<T>,
) -> Vec<Resource<T>> {
    let mut name = String::new();
    let mut states = Vec::new();
    let _ = scanner.object(|scanner, key| {
        let first = scanner.peek()?;
        if key == "name" && first == b'"' {
            name = text(scanner.string()?).into_owned();
            return Ok(());
        }
        let Some(state) = listener_state(&key).filter(|_| first == b'{') else {
            return scanner.skip().map(|_| ());
        };
        let start = scanner.pos();
        let member = if state == State::Error { "failed_configuration" } else { "listener" };
        let mut body = None;
        scanner.object(|scanner, inner| {
            let is_body = snake(&inner) == member && scanner.peek()? == b'{';
            let range = scanner.skip()?;
            if is_body {
                body = Some(range.start);
            }
            Ok(())
        })?;
        states.push((state, start, body));
        Ok(())
    });
    // The rejection last, whatever order they are written in.
    states.sort_by_key(|(state, ..)| *state == State::Error);
    let one = |(state, start, body): (State, usize, Option<usize>)| {
        let own = || body.map(|body| peek_name(scanner.at(body), Kind::Listener)).unwrap_or_default();
        let name = if name.is_empty() { own() } else { name.clone() };
        make(name, state, if state == State::Error { entry } else { start }, body)
    };
    states.into_iter().map(one).collect()
}
