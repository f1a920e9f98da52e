//! The text of a dump, its structure and its index.

use std::ops::Range;
use std::sync::Arc;

use super::index::{Index, IndexError, List, index};
use super::origin::Origin;
use super::scan::{Scanner, Structure};
use crate::input::Source;

/// The bytes of a dump and the bracket depths in them, shared by all that stands in it.
#[derive(Debug)]
pub(super) struct Text {
    source: Arc<Source>,
    structure: Arc<Structure>,
}

impl Text {
    /// Sums up the document that starts at `start`.
    pub(super) fn new(source: Arc<Source>, start: usize) -> Self {
        let structure = Structure::of(source.bytes(), start, |range| source.prefetch(range));
        if start == 0 {
            // The newlines were counted on the way.
            source.set_lines(structure.newlines());
        }
        Self { source, structure: Arc::new(structure) }
    }

    pub(super) fn source(&self) -> &Arc<Source> {
        &self.source
    }

    pub(super) fn structure(&self) -> &Structure {
        &self.structure
    }

    pub(super) fn bytes(&self) -> &[u8] {
        self.source.bytes()
    }

    pub(super) fn slice(&self, range: Range<usize>) -> &[u8] {
        self.source.slice(range)
    }

    /// A scanner at `pos` that doesn't read past `end`.
    pub(super) fn scanner(&self, pos: usize, end: usize) -> Scanner<'_> {
        Scanner::new(self.source.slice(0..end), pos).with_structure(&self.structure)
    }

    pub(super) fn origin(&self, range: Range<usize>, path: String) -> Origin {
        Origin::new(Arc::clone(&self.source), Arc::clone(&self.structure), range, path)
    }
}

/// A dump that is indexed, shared by all resources in it.
#[derive(Debug)]
pub(super) struct Document {
    pub(super) text: Text,
    pub(super) index: Index,
}

impl Document {
    /// Indexes the document that starts at `start`.
    pub(super) fn new(source: Arc<Source>, start: usize) -> Result<Self, IndexError> {
        let text = Text::new(source, start);
        let index = index(&text, start)?;
        Ok(Self { text, index })
    }

    /// The list and the range of one element: the number of the list, and that of the element in it.
    pub(super) fn entry(&self, (list, nth): (usize, usize)) -> Option<(&List, Range<usize>)> {
        let list = self.index.lists.get(list)?;
        Some((list, list.elements.get(nth)?.clone()))
    }

    /// JSON path of one element.
    pub(super) fn path_of(&self, (list, nth): (usize, usize)) -> String {
        self.index.lists.get(list).map(|list| list.path_of(nth)).unwrap_or_default()
    }
}
