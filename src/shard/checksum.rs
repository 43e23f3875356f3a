//! The checksum that a sink without a socket keeps of what it was sent.

/// A checksum of the bytes that a counting sink was sent, of how they were cut into sends, and of
/// the sends' order. It has four bytes, since a connection's entry has no space for more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Checksum(u32);

/// The sums that are added up side by side.
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

impl Checksum {
    /// Takes one send into account.
    ///
    /// This is called for every delivery, and has to be cheap beside what is measured. It is never
    /// inlined, so that the engine's loop and the bare loop call the same code: how the compiler
    /// optimizes an inlined copy is no property of the engine.
    #[inline(never)]
    pub(crate) fn add(&mut self, bytes: &[u8]) {
        let mut sums = Sums { words: [0; LANES], sums: [bytes.len() as u64; LANES] };
        let mut rest = bytes;
        while let Some((block, behind)) = rest.split_first_chunk() {
            sums.add(block);
            rest = behind;
        }
        // The rest, together with some bytes before it, which saves a copy.
        match bytes.last_chunk() {
            Some(last) => sums.add(last),
            None => {
                let mut padded = [0; 8 * LANES];
                padded[..bytes.len()].copy_from_slice(bytes);
                sums.add(&padded);
            }
        }
        // Each sum has its own factor, so that the products do not depend on one another.
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

    fn checksum(sends: &[&[u8]]) -> Checksum {
        let mut checksum = Checksum::default();
        sends.iter().for_each(|bytes| checksum.add(bytes));
        checksum
    }

    #[test]
    fn bytes_that_are_lost_doubled_swapped_damaged_or_cut_differently_change_the_checksum() {
        let (a, b) = ([7; 64], [9; 64]);
        let right = checksum(&[&a, &b, &a]);
        assert_eq!(right, checksum(&[&a, &b, &a]));
        let mut damaged = b;
        damaged[63] ^= 1;
        let mut swapped = b;
        (swapped[0], swapped[32]) = (1, 17);
        let mut swapped_back = swapped;
        swapped_back.swap(0, 32);
        assert_ne!(checksum(&[&swapped]), checksum(&[&swapped_back]));
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
            assert_ne!(checksum(sends), right, "{sends:?}");
        }
    }
}
