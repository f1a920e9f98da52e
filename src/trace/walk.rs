//! One walk of a request through the configuration, repeated until every possible way is known.
//!
//! A trace is a closed set of outcomes. The code that follows a request is written as if everything
//! were certain; where it isn't, it calls [`Walk::pick`] (Envoy chooses at random) or
//! [`Walk::assume`] (the input doesn't say) and goes on with the answer. [`explore`] replays the walk
//! with every combination of answers, so no code has to carry sets around.

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::assume::{Assumptions, Question, Upstream};
use super::outcome::{Branch, Disposition, Outcome, Step, Unknown};

/// Most walks per request: beyond it the rest is reported as unknown rather than left out silently.
pub(crate) const MAX_WALKS: usize = 20_000;

/// The state of one walk.
#[derive(Debug, Default)]
pub(crate) struct Walk {
    script: Vec<usize>,
    taken: Vec<Taken>,
    share: Option<f64>,
    answers: BTreeMap<String, usize>,
    assumptions: Arc<Assumptions>,
    /// Decisions so far.
    pub(crate) steps: Vec<Step>,
    /// What was missing so far.
    pub(crate) unknown: BTreeSet<Unknown>,
    /// Keys of the assumptions that were asked for.
    assumed: BTreeSet<String>,
    /// The end, filled in on the way.
    pub(crate) outcome: Outcome,
    /// Whether what refuses the request is only noted, so that what comes after it is seen, too.
    pub(crate) goes_on: bool,
    /// What refused the request and was passed over.
    pub(crate) obstacles: Vec<Step>,
    /// Tokens taken from the buckets of local rate limits, by bucket ([`Session`](super::session::Session)).
    pub(crate) consumed: BTreeMap<String, u64>,
    /// What earlier walks left in the calls of [`Walk::recall`], in their order.
    landmarks: Vec<Landmark>,
    /// Calls of it so far.
    recalled: usize,
}

/// What a filter that isn't followed does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Opaque {
    /// It lets the request pass as it is.
    Passes,
    /// It answers with that HTTP status.
    Replies(u16),
}

#[derive(Debug, Clone, Copy)]
struct Taken {
    picked: usize,
    of: usize,
}

/// The state of a walk after something that took long, for walks that come the same way.
#[derive(Debug, Clone)]
struct Landmark {
    /// Choices up to here.
    taken: Vec<Taken>,
    share: Option<f64>,
    answers: BTreeMap<String, usize>,
    unknown: BTreeSet<Unknown>,
    assumed: BTreeSet<String>,
    /// Steps added on the way.
    steps: Vec<Step>,
    result: Arc<dyn Any + Send + Sync>,
}

/// The relative shares of several ways, of which Envoy picks one at random.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Shares {
    /// Index and share of those that are ever taken.
    open: Vec<(usize, f64)>,
    total: f64,
}

impl Shares {
    /// A share of zero or less is never taken; `None` if no way has a share.
    pub(crate) fn of(weights: &[f64]) -> Option<Self> {
        let open: Vec<(usize, f64)> = weights.iter().copied().enumerate().filter(|(_, w)| *w > 0.0).collect();
        let total = open.iter().map(|(_, weight)| weight).sum();
        (!open.is_empty()).then_some(Self { open, total })
    }
}

impl Walk {
    fn new(script: Vec<usize>, landmarks: Vec<Landmark>, assumptions: &Arc<Assumptions>) -> Self {
        Self { script, landmarks, share: Some(1.0), assumptions: Arc::clone(assumptions), ..Self::default() }
    }

    /// Chooses one of several ways that Envoy picks at random; `weights` are their relative shares, and a share of
    /// zero or less is never taken. `None` if no way has a share.
    pub(crate) fn pick(&mut self, weights: &[f64]) -> Option<usize> {
        self.pick_share(&Shares::of(weights)?)
    }

    /// As [`Walk::pick`] by shares that are known already.
    pub(crate) fn pick_share(&mut self, shares: &Shares) -> Option<usize> {
        let nth = self.next(shares.open.len())?;
        let (index, weight) = *shares.open.get(nth)?;
        self.share = self.share.map(|share| share * weight / shares.total);
        Some(index)
    }

    /// Does what takes long, and differs between walks only by the choices before and in it: where an earlier walk made
    /// the same ones, its result is taken. `work` may choose and add steps and reasons, but mustn't touch the outcome.
    pub(crate) fn recall<T: Any + Send + Sync>(&mut self, work: impl FnOnce(&mut Self) -> T) -> Arc<T> {
        let nth = self.recalled;
        self.recalled += 1;
        if let Some(landmark) = self.landmarks.get(nth).filter(|landmark| self.comes_by(landmark))
            && let Ok(result) = Arc::clone(&landmark.result).downcast::<T>()
        {
            self.taken.clone_from(&landmark.taken);
            self.share = landmark.share;
            self.answers.clone_from(&landmark.answers);
            self.unknown.clone_from(&landmark.unknown);
            self.assumed.clone_from(&landmark.assumed);
            self.steps.extend(landmark.steps.iter().cloned());
            return result;
        }
        let steps = self.steps.len();
        let result = Arc::new(work(self));
        self.landmarks.truncate(nth);
        self.landmarks.push(Landmark {
            taken: self.taken.clone(),
            share: self.share,
            answers: self.answers.clone(),
            unknown: self.unknown.clone(),
            assumed: self.assumed.clone(),
            steps: self.steps.get(steps..).unwrap_or_default().to_vec(),
            result: Arc::clone(&result) as Arc<dyn Any + Send + Sync>,
        });
        result
    }

    /// Whether this walk makes the choices that led to a landmark.
    fn comes_by(&self, landmark: &Landmark) -> bool {
        let ahead = self.script.iter().copied().chain(std::iter::repeat(0));
        landmark.taken.iter().map(|taken| taken.picked).zip(ahead).all(|(there, here)| there == here)
    }

    /// The answer to something that the input doesn't say: the one that is assumed, else each in turn, recorded as
    /// unknown. The same question gets the same answer within one walk.
    pub(crate) fn ask(&mut self, question: &Question<'_>) -> usize {
        if let Some(nth) = self.assumed(question) {
            return nth;
        }
        self.unknown.insert(Unknown { what: question.what.to_owned(), assume: question.assumptions() });
        if let Some(answer) = self.answers.get(question.what) {
            return *answer;
        }
        self.share = None;
        let answer = self.next(question.answers.len()).unwrap_or_default();
        self.answers.insert(question.what.to_owned(), answer);
        answer
    }

    /// What a filter that isn't followed does with a request: what is assumed, else it is recorded as unknown, and lets
    /// the request pass or answers it with each of the statuses that it is seen to have.
    pub(crate) fn pass_opaque(&mut self, what: &str, keys: &[&str], replies: &[u16]) -> Opaque {
        let question = Question { what, keys, answers: &["continue"] };
        let reply = self.assumptions.answer(&question).and_then(|(key, answer)| {
            let status = answer.parse().ok().filter(|status| (200..600).contains(status))?;
            Some((status, format!("{key}={answer}")))
        });
        if let Some((status, assumed)) = reply {
            self.assumed.insert(assumed);
            return Opaque::Replies(status);
        }
        if self.assumed(&question).is_none() {
            let mut assume = question.assumptions();
            assume.extend(keys.last().map(|key| format!("{key}=403")));
            self.unknown.insert(Unknown { what: what.to_owned(), assume });
            // Without an answer to be seen, the shares of other choices are as they were.
            let nth = if replies.is_empty() { 0 } else { self.undecided(what, replies.len() + 1) };
            if let Some(status) = nth.checked_sub(1).and_then(|nth| replies.get(nth)) {
                return Opaque::Replies(*status);
            }
        }
        Opaque::Passes
    }

    /// Chooses one of `of` ways, of which more input would tell the right one, but no word of the caller: recorded as
    /// unknown. The same reason gets the same answer within one walk.
    pub(crate) fn assume(&mut self, reason: &str, of: usize) -> usize {
        self.missing(reason);
        self.undecided(reason, of)
    }

    /// As [`Walk::ask`] for a condition.
    pub(crate) fn assume_bool(&mut self, what: &str) -> bool {
        self.ask(&Question::yes_or_no(what)) == 0
    }

    /// The answer that is assumed, if it is one of those the question takes.
    fn assumed(&mut self, question: &Question<'_>) -> Option<usize> {
        let (key, answer) = self.assumptions.answer(question)?;
        let nth = question.position(answer)?;
        let assumed = format!("{key}={answer}");
        if self.assumed.insert(assumed.clone()) {
            self.steps.push(Step::new("assumed", assumed, question.what));
        }
        Some(nth)
    }

    /// What the upstream is assumed to do.
    pub(crate) fn upstream(&mut self) -> Option<Upstream> {
        let upstream = self.assumptions.upstream()?;
        self.assumed.insert(format!("upstream={upstream}"));
        Some(upstream)
    }

    /// Chooses one of `of` ways where Envoy itself is undecided (the hash order of a process): several outcomes, but
    /// nothing that more input would settle.
    pub(crate) fn undecided(&mut self, key: &str, of: usize) -> usize {
        if let Some(answer) = self.answers.get(key) {
            return *answer;
        }
        self.share = None;
        let answer = self.next(of).unwrap_or_default();
        self.answers.insert(key.to_owned(), answer);
        answer
    }

    /// Records what is missing without branching on it.
    pub(crate) fn missing(&mut self, what: impl Into<String>) {
        self.unknown.insert(Unknown { what: what.into(), assume: Vec::new() });
    }

    /// Ends the walk: how the request ended. A later call for the same walk replaces it.
    pub(crate) fn end(&mut self, disposition: Disposition) {
        self.outcome.disposition = Some(disposition);
    }

    /// Whether a refusal that was just explained by a step is passed over; it is noted then.
    pub(crate) fn passes_over(&mut self, refusal: impl FnOnce() -> Step) -> bool {
        if self.goes_on {
            let step = self.steps.last().filter(|last| last.kind != "HTTP").cloned().unwrap_or_else(refusal);
            self.obstacles.push(step);
        }
        self.goes_on
    }

    /// Adds a decision.
    pub(crate) fn step(&mut self, step: Step) {
        self.steps.push(step);
    }

    fn next(&mut self, of: usize) -> Option<usize> {
        if of == 0 {
            return None;
        }
        if of == 1 {
            return Some(0);
        }
        let picked = self.script.get(self.taken.len()).copied().unwrap_or_default();
        self.taken.push(Taken { picked, of });
        Some(picked)
    }
}

/// What all walks of a request gave.
#[derive(Debug)]
pub(crate) struct Explored {
    /// The distinct outcomes.
    pub(crate) branches: Vec<Branch>,
    /// What was missing on any way.
    pub(crate) unknown: Vec<Unknown>,
    /// What was assumed on any way.
    pub(crate) assumed: Vec<String>,
}

/// Runs `walk` with every combination of answers to what isn't assumed.
pub(crate) fn explore(assumptions: &Arc<Assumptions>, mut walk: impl FnMut(&mut Walk)) -> Explored {
    let mut script = Vec::new();
    let mut landmarks = Vec::new();
    let mut unknown = BTreeSet::new();
    let mut assumed = BTreeSet::new();
    let mut branches: Vec<Branch> = Vec::new();
    let mut seen: BTreeMap<Outcome, usize> = BTreeMap::new();
    for round in 0.. {
        if round == MAX_WALKS {
            unknown.insert(Unknown { what: format!("more than {MAX_WALKS} possible ways"), assume: Vec::new() });
            break;
        }
        let mut one = Walk::new(script, landmarks, assumptions);
        walk(&mut one);
        landmarks = std::mem::take(&mut one.landmarks);
        unknown.append(&mut one.unknown);
        assumed.append(&mut one.assumed);
        match seen.get(&one.outcome).and_then(|index| branches.get_mut(*index)) {
            Some(branch) => branch.share = branch.share.zip(one.share).map(|(a, b)| a + b),
            None => {
                seen.insert(one.outcome.clone(), branches.len());
                branches.push(Branch { outcome: one.outcome, steps: one.steps, share: one.share });
            }
        }
        // The next combination: count up the last answer that has another way, drop what came after it.
        let mut taken = one.taken;
        while taken.last().is_some_and(|t| t.picked + 1 >= t.of) {
            taken.pop();
        }
        let Some(last) = taken.last_mut() else { break };
        last.picked += 1;
        script = taken.iter().map(|t| t.picked).collect();
    }
    branches.sort_by(|a, b| b.share.unwrap_or_default().total_cmp(&a.share.unwrap_or_default()));
    Explored { branches, unknown: unknown.into_iter().collect(), assumed: assumed.into_iter().collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_combination_is_walked_once() {
        let Explored { branches, unknown, .. } = explore(&Arc::default(), |walk| {
            let a = walk.pick(&[1.0, 0.0, 3.0]).unwrap();
            let b = if a == 2 && walk.assume_bool("weather") { 1 } else { 0 };
            walk.outcome.cluster = Some(format!("{a}{b}"));
        });
        let mut names: Vec<_> = branches.iter().filter_map(|b| b.outcome.cluster.as_deref()).collect();
        names.sort_unstable();
        assert_eq!(names, ["00", "20", "21"]);
        assert_eq!(unknown.iter().map(|u| u.what.as_str()).collect::<Vec<_>>(), ["weather"]);
        assert_eq!(unknown[0].assume, ["weather=yes", "weather=no"]);
        assert!(branches.iter().any(|b| b.share == Some(0.25)));
    }

    #[test]
    fn what_is_assumed_is_not_asked() {
        let mut assumptions = Assumptions::default();
        assumptions.add("weather=no").unwrap();
        let explored = explore(&Arc::new(assumptions), |walk| {
            let fine = walk.assume_bool("weather");
            walk.outcome.cluster = Some(fine.to_string());
        });
        assert_eq!((explored.branches.len(), explored.unknown.len()), (1, 0));
        assert_eq!(explored.branches[0].outcome.cluster.as_deref(), Some("false"));
        assert_eq!(explored.assumed, ["weather=no"]);
    }

    #[test]
    fn what_took_long_is_done_once_for_each_way_to_it() {
        let mut done = 0;
        let Explored { branches, .. } = explore(&Arc::default(), |walk| {
            let before = walk.pick(&[1.0, 1.0]).unwrap();
            let shares = walk.recall(|walk| {
                done += 1;
                (walk.pick(&[3.0, 1.0]).unwrap(), Shares::of(&[1.0; 5]).unwrap())
            });
            let after = walk.pick_share(&shares.1).unwrap();
            walk.outcome.cluster = Some(format!("{before}{}{after}", shares.0));
        });
        assert_eq!((branches.len(), done), (20, 4));
        let share_of = |name: &str| {
            let branch = branches.iter().find(|branch| branch.outcome.cluster.as_deref() == Some(name));
            branch.unwrap().share.unwrap()
        };
        assert!((share_of("104") - 0.075).abs() < 1e-9);
        assert!((share_of("012") - 0.025).abs() < 1e-9);
    }

    #[test]
    fn nothing_to_pick_is_none() {
        let explored = explore(&Arc::default(), |walk| assert_eq!(walk.pick(&[0.0]), None));
        assert_eq!(explored.branches.len(), 1);
    }
}
