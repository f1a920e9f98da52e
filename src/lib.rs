//! xdsight answers questions about Envoy proxies from files alone.
//!
//! ```text
//! bytes → input → dump → graph → trace → render → cli
//! ```

pub mod proto;

pub mod input;

pub mod dump;

pub mod graph;

pub mod inventory;

pub mod trace;

pub mod render;

pub mod cli;
