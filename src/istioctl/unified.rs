//! Two texts as a unified diff, with the matches that Python's difflib finds: istioctl shows them so.
//!
//! The longest run of lines that both have is a match, and so on to both sides of it. Lines that are more than one in a
//! hundred don't start a match; they only lengthen one.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::ops::Range;

/// Lines around a change.
const CONTEXT: usize = 7;

/// From this many lines on, frequent ones don't start a match.
const MANY: usize = 200;

/// From this many on, only lines that are rare start a match. Python's limit grows with the text, and so does the time
/// with its square: no answer would come of a large mesh.
const VERY_MANY: usize = 50_000;

/// How often a line may be there to be rare.
const RARE: usize = 64;

/// A run of lines that both texts have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Run {
    a: usize,
    b: usize,
    len: usize,
}

/// A piece of both texts: the same in both, or what one has instead of the other.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Piece {
    is_equal: bool,
    a: Range<usize>,
    b: Range<usize>,
}

/// The diff from `a` to `b` with these names in its head; `None` if they are the same.
pub(super) fn unified(a_name: &str, a: &str, b_name: &str, b: &str) -> Option<String> {
    if a == b {
        return None;
    }
    let (a, b) = (lines(a), lines(b));
    let groups = groups(pieces(&a, &b));
    if groups.is_empty() {
        return None;
    }
    let mut out = format!("--- {a_name}\n+++ {b_name}\n");
    for group in &groups {
        let (Some(first), Some(last)) = (group.first(), group.last()) else { continue };
        let (a_range, b_range) = (first.a.start..last.a.end, first.b.start..last.b.end);
        // A String takes whatever is written.
        let _ = writeln!(out, "@@ -{} +{} @@", place(&a_range), place(&b_range));
        for piece in group {
            let mut add = |sign: char, lines: &[&str]| {
                for line in lines {
                    out.push(sign);
                    out.push_str(line);
                    out.push('\n');
                }
            };
            let (ours, theirs) = (slice(&a, &piece.a), slice(&b, &piece.b));
            if piece.is_equal {
                add(' ', ours);
            } else {
                add('-', ours);
                add('+', theirs);
            }
        }
    }
    Some(out)
}

/// What is between newlines; the last is a line too, also if it is empty.
fn lines(text: &str) -> Vec<&str> {
    text.split('\n').collect()
}

fn slice<'s, 't>(lines: &'s [&'t str], range: &Range<usize>) -> &'s [&'t str] {
    lines.get(range.clone()).unwrap_or_default()
}

/// A range as diff writes it: from 1, and with the line before where it is empty.
fn place(range: &Range<usize>) -> String {
    match range.len() {
        0 => format!("{},0", range.start),
        1 => format!("{}", range.start + 1),
        len => format!("{},{len}", range.start + 1),
    }
}

/// Where each line that may start a match stands in `b`, in ascending order.
fn places<'t>(b: &[&'t str]) -> HashMap<&'t str, Vec<usize>> {
    let mut places: HashMap<&str, Vec<usize>> = HashMap::new();
    for (nth, line) in b.iter().enumerate() {
        places.entry(line).or_default().push(nth);
    }
    if b.len() >= MANY {
        let most = if b.len() >= VERY_MANY { RARE } else { b.len() / 100 + 1 };
        places.retain(|_, nths| nths.len() <= most);
    }
    places
}

/// The runs that both texts have, in order, those that touch joined.
fn runs(a: &[&str], b: &[&str]) -> Vec<Run> {
    let places = places(b);
    let mut todo = vec![(0..a.len(), 0..b.len())];
    let mut found = Vec::new();
    while let Some((in_a, in_b)) = todo.pop() {
        let run = longest(a, &in_a, b, &in_b, &places);
        if run.len == 0 {
            continue;
        }
        found.push(run);
        todo.push((in_a.start..run.a, in_b.start..run.b));
        todo.push((run.a + run.len..in_a.end, run.b + run.len..in_b.end));
    }
    found.sort_unstable();
    let mut joined: Vec<Run> = Vec::new();
    for run in found {
        match joined.last_mut() {
            Some(last) if last.a + last.len == run.a && last.b + last.len == run.b => last.len += run.len,
            _ => joined.push(run),
        }
    }
    joined
}

/// The longest run within these ranges; of several the first in `a`, then in `b`.
fn longest(
    a: &[&str],
    in_a: &Range<usize>,
    b: &[&str],
    in_b: &Range<usize>,
    places: &HashMap<&str, Vec<usize>>,
) -> Run {
    let mut best = Run { a: in_a.start, b: in_b.start, len: 0 };
    // Runs that end at the line before, by their last line in `b`, ascending.
    let mut before: Vec<(usize, usize)> = Vec::new();
    for i in in_a.clone() {
        let mut ends = Vec::new();
        let mut earlier = before.iter().peekable();
        let all = a.get(i).and_then(|line| places.get(line)).map(Vec::as_slice).unwrap_or_default();
        let from = all.partition_point(|j| *j < in_b.start);
        for j in all.iter().skip(from).copied().take_while(|j| *j < in_b.end) {
            while earlier.peek().is_some_and(|(end, _)| end + 1 < j) {
                earlier.next();
            }
            let len = earlier.peek().filter(|(end, _)| end + 1 == j).map_or(0, |(_, len)| *len) + 1;
            if len > best.len {
                best = Run { a: i + 1 - len, b: j + 1 - len, len };
            }
            ends.push((j, len));
        }
        before = ends;
    }
    while best.a > in_a.start && best.b > in_b.start && a.get(best.a - 1) == b.get(best.b - 1) {
        best = Run { a: best.a - 1, b: best.b - 1, len: best.len + 1 };
    }
    while best.a + best.len < in_a.end
        && best.b + best.len < in_b.end
        && a.get(best.a + best.len) == b.get(best.b + best.len)
    {
        best.len += 1;
    }
    best
}

/// Both texts in pieces.
fn pieces(a: &[&str], b: &[&str]) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let (mut i, mut j) = (0, 0);
    for run in runs(a, b).into_iter().chain([Run { a: a.len(), b: b.len(), len: 0 }]) {
        if i < run.a || j < run.b {
            pieces.push(Piece { is_equal: false, a: i..run.a, b: j..run.b });
        }
        (i, j) = (run.a + run.len, run.b + run.len);
        if run.len > 0 {
            pieces.push(Piece { is_equal: true, a: run.a..i, b: run.b..j });
        }
    }
    pieces
}

/// Changes that are near each other, with the lines around them.
fn groups(mut pieces: Vec<Piece>) -> Vec<Vec<Piece>> {
    let tail = |range: &Range<usize>| range.start.max(range.end.saturating_sub(CONTEXT))..range.end;
    let head = |range: &Range<usize>| range.start..range.end.min(range.start + CONTEXT);
    if let Some(first) = pieces.first_mut().filter(|piece| piece.is_equal) {
        *first = Piece { is_equal: true, a: tail(&first.a), b: tail(&first.b) };
    }
    if let Some(last) = pieces.last_mut().filter(|piece| piece.is_equal) {
        *last = Piece { is_equal: true, a: head(&last.a), b: head(&last.b) };
    }
    let mut groups = Vec::new();
    let mut group: Vec<Piece> = Vec::new();
    for piece in pieces {
        if piece.is_equal && piece.a.len() > 2 * CONTEXT {
            group.push(Piece { is_equal: true, a: head(&piece.a), b: head(&piece.b) });
            groups.push(std::mem::take(&mut group));
            group.push(Piece { is_equal: true, a: tail(&piece.a), b: tail(&piece.b) });
        } else {
            group.push(piece);
        }
    }
    groups.push(group);
    groups.retain(|group| group.iter().any(|piece| !piece.is_equal));
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_has_no_diff() {
        assert_eq!(unified("a", "x\ny", "b", "x\ny"), None);
        assert_eq!(unified("a", "", "b", ""), None);
    }

    #[test]
    fn changes_stand_with_the_lines_around_them() {
        let text = |change: &str| -> String {
            let lines = (0..40).map(|n| if n == 20 || n == 23 { format!("{change}{n}") } else { n.to_string() });
            lines.collect::<Vec<_>>().join("\n")
        };
        let diff = unified("A", &text("a"), "B", &text("b")).unwrap();
        let changed: Vec<&str> = diff.lines().filter(|line| !line.starts_with(' ')).collect();
        assert_eq!(changed, ["--- A", "+++ B", "@@ -14,18 +14,18 @@", "-a20", "+b20", "-a23", "+b23"]);
        let far = unified(
            "A",
            "x\n1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n11\n12\n13\n14\n15\ny",
            "B",
            "1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n11\n12\n13\n14\n15",
        );
        let far = far.unwrap();
        let heads: Vec<&str> = far.lines().filter(|line| line.starts_with("@@")).collect();
        assert_eq!(heads, ["@@ -1,8 +1,7 @@", "@@ -10,8 +9,7 @@"]);
    }

    #[test]
    fn what_one_lacks_is_placed_after_the_line_before() {
        assert_eq!(unified("A", "", "B", "x").unwrap(), "--- A\n+++ B\n@@ -1 +1 @@\n-\n+x\n");
        assert_eq!(unified("A", "x\ny", "B", "y").unwrap(), "--- A\n+++ B\n@@ -1,2 +1 @@\n-x\n y\n");
    }
}
