//! A checksum against accidents: XXH64 with seed 0, by its specification
//! (<https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md>). Not against an adversary.
//!
//! Four bytes a cycle on one core, about what one core reads from memory.

const P1: u64 = 0x9e37_79b1_85eb_ca87;
const P2: u64 = 0xc2b2_ae3d_27d4_eb4f;
const P3: u64 = 0x1656_67b1_9e37_79f9;
const P4: u64 = 0x85eb_ca77_c2b2_ae63;
const P5: u64 = 0x27d4_eb2f_1656_67c5;

/// Bytes of a step.
const STRIPE: usize = 32;

/// The sum of bytes that come in pieces.
#[derive(Clone, Debug)]
pub(super) struct Checksum {
    lanes: [u64; 4],
    /// Bytes that do not fill a stripe yet, and all bytes so far.
    rest: [u8; STRIPE],
    len: u64,
}

impl Checksum {
    /// Of no bytes.
    pub fn new() -> Checksum {
        let lanes = [P1.wrapping_add(P2), P2, 0, 0u64.wrapping_sub(P1)];
        Checksum { lanes, rest: [0; STRIPE], len: 0 }
    }

    /// Of these bytes.
    pub fn of(bytes: &[u8]) -> u64 {
        let mut sum = Checksum::new();
        sum.add(bytes);
        sum.finish()
    }

    /// Adds bytes.
    pub fn add(&mut self, mut bytes: &[u8]) {
        let held = self.len as usize % STRIPE;
        self.len += bytes.len() as u64;
        if held > 0 {
            let (first, others) = bytes.split_at(bytes.len().min(STRIPE - held));
            self.rest[held..held + first.len()].copy_from_slice(first);
            if held + first.len() < STRIPE {
                return;
            }
            self.stripes(&[self.rest]);
            bytes = others;
        }
        let (stripes, rest) = bytes.as_chunks();
        self.stripes(stripes);
        self.rest[..rest.len()].copy_from_slice(rest);
    }

    fn stripes(&mut self, stripes: &[[u8; STRIPE]]) {
        let mut lanes = self.lanes;
        for stripe in stripes {
            for (lane, word) in lanes.iter_mut().zip(stripe.as_chunks().0) {
                *lane = round(*lane, u64::from_le_bytes(*word));
            }
        }
        self.lanes = lanes;
    }

    /// The sum of all bytes so far.
    pub fn finish(&self) -> u64 {
        let [a, b, c, d] = self.lanes;
        let mut sum = if self.len < STRIPE as u64 {
            P5
        } else {
            let sum = a.rotate_left(1).wrapping_add(b.rotate_left(7));
            let sum = sum.wrapping_add(c.rotate_left(12)).wrapping_add(d.rotate_left(18));
            let merge = |sum: u64, lane| (sum ^ round(0, lane)).wrapping_mul(P1).wrapping_add(P4);
            self.lanes.into_iter().fold(sum, merge)
        };
        sum = sum.wrapping_add(self.len);
        let (words, rest) = self.rest[..self.len as usize % STRIPE].as_chunks::<8>();
        for word in words {
            sum ^= round(0, u64::from_le_bytes(*word));
            sum = sum.rotate_left(27).wrapping_mul(P1).wrapping_add(P4);
        }
        let (halves, rest) = rest.as_chunks::<4>();
        for half in halves {
            sum ^= u64::from(u32::from_le_bytes(*half)).wrapping_mul(P1);
            sum = sum.rotate_left(23).wrapping_mul(P2).wrapping_add(P3);
        }
        for &byte in rest {
            sum = (sum ^ u64::from(byte).wrapping_mul(P5)).rotate_left(11).wrapping_mul(P1);
        }
        sum = (sum ^ sum >> 33).wrapping_mul(P2);
        sum = (sum ^ sum >> 29).wrapping_mul(P3);
        sum ^ sum >> 32
    }
}

fn round(lane: u64, word: u64) -> u64 {
    lane.wrapping_add(word.wrapping_mul(P2)).rotate_left(31).wrapping_mul(P1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_those_of_other_implementations_however_the_bytes_come() {
        for (text, sum) in [
            ("", 0xef46_db37_51d8_e999),
            ("a", 0xd24e_c4f1_a98c_6e5b),
            ("abc", 0x44bc_2cf5_ad77_0999),
            ("Nobody inspects the spammish repetition", 0xfbce_a83c_8a37_8bf1),
        ] {
            assert_eq!(Checksum::of(text.as_bytes()), sum, "{text:?}");
        }
        let bytes: Vec<u8> = (0..=255).collect();
        for end in 0..bytes.len() {
            for at in (0..=end).step_by(13) {
                let mut sum = Checksum::new();
                sum.add(&bytes[..at]);
                sum.add(&bytes[at..end]);
                assert_eq!(sum.finish(), Checksum::of(&bytes[..end]), "{at} of {end}");
            }
        }
    }
}
