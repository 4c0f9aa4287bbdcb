//! No file imports its importers: inside of a crate, too, every arrow goes down. The compiler keeps the walls between
//! crates, and nobody but this test those between files.
#![allow(clippy::unwrap_used, reason = "a test that cannot read the code must stop")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

#[test]
fn no_file_imports_its_importers() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates");
    let mut circles = Vec::new();
    for one in fs::read_dir(crates).unwrap() {
        let src = one.unwrap().path().join("src");
        let imports = imports(&src);
        circles.extend(imports.keys().filter_map(|file| circle(file, &imports)));
    }
    circles.sort();
    circles.dedup();
    let told: Vec<String> = circles.iter().map(|files| files.join(" -> ")).collect();
    assert!(
        told.is_empty(),
        "these import each other; move what they share into a file below both:\n{}",
        told.join("\n")
    );
}

/// What each file of a crate imports of it, both by their modules' names. Faces (`lib.rs`, `mod.rs`) only hand names on.
fn imports(src: &Path) -> BTreeMap<String, BTreeSet<String>> {
    let mut files = Vec::new();
    collect(src, &mut files);
    let name = |file: &PathBuf| {
        let path = file.strip_prefix(src).unwrap().with_extension("");
        path.iter().map(|part| part.to_str().unwrap()).collect::<Vec<_>>().join("::")
    };
    let modules: BTreeSet<String> = files.iter().map(name).collect();
    let imported = |file: &PathBuf| {
        let text = fs::read_to_string(file).unwrap();
        let own = name(file);
        let parent = own.rsplit_once("::").map_or("", |(parent, _)| parent);
        // What the tests of a file need is theirs.
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        let code: String = code.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
        let mut found: Vec<String> = Vec::new();
        for (word, from) in [("crate::", ""), ("super::", parent)] {
            for (at, _) in code.match_indices(word) {
                let begins = !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':');
                if begins {
                    found.extend(named(&code[at + word.len()..]).into_iter().map(|path| joined(from, &path)));
                }
            }
        }
        let to = found.iter().filter_map(|path| module(path, &modules)).filter(|module| *module != own).collect();
        (own, to)
    };
    files.iter().map(imported).collect()
}

fn collect(directory: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let is_face = ["lib.rs", "mod.rs", "main.rs"].iter().any(|face| path.ends_with(face));
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|kind| kind == "rs") && !is_face {
            files.push(path);
        }
    }
}

/// The paths that a text begins with: one, or those in braces.
fn named(text: &str) -> Vec<String> {
    let plain = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    let end = text.find(|c| !plain(c)).unwrap_or(text.len());
    let (path, rest) = text.split_at(end);
    match rest.strip_prefix('{').and_then(|rest| rest.split_once('}')) {
        Some((inside, _)) => inside.split(',').map(|one| format!("{path}{}", one.trim())).collect(),
        None => vec![path.to_owned()],
    }
}

fn joined(from: &str, path: &str) -> String {
    if from.is_empty() { path.to_owned() } else { format!("{from}::{path}") }
}

/// The module that a path leads into.
fn module(path: &str, modules: &BTreeSet<String>) -> Option<String> {
    let parts: Vec<&str> = path.split("::").collect();
    (1..=parts.len()).rev().map(|length| parts[..length].join("::")).find(|name| modules.contains(name))
}

/// A shortest way from a file back to itself, begun at its first name so that each circle has one form.
fn circle(file: &str, imports: &BTreeMap<String, BTreeSet<String>>) -> Option<Vec<String>> {
    let mut ways = vec![vec![file.to_owned()]];
    let mut seen = BTreeSet::new();
    while !ways.is_empty() {
        let mut longer = Vec::new();
        for way in ways {
            for next in imports.get(way.last()?).into_iter().flatten() {
                if next == file {
                    let first = way.iter().enumerate().min_by_key(|(_, name)| *name)?.0;
                    return Some([&way[first..], &way[..first]].concat());
                }
                if seen.insert(next.clone()) {
                    longer.push([way.clone(), vec![next.clone()]].concat());
                }
            }
        }
        ways = longer;
    }
    None
}

#[test]
fn circles_are_found() {
    let arrows = [("a", "b"), ("b", "c"), ("c", "a"), ("c", "d")];
    let mut imports: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (from, to) in arrows {
        imports.entry(from.to_owned()).or_default().insert(to.to_owned());
    }
    assert_eq!(circle("b", &imports), Some(["a", "b", "c"].map(str::to_owned).to_vec()));
    assert_eq!(circle("d", &imports), None);
    assert_eq!(named("{a::B, c};"), ["a::B", "c"]);
    assert_eq!(named("a::{B, C};"), ["a::B", "a::C"]);
}
