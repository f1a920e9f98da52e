//! The sort that istioctl's tables come out of: Go's `sort.Slice`, a pattern-defeating quicksort that isn't stable.
//!
//! Its comparators leave ties, and that of routes isn't even an order, so where equal rows end up is the algorithm's
//! doing (spec/istioctl.md §0.2). Every decision below is therefore Go's; any other sort would order some tables
//! differently.

/// Ranges up to this length are sorted by insertion.
const SHORT: usize = 12;
/// Ranges from this length on get a pivot out of nine, and are neither repaired nor reversed below it.
const LONG: usize = 50;
/// Repairs that a nearly sorted range is granted.
const REPAIRS: usize = 5;

/// What the choice of a pivot has learned of a range.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Hint {
    Unknown,
    Increasing,
    Decreasing,
}

/// Sorts `rows` as Go does with this `less`.
pub(crate) fn sort<T>(rows: &mut [T], less: impl Fn(&T, &T) -> bool) {
    let limit = usize::BITS - rows.len().leading_zeros();
    let length = rows.len();
    Sorter { rows, less }.range(0, length, limit);
}

struct Sorter<'a, T, F> {
    rows: &'a mut [T],
    less: F,
}

impl<T, F: Fn(&T, &T) -> bool> Sorter<'_, T, F> {
    /// Whether the row at `a` belongs before that at `b`; rows that aren't there never do.
    fn less(&self, a: usize, b: usize) -> bool {
        self.rows.get(a).zip(self.rows.get(b)).is_some_and(|(a, b)| (self.less)(a, b))
    }

    fn swap(&mut self, a: usize, b: usize) {
        if a < self.rows.len() && b < self.rows.len() {
            self.rows.swap(a, b);
        }
    }

    /// Sorts `a..b`; `limit` bad pivots are borne before it becomes a heapsort.
    fn range(&mut self, mut a: usize, mut b: usize, mut limit: u32) {
        let mut was_balanced = true;
        let mut was_partitioned = true;
        loop {
            let length = b - a;
            if length <= SHORT {
                return self.insertion(a, b);
            }
            if limit == 0 {
                return self.heap(a, b);
            }
            if !was_balanced {
                self.break_patterns(a, b);
                limit -= 1;
            }
            let (mut pivot, mut hint) = self.pivot(a, b);
            if hint == Hint::Decreasing {
                self.reverse(a, b);
                pivot = (b - 1) - (pivot - a);
                hint = Hint::Increasing;
            }
            if was_balanced && was_partitioned && hint == Hint::Increasing && self.repair(a, b) {
                return;
            }
            // The row before the range is no greater than any in it: if the pivot equals it, equals go left at once.
            if a > 0 && !self.less(a - 1, pivot) {
                a = self.partition_equal(a, b, pivot);
                continue;
            }
            let (middle, already) = self.partition(a, b, pivot);
            was_partitioned = already;
            let (left, right) = (middle - a, b - middle);
            if left < right {
                was_balanced = left >= length / 8;
                self.range(a, middle, limit);
                a = middle + 1;
            } else {
                was_balanced = right >= length / 8;
                self.range(middle + 1, b, limit);
                b = middle;
            }
        }
    }

    fn insertion(&mut self, a: usize, b: usize) {
        for end in a + 1..b {
            let mut at = end;
            while at > a && self.less(at, at - 1) {
                self.swap(at, at - 1);
                at -= 1;
            }
        }
    }

    fn heap(&mut self, a: usize, b: usize) {
        let length = b - a;
        for root in (0..length.div_ceil(2)).rev() {
            self.sift_down(root, length, a);
        }
        for end in (0..length).rev() {
            self.swap(a, a + end);
            self.sift_down(0, end, a);
        }
    }

    fn sift_down(&mut self, mut root: usize, end: usize, first: usize) {
        loop {
            let mut child = 2 * root + 1;
            if child >= end {
                return;
            }
            if child + 1 < end && self.less(first + child, first + child + 1) {
                child += 1;
            }
            if !self.less(first + root, first + child) {
                return;
            }
            self.swap(first + root, first + child);
            root = child;
        }
    }

    /// Moves three rows at the middle to places that only the length decides.
    fn break_patterns(&mut self, a: usize, b: usize) {
        let length = b - a;
        if length < 8 {
            return;
        }
        let mut random = length as u64;
        let modulus = 1_usize << (usize::BITS - length.leading_zeros());
        let middle = a + (length / 4) * 2 - 1;
        for nth in 0..3 {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let mut other = usize::try_from(random & (modulus as u64 - 1)).unwrap_or_default();
            if other >= length {
                other -= length;
            }
            self.swap(middle - 1 + nth, a + other);
        }
    }

    /// A median of three rows, or of three medians, and what the comparisons on the way say.
    fn pivot(&mut self, a: usize, b: usize) -> (usize, Hint) {
        let length = b - a;
        let mut swaps = 0;
        let (mut i, mut j, mut k) = (a + length / 4, a + length / 4 * 2, a + length / 4 * 3);
        if length >= 8 {
            if length >= LONG {
                i = self.median(i - 1, i, i + 1, &mut swaps);
                j = self.median(j - 1, j, j + 1, &mut swaps);
                k = self.median(k - 1, k, k + 1, &mut swaps);
            }
            j = self.median(i, j, k, &mut swaps);
        }
        match swaps {
            0 => (j, Hint::Increasing),
            12 => (j, Hint::Decreasing),
            _ => (j, Hint::Unknown),
        }
    }

    fn median(&self, mut a: usize, mut b: usize, mut c: usize, swaps: &mut usize) -> usize {
        if self.less(b, a) {
            *swaps += 1;
            std::mem::swap(&mut a, &mut b);
        }
        if self.less(c, b) {
            *swaps += 1;
            std::mem::swap(&mut b, &mut c);
        }
        if self.less(b, a) {
            *swaps += 1;
            std::mem::swap(&mut a, &mut b);
        }
        b
    }

    fn reverse(&mut self, a: usize, b: usize) {
        if let Some(rows) = self.rows.get_mut(a..b) {
            rows.reverse();
        }
    }

    /// Tries to finish a range that looks sorted; true if it is.
    fn repair(&mut self, a: usize, b: usize) -> bool {
        let mut at = a + 1;
        for _ in 0..REPAIRS {
            while at < b && !self.less(at, at - 1) {
                at += 1;
            }
            if at == b {
                return true;
            }
            if b - a < LONG {
                return false;
            }
            self.swap(at, at - 1);
            if at - a >= 2 {
                let mut down = at - 1;
                while down >= 1 && self.less(down, down - 1) {
                    self.swap(down, down - 1);
                    down -= 1;
                }
            }
            if b - at >= 2 {
                let mut up = at + 1;
                while up < b && self.less(up, up - 1) {
                    self.swap(up, up - 1);
                    up += 1;
                }
            }
        }
        false
    }

    /// Rows equal to the pivot first; gives where the greater ones begin.
    fn partition_equal(&mut self, a: usize, b: usize, pivot: usize) -> usize {
        self.swap(a, pivot);
        let (mut low, mut high) = (a + 1, b - 1);
        loop {
            while low <= high && !self.less(a, low) {
                low += 1;
            }
            while low <= high && self.less(a, high) {
                high -= 1;
            }
            if low > high {
                return low;
            }
            self.swap(low, high);
            low += 1;
            high -= 1;
        }
    }

    /// Lesser rows first; gives where the pivot is then, and whether nothing had to be moved.
    fn partition(&mut self, a: usize, b: usize, pivot: usize) -> (usize, bool) {
        self.swap(a, pivot);
        let (mut low, mut high) = (a + 1, b - 1);
        while low <= high && self.less(low, a) {
            low += 1;
        }
        while low <= high && !self.less(high, a) {
            high -= 1;
        }
        if low > high {
            self.swap(high, a);
            return (high, true);
        }
        self.swap(low, high);
        low += 1;
        high -= 1;
        loop {
            while low <= high && self.less(low, a) {
                low += 1;
            }
            while low <= high && !self.less(high, a) {
                high -= 1;
            }
            if low > high {
                break;
            }
            self.swap(low, high);
            low += 1;
            high -= 1;
        }
        self.swap(high, a);
        (high, false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_kept_whatever_the_pattern() {
        for length in [0, 1, 12, 13, 49, 50, 200, 1000] {
            let patterns: [fn(usize, usize) -> usize; 5] = [
                |nth, _| nth,
                |nth, length| length - nth,
                |nth, _| nth % 7,
                |nth, _| nth * 7919 % 263,
                |nth, length| if nth == length / 2 { 0 } else { nth },
            ];
            for pattern in patterns {
                let mut rows: Vec<usize> = (0..length).map(|nth| pattern(nth, length)).collect();
                let mut expected = rows.clone();
                expected.sort_unstable();
                sort(&mut rows, |a, b| a < b);
                assert_eq!(rows, expected);
            }
        }
    }
}
