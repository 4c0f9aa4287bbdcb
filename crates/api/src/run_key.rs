//! The key of a run. Only its runner has it; the daemon keeps the public part, which lets it recognize the key and what
//! was signed with it.
//!
//! The key is the seed of an Ed25519 key pair. So the database, its backups and the home's files contain nothing that
//! could be used to report for a run.

use std::fmt;
use std::io;
use std::str::FromStr;

use ring::rand::{SecureRandom, SystemRandom};
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

/// The header of a runner's requests that carries the key.
pub const RUN_KEY_HEADER: &str = "kugetsu-run-key";

/// Bytes of a seed and of a public key.
const LENGTH: usize = 32;
/// Hexadecimal digits of a signature.
pub(crate) const SIGNATURE_DIGITS: usize = 128;

/// The secret part. It is sent to the daemon over its socket, and is in no file, no argument and no environment.
#[derive(Clone)]
pub struct RunKey {
    /// Hexadecimal digits of the seed.
    text: SecretString,
    public: PublicKey,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("not a key of a run")]
pub struct InvalidKey;

impl RunKey {
    /// # Errors
    /// The system has no random numbers.
    pub fn random() -> io::Result<Self> {
        let mut seed = [0; LENGTH];
        SystemRandom::new().fill(&mut seed).map_err(|_| io::Error::other("the system has no random numbers"))?;
        hex(&seed).parse().map_err(io::Error::other)
    }

    pub fn public(&self) -> PublicKey {
        self.public
    }

    /// The text that the header carries.
    pub fn text(&self) -> &SecretString {
        &self.text
    }

    /// Returns the signature of a message as hexadecimal digits.
    pub(crate) fn sign(&self, message: &[u8]) -> Result<String, InvalidKey> {
        let pair = pair(self.text.expose_secret())?;
        Ok(hex(pair.sign(message).as_ref()))
    }
}

impl FromStr for RunKey {
    type Err = InvalidKey;

    fn from_str(text: &str) -> Result<Self, InvalidKey> {
        let public = pair(text)?.public_key().as_ref().try_into().map_err(|_| InvalidKey)?;
        Ok(Self { text: text.into(), public: PublicKey(public) })
    }
}

fn pair(seed: &str) -> Result<Ed25519KeyPair, InvalidKey> {
    let seed = from_hex(seed).filter(|seed| seed.len() == LENGTH).ok_or(InvalidKey)?;
    Ed25519KeyPair::from_seed_unchecked(&seed).map_err(|_| InvalidKey)
}

impl fmt::Debug for RunKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RunKey")
    }
}

impl PartialEq for RunKey {
    fn eq(&self, other: &Self) -> bool {
        self.public == other.public
    }
}

impl Eq for RunKey {}

impl Serialize for RunKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.text.expose_secret().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for RunKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // The error does not quote the text.
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// The public part. The key cannot be computed from it.
#[derive(Clone, Copy, Eq)]
pub struct PublicKey([u8; LENGTH]);

impl PublicKey {
    /// Whether `signature` is that of the message.
    pub(crate) fn has_signed(&self, message: &[u8], signature: &str) -> bool {
        let signature = from_hex(signature);
        signature.is_some_and(|signature| {
            UnparsedPublicKey::new(&ED25519, self.0.as_slice()).verify(message, &signature).is_ok()
        })
    }
}

/// Takes the same time wherever the two differ.
impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.0.iter().zip(other.0).fold(0, |differing, (one, two)| differing | (one ^ two)) == 0
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

impl FromStr for PublicKey {
    type Err = InvalidKey;

    fn from_str(text: &str) -> Result<Self, InvalidKey> {
        from_hex(text).and_then(|bytes| bytes.try_into().ok()).map(Self).ok_or(InvalidKey)
    }
}

impl Serialize for PublicKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PublicKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

fn hex(bytes: &[u8]) -> String {
    use fmt::Write as _;
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let pairs = text.as_bytes().chunks(2);
    pairs.map(|pair| Some(digit(pair[0])? << 4 | digit(*pair.get(1)?)?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_is_recognized_by_its_public_part_and_not_shown() {
        let (one, two) = (RunKey::random().unwrap(), RunKey::random().unwrap());
        let again: RunKey = one.text().expose_secret().parse().unwrap();
        assert_eq!(again.public(), one.public());
        assert_ne!(two.public(), one.public());
        let stored: PublicKey = one.public().to_string().parse().unwrap();
        assert_eq!(stored, one.public());
        assert_eq!(format!("{one:?}"), "RunKey");
        assert!(!one.public().to_string().contains(one.text().expose_secret()));
        for invalid in ["", "ab", "x", &"g".repeat(64), &"é".repeat(32), &one.text().expose_secret()[1..]] {
            assert!(invalid.parse::<RunKey>().is_err(), "{invalid}");
            assert!(invalid.parse::<PublicKey>().is_err(), "{invalid}");
        }
    }

    #[test]
    fn signature_is_that_of_one_key_and_one_message() {
        let (one, two) = (RunKey::random().unwrap(), RunKey::random().unwrap());
        let signature = one.sign(b"done").unwrap();
        assert_eq!(signature.len(), SIGNATURE_DIGITS);
        assert!(one.public().has_signed(b"done", &signature));
        assert!(!one.public().has_signed(b"done.", &signature));
        assert!(!two.public().has_signed(b"done", &signature));
        assert!(!one.public().has_signed(b"done", &signature[2..]));
        assert!(!one.public().has_signed(b"done", ""));
    }
}
