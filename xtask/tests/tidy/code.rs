//! Code that only some files may contain, or only with a reason.

use crate::repository::assert_none;
use crate::scanner::{calls_macro, program, sources};

/// The only file of the program that prints. `testkit` and `xtask` are development tools.
const PRINTS: &str = "crates/cli/src/ui.rs";

#[test]
fn only_ui_prints() {
    let mut violations = Vec::new();
    for source in program().iter().filter(|source| !source.is_tool() && source.path != PRINTS) {
        for line in source.lines.iter().filter(|line| !line.in_test) {
            for macro_name in ["println", "eprintln", "print", "eprint", "dbg"] {
                if calls_macro(&line.code, macro_name) {
                    violations.push(format!("{}:{}: {macro_name}!", source.path, line.number));
                }
            }
        }
    }
    assert_none(&format!("only {PRINTS} prints; return the text, or use `tracing`"), &violations);
}

#[test]
fn unwrap_and_expect_have_a_reason() {
    /// Maximum distance in lines of the attribute above the call.
    const NEAR: usize = 10;
    let mut violations = Vec::new();
    // `fuzzing.rs` is compiled for tests and fuzz targets only.
    let is_exempt = |path: &str| path.starts_with("crates/testkit/") || path.ends_with("/fuzzing.rs");
    for source in program().iter().filter(|source| !is_exempt(&source.path)) {
        for (index, line) in source.lines.iter().enumerate().filter(|(_, line)| !line.in_test) {
            for (call, lint) in [(".unwrap()", "unwrap_used"), (".expect(", "expect_used")] {
                let above = &source.lines[index.saturating_sub(NEAR)..=index];
                let has_reason = above.iter().any(|line| line.raw.contains(lint))
                    && above.iter().any(|line| line.raw.contains("reason = "));
                if line.code.contains(call) && !has_reason {
                    violations.push(format!("{}:{}: {call}", source.path, line.number));
                }
            }
        }
    }
    assert_none(
        "unwrap and expect outside tests need `#[expect(clippy::..., reason = \"...\")]` right above; better return an \
         error",
        &violations,
    );
}

#[test]
fn lint_exceptions_have_a_reason() {
    let mut violations = Vec::new();
    for source in sources(&["src", "tests", "benches"]) {
        for (index, line) in source.lines.iter().enumerate() {
            let attributes = ["#[allow(", "#![allow(", "#[expect(", "#![expect("];
            if attributes.iter().any(|start| line.code.trim_start().starts_with(start)) {
                let attribute: String = source.lines[index..].iter().take(6).map(|line| line.raw.as_str()).collect();
                if !attribute.split(")]").next().unwrap_or_default().contains("reason = ") {
                    violations.push(format!("{}:{}", source.path, line.number));
                }
            }
        }
    }
    assert_none("`#[allow]` and `#[expect]` need `reason = \"...\"`", &violations);
}
