//! Unique names.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

/// Returns a new name such as `ses_18a9f...`. The random keys of the hash tell two processes with the same id apart, which
/// is possible in pid namespaces.
pub(super) fn unique(prefix: &str) -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_nanos();
    let random = RandomState::new().hash_one(COUNT.fetch_add(1, Ordering::Relaxed));
    // The time comes first, so that sorting the names sorts the sessions by age.
    format!("{prefix}_{now:x}{random:016x}")
}
