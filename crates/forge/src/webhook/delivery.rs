//! Authenticity of a delivery, over its raw bytes.

use std::fmt;
use std::io;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use kugetsu_domain::reference::{ForgeKind, ServerBase};
use ring::rand::{SecureRandom, SystemRandom};
use ring::{digest, hmac};
use secrecy::{ExposeSecret, SecretString};
use thiserror::Error;

use super::notice::{Notice, notice};

/// How far a signed time may be from now.
const CLOCK_SKEW: Duration = Duration::from_secs(300);
/// Length of an ID that is kept, in bytes; a longer one is replaced by its hash.
const ID_MAX: usize = 100;

/// The key of a home's webhooks. Each server gets another secret, so that none can sign for another.
#[derive(Clone)]
pub struct HookKey([u8; 32]);

impl HookKey {
    /// # Errors
    /// The system has no random numbers.
    pub fn random() -> io::Result<Self> {
        let mut key = [0; 32];
        SystemRandom::new().fill(&mut key).map_err(|_| io::Error::other("the system has no random numbers"))?;
        Ok(Self(key))
    }

    /// Reads what [`to_text`](Self::to_text) wrote; `None` if it is something else.
    pub fn from_text(text: &str) -> Option<Self> {
        from_hex(text.trim())?.try_into().ok().map(Self)
    }

    pub fn to_text(&self) -> SecretString {
        hex(&self.0).into()
    }

    /// The secret that the webhooks of the server sign with.
    pub fn secret(&self, server: &ServerBase) -> SecretString {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &self.0);
        hex(hmac::sign(&key, format!("webhook {server}").as_bytes()).as_ref()).into()
    }
}

impl fmt::Debug for HookKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HookKey")
    }
}

/// A delivery that its server signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// The server's ID, which a repeated delivery keeps; the hash of the body if it sends none.
    pub id: String,
    /// The subject; `None` if it is of no interest.
    pub notice: Option<Notice>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Rejected {
    #[error("the delivery is not signed")]
    Unsigned,
    #[error("the signature is wrong")]
    WrongSignature,
    #[error("the signature is too old, or the clocks differ")]
    Expired,
    #[error("the body is not JSON")]
    NotJson,
}

/// Returns the delivery if a server of this kind signed it with the secret. `header` returns the value of a header by its lower-case
/// name.
///
/// # Errors
/// [`Rejected`]. Nothing of the body was used before the signature was found right.
pub fn verified<'a>(
    kind: ForgeKind,
    secret: &SecretString,
    header: impl Fn(&str) -> Option<&'a str>,
    body: &[u8],
    now: Timestamp,
) -> Result<Delivery, Rejected> {
    let secret = secret.expose_secret().as_bytes();
    // An empty secret would make everybody the server.
    if secret.is_empty() {
        return Err(Rejected::Unsigned);
    }
    match kind {
        ForgeKind::GitHub => {
            signed(secret, body, header("x-hub-signature-256").and_then(|text| text.strip_prefix("sha256=")))?
        }
        ForgeKind::Gitea | ForgeKind::Forgejo => {
            signed(secret, body, header("x-forgejo-signature").or_else(|| header("x-gitea-signature")))?;
        }
        ForgeKind::GitLab => match header("webhook-signature") {
            Some(signatures) => {
                let part = |name| header(name).ok_or(Rejected::Unsigned);
                standard(secret, body, part("webhook-id")?, part("webhook-timestamp")?, signatures, now)?;
            }
            None => {
                let token = header("x-gitlab-token").filter(|token| !token.is_empty()).ok_or(Rejected::Unsigned)?;
                // Comparing the hashes takes the same time wherever the two differ.
                let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), token.as_bytes());
                verify(secret, secret, tag.as_ref())?;
            }
        },
        ForgeKind::Local => return Err(Rejected::Unsigned),
    }
    let parsed = serde_json::from_slice(body).map_err(|_| Rejected::NotJson)?;
    let (event, ids): (&str, &[&str]) = match kind {
        ForgeKind::GitLab => ("x-gitlab-event", &["idempotency-key", "webhook-id", "x-gitlab-event-uuid"]),
        ForgeKind::GitHub => ("x-github-event", &["x-github-delivery"]),
        ForgeKind::Gitea | ForgeKind::Forgejo | ForgeKind::Local => {
            ("x-gitea-event", &["x-forgejo-delivery", "x-gitea-delivery"])
        }
    };
    let id = ids.iter().find_map(|name| header(name)).filter(|id| !id.is_empty());
    Ok(Delivery {
        id: match id {
            Some(id) if id.len() <= ID_MAX => id.to_owned(),
            Some(id) => hash(id.as_bytes()),
            None => hash(body),
        },
        notice: notice(kind, header(event).or_else(|| header("x-forgejo-event")).unwrap_or_default(), &parsed),
    })
}

/// HMAC-SHA256 of the body in hexadecimal digits.
fn signed(secret: &[u8], body: &[u8], signature: Option<&str>) -> Result<(), Rejected> {
    let signature = signature.map(str::trim).filter(|signature| !signature.is_empty()).ok_or(Rejected::Unsigned)?;
    let bytes = from_hex(signature).ok_or(Rejected::WrongSignature)?;
    verify(secret, body, &bytes)
}

/// The signature of Standard Webhooks: over ID, time and body, in base64, one of several.
fn standard(
    secret: &[u8],
    body: &[u8],
    id: &str,
    time: &str,
    signatures: &str,
    now: Timestamp,
) -> Result<(), Rejected> {
    let seconds = time.parse().ok().and_then(|seconds| Timestamp::from_second(seconds).ok());
    let age = now.duration_since(seconds.ok_or(Rejected::WrongSignature)?).unsigned_abs();
    let signed = [id.as_bytes(), b".", time.as_bytes(), b".", body].concat();
    // The key of a secret in the standard's form is what follows its prefix, in base64.
    let text = std::str::from_utf8(secret).unwrap_or_default();
    let key = text.strip_prefix("whsec_").and_then(from_base64);
    let key = key.as_deref().unwrap_or(secret);
    let candidates = signatures.split_whitespace().filter_map(|signature| signature.strip_prefix("v1,"));
    let is_right = candidates.filter_map(from_base64).any(|bytes| verify(key, &signed, &bytes).is_ok());
    match is_right {
        false => Err(Rejected::WrongSignature),
        true if age > CLOCK_SKEW => Err(Rejected::Expired),
        true => Ok(()),
    }
}

/// In constant time.
fn verify(key: &[u8], signed: &[u8], signature: &[u8]) -> Result<(), Rejected> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    hmac::verify(&key, signed, signature).map_err(|_| Rejected::WrongSignature)
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    if !text.is_ascii() || !text.len().is_multiple_of(2) {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok()).collect()
}

fn from_base64(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

fn hash(bytes: &[u8]) -> String {
    hex(digest::digest(&digest::SHA256, bytes).as_ref())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
