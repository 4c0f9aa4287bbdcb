//! Paths of the workspace, and cargo commands in it.

use std::path::{Path, PathBuf};
use std::process::Command;

pub(crate) fn root() -> &'static Path {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().unwrap_or(xtask)
}

/// The build directory. Respects `CARGO_TARGET_DIR` as cargo does.
pub(crate) fn target() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(directory) => root().join(directory),
        None => root().join("target"),
    }
}

/// A cargo command that runs in the workspace.
pub(crate) fn cargo<const N: usize>(args: [&str; N]) -> Command {
    // Not `$CARGO`, the path of one toolchain's cargo: the command is also printed for the user to type.
    let mut command = Command::new("cargo");
    command.args(args).current_dir(root());
    command
}

/// Whether this runs on a build server, where a skipped test is a failure.
pub(crate) fn is_ci() -> bool {
    std::env::var_os("CI").is_some_and(|value| value == "true" || value == "1")
}

/// `rust-version` of the workspace, for example `1.95`.
pub(crate) fn rust_version() -> &'static str {
    env!("CARGO_PKG_RUST_VERSION")
}
