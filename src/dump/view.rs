//! Narrow reading of resources: a list that shows three fields needn't decode three hundred.

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
    pub fn view<'a, V: Deserialize<'a>>(&'a self) -> Result<V, DecodeError> {
        serde_json::from_slice(self.raw()).map_err(|error| self.malformed(&error))
    }

    /// As [`Resource::view`], older API versions lifted to v3.
    ///
    /// # Errors
    ///
    /// As [`Resource::view`].
    pub fn lifted_view<'a, V: Deserialize<'a>>(&'a self) -> Result<V, DecodeError> {
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

    /// The resource's JSON for printing it: sensitive values redacted, names of fields in `lowerCamelCase`.
    ///
    /// # Errors
    ///
    /// When the text isn't JSON.
    pub fn json(&self) -> Result<serde_json::Value, DecodeError> {
        let mut json =
            serde_json::from_slice(&sensitive::redact(self.raw())).map_err(|error| self.malformed(&error))?;
        describe::lower_camel_names(self.kind().message(), &mut json);
        Ok(json)
    }

    /// Texts of some members, by their snake_case names; `None` for those that aren't there.
    ///
    /// # Errors
    ///
    /// When the text isn't an object.
    pub fn pick<const N: usize>(&self, names: [&str; N]) -> Result<[Option<&[u8]>; N], DecodeError> {
        pick(self.raw(), names).map_err(|error| DecodeError::of(&error).at(self.origin()))
    }
}

fn pick<'a, const N: usize>(text: &'a [u8], names: [&str; N]) -> Result<[Option<&'a [u8]>; N], ScanError> {
    let mut picked = [None; N];
    Scanner::new(text, 0).object(|scanner, key| {
        let range = scanner.skip()?;
        let key = snake(&key);
        if let Some((slot, _)) = picked.iter_mut().zip(names).find(|(_, name)| *name == key) {
            *slot = text.get(range);
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
    pub fn virtual_host_texts(&self) -> Result<Vec<&[u8]>, DecodeError> {
        let [type_url, hosts] = self.pick(["@type", "virtual_hosts"])?;
        let is_old = type_url.is_some_and(|url| memchr::memmem::find(url, b".v2.").is_some());
        let fail = |error: ScanError| DecodeError::of(&error).at(self.origin());
        let hosts = if is_old {
            let [hosts] = pick(self.lifted(), ["virtual_hosts"]).map_err(fail)?;
            hosts
        } else {
            hosts
        };
        let Some(hosts) = hosts else { return Ok(Vec::new()) };
        let mut texts = Vec::new();
        Scanner::new(hosts, 0)
            .array(|scanner, _| {
                let range = scanner.skip()?;
                texts.extend(hosts.get(range));
                Ok(())
            })
            .map_err(fail)?;
        Ok(texts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_picked_in_both_spellings() {
        let text = br#"{"a":1,"fooBar":{"x":[2]},"foo":"y"}"#;
        let picked = pick(text, ["foo_bar", "a", "b"]).unwrap();
        assert_eq!(picked, [Some(&br#"{"x":[2]}"#[..]), Some(&b"1"[..]), None]);
        assert!(pick(b"[", ["a"]).is_err());
    }
}
