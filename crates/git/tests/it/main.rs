//! Real git on real repositories in temporary directories, without the user's configuration.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up must stop at once, and the panic is the message")]

mod adopt;
mod always_modified;
mod answers;
mod create;
mod damage;
mod damaged_objects;
mod damaged_refs;
mod dirt;
mod hostile;
mod left_behind;
mod leftovers;
mod lfs_content;
mod linked_worktrees;
mod mirror;
mod moved_home;
mod nested_repos;
mod packs;
mod planted;
mod push;
mod push_secrets;
mod ref_changes;
mod remove;
mod repository_kinds;
mod rescue;
mod restore;
mod special_files;
mod status;
mod support;
mod temporary;
mod unreadable;
