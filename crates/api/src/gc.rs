//! The size of the home, and what gc removes from it.

use serde::{Deserialize, Serialize};

/// The space that the home takes on the disk, as it was measured last.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StorageObject {
    /// RFC 3339.
    pub measured_at: String,
    pub total_bytes: u64,
    pub kinds: Vec<StorageSize>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StorageSize {
    /// `worktrees`, `mirrors`, `runs`, `rescues`, `quarantine`, `backups`, `database`, `logs`, `coordinator` or `other`.
    pub kind: String,
    pub bytes: u64,
    /// Number of things; 0 of kinds without any.
    pub count: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GcRequest {
    /// Only lists what would be removed.
    pub dry_run: bool,
    /// Instead of the setting `gc.mirrors`.
    pub mirrors_older_than_seconds: Option<u64>,
    /// Instead of the setting `gc.rescues`.
    pub rescues_older_than_seconds: Option<u64>,
    /// Instead of the setting `gc.quarantine`.
    pub quarantine_older_than_seconds: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GcObject {
    pub dry_run: bool,
    /// The items to remove, the oldest first.
    pub items: Vec<GcItem>,
    /// The removed items, by kind.
    pub freed: Vec<StorageSize>,
    /// The items that could not be removed.
    pub kept: Vec<GcKept>,
    /// Bytes by which the home is larger than `gc.max_size` afterwards.
    pub excess_bytes: u64,
    /// Number of issues that are done or merged and have a worktree.
    pub finished_issues: u64,
    /// The home afterwards.
    pub storage: StorageObject,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GcItem {
    /// See [`StorageSize::kind`].
    pub kind: String,
    pub name: String,
    pub bytes: u64,
    pub age_seconds: u64,
    pub why: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GcKept {
    pub name: String,
    pub why: String,
}
