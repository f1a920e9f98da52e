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
    let columns = Columns::of(&answer.outcomes);
    for step in first(&all).iter().take(shared) {
        columns.step(&mut out, step);
    }
    let several = groups.len() > 1;
    for members in &groups {
        out.push('\n');
        if several {
            share_line(&mut out, members);
        }
        let own = shared_steps(members);
        for step in first(members).iter().take(own).skip(shared) {
            columns.step(&mut out, step);
        }
        if members.len() > 1 {
            columns.endpoints(&mut out, members, own.max(shared));
        } else {
            for step in first(members).iter().skip(own.max(shared)) {
                columns.step(&mut out, step);
            }
        }
        ending(&mut out, members, answer.request.as_ref());
    }
    lacks(&mut out, answer);
    out
}

/// Where the columns of a step begin.
struct Columns {
    text: usize,
}

impl Columns {
    fn of(outcomes: &[OutcomeAnswer]) -> Self {
        let kinds = outcomes.iter().flat_map(|outcome| &outcome.steps).map(|step| step.kind.chars().count());
        Self { text: 4 + kinds.max().unwrap_or_default().clamp(8, 20) }
    }

    /// Kind, the thing chosen, why, and where it stands; below it what wasn't chosen.
    fn step(&self, out: &mut String, step: &StepAnswer) {
        let mut line = Flow::new(out, self.text).label(2, PLAIN, &step.kind).text(CHOSEN, &step.chosen);
        if !step.why.is_empty() {
            line = line.text(PLAIN, &format!("— {}", step.why));
        }
        line.text(FAINT, &place(step)).end();
        for rejected in &step.rejected {
            let text = format!("not {}: {}", rejected.name, rejected.because);
            Flow::new(out, self.text + 2).label(self.text, FAINT, "·").text(FAINT, &text).end();
        }
    }

    /// One line an endpoint: the address, its share, and why it could be the one where that isn't the same for all.
    fn endpoints(&self, out: &mut String, members: &[&OutcomeAnswer], from: usize) {
        let tails: Vec<&[StepAnswer]> = members.iter().map(|m| m.steps.get(from..).unwrap_or_default()).collect();
        let whys: Vec<&str> = tails.iter().map(|tail| tail.last().map_or("", |step| step.why.as_str())).collect();
        let same = whys.iter().all(|why| whys.first() == Some(why));
        let kind = tails.iter().find_map(|tail| tail.last()).map_or("endpoint", |step| step.kind.as_str());
        let mut line =
            Flow::new(out, self.text).label(2, PLAIN, kind).text(CHOSEN, &format!("one of {}", members.len()));
        if let (true, Some(why)) = (same, whys.first())
            && !why.is_empty()
        {
            line = line.text(PLAIN, &format!("— {why}"));
        }
        line.end();
        let host = |member: &OutcomeAnswer| member.upstream_host.clone().unwrap_or_else(|| "no endpoint".to_owned());
        let width = members.iter().map(|member| host(member).chars().count()).max().unwrap_or_default();
        for ((member, tail), why) in members.iter().zip(&tails).zip(&whys) {
            let share = member.share.map(percent).unwrap_or_default();
            let indent = self.text + width + 2;
            let mut line = Flow::new(out, indent).label(self.text, CHOSEN, &host(member));
            if !share.is_empty() {
                line = line.text(PLAIN, &share);
            }
            if !same && !why.is_empty() {
                line = line.text(PLAIN, &format!("— {why}"));
            }
            let place = tail.last().map(place).unwrap_or_default();
            line.text(FAINT, &place).end();
        }
    }
}

/// `[VirtualService shop/reviews, config_dump.json:5123]`
fn place(step: &StepAnswer) -> String {
    let at = match (&step.file, step.line, &step.path) {
        (Some(file), Some(line), _) => Some(format!("{file}:{line}")),
        (Some(file), None, Some(path)) => Some(format!("{file}: {path}")),
        _ => None,
    };
    let parts: Vec<String> = [step.object.clone(), at].into_iter().flatten().collect();
    if parts.is_empty() { String::new() } else { format!("[{}]", parts.join(", ")) }
}

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

fn lacks(out: &mut String, answer: &TraceAnswer) {
    if answer.unknown.is_empty() {
        return;
    }
    out.push('\n');
    Flow::new(out, 2).text(NOTE, "Not known from this input:").end();
    for reason in &answer.unknown {
        Flow::new(out, 4).label(2, NOTE, "?").text(PLAIN, reason).end();
    }
    for settle in &answer.settle {
        Flow::new(out, 4).label(2, FAINT, "→").text(FAINT, settle).end();
    }
}

#[cfg(test)]
mod tests;
