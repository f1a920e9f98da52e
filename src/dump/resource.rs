//! A resource of a dump: what is known of it without decoding, and its message once asked for.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use super::decode::{DecodeError, decode};
use super::index::{List, snake};
use super::kind::{Kind, State};
use super::origin::Origin;
use super::scan::{ScanError, Scanner, text};
use crate::input::Source;
use crate::proto::Message;

/// One resource in one state. A listener that is active and warming at once is two.
#[derive(Debug)]
pub struct Resource<T> {
    source: Arc<Source>,
    kind: Kind,
    /// Name of the resource; empty if it has none.
    pub name: String,
    /// State that the dump lists it in.
    pub state: State,
    /// The list's element, envelope included.
    entry: Range<usize>,
    /// First byte of the object that holds version and time (the element, or its `active_state`).
    envelope: usize,
    /// First byte of the resource itself; `None` if the entry has none (a listener that was never accepted).
    body: Option<usize>,
    path: String,
    envelope_data: OnceLock<Envelope>,
    message: OnceLock<Result<T, DecodeError>>,
    /// The text as v3 where it is of an older version, for views.
    lifted: OnceLock<Option<Vec<u8>>>,
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
        self.message.get_or_init(|| self.read()).as_ref()
    }

    /// The same for one look at many: what isn't decoded yet isn't kept.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    pub fn decode(&self) -> Result<Cow<'_, T>, DecodeError> {
        match self.message.get() {
            Some(known) => known.as_ref().map(Cow::Borrowed).map_err(Clone::clone),
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

    /// The resource's JSON text; empty if the entry has no body.
    #[must_use]
    pub fn raw(&self) -> &[u8] {
        self.source.slice(self.body_range())
    }

    /// Byte range of the resource's JSON text.
    #[must_use]
    pub fn body_range(&self) -> Range<usize> {
        let Some(start) = self.body else { return self.entry.end..self.entry.end };
        if start == self.entry.start {
            return self.entry.clone();
        }
        let bytes = self.source.slice(0..self.entry.end);
        Scanner::new(bytes, start).skip().unwrap_or(start..self.entry.end)
    }

    /// Where it stands.
    #[must_use]
    pub fn origin(&self) -> Origin {
        Origin::new(Arc::clone(&self.source), self.body_range(), self.path.clone())
    }

    /// Type URL as written; `None` if the text has none.
    #[must_use]
    pub fn type_url(&self) -> Option<String> {
        let mut url = None;
        let _ = Scanner::new(self.source.slice(0..self.entry.end), self.body?).object(|scanner, key| {
            if key == "@type" {
                url = Some(text(scanner.string()?).into_owned());
                return Err(ScanError::Truncated { offset: 0 });
            }
            scanner.skip().map(|_| ())
        });
        url
    }

    pub(super) fn lifted_text(&self) -> &OnceLock<Option<Vec<u8>>> {
        &self.lifted
    }

    /// JSON path from the root of the document.
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// Name of the list's element, which for a scope is that of its set of scoped routes.
    #[must_use]
    pub fn set_name(&self) -> Option<String> {
        let bytes = self.source.slice(0..self.entry.end);
        Some(peek_name(bytes, self.entry.start, self.kind)).filter(|name| !name.is_empty())
    }

    /// Version, time and rejection.
    pub fn envelope(&self) -> &Envelope {
        self.envelope_data.get_or_init(|| {
            let bytes = self.source.slice(0..self.entry.end);
            let mut envelope = read_envelope(bytes, self.envelope);
            if self.envelope != self.entry.start {
                // A listener's rejection stands beside its states, not in them.
                envelope.error = read_envelope(bytes, self.entry.start).error;
            }
            envelope
        })
    }
}

fn read_envelope(bytes: &[u8], start: usize) -> Envelope {
    let mut envelope = Envelope::default();
    // What can't be read stays absent: the resource itself reports malformed text.
    let _ = Scanner::new(bytes, start).object(|scanner, key| {
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

/// Name of the resource that starts at `start`, without walking past it.
fn peek_name(bytes: &[u8], start: usize, kind: Kind) -> String {
    let mut name = String::new();
    let _ = Scanner::new(bytes, start).object(|scanner, key| {
        if is_name(&key, kind) && scanner.peek()? == b'"' {
            name = text(scanner.string()?).into_owned();
            return Err(ScanError::Truncated { offset: 0 });
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
pub(crate) fn resources<T>(source: &Arc<Source>, list: &List, nth: usize) -> Vec<Resource<T>> {
    let Some(entry) = list.elements.get(nth).cloned() else { return Vec::new() };
    let bytes = source.slice(0..entry.end);
    let path = if list.indexed { format!("{}[{nth}]", list.path) } else { list.path.clone() };
    let make = |name: String, state, envelope, body, path| Resource {
        source: Arc::clone(source),
        kind: list.kind,
        name,
        state,
        entry: entry.clone(),
        envelope,
        body,
        path,
        envelope_data: OnceLock::new(),
        message: OnceLock::new(),
        lifted: OnceLock::new(),
    };
    match list.body {
        Some("scoped_route_configs") => {
            let mut bodies = Vec::new();
            let _ = Scanner::new(bytes, entry.start).object(|scanner, key| {
                if snake(&key) == "scoped_route_configs" && scanner.peek()? == b'[' {
                    return scanner.array(|scanner, nth| {
                        bodies.push((scanner.skip()?.start, format!("{path}.{key}[{nth}]")));
                        Ok(())
                    });
                }
                scanner.skip().map(|_| ())
            });
            bodies
                .into_iter()
                .map(|(body, path)| make(peek_name(bytes, body, list.kind), list.state, entry.start, Some(body), path))
                .collect()
        }
        Some(body_key) => {
            let mut body = None;
            let mut name = String::new();
            let mut path = path;
            let _ = Scanner::new(bytes, entry.start).object(|scanner, key| {
                let first = scanner.peek()?;
                if snake(&key) == body_key && first == b'{' {
                    body = Some(scanner.pos());
                    path = format!("{path}.{key}");
                    return Err(ScanError::Truncated { offset: 0 });
                }
                // DynamicSecret and ScopedRoutes carry a name of their own in front of the resource.
                if key == "name" && first == b'"' {
                    name = text(scanner.string()?).into_owned();
                    return Ok(());
                }
                scanner.skip().map(|_| ())
            });
            if let Some(body) = body {
                let own = peek_name(bytes, body, list.kind);
                if !own.is_empty() {
                    name = own;
                }
            }
            vec![make(name, list.state, entry.start, body, path)]
        }
        None if list.kind == Kind::Listener && is_dynamic_listener(bytes, entry.start) => {
            dynamic_listener(bytes, &entry, &path, make)
        }
        None => vec![make(peek_name(bytes, entry.start, list.kind), list.state, entry.start, Some(entry.start), path)],
    }
}

fn is_dynamic_listener(bytes: &[u8], start: usize) -> bool {
    let mut found = false;
    let _ = Scanner::new(bytes, start).object(|scanner, key| {
        if snake(&key).ends_with("_state") {
            found = true;
            return Err(ScanError::Truncated { offset: 0 });
        }
        scanner.skip().map(|_| ())
    });
    found
}

/// A `DynamicListener` holds a listener a state; a rejection without any is a resource in state error.
fn dynamic_listener<T>(
    bytes: &[u8],
    entry: &Range<usize>,
    path: &str,
    make: impl Fn(String, State, usize, Option<usize>, String) -> Resource<T>,
) -> Vec<Resource<T>> {
    let mut name = String::new();
    let mut states = Vec::new();
    let mut failed = None;
    let _ = Scanner::new(bytes, entry.start).object(|scanner, key| {
        let state = match snake(&key).as_ref() {
            "name" if scanner.peek()? == b'"' => {
                name = text(scanner.string()?).into_owned();
                return Ok(());
            }
            "active_state" => State::Active,
            "warming_state" => State::Warming,
            "draining_state" => State::Draining,
            "error_state" => State::Error,
            _ => return scanner.skip().map(|_| ()),
        };
        if scanner.peek()? != b'{' {
            return scanner.skip().map(|_| ());
        }
        let start = scanner.pos();
        let member = if state == State::Error { "failed_configuration" } else { "listener" };
        let mut body = None;
        let mut body_path = format!("{path}.{key}");
        scanner.object(|scanner, inner| {
            if snake(&inner) == member && scanner.peek()? == b'{' {
                body = Some(scanner.skip()?.start);
                body_path = format!("{path}.{key}.{inner}");
                return Ok(());
            }
            scanner.skip().map(|_| ())
        })?;
        if state == State::Error {
            failed = Some((start, body, body_path));
        } else {
            states.push((state, start, body, body_path));
        }
        Ok(())
    });
    let mut out: Vec<Resource<T>> =
        states.into_iter().map(|(state, at, body, path)| make(name.clone(), state, at, body, path)).collect();
    if let Some((_, body, path)) = failed {
        let own = body.map(|body| peek_name(bytes, body, Kind::Listener)).unwrap_or_default();
        let name = if name.is_empty() { own } else { name };
        out.push(make(name, State::Error, entry.start, body, path));
    }
    out
}
