//! Where the workspace is, and the cargo that runs us.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The workspace's directory.
pub(crate) fn root() -> &'static Path {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().unwrap_or(xtask)
}

/// What cargo builds into; `CARGO_TARGET_DIR` as cargo itself understands it.
pub(crate) fn target() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(elsewhere) => root().join(elsewhere),
        None => root().join("target"),
    }
}

/// A cargo command in the workspace.
pub(crate) fn cargo<const N: usize>(args: [&str; N]) -> Command {
    // Not `$CARGO`: that is one toolchain's own program, and what we show to be typed again is `cargo`.
    let mut command = Command::new("cargo");
    command.args(args).current_dir(root());
    command
}

/// Whether this runs on a build server, where nothing may be left out silently.
pub(crate) fn is_ci() -> bool {
    std::env::var_os("CI").is_some_and(|value| value == "true" || value == "1")
}
