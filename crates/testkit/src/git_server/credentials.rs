//! Parses the `authorization` header.

/// Returns the token of the header's value: `Basic` (any user, the password is the token), `token ...` or `Bearer ...`.
pub(super) fn token(value: &str) -> Option<String> {
    let (scheme, rest) = value.split_once(' ')?;
    match scheme.to_ascii_lowercase().as_str() {
        "token" | "bearer" => Some(rest.trim().to_owned()),
        "basic" => {
            let pair = String::from_utf8(decode_base64(rest.trim())?).ok()?;
            pair.split_once(':').map(|(_user, password)| password.to_owned())
        }
        _ => None,
    }
}

/// Standard base64 with or without padding.
fn decode_base64(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let (mut bits, mut count) = (0_u32, 0_u32);
    for symbol in text.trim_end_matches('=').bytes() {
        let value = match symbol {
            b'A'..=b'Z' => symbol - b'A',
            b'a'..=b'z' => symbol - b'a' + 26,
            b'0'..=b'9' => symbol - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push(u8::try_from(bits >> count & 0xff).ok()?);
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_token_from_every_scheme() {
        // "any:s3cret", "x-token:a:b"
        assert_eq!(token("Basic YW55OnMzY3JldA==").as_deref(), Some("s3cret"));
        assert_eq!(token("basic eC10b2tlbjphOmI").as_deref(), Some("a:b"));
        assert_eq!(token("token s3cret").as_deref(), Some("s3cret"));
        assert_eq!(token("Bearer s3cret").as_deref(), Some("s3cret"));
    }

    #[test]
    fn other_schemes_and_malformed_values_have_no_token() {
        assert_eq!(token("Digest x"), None);
        assert_eq!(token("Basic !!"), None);
        assert_eq!(token("s3cret"), None);
    }
}
