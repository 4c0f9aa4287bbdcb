//! Real processes, misbehaving in every way we know of.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on shall fail")]

mod one_shot;
mod world;

#[cfg(target_os = "linux")]
mod alone;
#[cfg(target_os = "linux")]
mod bad;
#[cfg(target_os = "linux")]
mod breakout;
#[cfg(target_os = "linux")]
mod moves;
#[cfg(target_os = "linux")]
mod pre_exec;
#[cfg(target_os = "linux")]
mod sandbox;
#[cfg(target_os = "linux")]
mod sweep;
#[cfg(target_os = "linux")]
mod tree;
#[cfg(target_os = "linux")]
mod yard;
