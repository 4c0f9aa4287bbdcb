//! Real processes that misbehave in every known way.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a failed step fails the test")]
#![expect(clippy::print_stderr, reason = "a skipped part is reported")]

mod one_shot;
mod test_dir;

#[cfg(target_os = "linux")]
mod escape;
#[cfg(target_os = "linux")]
mod fixture;
#[cfg(target_os = "linux")]
mod limits;
#[cfg(target_os = "linux")]
mod network;
#[cfg(target_os = "linux")]
mod own_process;
#[cfg(target_os = "linux")]
mod pre_exec;
#[cfg(target_os = "linux")]
mod sandbox;
#[cfg(target_os = "linux")]
mod stubborn;
#[cfg(target_os = "linux")]
mod sweep;
#[cfg(target_os = "linux")]
mod syscalls;
#[cfg(target_os = "linux")]
mod tree;
