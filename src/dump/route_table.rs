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
use super::scan::{ScanError, text};
use super::text::Document;
use super::unmodelled;

use crate::proto::describe::Unmodelled;
use crate::proto::envoy::config::route::v3::{RouteConfiguration, VirtualHost};

/// A route configuration and its virtual hosts.
#[derive(Debug)]
pub struct RouteTable {
    /// The configuration without its virtual hosts.
    pub config: RouteConfiguration,
    /// Virtual hosts in the order of the file.
    pub virtual_hosts: Vec<VirtualHostEntry>,
    /// What of the configuration isn't modelled, but for that of its virtual hosts.
    pub(crate) unmodelled: Vec<Unmodelled>,
}

/// A virtual host: name and domains, and the rest on demand.
#[derive(Debug)]
pub struct VirtualHostEntry {
    /// Name of the virtual host.
    pub name: String,
    /// Domains as written.
    pub domains: Vec<String>,
    place: Option<Place>,
    message: OnceLock<Result<VirtualHost, DecodeError>>,
}

/// Where a virtual host stands in a dump.
#[derive(Debug)]
struct Place {
    document: Arc<Document>,
    range: Range<usize>,
    /// JSON path of the list of virtual hosts, and the place in it.
    list: Arc<str>,
    nth: usize,
}

impl Place {
    fn json(&self) -> &[u8] {
        self.document.text.slice(self.range.clone())
    }

    fn origin(&self) -> Origin {
        self.document.text.origin(self.range.clone(), format!("{}[{}]", self.list, self.nth))
    }
}

impl VirtualHostEntry {
    fn decoded(host: VirtualHost) -> Self {
        let message = OnceLock::new();
        let (name, domains) = (host.name.clone(), host.domains.clone());
        let _ = message.set(Ok(host));
        Self { name, domains, place: None, message }
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

    /// Its JSON text; empty if it came decoded. Not redacted: not for printing.
    pub(crate) fn raw(&self) -> &[u8] {
        self.place.as_ref().map(Place::json).unwrap_or_default()
    }

    /// Where it stands; `None` if it is a part of a message that was decoded whole.
    #[must_use]
    pub fn origin(&self) -> Option<Origin> {
        self.place.as_ref().map(Place::origin)
    }

    fn read(&self) -> Result<VirtualHost, DecodeError> {
        let place = self.place.as_ref().ok_or_else(DecodeError::without_text)?;
        decode(place.json()).map_err(|error| error.at(place.origin()))
    }
}

impl RouteTable {
    /// The table of a message that is decoded whole: an inline route configuration.
    #[must_use]
    pub fn of(mut config: RouteConfiguration) -> Self {
        let virtual_hosts =
            std::mem::take(&mut config.virtual_hosts).into_iter().map(VirtualHostEntry::decoded).collect();
        Self { config, virtual_hosts, unmodelled: Vec::new() }
    }

    /// The table of a resource: its virtual hosts are found, not decoded.
    pub(crate) fn read(resource: &Resource<RouteConfiguration>) -> Result<Self, DecodeError> {
        let document = resource.document();
        let text = &document.text;
        // Its end isn't known before it is walked; finding it first would be a walk more.
        let (start, end) = (resource.body_start(), resource.entry_end());
        let mut shell = Vec::from(*b"{");
        let mut hosts = Vec::new();
        let mut list = String::new();
        let walked = text.scanner(start, end).object(|scanner, key| {
            if snake(&key) == "virtual_hosts" && scanner.peek()? == b'[' {
                list = format!(".{key}");
                let array = *scanner;
                hosts = array.elements(scanner.skip()?.end).map_err(|(error, _)| error)?;
                return Ok(());
            }
            let value = scanner.skip()?;
            if shell.len() > 1 {
                shell.push(b',');
            }
            shell.extend(serde_json::Value::from(key.as_ref()).to_string().into_bytes());
            shell.push(b':');
            shell.extend_from_slice(text.slice(value));
            Ok(())
        });
        shell.push(b'}');
        if walked.is_err() {
            // Malformed: the decoder says where.
            return resource.get().map(|config| Self::of(config.clone())).map_err(Clone::clone);
        }
        let config = decode(&shell).map_err(|error| error.at(resource.origin()))?;
        let list: Arc<str> = (resource.path() + &list).into();
        let virtual_hosts = hosts
            .into_par_iter()
            .enumerate()
            .with_min_len(64)
            .map(|(nth, range)| entry(Place { document: Arc::clone(document), range, list: Arc::clone(&list), nth }))
            .collect();
        let unmodelled = unmodelled::undecided("envoy.config.route.v3.RouteConfiguration", &shell);
        Ok(Self { config, virtual_hosts, unmodelled })
    }
}

/// Reads name and domains, which stand before the routes, and stops there.
fn entry(place: Place) -> VirtualHostEntry {
    let (mut name, mut domains) = (None, None);
    let _ = place.document.text.scanner(place.range.start, place.range.end).object(|scanner, key| {
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
        if name.is_some() && domains.is_some() { Err(ScanError::Enough) } else { Ok(()) }
    });
    VirtualHostEntry {
        name: name.unwrap_or_default(),
        domains: domains.unwrap_or_default(),
        place: Some(place),
        message: OnceLock::new(),
    }
}
