//! The paths that a piece of code names: `use` trees and qualified paths.

/// Every path in `code` that starts with `crate`, `super` or `self`, as segments below the crate's root. `module` is the
/// module that the code stands in.
pub(crate) fn local_paths(code: &str, module: &[String]) -> Vec<Vec<String>> {
    let mut paths = Vec::new();
    for root in ["crate::", "super::", "self::"] {
        for (at, _) in code.match_indices(root) {
            let is_start = !code[..at].ends_with(|c: char| is_path_char(c) || c == ':');
            if is_start {
                paths.extend(leaves(&code[at..]).iter().map(|path| absolute(path, module)));
            }
        }
    }
    paths
}

/// The paths that the `use` declarations of `code` name, as segments below the crate's root.
pub(crate) fn use_paths(code: &str, module: &[String]) -> Vec<Vec<String>> {
    let mut paths = Vec::new();
    for (at, _) in code.match_indices("use ") {
        if !code[..at].ends_with(is_path_char) {
            paths.extend(leaves(code[at + 4..].trim_start()).iter().map(|path| absolute(path, module)));
        }
    }
    paths
}

/// The paths of the tree at the start of `text`: one, or several if it has braces.
fn leaves(text: &str) -> Vec<String> {
    let mut paths = Vec::new();
    collect(text, "", &mut paths);
    paths
}

/// Adds the paths of the tree at the start of `text` and returns the rest behind it.
fn collect<'a>(text: &'a str, prefix: &str, paths: &mut Vec<String>) -> &'a str {
    let end = text.find(|c| !(is_path_char(c) || c == ':' || c == '*')).unwrap_or(text.len());
    let path = format!("{prefix}{}", &text[..end]);
    let mut rest = &text[end..];
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside.trim_start();
        while !rest.is_empty() && !rest.starts_with('}') {
            let before = rest.len();
            rest = collect(rest, &path, paths);
            // An alias is of no interest.
            rest = rest.trim_start_matches(|c| c != ',' && c != '}').trim_start_matches(',').trim_start();
            if rest.len() == before {
                break;
            }
        }
        return rest.strip_prefix('}').unwrap_or(rest);
    }
    if !path.is_empty() {
        paths.push(path);
    }
    rest
}

fn absolute(path: &str, module: &[String]) -> Vec<String> {
    let mut segments = path.split("::").filter(|segment| !segment.is_empty() && *segment != "*").peekable();
    let mut base = module.to_vec();
    match segments.peek() {
        Some(&"crate") => {
            base.clear();
            segments.next();
        }
        Some(&"self") => {
            segments.next();
        }
        _ => {
            while segments.next_if_eq(&"super").is_some() {
                base.pop();
            }
        }
    }
    base.extend(segments.filter(|segment| *segment != "self").map(str::to_owned));
    base
}

fn is_path_char(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

#[test]
fn nested_trees_and_supers_are_resolved() {
    let own = ["a".to_owned(), "b".to_owned()];
    let joined = |paths: Vec<Vec<String>>| paths.iter().map(|path| path.join("::")).collect::<Vec<_>>();
    assert_eq!(joined(local_paths("use crate::{c::{D, e::F as G}, h::*, self};", &own)), ["c::D", "c::e::F", "h", ""]);
    assert_eq!(
        joined(local_paths("super::x::y(); super::super::z; self::w::V;", &own)),
        ["a::x::y", "z", "a::b::w::V"]
    );
    assert_eq!(
        joined(use_paths("pub use d::{E, f::G};\npub use crate::H;", &own)),
        ["a::b::d::E", "a::b::d::f::G", "H"]
    );
}
