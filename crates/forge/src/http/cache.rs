//! Responses that a server need not send again while they are unchanged. A response is only used after the server confirmed it
//! with status 304, which costs nothing of GitHub's rate limit.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use reqwest::header::{ETAG, HeaderMap, HeaderValue};
use reqwest::{StatusCode, Url};
use ring::digest::{Context, SHA256};

use super::message::Response;

/// Maximum number of responses.
const ENTRIES_MAX: usize = 2000;

/// Maximum sum of all bodies in bytes.
const BYTES_MAX: usize = 64 << 20;

/// The hash of an address and of the token that was sent to it, so that no user gets the response of another one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Key([u8; 32]);

impl Key {
    /// `token` is the value of the header, or empty.
    pub(super) fn new(address: &str, token: &[u8]) -> Self {
        let mut context = Context::new(&SHA256);
        context.update(&(address.len() as u64).to_be_bytes());
        context.update(address.as_bytes());
        context.update(token);
        let mut key = [0; 32];
        key.copy_from_slice(context.finish().as_ref());
        Self(key)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Key")
    }
}

/// The responses of all servers; the least recently used one is dropped first.
pub(super) struct Cache {
    limits: (usize, usize),
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    entries: HashMap<Key, Entry>,
    /// Keys by the time of their last use.
    by_use: BTreeMap<u64, Key>,
    uses: u64,
    bytes: usize,
}

struct Entry {
    etag: HeaderValue,
    url: Url,
    headers: HeaderMap,
    body: Vec<u8>,
    used: u64,
}

impl Default for Cache {
    fn default() -> Self {
        Self::new(ENTRIES_MAX, BYTES_MAX)
    }
}

impl fmt::Debug for Cache {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Cache").field("entries", &self.lock().entries.len()).finish_non_exhaustive()
    }
}

impl Cache {
    fn new(entries: usize, bytes: usize) -> Self {
        Self { limits: (entries, bytes), kept: Mutex::default() }
    }

    /// The validator to send with a request.
    pub(super) fn etag(&self, key: Key) -> Option<HeaderValue> {
        self.lock().entries.get(&key).map(|entry| entry.etag.clone())
    }

    /// The response that `unchanged` (status 304) confirms, with its newer headers. `None` if it was dropped meanwhile, or has
    /// been replaced by one with another validator than `sent`.
    pub(super) fn confirmed(&self, key: Key, sent: &HeaderValue, unchanged: &Response) -> Option<Response> {
        let mut kept = self.lock();
        kept.touch(key);
        let entry = kept.entries.get(&key).filter(|entry| entry.etag == *sent)?;
        let mut headers = entry.headers.clone();
        for name in unchanged.headers.keys() {
            headers.remove(name);
            for value in unchanged.headers.get_all(name) {
                headers.append(name.clone(), value.clone());
            }
        }
        Some(Response { url: entry.url.clone(), status: StatusCode::OK, headers, body: entry.body.clone() })
    }

    /// Keeps a response with a validator. One without replaces none.
    pub(super) fn keep(&self, key: Key, response: &Response) {
        let (entries, bytes) = self.limits;
        let Some(etag) = response.headers.get(ETAG).filter(|_| response.status == StatusCode::OK) else { return };
        let mut kept = self.lock();
        kept.remove(key);
        if response.body.len() > bytes {
            return;
        }
        kept.bytes += response.body.len();
        let (url, headers, body) = (response.url.clone(), response.headers.clone(), response.body.clone());
        kept.entries.insert(key, Entry { etag: etag.clone(), url, headers, body, used: 0 });
        kept.touch(key);
        while kept.entries.len() > entries || kept.bytes > bytes {
            let Some(oldest) = kept.by_use.first_key_value().map(|(_, key)| *key) else { break };
            kept.remove(oldest);
        }
    }

    /// A panic elsewhere leaves the entries valid.
    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    /// Marks the entry as the one that was used last.
    fn touch(&mut self, key: Key) {
        self.uses += 1;
        if let Some(entry) = self.entries.get_mut(&key) {
            self.by_use.remove(&entry.used);
            entry.used = self.uses;
            self.by_use.insert(self.uses, key);
        }
    }

    fn remove(&mut self, key: Key) {
        if let Some(entry) = self.entries.remove(&key) {
            self.by_use.remove(&entry.used);
            self.bytes -= entry.body.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(etag: &str, body: &str) -> Response {
        let headers = [(ETAG, etag.parse().unwrap())].into_iter().collect();
        Response { url: Url::parse("https://h/x").unwrap(), status: StatusCode::OK, headers, body: body.into() }
    }

    fn key(name: &str) -> Key {
        Key::new(name, b"")
    }

    #[test]
    fn addresses_and_tokens_have_keys_of_their_own() {
        let keys = [Key::new("a", b"b"), Key::new("a", b"c"), Key::new("ab", b""), Key::new("", b"ab")];
        for (at, one) in keys.iter().enumerate() {
            assert!(keys[at + 1..].iter().all(|other| other != one));
        }
        assert_eq!(keys[0], Key::new("a", b"b"));
        assert!(!format!("{:?}", Key::new("https://h", b"SECRET")).contains("SECRET"));
    }

    #[test]
    fn the_least_recently_used_response_is_dropped() {
        let cache = Cache::new(2, 100);
        cache.keep(key("a"), &response("1", "a"));
        cache.keep(key("b"), &response("2", "b"));
        let unchanged = response("1", "");
        assert_eq!(cache.confirmed(key("a"), &"1".parse().unwrap(), &unchanged).unwrap().body, b"a");
        cache.keep(key("c"), &response("3", "c"));
        let kept = ["a", "b", "c"].map(|name| cache.etag(key(name)).is_some());
        assert_eq!(kept, [true, false, true]);
    }

    #[test]
    fn the_sum_of_all_bodies_is_limited() {
        let cache = Cache::new(100, 10);
        for name in ["a", "b", "c"] {
            cache.keep(key(name), &response("1", "12345"));
        }
        let kept = ["a", "b", "c"].map(|name| cache.etag(key(name)).is_some());
        assert_eq!(kept, [false, true, true]);
        // A new version takes the room of the old one; one that is too large leaves none.
        cache.keep(key("c"), &response("2", "123"));
        let sizes = || {
            let kept = cache.lock();
            (kept.bytes, kept.entries.len(), kept.by_use.len())
        };
        assert_eq!(sizes(), (8, 2, 2));
        cache.keep(key("c"), &response("3", "12345678901"));
        assert_eq!((sizes(), cache.etag(key("c"))), ((5, 1, 1), None));
    }

    #[test]
    fn only_the_version_that_was_sent_is_confirmed() {
        let cache = Cache::new(2, 100);
        cache.keep(key("a"), &response("1", "old"));
        cache.keep(key("a"), &response("2", "new"));
        assert!(cache.confirmed(key("a"), &"1".parse().unwrap(), &response("1", "")).is_none());
        let mut unchanged = response("2", "");
        unchanged.headers.insert("date", "now".parse().unwrap());
        let confirmed = cache.confirmed(key("a"), &"2".parse().unwrap(), &unchanged).unwrap();
        assert_eq!((confirmed.body.as_slice(), confirmed.header("date")), (&b"new"[..], Some("now")));
    }

    #[test]
    fn a_response_without_a_validator_is_not_kept() {
        let cache = Cache::new(2, 100);
        let mut plain = response("1", "a");
        plain.headers.clear();
        cache.keep(key("a"), &plain);
        assert_eq!(cache.etag(key("a")), None);
    }
}
