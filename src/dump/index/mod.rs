//! The index of a dump: which resource stands where, in which section and state. Nothing is decoded here.
//!
//! All forms that a dump comes in lead to the same lists (semantics §1.1, §1.2): the list of sections, the map of
//! 2018, one section alone, the elements of `?resource=`, bare resources as `istioctl proxy-config … -o json` prints
//! them, discovery responses, and a bootstrap with static resources. Members are known by name in both spellings, so
//! the order of members and the envelope's type don't matter.

mod forms;

use std::borrow::Cow;
use std::ops::Range;

use rayon::prelude::*;

use super::kind::{Kind, State};
use super::scan::{ScanError, Scanner};
use super::text::Text;

/// Deepest nesting of sections that is entered; dumps have two.
const DEEPEST: usize = 8;

/// Where everything stands in the bytes of a dump.
#[derive(Debug, Default)]
pub(crate) struct Index {
    /// Lists of resources in the order of the file.
    pub(crate) lists: Vec<List>,
    /// The bootstrap and its JSON path.
    pub(crate) bootstrap: Option<(Range<usize>, String)>,
    /// Sections in the order of the file.
    pub(crate) sections: Vec<Section>,
    /// Cluster statuses printed by `istioctl proxy-config endpoints -o json`.
    pub(crate) cluster_statuses: Vec<Range<usize>>,
    /// Where the text was cut off, if it was.
    pub(crate) cut: Option<Cut>,
    /// Bytes after the document.
    pub(crate) trailing: usize,
    /// Elements that are no known resource.
    pub(crate) unknown: Vec<Unknown>,
}

/// One section (a `*ConfigDump` message).
#[derive(Debug, Clone)]
pub(crate) struct Section {
    /// May be empty.
    pub(crate) type_url: String,
    pub(crate) version: Option<String>,
    pub(crate) kind: Option<Kind>,
    pub(crate) range: Range<usize>,
}

/// One list of resources of a kind.
#[derive(Debug)]
pub(crate) struct List {
    pub(crate) kind: Kind,
    pub(crate) state: State,
    /// JSON path of the list, or of the one element.
    pub(crate) path: String,
    /// Index of the first element; `None` if `path` is that of the one element.
    pub(crate) first: Option<usize>,
    /// Member of an element that holds the resource, in snake_case; `None` where the element is the resource.
    pub(crate) body: Option<&'static str>,
    pub(crate) elements: Vec<Range<usize>>,
    /// Range of a list whose elements aren't found yet.
    pending: Option<Range<usize>>,
}

impl List {
    /// JSON path of an element.
    pub(crate) fn path_of(&self, nth: usize) -> String {
        match self.first {
            Some(first) => format!("{}[{}]", self.path, first + nth),
            None => self.path.clone(),
        }
    }
}

/// An element of a dump that is no known resource.
#[derive(Debug, Clone)]
pub(crate) struct Unknown {
    pub(crate) path: String,
    pub(crate) range: Range<usize>,
    /// Its type; empty if it has none.
    pub(crate) type_url: String,
    /// The names of its members.
    pub(crate) members: Vec<String>,
}

/// A truncated text.
#[derive(Debug, Clone)]
pub(crate) struct Cut {
    /// JSON path of the value that isn't whole.
    pub(crate) path: String,
    pub(crate) offset: usize,
}

/// An index can't be built.
#[derive(Debug, Clone)]
pub(crate) enum IndexError {
    /// The text isn't JSON: where and what, and the JSON path of the innermost value that was entered.
    Syntax { error: ScanError, path: String },
    /// JSON, but nothing of a dump.
    Nothing { unknown: Vec<Unknown>, cut: Option<Cut> },
}

/// Builds the index of the document that starts at `start`.
pub(crate) fn index(text: &Text, start: usize) -> Result<Index, IndexError> {
    let mut builder = Builder { text, index: Index::default(), path: Vec::new() };
    let end = text.bytes().len();
    let mut scanner = text.scanner(start, end);
    let result = builder.document(&mut scanner);
    let Builder { mut index, path, .. } = builder;
    match result {
        Ok(()) => {
            let rest = text.bytes().get(scanner.pos()..).unwrap_or_default();
            index.trailing = rest.iter().filter(|b| !b.is_ascii_whitespace()).count();
        }
        Err(ScanError::Truncated { offset }) => index.cut = Some(Cut { path: path.concat(), offset }),
        Err(error) => return Err(IndexError::Syntax { error, path: path.concat() }),
    }
    find_elements(text, &mut index.lists)?;
    let nothing = index.lists.is_empty()
        && index.bootstrap.is_none()
        && index.sections.is_empty()
        && index.cluster_statuses.is_empty();
    // An empty list of resources is one.
    if nothing && (index.cut.is_some() || !index.unknown.is_empty() || text.bytes().get(start) != Some(&b'[')) {
        return Err(IndexError::Nothing { unknown: index.unknown, cut: index.cut });
    }
    Ok(index)
}

/// Finds the elements of all lists, several lists at a time.
fn find_elements(text: &Text, lists: &mut [List]) -> Result<(), IndexError> {
    let found: Vec<Result<(), IndexError>> = lists
        .par_iter_mut()
        .map(|list| {
            let Some(range) = list.pending.take() else { return Ok(()) };
            let elements = text.scanner(range.start, range.end).elements(range.end);
            list.elements = elements.map_err(|(error, nth)| IndexError::Syntax { error, path: list.path_of(nth) })?;
            Ok(())
        })
        .collect();
    found.into_iter().collect()
}

/// A member's name in snake_case: protobuf's JSON names are a pure function of it (semantics §1.1).
pub(crate) fn snake(key: &str) -> Cow<'_, str> {
    let key = key.strip_prefix("hidden_envoy_deprecated_").unwrap_or(key);
    if !key.bytes().any(|b| b.is_ascii_uppercase()) {
        return Cow::Borrowed(key);
    }
    let mut out = String::with_capacity(key.len() + 4);
    for c in key.chars() {
        if c.is_ascii_uppercase() {
            out.push('_');
        }
        out.push(c.to_ascii_lowercase());
    }
    Cow::Owned(out)
}

struct Builder<'a> {
    text: &'a Text,
    index: Index,
    /// JSON path of the value being walked, a part an element; left as it is when the walk fails.
    path: Vec<String>,
}

/// What the members of one object say about it.
#[derive(Default)]
struct Item {
    type_url: String,
    version: Option<String>,
    kind: Option<Kind>,
    /// Lists, sections or a bootstrap were found among its members.
    holds_resources: bool,
    /// It has members of a bootstrap.
    is_bootstrap: bool,
    members: Vec<String>,
}

impl<'a> Builder<'a> {
    fn document(&mut self, scanner: &mut Scanner<'a>) -> Result<(), ScanError> {
        match scanner.peek()? {
            b'[' => self.items(scanner),
            _ => self.item(scanner),
        }
    }

    fn here(&self) -> String {
        self.path.concat()
    }

    /// Runs `inside` with one more part of the JSON path; the part stays when it fails, to say where.
    fn within(
        &mut self,
        part: String,
        inside: impl FnOnce(&mut Self) -> Result<(), ScanError>,
    ) -> Result<(), ScanError> {
        let part = if self.path.is_empty() { part.trim_start_matches('.').to_owned() } else { part };
        self.path.push(part);
        inside(self)?;
        self.path.pop();
        Ok(())
    }

    /// An array of sections, elements or bare resources.
    fn items(&mut self, scanner: &mut Scanner<'a>) -> Result<(), ScanError> {
        scanner.array(|scanner, nth| {
            self.within(format!("[{nth}]"), |this| match scanner.peek()? {
                b'{' => this.item(scanner),
                _ => {
                    let range = scanner.skip()?;
                    let (path, type_url) = (this.here(), String::new());
                    this.index.unknown.push(Unknown { path, range, type_url, members: Vec::new() });
                    Ok(())
                }
            })
        })
    }

    /// One object: the whole dump, a section, an element of one, a bootstrap or a bare resource.
    fn item(&mut self, scanner: &mut Scanner<'a>) -> Result<(), ScanError> {
        let mut copy = *scanner;
        if self.path.len() > DEEPEST || (scanner.peek()? == b'{' && is_element(&mut copy)) {
            // Members of an element or a bare resource aren't looked into now.
            let range = scanner.skip()?;
            self.element(range);
            return Ok(());
        }
        let start = scanner.pos();
        let mut item = Item::default();
        let depth = self.path.len();
        let walked = scanner.object(|scanner, key| {
            let name = snake(&key).into_owned();
            self.within(format!(".{key}"), |this| this.member(scanner, &name, &mut item))
        });
        if item.is_bootstrap && !item.holds_resources {
            // What is whole of a bootstrap that was cut off is used too.
            let lost = self.path.split_off(depth);
            self.bootstrap(start..scanner.pos(), walked.is_ok())?;
            self.path.extend(lost);
            return walked;
        }
        let section = forms::section(&item.type_url);
        let is_container = depth == 0 && item.type_url.is_empty() && item.kind.is_none();
        if section.is_some() || (item.holds_resources && !is_container) {
            let kind = section.flatten().or(item.kind);
            let Item { type_url, version, members, .. } = item;
            let is_known = kind.is_some() || type_url.ends_with("BootstrapConfigDump") || type_url.is_empty();
            if !is_known {
                let range = start..scanner.pos();
                self.index.unknown.push(Unknown { path: self.here(), range, type_url: type_url.clone(), members });
            }
            self.index.sections.push(Section { type_url, version, kind, range: start..scanner.pos() });
        } else if !item.holds_resources && walked.is_ok() {
            let Item { type_url, members, .. } = item;
            self.index.unknown.push(Unknown { path: self.here(), range: start..scanner.pos(), type_url, members });
        }
        walked
    }

    fn member(&mut self, scanner: &mut Scanner<'a>, name: &str, item: &mut Item) -> Result<(), ScanError> {
        let first = scanner.peek()?;
        if let Some((_, kind, state, body)) = forms::list(name) {
            item.holds_resources = true;
            item.kind = Some(*kind);
            return match first {
                b'[' => self.list(scanner, *kind, *state, body),
                _ => scanner.skip().map(|_| ()),
            };
        }
        match (name, first) {
            ("@type", b'"') => item.type_url = super::scan::text(scanner.string()?).into_owned(),
            ("version_info", b'"') => item.version = Some(super::scan::text(scanner.string()?).into_owned()),
            ("configs" | "resources", b'[') => {
                item.holds_resources = true;
                self.items(scanner)?;
            }
            ("configs", b'{') => {
                item.holds_resources = true;
                scanner.object(|scanner, key| {
                    self.within(format!(".{key}"), |this| match scanner.peek()? {
                        b'{' => this.item(scanner),
                        _ => scanner.skip().map(|_| ()),
                    })
                })?;
            }
            ("bootstrap", b'{') => {
                item.holds_resources = true;
                let range = scanner.skip()?;
                self.index.bootstrap.get_or_insert((range, self.path.concat()));
            }
            _ => {
                item.is_bootstrap |= forms::is_bootstrap(name);
                item.members.push(name.to_owned());
                scanner.skip()?;
            }
        }
        Ok(())
    }

    /// A list of resources. Where its end is known its elements are found later, with those of other lists.
    fn list(
        &mut self,
        scanner: &mut Scanner<'a>,
        kind: Kind,
        state: State,
        body: &'static str,
    ) -> Result<(), ScanError> {
        let body = (!body.is_empty()).then_some(body);
        let list = List { kind, state, path: self.here(), first: Some(0), body, elements: Vec::new(), pending: None };
        let mut copy = *scanner;
        if let Ok(range) = copy.skip() {
            *scanner = copy;
            self.index.lists.push(List { pending: Some(range), ..list });
            return Ok(());
        }
        // The text ends in this list.
        let mut elements = Vec::new();
        let walked = scanner.array(|scanner, _| {
            elements.push(scanner.skip()?);
            Ok(())
        });
        self.path.push(format!("[{}]", elements.len()));
        self.index.lists.push(List { elements, ..list });
        walked
    }

    /// An element of `?resource=` or a bare resource.
    fn element(&mut self, range: Range<usize>) {
        let mut type_url = String::new();
        let mut members = Vec::new();
        let _ = self.text.scanner(range.start, range.end).object(|scanner, key| {
            let name = snake(&key).into_owned();
            if name == "@type" && scanner.peek()? == b'"' {
                type_url = super::scan::text(scanner.string()?).into_owned();
                return Ok(());
            }
            members.push(name);
            scanner.skip().map(|_| ())
        });
        if let Some((_, kind, state, body)) = forms::list_of_element(&type_url) {
            self.add(*kind, *state, body, range);
        } else if let Some(kind) = forms::kind_of_type(&type_url) {
            self.add(kind, State::Active, "", range);
        } else if members.iter().any(|key| key == "host_statuses" || key == "added_via_api") {
            self.index.cluster_statuses.push(range);
        } else if let Some(kind) = forms::kind_of_members(&members).filter(|_| type_url.is_empty()) {
            self.add(kind, State::Active, "", range);
        } else {
            self.index.unknown.push(Unknown { path: self.here(), range, type_url, members });
        }
    }

    /// Adds an element to the list before, if that goes on here.
    fn add(&mut self, kind: Kind, state: State, body: &'static str, range: Range<usize>) {
        let body = (!body.is_empty()).then_some(body);
        let own = self.path.last().and_then(|part| part.strip_prefix('[')?.strip_suffix(']')?.parse::<usize>().ok());
        let parents = if own.is_some() { self.path.len() - 1 } else { self.path.len() };
        let path = self.path.get(..parents).unwrap_or_default().concat();
        if let Some(last) = self.index.lists.last_mut()
            && (last.kind, last.state, last.body, &last.path) == (kind, state, body, &path)
            && last.first.map(|first| first + last.elements.len()) == own
            && own.is_some()
        {
            last.elements.push(range);
            return;
        }
        self.index.lists.push(List { kind, state, path, first: own, body, elements: vec![range], pending: None });
    }

    /// A bootstrap alone: its static resources are the resources of the proxy.
    fn bootstrap(&mut self, range: Range<usize>, is_whole: bool) -> Result<(), ScanError> {
        let path = self.here();
        if is_whole {
            self.index.bootstrap.get_or_insert((range.clone(), path));
        }
        let depth = self.path.len();
        let end = if is_whole { range.end } else { self.text.bytes().len() };
        let walked = self.text.scanner(range.start, end).object(|scanner, key| {
            if snake(&key) != "static_resources" || scanner.peek()? != b'{' {
                return scanner.skip().map(|_| ());
            }
            self.within(format!(".{key}"), |this| {
                scanner.object(|scanner, key| {
                    let kind = match (key.as_ref(), scanner.peek()?) {
                        ("listeners", b'[') => Kind::Listener,
                        ("clusters", b'[') => Kind::Cluster,
                        ("secrets", b'[') => Kind::Secret,
                        _ => return scanner.skip().map(|_| ()),
                    };
                    this.within(format!(".{key}"), |this| this.list(scanner, kind, State::Static, ""))
                })
            })
        });
        if is_whole {
            return walked;
        }
        // Where the text ends was told before.
        self.path.truncate(depth);
        Ok(())
    }
}

/// Looks at the first members of an object: is it one resource, rather than something that holds lists of them?
fn is_element(scanner: &mut Scanner<'_>) -> bool {
    let mut is_element = true;
    let _ = scanner.object(|scanner, key| {
        let name = snake(&key);
        if name == "@type" && scanner.peek()? == b'"' {
            let url = super::scan::text(scanner.string()?);
            is_element = forms::section(&url).is_none();
            return Err(ScanError::Enough);
        }
        let holds_resources = forms::list(&name).is_some()
            || forms::is_bootstrap(&name)
            || matches!(name.as_ref(), "configs" | "bootstrap" | "resources");
        if holds_resources {
            is_element = false;
            return Err(ScanError::Enough);
        }
        scanner.skip().map(|_| ())
    });
    is_element
}
