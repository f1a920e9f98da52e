//! xdsight answers questions about Envoy proxies from files alone: where does this request go, and why?
//!
//! ```text
//! bytes → input → dump → graph, inventory, trace → mesh → render, istioctl → cli
//!                  ↑               ↑
//!             proto (types, under all)
//! ```
//!
//! | room | takes | gives |
//! |---|---|---|
//! | [`input`] | paths, standard input | artifacts: bytes, what they are, where from |
//! | [`dump`] | the artifacts of one proxy | [`dump::Proxy`]: identity and typed resources, decoded when asked for |
//! | [`graph`] | a proxy | resources and the references between them, dangling ones too |
//! | [`inventory`] | a proxy | the tables and the summary as plain data |
//! | [`trace`] | a proxy and a request | every outcome held possible, and the decisions that lead there |
//! | [`mesh`] | files of many proxies and of their cluster | [`mesh::Mesh`]: proxies by pod beside Kubernetes objects |
//! | [`render`] | plain data of the rooms above | text, JSON, YAML, DOT, Mermaid |
//! | [`istioctl`] | the text of a dump or of its resources | what istioctl prints, with its faults and without |
//! | [`cli`] | arguments | one file a command: parse, call, render, exit code |
//!
//! Arrows point one way: a room uses only rooms to its left, and [`proto`], the prost types that are the model.
//!
//! # Invariants
//!
//! - Only `input` and `cli` touch the file system, environment, clock and terminal (a lint says so); nothing touches
//!   the network.
//! - Library code doesn't panic on any input; recursion on data has a limit.
//! - Unsafe code: the memory map, in one function.
//! - Output is deterministic: in the order of the dump or sorted, never in hash order.
//! - Sensitive values are redacted at decode.
//! - What isn't known is kept, counted and reported; on the path of a decision the answer says so.
//!
//! # To add
//!
//! - A field: write it into its message under `proto/`, take its name off the `reserved` list there, read it.
//! - An HTTP filter: a file under `trace/http_filter/`, and its type in that folder's `mod.rs`.
//! - What Envoy does otherwise from a release on: a rule in `trace/version.rs`, and both sides in
//!   `tests/semantics/versions.rs`.
//! - A command: a file under `cli/`, its answer as data in `render/` or `inventory/`.
//! - A case of the program's output: a folder with `args` under `testdata/`.

pub mod proto;

pub mod input;

pub mod dump;

pub mod graph;

pub mod inventory;

pub mod trace;

pub mod mesh;

pub mod render;

pub mod istioctl;

pub mod cli;
