//! `cargo xtask fuzz <target> [seconds]`: runs a fuzz target of `fuzz/` on a copy of its corpus.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::linters::cargo_fuzz;
use crate::programs::SystemPackages;
use crate::steps::{Outcome, shell_line};
use crate::workspace::root;

const SECONDS_DEFAULT: &str = "180";

pub(crate) fn run(target: &str, seconds: Option<&str>) -> Outcome {
    let committed = root().join("fuzz/corpus").join(target);
    if !committed.is_dir() {
        return Err(format!("there is no fuzz target {target}; see fuzz/corpus"));
    }
    // libFuzzer adds what it finds to its corpus; only small and readable files are committed.
    let working = root().join("fuzz/target/corpus").join(target);
    copy_files(&committed, &working).map_err(|error| format!("could not copy the corpus: {error}"))?;
    let mut fuzz = Command::new(cargo_fuzz(SystemPackages::Install)?);
    fuzz.args(["fuzz", "run", "--sanitizer", "none", target]).arg(&working);
    fuzz.args(["--", "-timeout=20", "-rss_limit_mb=2048"]);
    fuzz.arg(format!("-max_total_time={}", seconds.unwrap_or(SECONDS_DEFAULT)));
    // Coverage needs unstable flags of the compiler. The code is safe Rust, so no sanitizer is needed.
    fuzz.env("RUSTC_BOOTSTRAP", "1").current_dir(root());
    println!("{}", shell_line(&fuzz));
    match fuzz.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!(
            "{status}; if it found a bug, fix it and move the input from fuzz/artifacts/{target} to fuzz/corpus/{target} \
             with a descriptive name"
        )),
        Err(error) => Err(format!("could not run cargo-fuzz: {error}")),
    }
}

fn copy_files(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        fs::copy(entry.path(), to.join(entry.file_name()))?;
    }
    Ok(())
}
