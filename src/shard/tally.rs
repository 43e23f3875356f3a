//! What a sink without a socket remembers of all it was sent.

/// What a counting sink remembers of all it was sent: a checksum of the bytes, of how they were
/// cut into sends, and of the sends' order. Four bytes, since that is what an entry has room for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally(u32);

/// What a checksum adds up side by side.
const LANES: usize = 4;
/// Odd, and otherwise drawn at random.
const FACTORS: [u64; 2 * LANES] = [
    0xd1f5_7b1e_8c3a_4d97,
    0x9a64_e0d3_71bf_2c4b,
    0xe7c2_0a95_f316_8b5d,
    0x8b3d_96f4_2ae1_70c9,
    0xb06e_4f82_d95c_13a7,
    0xc4a9_1d37_6e80_f25b,
    0x97f1_c85a_0b64_de33,
    0xf28d_53b6_a41f_097d,
];

/// Fletcher's sums: of the words, and of the sums so far.
struct Sums {
    words: [u64; LANES],
    sums: [u64; LANES],
}

impl Tally {
    /// Takes one send into account.
    ///
    /// This is done for every delivery, and has to be small beside what is measured. It is never
    /// inlined, so that the engine's loop and the bare one call the same code: what the compiler
    /// makes of a copy of it is no property of the engine.
    #[inline(never)]
    pub(crate) fn add(&mut self, bytes: &[u8]) {
        let mut sums = Sums { words: [0; LANES], sums: [bytes.len() as u64; LANES] };
        for block in bytes.as_chunks().0 {
            sums.add(block);
        }
        // What is left over, with some of what came before it rather than with a copy.
        match bytes.last_chunk() {
            Some(last) => sums.add(last),
            None => {
                let mut padded = [0; 8 * LANES];
                padded[..bytes.len()].copy_from_slice(bytes);
                sums.add(&padded);
            }
        }
        // Each sum by a number of its own; the products do not wait for one another.
        let mut all = u64::from(self.0).rotate_left(32);
        for lane in 0..LANES {
            all = all.wrapping_add(sums.words[lane].wrapping_mul(FACTORS[2 * lane]));
            all = all.wrapping_add(sums.sums[lane].wrapping_mul(FACTORS[2 * lane + 1]));
        }
        self.0 = ((all ^ all >> 29).wrapping_mul(FACTORS[0]) >> 32) as u32;
    }
}

impl Sums {
    #[inline(always)]
    fn add(&mut self, block: &[u8; 8 * LANES]) {
        for lane in 0..LANES {
            let word = std::array::from_fn(|byte| block[8 * lane + byte]);
            self.words[lane] = self.words[lane].wrapping_add(u64::from_le_bytes(word));
            self.sums[lane] = self.sums[lane].wrapping_add(self.words[lane]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(sends: &[&[u8]]) -> Tally {
        let mut tally = Tally::default();
        sends.iter().for_each(|bytes| tally.add(bytes));
        tally
    }

    #[test]
    fn a_tally_tells_what_was_lost_doubled_swapped_damaged_or_cut_differently() {
        let (a, b) = ([7; 64], [9; 64]);
        let right = tally(&[&a, &b, &a]);
        assert_eq!(right, tally(&[&a, &b, &a]));
        let mut damaged = b;
        damaged[63] ^= 1;
        let mut swapped = b;
        (swapped[0], swapped[32]) = (1, 17);
        let mut swapped_back = swapped;
        swapped_back.swap(0, 32);
        assert_ne!(tally(&[&swapped]), tally(&[&swapped_back]));
        let wrong: [&[&[u8]]; 8] = [
            &[],
            &[&a, &b],
            &[&b, &a],
            &[&a, &a, &b],
            &[&a, &b, &b, &a],
            &[&a, &damaged, &a],
            &[&a, &b[..63], &a],
            &[&a, &[a, b].concat()],
        ];
        for sends in wrong {
            assert_ne!(tally(sends), right, "{sends:?}");
        }
    }
}
