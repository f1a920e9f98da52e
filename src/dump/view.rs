//! Narrow reading of resources: a list that shows three fields needn't decode three hundred.

use std::borrow::Cow;
use std::ops::Range;

use serde::Deserialize;

use super::decode::DecodeError;
use super::index::snake;
use super::marks::Marks;
use super::resource::Resource;
use super::scan::{ScanError, Scanner};
use super::{legacy, sensitive};
use crate::proto::envoy::config::route::v3::RouteConfiguration;

impl<T> Resource<T> {
    /// The resource as a borrowed view: a type that names only the fields that are wanted, each in both spellings.
    ///
    /// Older API versions are seen as written; [`Resource::lifted_view`] reads them as v3.
    ///
    /// # Errors
    ///
    /// When the text isn't JSON, or a field that is wanted not of the view's shape.
    pub(crate) fn view<'a, V: Deserialize<'a>>(&'a self) -> Result<V, DecodeError> {
        serde_json::from_slice(self.raw()).map_err(|error| self.malformed(&error))
    }

    /// As [`Resource::view`], older API versions lifted to v3.
    ///
    /// # Errors
    ///
    /// As [`Resource::view`].
    pub(crate) fn lifted_view<'a, V: Deserialize<'a>>(&'a self) -> Result<V, DecodeError> {
        serde_json::from_slice(self.lifted()).map_err(|error| self.malformed(&error))
    }

    /// The resource's text as v3.
    fn lifted(&self) -> &[u8] {
        let lifted = self.lifted_text().get_or_init(|| lift(self.raw(), self.kind().message()));
        lifted.as_deref().unwrap_or_else(|| self.raw())
    }

    /// The error of a view that couldn't be read.
    #[must_use]
    pub fn malformed(&self, error: &serde_json::Error) -> DecodeError {
        DecodeError::of(error).at(self.origin())
    }

    /// The resource's JSON text for printing it: as it stands, sensitive values redacted.
    pub(crate) fn printable(&self) -> Cow<'_, [u8]> {
        sensitive::redact(self.raw())
    }

    /// The same of the element of its list, envelope included.
    pub(crate) fn printable_entry(&self) -> Cow<'_, [u8]> {
        sensitive::redact(self.document().text.slice(self.entry_range()))
    }

    /// Texts of some members, by their snake_case names; `None` for those that aren't there.
    ///
    /// # Errors
    ///
    /// When the text isn't an object.
    pub(crate) fn pick<const N: usize>(&self, names: [&str; N]) -> Result<[Option<&[u8]>; N], DecodeError> {
        let text = &self.document().text;
        // Not `body_range`, which would step over the whole resource to find its end.
        let range = self.body_start()..self.entry_end();
        let picked = pick(text.scanner(range.start, range.end), names);
        let picked = picked.map_err(|error| DecodeError::of(&error).at(self.origin()))?;
        Ok(picked.map(|range| range.map(|range| text.slice(range))))
    }
}

/// Ranges of some members of the object that starts here.
fn pick<const N: usize>(mut scanner: Scanner<'_>, names: [&str; N]) -> Result<[Option<Range<usize>>; N], ScanError> {
    let mut picked = [const { None }; N];
    scanner.object(|scanner, key| {
        let range = scanner.skip()?;
        let key = snake(&key);
        if let Some((slot, _)) = picked.iter_mut().zip(names).find(|(_, name)| *name == key) {
            *slot = Some(range);
        }
        Ok(())
    })?;
    Ok(picked)
}

/// The text as v3, if it isn't already.
fn lift(json: &[u8], message: &str) -> Option<Vec<u8>> {
    if !Marks::of(json).legacy {
        return None;
    }
    let mut value = serde_json::from_slice(json).ok()?;
    legacy::lift(&mut value, message);
    Some(value.to_string().into_bytes())
}

impl Resource<RouteConfiguration> {
    /// Texts of the virtual hosts, for reading them in parallel.
    ///
    /// # Errors
    ///
    /// When the text isn't an object, or its virtual hosts aren't a list.
    pub(crate) fn virtual_host_texts(&self) -> Result<Vec<&[u8]>, DecodeError> {
        let text = &self.document().text;
        let (start, end) = (self.body_start(), self.entry_end());
        let (hosts, type_url) =
            virtual_hosts(text.scanner(start, end)).map_err(|error| DecodeError::of(&error).at(self.origin()))?;
        if type_url.contains(".v2.") {
            let lifted = self.lifted();
            let (hosts, _) =
                virtual_hosts(Scanner::new(lifted, 0)).map_err(|error| DecodeError::of(&error).at(self.origin()))?;
            return Ok(hosts.into_iter().filter_map(|range| lifted.get(range)).collect());
        }
        Ok(hosts.into_iter().map(|range| text.slice(range)).collect())
    }
}

/// Ranges of the virtual hosts of the route configuration that starts here, and its type.
fn virtual_hosts(mut scanner: Scanner<'_>) -> Result<(Vec<Range<usize>>, String), ScanError> {
    let (mut hosts, mut type_url) = (Vec::new(), String::new());
    scanner.object(|scanner, key| match (snake(&key).as_ref(), scanner.peek()?) {
        ("virtual_hosts", b'[') => {
            let array = *scanner;
            hosts = array.elements(scanner.skip()?.end).map_err(|(error, _)| error)?;
            Ok(())
        }
        ("@type", b'"') => {
            type_url = super::scan::text(scanner.string()?).into_owned();
            Ok(())
        }
        _ => scanner.skip().map(|_| ()),
    })?;
    Ok((hosts, type_url))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_picked_in_both_spellings() {
        let text = br#"{"a":1,"fooBar":{"x":[2]},"foo":"y"}"#;
        let picked = pick(Scanner::new(text, 0), ["foo_bar", "a", "b"]).unwrap();
        assert_eq!(picked.map(|range| text.get(range?)), [Some(&br#"{"x":[2]}"#[..]), Some(&b"1"[..]), None]);
        assert!(pick(Scanner::new(b"[", 0), ["a"]).is_err());
    }
}
