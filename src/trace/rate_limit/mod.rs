//! Rate limits: token buckets that this proxy keeps, and the descriptors that requests are counted under
//! (semantics §5.6).

pub(crate) mod bucket;
pub(crate) mod descriptor;
