//! Names that no other process and no other session has.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

/// A new name, for instance `ses_18a9f...`. Two processes with the same id (each in a pid namespace of its own) differ
/// by the random keys of the hash.
pub(super) fn unique(prefix: &str) -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_nanos();
    let random = RandomState::new().hash_one(COUNT.fetch_add(1, Ordering::Relaxed));
    // Time first, so that a sorted list of sessions is in the order of their making.
    format!("{prefix}_{now:x}{random:016x}")
}
