//! Classifies JSON text 64 bytes at a time: which brackets stand outside strings.
//!
//! Where the processor has AVX-512 or AVX2 the compares use it, decided at run time; elsewhere they are portable SIMD.

use wide::u8x16;

/// Bytes classified in one step.
pub(super) const BLOCK: usize = 64;

/// What is known between two blocks: whether the next byte stands in a string, and whether it is escaped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Carry {
    /// All ones in a string, else 0.
    pub(super) in_string: u64,
    /// 1 after an odd run of backslashes, else 0.
    pub(super) escaped: u64,
}

/// One bit a byte of a block: what the byte is.
pub(super) struct Masks {
    quotes: u64,
    backslashes: u64,
    opens: u64,
    closes: u64,
    newlines: u64,
}

/// Brackets of a block that stand outside strings, and newlines anywhere.
pub(super) struct Brackets {
    pub(super) opens: u64,
    pub(super) closes: u64,
    pub(super) newlines: u64,
}

/// Work over blocks that is compiled once for each instruction set.
pub(super) trait Kernel {
    /// Its result.
    type Output;

    /// Does the work; `classify` is the classifier of the instruction set.
    fn run(self, classify: impl Fn(&[u8; BLOCK]) -> Masks) -> Self::Output;
}

/// Runs the work with the best classifier that this processor has.
pub(super) fn dispatch<K: Kernel>(kernel: K) -> K::Output {
    #[cfg(target_arch = "x86_64")]
    match *x86::BEST {
        x86::Level::V4(simd) => return simd.vectorize(x86::OnV4 { simd, kernel }),
        x86::Level::V3(simd) => return simd.vectorize(x86::OnV3 { simd, kernel }),
        x86::Level::Portable => {}
    }
    kernel.run(Masks::portable)
}

impl Masks {
    #[inline(always)]
    fn portable(block: &[u8; BLOCK]) -> Self {
        let mut masks = Self { quotes: 0, backslashes: 0, opens: 0, closes: 0, newlines: 0 };
        let mask = |bytes: u8x16, wanted: u8| u64::from(bytes.simd_eq(u8x16::splat(wanted)).to_bitmask());
        let (lanes, _) = block.as_chunks::<16>();
        // From the last lane to the first, so that each shift moves what is done up.
        for lane in lanes.iter().rev() {
            let bytes = u8x16::new(*lane);
            // `[` and `{`, `]` and `}` differ in one bit.
            let folded = bytes | u8x16::splat(0x20);
            masks.quotes = masks.quotes << 16 | mask(bytes, b'"');
            masks.backslashes = masks.backslashes << 16 | mask(bytes, b'\\');
            masks.opens = masks.opens << 16 | mask(folded, b'{');
            masks.closes = masks.closes << 16 | mask(folded, b'}');
            masks.newlines = masks.newlines << 16 | mask(bytes, b'\n');
        }
        masks
    }

    /// Takes strings out; `carry` is brought to the end of the block.
    #[inline(always)]
    pub(super) fn outside_strings(self, carry: &mut Carry) -> Brackets {
        let quotes = self.quotes & !escapes(self.backslashes, &mut carry.escaped);
        let inside = prefix_xor(quotes) ^ carry.in_string;
        carry.in_string = 0_u64.wrapping_sub(inside >> 63);
        Brackets { opens: self.opens & !inside, closes: self.closes & !inside, newlines: self.newlines }
    }
}

/// Bytes that follow an odd run of backslashes.
#[inline(always)]
fn escapes(backslashes: u64, carry: &mut u64) -> u64 {
    if backslashes == 0 {
        return std::mem::take(carry);
    }
    const EVEN: u64 = 0x5555_5555_5555_5555;
    let backslashes = backslashes & !*carry;
    let follows = backslashes << 1 | *carry;
    // A run that starts on an odd bit turns the parity of the bits behind it: adding the run to its start carries
    // into the first bit after it.
    let odd_starts = backslashes & !EVEN & !follows;
    let (carried, overflow) = odd_starts.overflowing_add(backslashes);
    *carry = u64::from(overflow);
    (EVEN ^ (carried << 1)) & follows
}

/// Each bit becomes the parity of the bits up to it.
#[inline(always)]
fn prefix_xor(mut bits: u64) -> u64 {
    for shift in [1, 2, 4, 8, 16, 32] {
        bits ^= bits << shift;
    }
    bits
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::{__m256i, __m512i};
    use std::sync::LazyLock;

    use pulp::x86::{V3, V4};

    use super::{BLOCK, Kernel, Masks};

    /// What the processor has; asked once, as the answer takes many questions.
    pub(super) static BEST: LazyLock<Level> = LazyLock::new(|| {
        let v3 = || V3::try_new().map(Level::V3);
        V4::try_new().map(Level::V4).or_else(v3).unwrap_or(Level::Portable)
    });

    pub(super) enum Level {
        V4(V4),
        V3(V3),
        Portable,
    }

    pub(super) struct OnV4<K> {
        pub(super) simd: V4,
        pub(super) kernel: K,
    }

    impl<K: Kernel> pulp::NullaryFnOnce for OnV4<K> {
        type Output = K::Output;

        #[inline(always)]
        fn call(self) -> K::Output {
            let simd = self.simd;
            self.kernel.run(|block| masks_512(simd, block))
        }
    }

    pub(super) struct OnV3<K> {
        pub(super) simd: V3,
        pub(super) kernel: K,
    }

    impl<K: Kernel> pulp::NullaryFnOnce for OnV3<K> {
        type Output = K::Output;

        #[inline(always)]
        fn call(self) -> K::Output {
            let simd = self.simd;
            self.kernel.run(|block| masks(simd, block))
        }
    }

    // Everything below is inlined by force: a function of its own would be compiled without what the processor has.

    #[inline(always)]
    fn masks_512(simd: V4, block: &[u8; BLOCK]) -> Masks {
        let bytes: __m512i = pulp::cast(*block);
        let splat = |byte: u8| simd.avx512f._mm512_set1_epi8(byte.cast_signed());
        let mask = |bytes, wanted| simd.avx512bw._mm512_cmpeq_epi8_mask(bytes, splat(wanted));
        // `[` and `{`, `]` and `}` differ in one bit.
        let folded = simd.avx512f._mm512_or_si512(bytes, splat(0x20));
        Masks {
            quotes: mask(bytes, b'"'),
            backslashes: mask(bytes, b'\\'),
            opens: mask(folded, b'{'),
            closes: mask(folded, b'}'),
            newlines: mask(bytes, b'\n'),
        }
    }

    #[inline(always)]
    fn masks(simd: V3, block: &[u8; BLOCK]) -> Masks {
        let halves: [__m256i; 2] = pulp::cast(*block);
        // `[` and `{`, `]` and `}` differ in one bit.
        let fold = splat(simd, 0x20);
        let folded = [simd.avx2._mm256_or_si256(halves[0], fold), simd.avx2._mm256_or_si256(halves[1], fold)];
        Masks {
            quotes: mask(simd, halves, b'"'),
            backslashes: mask(simd, halves, b'\\'),
            opens: mask(simd, folded, b'{'),
            closes: mask(simd, folded, b'}'),
            newlines: mask(simd, halves, b'\n'),
        }
    }

    #[inline(always)]
    fn splat(simd: V3, byte: u8) -> __m256i {
        simd.avx._mm256_set1_epi8(byte.cast_signed())
    }

    #[inline(always)]
    fn mask(simd: V3, [low, high]: [__m256i; 2], wanted: u8) -> u64 {
        half(simd, low, wanted) | half(simd, high, wanted) << 32
    }

    #[inline(always)]
    fn half(simd: V3, bytes: __m256i, wanted: u8) -> u64 {
        let equal = simd.avx2._mm256_cmpeq_epi8(bytes, splat(simd, wanted));
        u64::from(simd.avx2._mm256_movemask_epi8(equal).cast_unsigned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Classify<'a>(&'a [u8; BLOCK]);

    impl Kernel for Classify<'_> {
        type Output = Masks;

        fn run(self, classify: impl Fn(&[u8; BLOCK]) -> Masks) -> Masks {
            classify(self.0)
        }
    }

    #[test]
    fn instruction_sets_agree() {
        let text: Vec<u8> = (0..BLOCK).map(|n| b"\"\\{}[]\n ab\x7b\xfb\x5d\xdd"[n * n % 15]).collect();
        let block: [u8; BLOCK] = text.try_into().unwrap();
        let (fast, slow) = (dispatch(Classify(&block)), Masks::portable(&block));
        assert_eq!(
            (fast.quotes, fast.backslashes, fast.opens, fast.closes, fast.newlines),
            (slow.quotes, slow.backslashes, slow.opens, slow.closes, slow.newlines)
        );
    }

    #[test]
    fn runs_of_backslashes_escape_by_parity() {
        for run in 0..70_usize {
            let text = [vec![b'x'; 3], vec![b'\\'; run], vec![b'"'; 1], vec![b' '; 128]].concat();
            let mut carry = Carry::default();
            let (blocks, _) = text.as_chunks::<BLOCK>();
            for block in blocks {
                Masks::portable(block).outside_strings(&mut carry);
            }
            assert_eq!(carry.in_string != 0, run % 2 == 0, "{run} backslashes");
        }
    }
}
