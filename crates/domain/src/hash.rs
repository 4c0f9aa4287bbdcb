//! FNV-1a, which tells names and texts apart: the same on every machine and in every version, and no protection against
//! whoever looks for two that are alike (<http://www.isthe.com/chongo/tech/comp/fnv/>).

/// Where it begins.
const BASIS: u64 = 0xcbf2_9ce4_8422_2325;

/// 64 bits.
pub fn fnv1a(bytes: &[u8]) -> u64 {
    fnv1a_from(BASIS, bytes)
}

/// 64 bits, begun elsewhere: another hash of the same bytes.
pub fn fnv1a_from(begin: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(begin, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_hash_that_everybody_knows() {
        assert_eq!(fnv1a(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a(b"a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(fnv1a(b"foobar"), 0x8594_4171_f739_67e8);
    }
}
