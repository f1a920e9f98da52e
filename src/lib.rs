//! xdsight answers questions about Envoy proxies from files alone.
//!
//! ```text
//! bytes → input → dump → graph → trace → render → cli
//! ```

pub mod cli;
