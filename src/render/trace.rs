//! The text form of a trace: one decision a line, then the outcome in plain words.
//!
//! Decisions that all ways share come first, once. Ways that differ only in the endpoint are one group with a line an
//! endpoint; every other way is a group with its share, its own decisions and its outcome.

use anstyle::Style;

use super::exchange::{OutcomeAnswer, RequestAnswer, StepAnswer, TraceAnswer};
use super::flow::Flow;
use super::style::{BAD, CHOSEN, FAINT, GOOD, HEAD, NOTE};
use super::words;

const PLAIN: Style = Style::new();

/// The answer as text.
#[must_use]
pub fn trace(answer: &TraceAnswer) -> String {
    let mut out = String::new();
    if let Some(request) = &answer.request {
        head(&mut out, request);
    }
    if let Some(error) = &answer.error {
        Flow::new(&mut out, 2).text(BAD, "not traced:").text(PLAIN, error).end();
        return out;
    }
    let groups = group(&answer.outcomes);
    let all: Vec<&OutcomeAnswer> = answer.outcomes.iter().collect();
    let shared = shared_steps(&all);
    if !answer.assumed.is_empty() {
        Flow::new(&mut out, 2).text(NOTE, &format!("Assuming {}", answer.assumed.join(", "))).end();
        out.push('\n');
    }
    let layout = Layout::of(&answer.outcomes);
    for step in first(&all).iter().take(shared) {
        layout.step(&mut out, step);
    }
    let several = groups.len() > 1;
    for members in &groups {
        out.push('\n');
        if several {
            share_line(&mut out, members);
        }
        layout.own_steps(&mut out, members, shared);
        ending(&mut out, members, answer.request.as_ref());
    }
    obstacles(&mut out, &layout, answer);
    lacks(&mut out, answer);
    layout.files(&mut out);
    out
}

/// How steps are laid out.
struct Layout<'a> {
    /// Column at which the text of a step begins.
    text: usize,
    /// Files whose names are too long for each line: the last part stands for the whole.
    short: Vec<(&'a str, &'a str)>,
}

/// Names of files up to this length stand in full on each line.
const LONG_NAME: usize = 30;

impl<'a> Layout<'a> {
    fn of(outcomes: &'a [OutcomeAnswer]) -> Self {
        let steps = || outcomes.iter().flat_map(|outcome| &outcome.steps);
        let kinds = steps().map(|step| step.kind.chars().count());
        let mut files: Vec<&str> = Vec::new();
        for file in steps().filter_map(|step| step.file.as_deref()) {
            if !files.contains(&file) {
                files.push(file);
            }
        }
        let last = |file: &'a str| file.rsplit('/').next().unwrap_or(file);
        let is_unique =
            |file: &str| files.iter().filter(|other| other.rsplit('/').next() == file.rsplit('/').next()).count() == 1;
        let long = files.iter().filter(|file| file.chars().count() > LONG_NAME && is_unique(file));
        Self {
            text: 4 + kinds.max().unwrap_or_default().clamp(8, 20),
            short: long.map(|file| (*file, last(file))).collect(),
        }
    }

    /// Kind, the thing chosen, why, and where it stands; below it what wasn't chosen.
    fn step(&self, out: &mut String, step: &StepAnswer) {
        let mut line = Flow::new(out, self.text).label(2, PLAIN, &step.kind).text(CHOSEN, &step.chosen);
        if !step.why.is_empty() {
            line = line.text(PLAIN, &format!("— {}", step.why));
        }
        line.text(FAINT, &self.place(step)).end();
        for rejected in &step.rejected {
            let text = format!("not {}: {}", rejected.name, rejected.because);
            Flow::new(out, self.text + 2).label(self.text, FAINT, "·").text(FAINT, &text).end();
        }
    }

    /// The steps of a group after the first `from`; where its members differ, each way is shown once.
    fn own_steps(&self, out: &mut String, members: &[&OutcomeAnswer], from: usize) {
        let longest = members.iter().map(|member| member.steps.len()).max().unwrap_or_default();
        let mut listed = false;
        for nth in from..longest {
            let steps: Vec<&StepAnswer> = members.iter().filter_map(|member| member.steps.get(nth)).collect();
            let mut distinct: Vec<&StepAnswer> = Vec::new();
            for step in &steps {
                if !distinct.contains(step) {
                    distinct.push(step);
                }
            }
            if distinct.len() > 1 && !listed && steps.len() == members.len() {
                self.endpoints(out, members, &steps);
                listed = true;
                continue;
            }
            for step in distinct.iter().take(MOST_WAYS) {
                self.step(out, step);
            }
            if distinct.len() > MOST_WAYS {
                let more = format!("and {} more, of other endpoints", distinct.len() - MOST_WAYS);
                Flow::new(out, self.text).hang().text(FAINT, &more).end();
            }
        }
    }

    /// One line an endpoint: the address, its share, and why it could be the one where that isn't the same for all.
    fn endpoints(&self, out: &mut String, members: &[&OutcomeAnswer], steps: &[&StepAnswer]) {
        let Some(first) = steps.first() else { return };
        let same = steps.iter().all(|step| step.why == first.why);
        let mut line =
            Flow::new(out, self.text).label(2, PLAIN, &first.kind).text(CHOSEN, &format!("one of {}", members.len()));
        if same && !first.why.is_empty() {
            line = line.text(PLAIN, &format!("— {}", first.why));
        }
        line.end();
        let host = |member: &OutcomeAnswer| member.upstream_host.clone().unwrap_or_else(|| "no endpoint".to_owned());
        let width = members.iter().map(|member| host(member).chars().count()).max().unwrap_or_default();
        for (member, step) in members.iter().zip(steps) {
            let mut line = Flow::new(out, self.text + width + 2).label(self.text, CHOSEN, &host(member));
            if let Some(share) = member.share {
                line = line.text(PLAIN, &percent(share));
            }
            if !same && !step.why.is_empty() {
                line = line.text(PLAIN, &format!("— {}", step.why));
            }
            line.text(FAINT, &self.place(step)).end();
        }
    }

    /// `[VirtualService shop/reviews, config_dump.json:5123]`
    fn place(&self, step: &StepAnswer) -> String {
        let at = match (step.file.as_deref(), step.line, &step.path) {
            (Some(file), Some(line), _) => Some(format!("{}:{line}", self.name(file))),
            (Some(file), None, Some(path)) => Some(format!("{}: {path}", self.name(file))),
            _ => None,
        };
        let parts: Vec<String> = [step.object.clone(), at].into_iter().flatten().collect();
        if parts.is_empty() { String::new() } else { format!("[{}]", parts.join(", ")) }
    }

    fn name<'f>(&self, file: &'f str) -> &'f str
    where
        'a: 'f,
    {
        self.short.iter().find(|(long, _)| *long == file).map_or(file, |(_, short)| short)
    }

    /// Says which files the short names stand for.
    fn files(&self, out: &mut String) {
        for (nth, (long, short)) in self.short.iter().enumerate() {
            if nth == 0 {
                out.push('\n');
            }
            Flow::new(out, 2).text(FAINT, &format!("{short} is {long}")).end();
        }
    }
}

/// Most ways of a step that are shown for one group.
const MOST_WAYS: usize = 3;

fn head(out: &mut String, request: &RequestAnswer) {
    let scheme = match (request.protocol, request.tls) {
        ("tcp", false) => "tcp",
        ("tcp", true) => "tls",
        (_, false) => "http",
        (_, true) => "https",
    };
    let host = request.authority.as_deref();
    let path = request.path.as_deref().unwrap_or_default();
    let mut line = Flow::new(out, 2);
    if let Some(method) = &request.method {
        line = line.text(HEAD, method);
    }
    line = match (host, &request.connect) {
        (Some(host), _) => line.text(HEAD, &format!("{scheme}://{host}{path}")),
        (None, Some(address)) if request.protocol == "tcp" => line.text(HEAD, &format!("{scheme}://{address}")),
        (None, _) => line.text(HEAD, path).text(PLAIN, "without a Host"),
    };
    let mut facts = Vec::new();
    match request.protocol {
        "http1" => facts.push("HTTP/1.1".to_owned()),
        "http1.0" => facts.push("HTTP/1.0".to_owned()),
        "h2" => facts.push("HTTP/2".to_owned()),
        _ => {}
    }
    if let Some(address) = &request.connect {
        facts.push(format!("to {address}"));
    }
    facts.push(format!("from {}", request.source));
    if let Some(sni) = request.sni.as_ref().filter(|sni| host != Some(sni.as_str())) {
        facts.push(format!("SNI {sni}"));
    }
    if let Some(principal) = &request.principal {
        facts.push(format!("as {principal}"));
    }
    line.text(PLAIN, &format!("({})", facts.join(", "))).end();
    out.push('\n');
}

/// Groups of outcomes that differ only in the endpoint, in the order of their first members.
fn group(outcomes: &[OutcomeAnswer]) -> Vec<Vec<&OutcomeAnswer>> {
    let mut groups: Vec<(OutcomeAnswer, Vec<&OutcomeAnswer>)> = Vec::new();
    for outcome in outcomes {
        let key = OutcomeAnswer {
            upstream_host: None,
            explanation: String::new(),
            share: None,
            steps: Vec::new(),
            ..outcome.clone()
        };
        match groups.iter_mut().find(|(other, _)| *other == key) {
            Some((_, members)) => members.push(outcome),
            None => groups.push((key, vec![outcome])),
        }
    }
    groups.into_iter().map(|(_, members)| members).collect()
}

fn first<'a>(members: &[&'a OutcomeAnswer]) -> &'a [StepAnswer] {
    members.first().map(|outcome| outcome.steps.as_slice()).unwrap_or_default()
}

/// Number of steps at the start that all have in common.
fn shared_steps(members: &[&OutcomeAnswer]) -> usize {
    let shortest = members.iter().map(|outcome| outcome.steps.len()).min().unwrap_or_default();
    (0..shortest)
        .take_while(|nth| members.iter().all(|outcome| outcome.steps.get(*nth) == first(members).get(*nth)))
        .count()
}

fn share_of(members: &[&OutcomeAnswer]) -> Option<f64> {
    members.iter().map(|member| member.share).sum()
}

fn percent(share: f64) -> String {
    let percent = share * 100.0;
    let text = if percent > 0.0 && percent < 0.1 { format!("{percent:.3}") } else { format!("{percent:.1}") };
    format!("{} %", text.strip_suffix(".0").unwrap_or(&text))
}

fn share_line(out: &mut String, members: &[&OutcomeAnswer]) {
    let share = match share_of(members) {
        Some(share) => format!("{} of requests:", percent(share)),
        None => "Possible, share not known:".to_owned(),
    };
    Flow::new(out, 2).text(HEAD, &share).end();
}

/// What to add to the command to settle an unknown: `take one for granted: --assume lua=continue or lua=403`.
fn options(what: &str, assume: &[String]) -> Option<String> {
    let (first, rest) = assume.split_first()?;
    let own_words = first.strip_prefix(what).and_then(|rest| rest.strip_prefix('='));
    if let Some(answer) = own_words {
        let answers: Vec<&str> = rest.iter().filter_map(|other| other.rsplit('=').next()).collect();
        let others = if answers.is_empty() { String::new() } else { format!(" (or {})", answers.join(", ")) };
        return Some(format!("--assume 'this text={answer}'{others}"));
    }
    Some(format!("--assume {}", assume.join(" or ")))
}

/// The outcome in words, the access log's view, and what the upstream reads.
fn ending(out: &mut String, members: &[&OutcomeAnswer], request: Option<&RequestAnswer>) {
    let Some(outcome) = members.first() else { return };
    let style = match (outcome.delivered, outcome.disposition) {
        (true, _) => GOOD,
        (false, "insufficient_info" | "unfinished") => NOTE,
        (false, _) => BAD,
    };
    let text = match (members.len(), outcome.disposition, &outcome.cluster) {
        (2.., "endpoint", Some(cluster)) => {
            format!("delivered to one of {} endpoints of cluster {cluster}", members.len())
        }
        _ => outcome.explanation.clone(),
    };
    Flow::new(out, 2).label(0, style, "→").text(style, &text).end();
    let details = outcome.details.as_deref();
    if outcome.status.is_some() || outcome.flags.is_some() || details.is_some() || outcome.termination.is_some() {
        let log = words::access_log(outcome.status, outcome.flags.as_deref(), details, outcome.termination.as_deref());
        Flow::new(out, 17).label(2, PLAIN, "access log").text(CHOSEN, &log).end();
    }
    let Some(request) = request else { return };
    let mut changes = Vec::new();
    if let Some(path) = outcome.upstream_path.as_ref().filter(|path| request.path.as_ref() != Some(path)) {
        changes.push(format!("path {path}"));
    }
    if let Some(authority) = outcome.upstream_authority.as_ref().filter(|host| request.authority.as_ref() != Some(host))
    {
        changes.push(format!("host {authority}"));
    }
    changes.extend(outcome.headers_added.iter().map(|(name, value)| format!("{name}: {value}")));
    changes.extend(outcome.headers_removed.iter().map(|name| format!("no {name}")));
    for (nth, change) in changes.iter().enumerate() {
        Flow::new(out, 17).label(2, PLAIN, if nth == 0 { "upstream reads" } else { "" }).text(PLAIN, change).end();
    }
}

/// Everything that refuses the request: mending the first alone would only lead to the next.
fn obstacles(out: &mut String, layout: &Layout<'_>, answer: &TraceAnswer) {
    if answer.obstacles.is_empty() {
        return;
    }
    out.push('\n');
    Flow::new(out, 2).text(NOTE, "All that stands in the way, in the order met:").end();
    for step in &answer.obstacles {
        layout.step(out, step);
    }
}

fn lacks(out: &mut String, answer: &TraceAnswer) {
    if answer.unknown.is_empty() {
        return;
    }
    out.push('\n');
    Flow::new(out, 2).text(NOTE, "Not known from this input:").end();
    for (nth, what) in answer.unknown.iter().enumerate() {
        Flow::new(out, 4).label(2, NOTE, "?").text(PLAIN, what).end();
        if let Some(options) = answer.assume.get(nth).and_then(|assume| options(what, assume)) {
            Flow::new(out, 6).label(4, FAINT, "→").text(FAINT, &options).end();
        }
    }
    for settle in &answer.settle {
        Flow::new(out, 4).label(2, FAINT, "→").text(FAINT, settle).end();
    }
}

#[cfg(test)]
mod tests;
