//! What the requests of a batch leave behind for those after them: tokens taken from local rate limits.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

/// Tokens taken so far, by bucket; a range where requests could go several ways.
///
/// A batch starts on a proxy that has just started: every bucket is full.
#[derive(Debug, Default)]
pub(crate) struct Session {
    taken: Mutex<BTreeMap<String, Taken>>,
    /// Whether any bucket was asked for.
    is_used: AtomicBool,
}

/// Tokens taken from one bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Taken {
    /// On the way that took the fewest.
    pub(crate) least: u64,
    /// On the way that took the most.
    pub(crate) most: u64,
}

impl Session {
    /// What earlier requests took from a bucket.
    pub(crate) fn taken(&self, bucket: &str) -> Taken {
        self.is_used.store(true, Ordering::Relaxed);
        self.taken.lock().unwrap_or_else(PoisonError::into_inner).get(bucket).copied().unwrap_or_default()
    }

    /// Whether a request has asked for any bucket, so that its outcome may depend on those before it.
    pub(crate) fn is_used(&self) -> bool {
        self.is_used.load(Ordering::Relaxed)
    }

    /// Keeps what one request took on each of its possible ways.
    pub(crate) fn keep(&self, ways: &[BTreeMap<String, u64>]) {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let buckets: std::collections::BTreeSet<&String> = ways.iter().flat_map(BTreeMap::keys).collect();
        for bucket in buckets {
            let on_each = || ways.iter().map(|way| way.get(bucket).copied().unwrap_or_default());
            let entry = taken.entry(bucket.clone()).or_default();
            entry.least = entry.least.saturating_add(on_each().min().unwrap_or_default());
            entry.most = entry.most.saturating_add(on_each().max().unwrap_or_default());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ways_that_differ_make_a_range() {
        let session = Session::default();
        let way = |pairs: &[(&str, u64)]| pairs.iter().map(|(bucket, n)| ((*bucket).to_owned(), *n)).collect();
        session.keep(&[way(&[("a", 1), ("b", 1)]), way(&[("a", 1)])]);
        session.keep(&[way(&[("a", 1)])]);
        assert_eq!(session.taken("a"), Taken { least: 2, most: 2 });
        assert_eq!(session.taken("b"), Taken { least: 0, most: 1 });
        assert_eq!(session.taken("c"), Taken::default());
    }
}
