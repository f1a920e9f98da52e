//! What a dump says that `proto/` doesn't model, and so no answer takes into account.

use std::collections::BTreeMap;

use rayon::prelude::*;

use super::marks::Marks;
use super::origin::Origin;
use super::resource::Resource;
use super::route_table::VirtualHostEntry;
use super::{Proxy, legacy};
use crate::proto::describe::{self, What};

/// Parts of a dump that aren't modelled, by name.
#[derive(Debug, Clone, Default)]
pub struct Unmodelled {
    /// Types of sections, of resources and of what an `Any` holds, by full name; empty for one without a type.
    pub types: BTreeMap<String, Occurrences>,
    /// Fields that no Envoy known here has, by full name.
    pub fields: BTreeMap<String, Occurrences>,
    /// Enum values that no Envoy known here has: full name of the enum and the value.
    pub values: BTreeMap<String, Occurrences>,
    /// Fields of Envoy's that are left out because they decide nothing, by full name.
    pub left_out: BTreeMap<String, Occurrences>,
}

/// How often a part occurs.
#[derive(Debug, Clone, PartialEq)]
pub struct Occurrences {
    /// Number of times.
    pub count: usize,
    /// The first.
    pub first: Origin,
}

/// Occurrences in one resource.
type Found = BTreeMap<What, (usize, String)>;

impl Proxy {
    /// Looks for what isn't modelled in the whole dump: sections, resources and bootstrap. This parses everything.
    #[must_use]
    pub fn unmodelled(&self) -> Unmodelled {
        let mut all = Unmodelled::default();
        for unknown in &self.document.index.unknown {
            let name = unknown.type_url.rsplit('/').next().unwrap_or_default();
            let origin = self.document.text.origin(unknown.range.clone(), unknown.path.clone());
            all.add(What::Type(name.to_owned()), 1, || origin);
        }
        if let Some((text, origin)) = self.bootstrap_text() {
            all.add_all(find("envoy.config.bootstrap.v3.Bootstrap", text), &origin);
        }
        all.add_resources(self.listeners());
        all.add_resources(self.routes());
        all.add_resources(self.scoped_routes());
        all.add_resources(self.clusters());
        all.add_resources(self.load_assignments());
        all.add_resources(self.secrets());
        all.add_resources(self.ecds());
        all
    }
}

impl Unmodelled {
    fn add_resources<T: Send + Sync>(&mut self, resources: &[Resource<T>]) {
        let found: Vec<Found> = resources.par_iter().map(|r| find(r.kind().message(), r.raw())).collect();
        for (resource, found) in resources.iter().zip(found).filter(|(_, found)| !found.is_empty()) {
            self.add_all(found, &resource.origin());
        }
    }

    fn add_all(&mut self, found: Found, origin: &Origin) {
        for (what, (count, path)) in found {
            self.add(what, count, || origin.clone().within(&path));
        }
    }

    fn add(&mut self, what: What, count: usize, first: impl FnOnce() -> Origin) {
        let (map, name) = match what {
            What::Type(name) => (&mut self.types, name),
            What::Field(name) => (&mut self.fields, name),
            What::EnumValue(name, value) => (&mut self.values, format!("{name} {value}")),
            What::LeftOut(name) => (&mut self.left_out, name),
        };
        map.entry(name).or_insert_with(|| Occurrences { count: 0, first: first() }).count += count;
    }
}

impl<T> Resource<T> {
    /// Fields and enum values of the resource that aren't modelled, in the order of the text; what decides nothing is
    /// left out, and so are types, which whoever decodes them knows about.
    pub(crate) fn unmodelled(&self) -> Vec<describe::Unmodelled> {
        undecided(self.kind().message(), self.raw())
    }
}

impl VirtualHostEntry {
    /// As [`Resource::unmodelled`]; empty for one that came decoded, which is a part of another resource.
    pub(crate) fn unmodelled(&self) -> Vec<describe::Unmodelled> {
        undecided("envoy.config.route.v3.VirtualHost", self.raw())
    }
}

/// What an answer may depend on and doesn't take into account.
pub(super) fn undecided(message: &str, json: &[u8]) -> Vec<describe::Unmodelled> {
    let mut parts = parts(message, json);
    parts.retain(|part| matches!(part.what, What::Field(_) | What::EnumValue(..)));
    parts
}

fn find(message: &str, json: &[u8]) -> Found {
    let mut found = Found::new();
    for part in parts(message, json) {
        // A resource is an `Any` itself; its type is known.
        if !part.path.ends_with(".@type") {
            found.entry(part.what).or_insert((0, part.path)).0 += 1;
        }
    }
    found
}

fn parts(message: &str, json: &[u8]) -> Vec<describe::Unmodelled> {
    let mut unmodelled = describe::unmodelled(message, json);
    // Most resources are of v3 and all known: whether one is older is only asked where there is a reason.
    let is_clean = unmodelled.iter().all(|part| part.path == ".@type" || matches!(part.what, What::LeftOut(_)));
    if !is_clean && Marks::of(json).legacy {
        let Ok(mut value) = serde_json::from_slice(json) else { return Vec::new() };
        legacy::lift(&mut value, message);
        unmodelled = describe::unmodelled_value(message, &value);
    }
    unmodelled
}
