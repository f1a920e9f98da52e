//! Network filters that may refuse a connection (semantics §3).

pub(crate) mod authn;
pub(crate) mod ext_authz;
pub(crate) mod local_ratelimit;
pub(crate) mod rbac;

use super::outcome::Disposition;
use super::walk::Walk;

/// A connection that a filter refuses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Denial {
    /// Connection termination details.
    termination: Option<String>,
    /// Details that a TCP proxy logs.
    details: Option<&'static str>,
    flag: Option<&'static str>,
    disposition: Disposition,
}

impl Denial {
    /// Ends the connection; `by_tcp_proxy` if a TCP proxy logs it.
    pub(crate) fn end(self, walk: &mut Walk, by_tcp_proxy: bool) {
        walk.outcome.termination = self.termination;
        walk.outcome.flags.extend(self.flag);
        if by_tcp_proxy {
            walk.outcome.details = self.details.map(str::to_owned);
        }
        walk.end(self.disposition);
    }
}
