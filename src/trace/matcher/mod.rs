//! Matchers: conditions on a connection or request, as routes, filter chains and filters state them.
//!
//! Each function takes a matcher and what it looks at, and answers as Envoy would. What the input doesn't say is
//! assumed through the [`Walk`](crate::trace::walk::Walk), named and explored both ways.

pub(crate) mod cel;
pub(crate) mod cidr;
pub(crate) mod fraction;
pub(crate) mod header;
pub(crate) mod metadata;
pub(crate) mod query;
pub(crate) mod string;
pub(crate) mod tree;
pub(crate) mod uri_template;

#[cfg(test)]
pub(crate) mod fixture;
