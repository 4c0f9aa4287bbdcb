//! FNV-1a (<http://www.isthe.com/chongo/tech/comp/fnv/>), a hash that is the same on every machine and in every version. It
//! does not resist deliberate collisions.

/// The offset basis.
const BASIS: u64 = 0xcbf2_9ce4_8422_2325;

/// The hash with 64 bits.
pub fn fnv1a(bytes: &[u8]) -> u64 {
    fnv1a_from(BASIS, bytes)
}

/// The hash with another offset basis, which gives an independent hash of the same bytes.
pub fn fnv1a_from(basis: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(basis, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_test_vectors_match() {
        assert_eq!(fnv1a(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a(b"a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(fnv1a(b"foobar"), 0x8594_4171_f739_67e8);
    }
}
