//! What clients say: the byte at a sequence number is a function of the flow and of that number, and seven bytes in a row
//! tell both. So whatever the engine sends can be traced back to where it was captured.

/// Odd, so that multiplying by it can be undone.
const ODD: u32 = 0x9e37_79b1;
const ODD_INVERSE: u32 = inverse(ODD);
const SALT: u32 = 0x5bd1_e995;

/// Newton's iteration: each round doubles the bits that are right.
const fn inverse(odd: u32) -> u32 {
    let mut inverse = odd;
    let mut round = 0;
    while round < 5 {
        inverse = inverse.wrapping_mul(2u32.wrapping_sub(odd.wrapping_mul(inverse)));
        round += 1;
    }
    inverse
}

/// The byte of flow `flow` (0 to 3) at `seq`.
pub(super) fn byte(flow: usize, seq: u32) -> u8 {
    let word = (((flow as u32) << 30 | seq >> 2) ^ SALT).wrapping_mul(ODD);
    word.to_be_bytes()[seq as usize & 3]
}

/// Fills `into` with the bytes of a flow from `seq` on.
pub(super) fn fill(flow: usize, seq: u32, into: &mut [u8]) {
    for (at, slot) in (0u32..).zip(into) {
        *slot = byte(flow, seq.wrapping_add(at));
    }
}

/// Fewest bytes that [`origin`] can tell anything from: one word, wherever it starts.
pub(super) const TELLING_LEN: usize = 7;

/// Which flow said `bytes`, and at which sequence number; `None` where nobody did.
pub(super) fn origin(bytes: &[u8]) -> Option<(usize, u32)> {
    (0..4).find_map(|skipped: u32| {
        let word = bytes.get(skipped as usize..)?.first_chunk::<4>()?;
        let plain = u32::from_be_bytes(*word).wrapping_mul(ODD_INVERSE) ^ SALT;
        let (flow, seq) = (plain >> 30, (plain << 2).wrapping_sub(skipped));
        let flow = flow as usize;
        let all = (0u32..)
            .zip(bytes)
            .all(|(at, said)| *said == byte(flow, seq.wrapping_add(at)));
        all.then_some((flow, seq))
    })
}

#[cfg(test)]
mod tests {
    use super::{TELLING_LEN, fill, origin};

    #[test]
    fn a_few_bytes_name_their_flow_and_place() {
        for flow in 0..4 {
            for seq in [0u32, 1, 2, 3, 77_777, 0x3fff_fffe, u32::MAX - 2] {
                let mut bytes = [0; TELLING_LEN];
                fill(flow, seq, &mut bytes);
                assert_eq!(origin(&bytes), Some((flow, seq)));
                bytes[6] ^= 1;
                assert_eq!(origin(&bytes), None);
            }
        }
    }
}
