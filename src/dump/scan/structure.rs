//! The bracket depth of a text, a block at a time, so that a value is stepped over without reading what is in it.
//!
//! One pass over all bytes, by several threads at once: each sums up its part under a guess of whether the part starts
//! in a string, and the guess is checked against where the part before it ended. The result doesn't depend on how the
//! text is laid out.

use std::ops::Range;

use rayon::prelude::*;

use super::block::{BLOCK, Carry, Kernel, Masks, dispatch};
use crate::input::LINES;

/// Bytes summed up together.
const SPAN: usize = 256;

/// Bytes that one thread takes at a time; a multiple of [`SPAN`] and of [`LINES`].
const PART: usize = 1 << 20;

/// Spans of a part.
const SPANS: usize = PART / SPAN;

/// Depth and newlines of a text.
#[derive(Debug, Default)]
pub(crate) struct Structure {
    /// First byte that is summed up: the start of the document.
    base: usize,
    /// The spans of each [`PART`].
    parts: Vec<Vec<Span>>,
    /// Number of newlines in each [`LINES`] bytes.
    newlines: Vec<u32>,
}

/// What [`SPAN`] bytes do to the depth.
#[derive(Debug, Clone, Copy)]
struct Span {
    /// Opening less closing brackets.
    net: i16,
    /// How far the depth may fall below that at the start, at most.
    fall: u16,
    /// State at the start.
    in_string: bool,
    escaped: bool,
}

impl Structure {
    /// Sums up a text from `base` on, which must stand outside strings.
    /// `prefetch` is told of each range before it is read.
    pub(crate) fn of(bytes: &[u8], base: usize, prefetch: impl Fn(Range<usize>) + Sync) -> Self {
        let bytes = bytes.get(base..).unwrap_or_default();
        let parts: Vec<&[u8]> = bytes.chunks(PART).collect();
        let mut summed: Vec<(Carry, Part)> = (0..parts.len())
            .into_par_iter()
            .map(|nth| {
                let start = base + nth * PART;
                prefetch(start..start + PART);
                let start =
                    if nth == 0 { Carry::default() } else { guess(bytes.get(..nth * PART).unwrap_or_default()) };
                (start, dispatch(Sum { bytes: parts.get(nth).copied().unwrap_or_default(), start }))
            })
            .collect();
        let mut known = Carry::default();
        for ((start, part), bytes) in summed.iter_mut().zip(&parts) {
            if *start != known {
                *part = dispatch(Sum { bytes, start: known });
            }
            known = part.end;
        }
        let mut all = Self { base, ..Self::default() };
        all.parts.reserve_exact(summed.len());
        for (_, part) in summed {
            all.parts.push(part.spans);
            all.newlines.extend_from_slice(&part.newlines);
        }
        all
    }

    /// Number of newlines in each [`LINES`] bytes from the base on.
    pub(crate) fn newlines(&self) -> &[u32] {
        &self.newlines
    }

    /// End of the object or array that starts at `start`; `None` if the text ends first.
    pub(super) fn end(&self, bytes: &[u8], start: usize) -> Option<usize> {
        let nth = start.checked_sub(self.base)? / SPAN;
        let mut boundary = self.base + (nth + 1) * SPAN;
        let mut depth = match search(bytes.get(start..boundary.min(bytes.len()))?, Carry::default(), 0) {
            Ok(end) => return Some(start + end),
            Err(depth) => depth,
        };
        let next = nth + 1;
        let first = self.parts.get(next / SPANS)?.get(next % SPANS..).unwrap_or_default();
        let others = self.parts.get(next / SPANS + 1..).unwrap_or_default();
        for span in first.iter().chain(others.iter().flatten()) {
            if depth > u32::from(span.fall) {
                depth = depth.saturating_add_signed(i32::from(span.net));
            } else {
                let text = bytes.get(boundary..(boundary + SPAN).min(bytes.len()))?;
                match search(text, span.start(), depth) {
                    Ok(end) => return Some(boundary + end),
                    Err(after) => depth = after,
                }
            }
            boundary += SPAN;
        }
        None
    }
}

impl Structure {
    /// The elements of the array that stands at `range`, if all are objects or arrays and nothing but commas stands
    /// between them; otherwise `None`, and walking it tells what is wrong.
    ///
    /// Several threads read it at once: the depth at the start of each part is a sum.
    pub(super) fn elements(&self, bytes: &[u8], range: Range<usize>) -> Option<Vec<Range<usize>>> {
        let first = range.start.checked_sub(self.base)? / SPAN + 1;
        let last = range.end.checked_sub(self.base)? / SPAN;
        let at = |span: usize| self.base + span * SPAN;
        if first > last {
            return pairs(bytes, &range, &dispatch(Children::within(bytes, range.clone(), Carry::default(), 0)).0);
        }
        let (mut events, mut depth) = dispatch(Children::within(bytes, range.start..at(first), Carry::default(), 0));
        let mut parts = Vec::new();
        let mut from = first;
        while from < last {
            let spans = self.parts.get(from / SPANS)?;
            let to = (from / SPANS * SPANS + SPANS).min(last);
            let spans = spans.get(from % SPANS..from % SPANS + (to - from))?;
            parts.push(Children {
                bytes,
                spans,
                start: at(from),
                ..Children::within(bytes, 0..0, Carry::default(), depth)
            });
            depth = spans.iter().fold(depth, |depth, span| depth.saturating_add_signed(i32::from(span.net)));
            from = to;
        }
        let parts: Vec<(Vec<usize>, u32)> = parts.into_par_iter().map(dispatch).collect();
        events.extend(parts.into_iter().flat_map(|(events, _)| events));
        let carry = self.parts.get(last / SPANS).and_then(|spans| spans.get(last % SPANS));
        let carry = carry.map(|span| span.start()).unwrap_or_default();
        events.extend(dispatch(Children::within(bytes, at(last)..range.end, carry, depth)).0);
        pairs(bytes, &range, &events)
    }
}

/// Elements by where they start and end; `None` if anything but a comma stands between two.
fn pairs(bytes: &[u8], array: &Range<usize>, events: &[usize]) -> Option<Vec<Range<usize>>> {
    let (pairs, rest) = events.as_chunks::<2>();
    let mut elements = Vec::with_capacity(pairs.len());
    let mut before = array.start + 1;
    for (nth, [start, end]) in pairs.iter().enumerate() {
        if !is_blank(bytes.get(before..*start)?, nth > 0) {
            return None;
        }
        elements.push(*start..*end);
        before = *end;
    }
    let after = bytes.get(before..array.end.checked_sub(1)?)?;
    (rest.is_empty() && is_blank(after, false)).then_some(elements)
}

/// Whether a text is white space, with one comma in it or none.
fn is_blank(text: &[u8], with_comma: bool) -> bool {
    let mut rest = text.iter().filter(|byte| !matches!(byte, b' ' | b'\n' | b'\r' | b'\t'));
    (!with_comma || rest.next() == Some(&b',')) && rest.next().is_none()
}

/// Finds where objects and arrays directly in an array start and end.
struct Children<'a> {
    bytes: &'a [u8],
    /// The spans from `start` on.
    spans: &'a [Span],
    start: usize,
    /// What follows them, and its state.
    tail: Range<usize>,
    carry: Carry,
    /// The depth at the start, where that outside the array is 0.
    depth: u32,
}

impl<'a> Children<'a> {
    /// Those in a range that isn't made of whole spans.
    fn within(bytes: &'a [u8], tail: Range<usize>, carry: Carry, depth: u32) -> Self {
        Self { bytes, spans: &[], start: tail.start, tail, carry, depth }
    }
}

impl Kernel for Children<'_> {
    /// Starts and ends in turn, and the depth at the end.
    type Output = (Vec<usize>, u32);

    #[inline(always)]
    fn run(self, classify: impl Fn(&[u8; BLOCK]) -> Masks) -> (Vec<usize>, u32) {
        let mut events = Vec::new();
        let mut depth = self.depth;
        let mut at = self.start;
        for span in self.spans {
            if depth > u32::from(span.fall) + 1 {
                depth = depth.saturating_add_signed(i32::from(span.net));
            } else {
                let text = self.bytes.get(at..at + SPAN).unwrap_or_default();
                children(&classify, text, at, span.start(), &mut depth, &mut events);
            }
            at += SPAN;
        }
        let tail = self.bytes.get(self.tail.clone()).unwrap_or_default();
        children(&classify, tail, self.tail.start, self.carry, &mut depth, &mut events);
        (events, depth)
    }
}

#[inline(always)]
fn children(
    classify: &impl Fn(&[u8; BLOCK]) -> Masks,
    text: &[u8],
    at: usize,
    mut carry: Carry,
    depth: &mut u32,
    events: &mut Vec<usize>,
) {
    let (blocks, tail) = text.as_chunks::<BLOCK>();
    let tail = (!tail.is_empty()).then(|| padded::<BLOCK>(tail));
    for (nth, block) in blocks.iter().chain(&tail).enumerate() {
        let brackets = classify(block).outside_strings(&mut carry);
        if *depth > brackets.closes.count_ones() + 1 {
            *depth = *depth + brackets.opens.count_ones() - brackets.closes.count_ones();
            continue;
        }
        let mut both = brackets.opens | brackets.closes;
        while both != 0 {
            let bit = both.trailing_zeros();
            both &= both - 1;
            let place = at + nth * BLOCK + bit as usize;
            if brackets.closes >> bit & 1 == 0 {
                if *depth == 1 {
                    events.push(place);
                }
                *depth += 1;
            } else {
                *depth = depth.saturating_sub(1);
                if *depth == 1 {
                    events.push(place + 1);
                }
            }
        }
    }
}

impl Span {
    fn start(self) -> Carry {
        Carry { in_string: if self.in_string { u64::MAX } else { 0 }, escaped: u64::from(self.escaped) }
    }
}

/// End of the object or array that starts at `start`, reading all of it; `None` if the text ends first.
pub(super) fn container_end(bytes: &[u8], start: usize) -> Option<usize> {
    search(bytes.get(start..)?, Carry::default(), 0).ok().map(|end| start + end)
}

/// Offset behind the bracket that brings the depth to 0, or the depth at the end.
fn search(bytes: &[u8], start: Carry, depth: u32) -> Result<usize, u32> {
    dispatch(Search { bytes, start, depth })
}

/// A guess of the state behind a text: right but in odd cases, and checked by the caller.
///
/// A newline can't stand in a string, so on the last line of a text the state is known. A text on one line is read both
/// ways for a stretch: what stands outside strings has few letters.
fn guess(before: &[u8]) -> Carry {
    const STRETCH: usize = 4096;
    let tail = before.get(before.len().saturating_sub(STRETCH)..).unwrap_or_default();
    if let Some(newline) = memchr::memrchr(b'\n', tail) {
        return letters_outside(tail.get(newline..).unwrap_or_default(), false).1;
    }
    let (outside, after_outside) = letters_outside(tail, false);
    let (inside, after_inside) = letters_outside(tail, true);
    if outside <= inside { after_outside } else { after_inside }
}

/// Number of letters outside strings, and the state at the end.
fn letters_outside(text: &[u8], mut in_string: bool) -> (usize, Carry) {
    let (mut letters, mut escaped) = (0, false);
    for byte in text {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => in_string = !in_string,
            _ if !in_string && byte.is_ascii_alphabetic() => letters += 1,
            _ => {}
        }
    }
    (letters, Carry { in_string: if in_string { u64::MAX } else { 0 }, escaped: u64::from(escaped) })
}

/// Sums up a part of a text.
struct Sum<'a> {
    bytes: &'a [u8],
    start: Carry,
}

/// A part that is summed up.
struct Part {
    spans: Vec<Span>,
    newlines: Vec<u32>,
    end: Carry,
}

impl Kernel for Sum<'_> {
    type Output = Part;

    #[inline(always)]
    fn run(self, classify: impl Fn(&[u8; BLOCK]) -> Masks) -> Part {
        const SPANS_OF_LINES: usize = LINES / SPAN;
        let mut carry = self.start;
        let (whole, tail) = self.bytes.as_chunks::<SPAN>();
        let tail = (!tail.is_empty()).then(|| padded::<SPAN>(tail));
        let mut spans = Vec::with_capacity(whole.len() + 1);
        let mut newlines = Vec::with_capacity(whole.len() / SPANS_OF_LINES + 1);
        let mut lines = 0;
        for (nth, span) in whole.iter().chain(&tail).enumerate() {
            let at_start = carry;
            let (mut net, mut low) = (0_i32, 0_i32);
            let (blocks, _) = span.as_chunks::<BLOCK>();
            for block in blocks {
                let brackets = classify(block).outside_strings(&mut carry);
                let closes = brackets.closes.count_ones().cast_signed();
                low = low.min(net - closes);
                net += brackets.opens.count_ones().cast_signed() - closes;
                lines += brackets.newlines.count_ones();
            }
            spans.push(Span {
                net: i16::try_from(net).unwrap_or_default(),
                fall: u16::try_from(-low).unwrap_or(u16::MAX),
                in_string: at_start.in_string != 0,
                escaped: at_start.escaped != 0,
            });
            if nth % SPANS_OF_LINES == SPANS_OF_LINES - 1 {
                newlines.push(std::mem::take(&mut lines));
            }
        }
        if spans.len() % SPANS_OF_LINES != 0 {
            newlines.push(lines);
        }
        Part { spans, newlines, end: carry }
    }
}

/// Searches the bracket that brings the depth to 0.
struct Search<'a> {
    bytes: &'a [u8],
    start: Carry,
    depth: u32,
}

impl Kernel for Search<'_> {
    type Output = Result<usize, u32>;

    #[inline(always)]
    fn run(self, classify: impl Fn(&[u8; BLOCK]) -> Masks) -> Result<usize, u32> {
        let Self { bytes, start: mut carry, mut depth } = self;
        let (blocks, tail) = bytes.as_chunks::<BLOCK>();
        let tail = (!tail.is_empty()).then(|| padded::<BLOCK>(tail));
        for (nth, block) in blocks.iter().chain(&tail).enumerate() {
            let brackets = classify(block).outside_strings(&mut carry);
            if depth > brackets.closes.count_ones() {
                depth = depth + brackets.opens.count_ones() - brackets.closes.count_ones();
                continue;
            }
            let mut both = brackets.opens | brackets.closes;
            while both != 0 {
                let bit = both.trailing_zeros();
                both &= both - 1;
                if brackets.closes >> bit & 1 == 0 {
                    depth += 1;
                } else {
                    depth = depth.saturating_sub(1);
                    if depth == 0 {
                        return Ok(nth * BLOCK + bit as usize + 1);
                    }
                }
            }
        }
        Err(depth)
    }
}

/// Bytes filled up with blanks.
#[inline(always)]
fn padded<const N: usize>(tail: &[u8]) -> [u8; N] {
    let mut block = [b' '; N];
    for (to, from) in block.iter_mut().zip(tail) {
        *to = *from;
    }
    block
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A text of more than two parts whose strings hold everything that could be taken for structure.
    fn tricky(pretty: bool) -> String {
        let item = serde_json::json!({
            "a": "x\\\" } ] , \": { [ \\\\", "b": [{}, [[]], {"c": "\\\\\\\""}], "true": "{\"k\":1}", "n": -1.5e3
        });
        let items: Vec<_> = (0..30_000).map(|_| item.clone()).collect();
        if pretty { serde_json::to_string_pretty(&items).unwrap() } else { serde_json::to_string(&items).unwrap() }
    }

    #[test]
    fn ends_are_those_of_a_plain_scan() {
        for text in [tricky(false), tricky(true)] {
            let bytes = text.as_bytes();
            assert!(bytes.len() > 2 * PART);
            let structure = Structure::of(bytes, 0, |_| {});
            assert_eq!(structure.end(bytes, 0), Some(bytes.len()));
            for start in memchr::memmem::find_iter(bytes, b"{\"a\"").chain(memchr::memmem::find_iter(bytes, b"[{},")) {
                assert_eq!(structure.end(bytes, start), container_end(bytes, start), "at {start}");
            }
            let counted: usize = structure.newlines().iter().map(|n| *n as usize).sum();
            assert_eq!(counted, memchr::memchr_iter(b'\n', bytes).count());
        }
    }

    #[test]
    fn elements_are_those_of_a_plain_walk() {
        let walk = |bytes: &[u8]| {
            let mut elements = Vec::new();
            let mut scanner = super::super::Scanner::new(bytes, 0);
            scanner.array(|scanner, _| {
                elements.push(scanner.skip()?);
                Ok(())
            })?;
            Ok::<_, super::super::ScanError>(elements)
        };
        let mut texts =
            vec!["[]".to_owned(), "[ ]".to_owned(), "[{}]".to_owned(), "[ {}, [1], {\"]\":[]} ]".to_owned()];
        for n in 0..300 {
            texts.push(format!("[{{\"a\":\"{}\"}} , {{}},[{{}}]]", "x]\\\"".repeat(n)));
        }
        texts.extend([tricky(false), tricky(true)]);
        for text in texts {
            let bytes = text.as_bytes();
            let elements = Structure::of(bytes, 0, |_| {}).elements(bytes, 0..bytes.len());
            assert_eq!(elements, Some(walk(bytes).unwrap()), "{}", &text[..text.len().min(80)]);
        }
        for text in ["[1]", "[{} {}]", "[{},]", "[,{}]", "[{},,{}]", "[\"a\",{}]"] {
            let bytes = text.as_bytes();
            assert_eq!(Structure::of(bytes, 0, |_| {}).elements(bytes, 0..bytes.len()), None, "{text}");
        }
    }

    #[test]
    fn a_wrong_guess_is_mended() {
        // Strings that look like structure to the guess: letters outside, brackets inside.
        let inner = "\\\":[]{},1\\\"".repeat(4 * PART / 12);
        let text = format!("{{\"k\":\"{inner}\",\"z\":[1]}}  ");
        let bytes = text.as_bytes();
        assert_eq!(Structure::of(bytes, 0, |_| {}).end(bytes, 0), Some(bytes.len() - 2));
    }

    #[test]
    fn a_cut_text_has_no_end() {
        let text = tricky(false);
        let bytes = &text.as_bytes()[..text.len() - 1];
        assert_eq!(Structure::of(bytes, 0, |_| {}).end(bytes, 0), None);
        assert_eq!(Structure::of(b"", 0, |_| {}).end(b"", 0), None);
    }
}
