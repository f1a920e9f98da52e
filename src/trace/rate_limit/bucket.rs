//! Token buckets of local rate limits.

use crate::proto::envoy::r#type::v3::TokenBucket;
use crate::trace::session::Session;
use crate::trace::walk::Walk;

/// A bucket that gains a token within this time may have one again by the next request of a batch, in seconds.
const SOON: f64 = 60.0;

/// A bucket and the name that the session counts it under.
pub(crate) struct Bucket {
    pub(crate) key: String,
    max_tokens: u64,
    per_second: f64,
}

impl Bucket {
    /// The bucket of a configuration; `None` if there is no bucket in it.
    #[expect(clippy::cast_precision_loss, reason = "a rate need not be exact")]
    pub(crate) fn new(key: String, config: &TokenBucket) -> Option<Self> {
        let interval = config.fill_interval.as_ref()?;
        let seconds = interval.seconds as f64 + f64::from(interval.nanos) / 1e9;
        if seconds <= 0.0 {
            return None;
        }
        let per_fill = config.tokens_per_fill.map_or(1, |tokens| tokens.value);
        Some(Self { key, max_tokens: u64::from(config.max_tokens), per_second: f64::from(per_fill) / seconds })
    }

    /// Tokens a second.
    pub(crate) fn rate(&self) -> f64 {
        self.per_second
    }

    /// Takes tokens if there are enough; `false` if there are not.
    ///
    /// Only requests of the same batch are known to have taken any before.
    pub(crate) fn take(&self, walk: &mut Walk, session: &Session, tokens: u64) -> bool {
        let here = walk.consumed.get(&self.key).copied().unwrap_or_default();
        let before = session.taken(&self.key);
        let needed = |taken: u64| taken.saturating_add(here).saturating_add(tokens);
        let enough = if needed(before.most) <= self.max_tokens {
            true
        } else if self.per_second * SOON >= 1.0 {
            walk.assume_bool("the time between the requests of the batch: whether a rate limit has a token again")
        } else if needed(before.least) > self.max_tokens {
            false
        } else {
            walk.undecided(&format!("tokens left in {}", self.key), 2) == 0
        };
        if enough {
            *walk.consumed.entry(self.key.clone()).or_default() += tokens;
        }
        enough
    }

    /// The bucket in words.
    pub(crate) fn describe(&self, walk: &Walk, session: &Session) -> String {
        let taken =
            session.taken(&self.key).most.saturating_add(walk.consumed.get(&self.key).copied().unwrap_or_default());
        format!("{taken} of {} tokens taken by the requests so far", self.max_tokens)
    }
}
