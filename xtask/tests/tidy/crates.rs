//! Which crates import each other.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use crate::repository::{assert_none, read, relative, root};

/// The workspace crates that each one imports. A new arrow is a decision: change ARCHITECTURE.md and this together.
const ARROWS: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("process", &[]),
    ("store", &["domain"]),
    ("forge", &["domain"]),
    ("git", &["domain", "process"]),
    ("agent", &["domain", "process"]),
    ("api", &["domain"]),
    ("engine", &["agent", "api", "domain", "forge", "git", "process", "store"]),
    ("import", &["api", "domain"]),
    ("runner", &["agent", "api", "domain", "git", "process"]),
    ("web", &["api", "domain", "engine", "process", "store"]),
    ("cli", &["agent", "api", "domain", "engine", "forge", "git", "import", "process", "runner", "store", "web"]),
    ("testkit", &[]),
    ("xtask", &[]),
];

/// From the bottom up. No arrow goes up, or sideways within a floor.
const FLOORS: &[&[&str]] = &[
    &["domain"],
    &["process"],
    &["store", "forge", "git", "agent", "api"],
    &["engine", "runner", "import"],
    &["web"],
    &["cli"],
];

#[test]
fn crates_import_only_what_arrows_lists() {
    let mut violations = Vec::new();
    let mut expected: BTreeMap<&str, BTreeSet<&str>> =
        ARROWS.iter().map(|(name, arrows)| (*name, arrows.iter().copied().collect())).collect();
    for (name, imported) in arrows("") {
        match expected.remove(name.as_str()) {
            None => violations.push(format!("{}: a new crate; add its line to ARROWS", manifest(&name))),
            Some(allowed) => {
                let imported: BTreeSet<&str> = imported.iter().map(String::as_str).collect();
                if imported != allowed {
                    violations.push(format!(
                        "{}: imports {imported:?}, but ARROWS lists {allowed:?}; change one of them",
                        manifest(&name)
                    ));
                }
            }
        }
    }
    violations.extend(expected.keys().map(|gone| format!("{}: no such crate; remove it from ARROWS", manifest(gone))));
    assert_none("crates import exactly what ARROWS in xtask/tests/tidy/crates.rs lists", &violations);
}

#[test]
fn crates_import_only_crates_of_lower_floors() {
    let floor = |name: &str| FLOORS.iter().position(|crates| crates.contains(&name));
    let mut violations = Vec::new();
    for (name, imported) in arrows("").into_iter().chain(arrows("dev")).chain(arrows("build")) {
        for other in imported {
            let down = match (floor(&name), floor(&other)) {
                (Some(from), Some(to)) => to < from,
                // Tests of a crate may use the testkit. The tools may import everything, and nothing imports them.
                (Some(_), None) => other == "testkit" && !normal_arrow(&name, &other),
                (None, _) => name == "xtask",
            };
            if !down {
                violations.push(format!("{}: {name} imports {other}", manifest(&name)));
            }
        }
    }
    assert_none(
        "imports between crates go down: domain < process < store, forge, git, agent, api < engine, runner < web < cli",
        &violations,
    );
}

#[test]
fn every_crate_uses_the_lints_of_the_workspace() {
    let mut violations = Vec::new();
    for package in metadata()["packages"].as_array().unwrap() {
        let path = PathBuf::from(package["manifest_path"].as_str().unwrap());
        let text = read(&path);
        let table = text.split("[lints]").nth(1).and_then(|rest| rest.trim_start().lines().next());
        if table.map(str::trim) != Some("workspace = true") {
            violations.push(format!("{}:1", relative(&path)));
        }
    }
    assert_none("every Cargo.toml has `[lints]` with `workspace = true`", &violations);
}

fn metadata() -> Value {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The workspace crates that each crate depends on. `kind` is that of `cargo metadata`: empty for normal dependencies, `dev` or
/// `build`.
fn arrows(kind: &str) -> Vec<(String, BTreeSet<String>)> {
    let short = |name: &str| match name {
        "kugetsu" => Some("cli".to_owned()),
        "xtask" => Some("xtask".to_owned()),
        name => name.strip_prefix("kugetsu-").map(str::to_owned),
    };
    let metadata = metadata();
    let packages = metadata["packages"].as_array().unwrap().iter();
    packages
        .map(|package| {
            let dependencies = package["dependencies"].as_array().unwrap().iter();
            let imported = dependencies
                .filter(|other| other["kind"].as_str().unwrap_or_default() == kind && !other["path"].is_null())
                .filter_map(|other| short(other["name"].as_str().unwrap()));
            (short(package["name"].as_str().unwrap()).unwrap(), imported.collect())
        })
        .collect()
}

fn normal_arrow(from: &str, to: &str) -> bool {
    arrows("").iter().any(|(name, imported)| name == from && imported.contains(to))
}

fn manifest(name: &str) -> String {
    if name == "xtask" { "xtask/Cargo.toml".to_owned() } else { format!("crates/{name}/Cargo.toml") }
}
