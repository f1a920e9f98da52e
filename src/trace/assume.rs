//! What the caller takes for granted where the input doesn't say: `lua=continue`, `runtime.key=50`, `upstream=503`.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

/// Start of the keys that set runtime values.
const RUNTIME: &str = "runtime.";

/// Key of what upstreams answer.
const UPSTREAM: &str = "upstream";

/// Answers to what an input can't tell, by key.
///
/// A key is `runtime.KEY`, `upstream`, the kind of a filter (`lua`, `ext_authz` …), the name of one filter, or the text
/// of an [`Unknown`](super::Unknown). What is assumed is no longer unknown.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Assumptions {
    answers: BTreeMap<String, String>,
    runtime: BTreeMap<String, Value>,
    upstream: Option<Upstream>,
}

/// What every upstream does with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Upstream {
    /// It answers with that HTTP status.
    Status(u16),
    /// It takes no connection.
    Refused,
    /// It closes the connection before it answers.
    Reset,
}

impl fmt::Display for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(f, "{status}"),
            Self::Refused => f.write_str("refused"),
            Self::Reset => f.write_str("reset"),
        }
    }
}

/// Why an assumption can't be taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AssumeError {
    /// It isn't of the form `KEY=ANSWER`.
    #[error("{0:?} isn't of the form KEY=ANSWER, such as lua=continue")]
    Form(String),
    /// The key is known, the answer isn't one of those it takes.
    #[error("{key} takes {answers}, not {answer:?}")]
    Answer {
        /// The key.
        key: String,
        /// What it takes.
        answers: String,
        /// What was given.
        answer: String,
    },
    /// The same key was answered before.
    #[error("{0} is assumed twice")]
    Twice(String),
}

/// Kinds of filters that are asked about by kind, and the answers they take.
const KINDS: &[(&str, &[&str])] = &[
    ("ext_authz", &["allow", "deny", "error"]),
    ("jwt", &["valid", "expired", "invalid"]),
    ("password", &["valid", "invalid"]),
    ("ratelimit", &["ok", "over_limit", "error"]),
];

impl Assumptions {
    /// Takes one more, `KEY=ANSWER`.
    ///
    /// # Errors
    /// If the text has another form, the key is answered already, or doesn't take that answer.
    pub fn add(&mut self, text: &str) -> Result<(), AssumeError> {
        // The text of an unknown may hold `=` itself; an answer never does.
        let (key, answer) = text.rsplit_once('=').ok_or_else(|| AssumeError::Form(text.to_owned()))?;
        let (key, answer) = (key.trim(), answer.trim());
        if key.is_empty() || answer.is_empty() {
            return Err(AssumeError::Form(text.to_owned()));
        }
        let misfit = |answers| AssumeError::Answer { key: key.to_owned(), answers, answer: answer.to_owned() };
        if key == UPSTREAM {
            let upstream = Upstream::parse(answer)
                .ok_or_else(|| misfit("a status from 200 to 599, refused or reset".to_owned()))?;
            return match self.upstream.replace(upstream) {
                Some(_) => Err(AssumeError::Twice(key.to_owned())),
                None => Ok(()),
            };
        }
        if let Some(key) = key.strip_prefix(RUNTIME) {
            // Envoy's runtime has numbers, booleans and fractions; what is none of them is a text.
            let value = serde_json::from_str(answer).unwrap_or_else(|_| Value::String(answer.to_owned()));
            return match self.runtime.insert(key.to_owned(), value) {
                Some(_) => Err(AssumeError::Twice(format!("{RUNTIME}{key}"))),
                None => Ok(()),
            };
        }
        let takes = KINDS.iter().find(|(kind, _)| *kind == key).map(|(_, answers)| *answers);
        if let Some(takes) = takes.filter(|takes| !takes.contains(&answer)) {
            return Err(misfit(takes.join(" or ")));
        }
        match self.answers.insert(key.to_owned(), answer.to_owned()) {
            Some(_) => Err(AssumeError::Twice(key.to_owned())),
            None => Ok(()),
        }
    }

    /// What upstreams are assumed to do; without an assumption they answer with 200.
    #[must_use]
    pub fn upstream(&self) -> Option<Upstream> {
        self.upstream
    }

    /// A runtime value.
    pub(crate) fn runtime(&self, key: &str) -> Option<&Value> {
        self.runtime.get(key)
    }

    /// The answer to a question with its key; the first of the question's keys that is answered counts.
    pub(crate) fn answer<'q>(&self, question: &Question<'q>) -> Option<(&'q str, &str)> {
        let keys = question.keys.iter().copied().chain([question.what]);
        keys.into_iter().find_map(|key| self.answers.get(key).map(|answer| (key, answer.as_str())))
    }

    /// Keys in order, for what is to be said about those that nothing asked for.
    pub fn keys(&self) -> impl Iterator<Item = String> + '_ {
        let runtime = self.runtime.keys().map(|key| format!("{RUNTIME}{key}"));
        self.answers.keys().cloned().chain(runtime).chain(self.upstream.map(|_| UPSTREAM.to_owned()))
    }
}

impl Upstream {
    fn parse(text: &str) -> Option<Self> {
        match text {
            "refused" => Some(Self::Refused),
            "reset" => Some(Self::Reset),
            status => status.parse().ok().filter(|status| (200..600).contains(status)).map(Self::Status),
        }
    }
}

/// Something that the input doesn't say.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Question<'q> {
    /// What isn't known, in words that name it in full.
    pub(crate) what: &'q str,
    /// Short keys for an assumption, the most specific first.
    pub(crate) keys: &'q [&'q str],
    /// The possible answers; those that amount to the same stand in one text with `|` between them.
    pub(crate) answers: &'q [&'q str],
}

impl<'q> Question<'q> {
    /// A question to be answered with yes or no.
    pub(crate) fn yes_or_no(what: &'q str) -> Self {
        Self { what, keys: &[], answers: &["yes", "no"] }
    }

    /// Index of an answer.
    pub(crate) fn position(&self, answer: &str) -> Option<usize> {
        self.answers.iter().position(|possible| *possible == answer || possible.split('|').any(|one| one == answer))
    }

    /// The assumptions that would settle it, each in the form that [`Assumptions::add`] takes.
    pub(crate) fn assumptions(&self) -> Vec<String> {
        let key = self.keys.last().copied().unwrap_or(self.what);
        let named = self.answers.iter().filter_map(|answer| answer.split('|').next());
        named.map(|answer| format!("{key}={answer}")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(texts: &[&str]) -> Result<Assumptions, AssumeError> {
        let mut assumptions = Assumptions::default();
        texts.iter().try_for_each(|text| assumptions.add(text))?;
        Ok(assumptions)
    }

    #[test]
    fn the_most_specific_key_counts() {
        let assumptions = of(&["lua=continue", "shop.lua=403", "is x = y?=yes"]).unwrap();
        let question = |keys: &'static [&'static str]| Question { what: "is x = y?", keys, answers: &[] };
        assert_eq!(assumptions.answer(&question(&["shop.lua", "lua"])), Some(("shop.lua", "403")));
        assert_eq!(assumptions.answer(&question(&["other.lua", "lua"])), Some(("lua", "continue")));
        assert_eq!(assumptions.answer(&question(&[])), Some(("is x = y?", "yes")));
    }

    #[test]
    fn runtime_values_are_read_as_envoy_reads_them() {
        let assumptions = of(&["runtime.a=50", "runtime.b=true", "runtime.c={\"numerator\": 5}"]).unwrap();
        assert_eq!(assumptions.runtime("a"), Some(&Value::from(50)));
        assert_eq!(assumptions.runtime("b"), Some(&Value::Bool(true)));
        assert!(assumptions.runtime("c").is_some_and(Value::is_object));
        assert_eq!(assumptions.keys().collect::<Vec<_>>(), ["runtime.a", "runtime.b", "runtime.c"]);
    }

    #[test]
    fn what_cannot_be_taken_says_why() {
        for text in ["lua", "=x", "lua="] {
            assert!(matches!(of(&[text]), Err(AssumeError::Form(_))), "{text}");
        }
        for text in ["upstream=99", "upstream=gone", "ext_authz=yes", "ratelimit=,", "jwt=or"] {
            assert!(matches!(of(&[text]), Err(AssumeError::Answer { .. })), "{text}");
        }
        for text in ["lua=continue", "runtime.x=1", "upstream=503"] {
            assert!(matches!(of(&[text, text]), Err(AssumeError::Twice(_))), "{text}");
        }
        assert_eq!(of(&["upstream=reset"]).unwrap().upstream(), Some(Upstream::Reset));
    }
}
