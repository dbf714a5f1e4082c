//! A small fuzzer: bytes that are almost right, from a corpus and a seed. The same seed gives the same bytes.

/// Numbers that are the same for the same seed (SplitMix64).
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number from 0 to `most` - 1; 0 where there is none.
    pub(crate) fn below(&mut self, most: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(most.max(1)).unwrap()).unwrap()
    }

    pub(crate) fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.below(from.len())]
    }
}

/// What parsers stumble over.
const SPICES: [&[u8]; 40] = [
    b"",
    b"\0",
    b"\n",
    b"\r\n",
    b"\t",
    b" ",
    b"  ",
    b",",
    b";",
    b":",
    b".",
    b"..",
    b"/",
    b"//",
    b"\\",
    b"%00",
    b"%2e",
    b"=",
    b"==",
    b"\"",
    b"{",
    b"}",
    b"[",
    b"]",
    b"*",
    b"-1",
    b"0",
    b"18446744073709551616",
    b"1e400",
    b"null",
    b"\xff",
    b"\xc3\x28",
    b"\xf0\x9f\x92\xa9",
    b"\xef\xbb\xbf",
    b"\x7f",
    b"Bearer ",
    b"vel_",
    b"vels_",
    b"::ffff:",
    b"__Host-",
];

/// Some of the corpus, changed in up to eight places.
pub(crate) fn mutated(corpus: &[&[u8]], dice: &mut Dice) -> Vec<u8> {
    let mut bytes = dice.pick(corpus).to_vec();
    for _ in 0..dice.below(9) {
        let at = dice.below(bytes.len() + 1);
        let end = at + dice.below(bytes.len() + 1 - at).min(64);
        match dice.below(8) {
            0 if at < bytes.len() => bytes[at] ^= 1 << dice.below(8),
            1 if at < bytes.len() => bytes[at] = u8::try_from(dice.below(256)).unwrap(),
            2 => drop(bytes.splice(at..end, dice.pick(&SPICES).iter().copied())),
            3 => drop(bytes.drain(at..end)),
            4 => {
                let again = bytes[at..end].to_vec();
                drop(bytes.splice(at..at, again));
            }
            5 => {
                let other = dice.pick(corpus);
                let from = dice.below(other.len() + 1);
                drop(bytes.splice(at..end, other[from..].iter().copied()));
            }
            6 => bytes.truncate(at),
            _ => drop(bytes.splice(at..at, dice.pick(&SPICES).iter().copied())),
        }
    }
    bytes.truncate(64 * 1024);
    bytes
}
