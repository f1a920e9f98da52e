//! A route configuration whose virtual hosts are decoded one by one, when a request needs them.
//!
//! A route configuration of a large mesh holds thousands of virtual hosts; a request needs one.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use rayon::prelude::*;

use super::decode::{DecodeError, decode};
use super::index::snake;
use super::origin::Origin;
use super::resource::Resource;
use super::scan::{ScanError, Scanner, text};
use super::{legacy, sensitive};
use crate::input::Source;
use crate::proto::envoy::config::route::v3::{RouteConfiguration, VirtualHost};

/// A route configuration and its virtual hosts.
#[derive(Debug)]
pub struct RouteTable {
    /// The configuration without its virtual hosts.
    pub config: RouteConfiguration,
    /// Virtual hosts in the order of the file.
    pub virtual_hosts: Vec<VirtualHostEntry>,
}

/// A virtual host: name and domains, and the rest on demand.
#[derive(Debug)]
pub struct VirtualHostEntry {
    /// Name of the virtual host.
    pub name: String,
    /// Domains as written.
    pub domains: Vec<String>,
    /// `None` if it came decoded.
    text: Option<Text>,
    message: OnceLock<Result<VirtualHost, DecodeError>>,
}

/// Where a virtual host stands; thousands share the path of their list.
#[derive(Debug)]
struct Text {
    source: Arc<Source>,
    range: Range<usize>,
    list: Arc<str>,
    nth: usize,
}

impl VirtualHostEntry {
    fn decoded(host: VirtualHost) -> Self {
        let message = OnceLock::new();
        let (name, domains) = (host.name.clone(), host.domains.clone());
        let _ = message.set(Ok(host));
        Self { name, domains, text: None, message }
    }

    /// The virtual host with its routes.
    ///
    /// # Errors
    ///
    /// When its text isn't of the message's shape.
    pub fn get(&self) -> Result<&VirtualHost, &DecodeError> {
        self.message.get_or_init(|| self.read()).as_ref()
    }

    /// The same for one look at many: what isn't decoded yet isn't kept.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    pub fn decode(&self) -> Result<Cow<'_, VirtualHost>, DecodeError> {
        match self.message.get() {
            Some(known) => known.as_ref().map(Cow::Borrowed).map_err(Clone::clone),
            None => self.read().map(Cow::Owned),
        }
    }

    /// Its JSON text; empty if it came decoded.
    #[must_use]
    pub fn raw(&self) -> &[u8] {
        self.text.as_ref().map(|text| text.source.slice(text.range.clone())).unwrap_or_default()
    }

    /// Where it stands; `None` if it is a part of a message that was decoded whole.
    #[must_use]
    pub fn origin(&self) -> Option<Origin> {
        let text = self.text.as_ref()?;
        let path = format!("{}[{}]", text.list, text.nth);
        Some(Origin::new(Arc::clone(&text.source), text.range.clone(), path))
    }

    fn read(&self) -> Result<VirtualHost, DecodeError> {
        if self.text.is_none() {
            return Err(DecodeError::without_text());
        }
        decode(self.raw()).map_err(|error| match self.origin() {
            Some(origin) => error.at(origin),
            None => error,
        })
    }
}

impl RouteTable {
    /// The table of a message that is decoded whole: an inline route configuration.
    #[must_use]
    pub fn of(mut config: RouteConfiguration) -> Self {
        let virtual_hosts =
            std::mem::take(&mut config.virtual_hosts).into_iter().map(VirtualHostEntry::decoded).collect();
        Self { config, virtual_hosts }
    }

    /// The table of a resource: its virtual hosts are found, not decoded.
    pub(crate) fn read(source: &Arc<Source>, resource: &Resource<RouteConfiguration>) -> Result<Self, DecodeError> {
        let range = resource.body_range();
        let body = source.slice(range.clone());
        if legacy::needs_lift(body) || sensitive::redact(body) != body {
            return resource.get().map(|config| Self::of(config.clone())).map_err(Clone::clone);
        }
        let mut shell = Vec::from(*b"{");
        let mut hosts = Vec::new();
        let mut member = String::new();
        let bytes = source.slice(0..range.end);
        let walked = Scanner::new(bytes, range.start).object(|scanner, key| {
            if snake(&key) == "virtual_hosts" && scanner.peek()? == b'[' {
                member = key.into_owned();
                return scanner.array(|scanner, _| {
                    hosts.push(scanner.skip()?);
                    Ok(())
                });
            }
            let value = scanner.skip()?;
            if shell.len() > 1 {
                shell.push(b',');
            }
            shell.extend(serde_json::Value::from(key.as_ref()).to_string().into_bytes());
            shell.push(b':');
            shell.extend_from_slice(bytes.get(value).unwrap_or_default());
            Ok(())
        });
        shell.push(b'}');
        if walked.is_err() {
            // Malformed: the decoder says where.
            return resource.get().map(|config| Self::of(config.clone())).map_err(Clone::clone);
        }
        let config = decode(&shell).map_err(|error| error.at(resource.origin()))?;
        let list: Arc<str> = format!("{}.{member}", resource.path()).into();
        let virtual_hosts = hosts
            .into_par_iter()
            .enumerate()
            .with_min_len(64)
            .map(|(nth, range)| entry(Text { source: Arc::clone(source), range, list: Arc::clone(&list), nth }))
            .collect();
        Ok(Self { config, virtual_hosts })
    }
}

/// Reads name and domains, which stand before the routes, and stops there.
fn entry(place: Text) -> VirtualHostEntry {
    let (mut name, mut domains) = (None, None);
    let _ = Scanner::new(place.source.slice(0..place.range.end), place.range.start).object(|scanner, key| {
        match key.as_ref() {
            "name" if scanner.peek()? == b'"' => name = Some(text(scanner.string()?).into_owned()),
            "domains" if scanner.peek()? == b'[' => {
                let mut all = Vec::new();
                scanner.array(|scanner, _| {
                    all.push(text(scanner.string()?).into_owned());
                    Ok(())
                })?;
                domains = Some(all);
            }
            _ => {
                scanner.skip()?;
            }
        }
        // The rest isn't needed yet.
        if name.is_some() && domains.is_some() { Err(ScanError::Truncated { offset: 0 }) } else { Ok(()) }
    });
    VirtualHostEntry {
        name: name.unwrap_or_default(),
        domains: domains.unwrap_or_default(),
        text: Some(place),
        message: OnceLock::new(),
    }
}
