//! Reads files: paths, standard input and compressed files in, [`Artifact`]s out.
//!
//! An artifact is bytes with what they are and where they come from. What a file is, is told by its content, never by
//! its name. This room knows nothing of what the configuration in it means; it and `cli` alone touch the file system.

mod clusters_page;
mod read;
mod recognise;
mod source;

pub use read::{Limits, ReadError, ReadErrorKind, exists, files, read, read_bundle, source};
pub use recognise::{Artifact, ArtifactKind, NotADump, recognise};
pub(crate) use source::LINES;
pub use source::Source;
