//! A minimal gzip encoder.

/// The number of spaces in eight repetitions, which take 13 bytes.
const EIGHT: u64 = 8 * 258;

/// Compresses `text`.
pub(crate) fn compressed(text: &[u8]) -> Vec<u8> {
    followed_by(text, 0, !text.iter().fold(!0, |sum, byte| crc(sum, *byte)))
}

/// Compresses `text` and this many spaces. The checksum is invalid, because its computation takes too long. A
/// decoder reads it after all spaces.
pub(crate) fn bomb(text: &[u8], spaces: u64) -> Vec<u8> {
    followed_by(text, spaces.div_ceil(EIGHT), 0)
}

fn followed_by(text: &[u8], eights: u64, checksum: u32) -> Vec<u8> {
    let mut bits = Bits::default();
    // A block of stored text, then a block of repetitions of its last byte, in fixed codes.
    bits.push(0b000, 3);
    bits.align();
    let length = u16::try_from(text.len()).unwrap();
    bits.bytes.extend(length.to_le_bytes());
    bits.bytes.extend((!length).to_le_bytes());
    bits.bytes.extend(text);
    bits.push(0b011, 3);
    if eights > 0 {
        for _ in 0..8 {
            // Code 285, a length of 258, with its bits reversed. Then a distance of one.
            bits.push(0b1010_0011, 8);
            bits.push(0, 5);
        }
        let eight = bits.bytes[bits.bytes.len() - 13..].to_vec();
        bits.bytes
            .extend(eight.repeat(usize::try_from(eights - 1).unwrap()));
    }
    bits.push(0, 7);
    bits.align();

    let length = text.len() as u64 + eights * EIGHT;
    let mut gzip = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    gzip.extend(bits.bytes);
    gzip.extend(checksum.to_le_bytes());
    gzip.extend(&length.to_le_bytes()[..4]);
    gzip
}

fn crc(checksum: u32, byte: u8) -> u32 {
    (0..8).fold(checksum ^ u32::from(byte), |sum, _| {
        (sum >> 1) ^ (0xedb8_8320 * (sum & 1))
    })
}

#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    begun: u64,
    count: u32,
}

impl Bits {
    fn push(&mut self, bits: u64, count: u32) {
        self.begun |= bits << self.count;
        self.count += count;
        while self.count >= 8 {
            self.bytes.push((self.begun & 0xff) as u8);
            self.begun >>= 8;
            self.count -= 8;
        }
    }

    fn align(&mut self) {
        if self.count > 0 {
            self.push(0, 8 - self.count);
        }
    }
}
