//! How many entries each list of the dump has.

use serde::Serialize;

use super::Proxy;
use super::index::List;
use super::kind::{Kind, State};
use super::resource::listener_state;
use super::text::Text;

/// Entries of the lists of a dump, counted as they stand in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Counts {
    /// Listeners.
    pub listeners: ListenerCounts,
    /// Route configurations. Envoy repeats the inline ones of listeners as static ones.
    pub routes: Sources,
    /// Clusters.
    pub clusters: States,
    /// Cluster load assignments.
    pub endpoints: Sources,
    /// Secrets.
    pub secrets: States,
    /// Sets of scoped routes: static ones are the inline ones of listeners.
    pub scoped_routes: Sources,
    /// Entries of all `ecds_filters`.
    pub ecds: usize,
}

/// Listeners by state. One entry of `dynamic_listeners` counts under each state that it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct ListenerCounts {
    /// Entries of `static_listeners`.
    #[serde(rename = "static")]
    pub statics: usize,
    /// Entries with an `active_state`, and those of v2's `dynamic_active_listeners`; listeners without a list around.
    pub active: usize,
    /// Entries with a `warming_state`, and those of v2's `dynamic_warming_listeners`.
    pub warming: usize,
    /// Entries with a `draining_state`, and those of v2's `dynamic_draining_listeners`.
    pub draining: usize,
    /// Entries with an `error_state`; Envoy writes two for one rejected listener.
    pub error: usize,
}

/// Resources by state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct States {
    /// Entries of `static_…`.
    #[serde(rename = "static")]
    pub statics: usize,
    /// Entries of `dynamic_active_…`; resources without a list around.
    pub active: usize,
    /// Entries of `dynamic_warming_…`.
    pub warming: usize,
}

/// Resources by where they come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Sources {
    /// Entries of `static_…`, or `inline_…`.
    #[serde(rename = "static")]
    pub statics: usize,
    /// Entries of `dynamic_…`; resources without a list around.
    pub dynamic: usize,
}

impl Proxy {
    /// Entries of each list, from the index: nothing is decoded.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for list in &self.document.index.lists {
            let entries = list.elements.len();
            match list.kind {
                Kind::Listener => counts.listeners.add(&self.document.text, list),
                Kind::Route => counts.routes.add(list.state, entries),
                Kind::ScopedRoute => counts.scoped_routes.add(list.state, entries),
                Kind::Cluster => counts.clusters.add(list.state, entries),
                Kind::Endpoint => counts.endpoints.add(list.state, entries),
                Kind::Secret => counts.secrets.add(list.state, entries),
                Kind::Ecds => counts.ecds += entries,
            }
        }
        counts
    }
}

impl States {
    fn add(&mut self, state: State, entries: usize) {
        match state {
            State::Static => self.statics += entries,
            State::Warming => self.warming += entries,
            State::Active | State::Draining | State::Error => self.active += entries,
        }
    }
}

impl Sources {
    fn add(&mut self, state: State, entries: usize) {
        if state == State::Static { self.statics += entries } else { self.dynamic += entries }
    }
}

impl ListenerCounts {
    fn add(&mut self, text: &Text, list: &List) {
        for entry in &list.elements {
            let mut has_state = false;
            if list.state == State::Active && list.body.is_none() {
                // What can't be walked has no state that could be counted.
                let _ = text.scanner(entry.start, entry.end).object(|scanner, key| {
                    if let Some(state) = listener_state(&key) {
                        self.count(state);
                        has_state = true;
                    }
                    scanner.skip().map(|_| ())
                });
            }
            if !has_state {
                self.count(list.state);
            }
        }
    }

    fn count(&mut self, state: State) {
        match state {
            State::Static => self.statics += 1,
            State::Active => self.active += 1,
            State::Warming => self.warming += 1,
            State::Draining => self.draining += 1,
            State::Error => self.error += 1,
        }
    }
}
