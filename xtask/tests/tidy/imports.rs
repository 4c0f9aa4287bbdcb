//! Which files and folders of a crate import each other. The compiler keeps the crates apart; these rules keep the layers
//! inside a crate apart.
//!
//! Error types are exempt: an error stands beside the function that returns it, and other errors wrap it.

use std::collections::{BTreeMap, BTreeSet};

use crate::graph::{Graph, circles};
use crate::repository::assert_none;
use crate::scanner::{Source, has_word, program};
use crate::use_tree::{local_paths, use_paths};

#[test]
fn no_file_imports_its_importers() {
    let mut violations = Vec::new();
    for (name, modules) in crates() {
        let mut graph = Graph::new();
        for import in imports(&modules) {
            graph.entry(import.from.join("/")).or_default().insert(import.to.join("/"));
        }
        for circle in circles(&graph) {
            violations.push(format!("{name}: {}", circle.into_iter().collect::<Vec<_>>().join(", ")));
        }
    }
    assert_none("no file imports its importers; move what these share into a file below them", &violations);
}

/// The files and folders of every folder are in layers: an import between two of them never leads back.
#[test]
fn no_folder_imports_its_importers() {
    let mut violations = Vec::new();
    for (name, modules) in crates() {
        let imports = imports(&modules);
        for (folder, graph) in &folders(&imports) {
            for circle in circles(graph) {
                violations.push(report(&name, folder, &circle, &imports));
            }
        }
    }
    assert_none(
        "no folder imports a folder or file that imports it; move what these share into one below them",
        &violations,
    );
}

/// The graph of each folder's files and subfolders. An import belongs to the folder that holds both of its ends.
fn folders(imports: &[Import<'_>]) -> BTreeMap<String, Graph> {
    let mut graphs: BTreeMap<String, Graph> = BTreeMap::new();
    for import in imports {
        let (folder, from, to) = import.ends();
        let graph = graphs.entry(folder.join("/")).or_default();
        graph.entry(from.clone()).or_default().insert(to.clone());
    }
    graphs
}

/// The circle with one import for each of its arrows.
fn report(name: &str, folder: &str, circle: &BTreeSet<String>, imports: &[Import<'_>]) -> String {
    let mut arrows = BTreeMap::new();
    for import in imports {
        let (inside, from, to) = import.ends();
        if inside.join("/") == folder && circle.contains(from) && circle.contains(to) {
            arrows.entry((from, to)).or_insert_with(|| {
                format!("\n    {}.rs imports {}::{}", import.from.join("/"), import.to.join("::"), import.item)
            });
        }
    }
    let folder = if folder.is_empty() { name.to_owned() } else { format!("{name}, {folder}") };
    let names = circle.iter().cloned().collect::<Vec<_>>().join(", ");
    format!("{folder}: {names}{}", arrows.into_values().collect::<String>())
}

type Module = Vec<String>;

/// The sources of one crate by module. A face (`lib.rs`, `mod.rs`, `main.rs`) has the module of its folder.
#[derive(Default)]
struct Modules {
    files: BTreeMap<Module, String>,
    faces: BTreeMap<Module, String>,
}

/// The crates of the program by name, with the code of their modules, tests apart.
fn crates() -> BTreeMap<String, Modules> {
    let mut crates: BTreeMap<String, Modules> = BTreeMap::new();
    for source in program() {
        let path: Vec<&str> = source.path.trim_end_matches(".rs").split('/').collect();
        let ["crates", name, "src", module @ ..] = path.as_slice() else { continue };
        let modules = crates.entry((*name).to_owned()).or_default();
        let own = |parts: &[&str]| parts.iter().map(|part| (*part).to_owned()).collect::<Module>();
        match module {
            ["bin", ..] => {}
            [folder @ .., "lib" | "mod" | "main"] => {
                modules.faces.insert(own(folder), code(&source));
            }
            _ => {
                modules.files.insert(own(module), code(&source));
            }
        }
    }
    crates
}

fn code(source: &Source) -> String {
    let lines = source.lines.iter().filter(|line| !line.in_test);
    lines.map(|line| format!("{}\n", line.code)).collect()
}

/// One file uses an item of another.
struct Import<'a> {
    from: &'a [String],
    to: &'a [String],
    item: String,
}

impl Import<'_> {
    /// The deepest folder that holds both files, and the two entries of it that the import connects.
    fn ends(&self) -> (&[String], &String, &String) {
        let common = self.from.iter().zip(self.to).take_while(|(from, to)| from == to).count();
        (&self.from[..common], &self.from[common], &self.to[common])
    }
}

fn imports(modules: &Modules) -> Vec<Import<'_>> {
    let reexports = reexports(modules);
    let mut imports = Vec::new();
    for (from, code) in &modules.files {
        for path in local_paths(code, from) {
            let Some((to, item)) = resolve(&path, modules, &reexports) else { continue };
            if to != from.as_slice() && !is_error(&item, &modules.files[to]) {
                imports.push(Import { from, to, item });
            }
        }
    }
    imports
}

/// The file that a path leads into, and the name that it takes from there.
fn resolve<'a>(
    path: &[String],
    modules: &'a Modules,
    reexports: &BTreeMap<Module, Module>,
) -> Option<(&'a [String], String)> {
    for length in (1..=path.len()).rev() {
        if let Some((file, _)) = modules.files.get_key_value(&path[..length]) {
            return Some((file, path.get(length).cloned().unwrap_or_default()));
        }
        if let Some(target) = reexports.get(&path[..length]).filter(|target| *target != path) {
            return resolve(&[target, &path[length..]].concat(), modules, reexports);
        }
    }
    None
}

/// The names that faces re-export, with the paths they stand for.
fn reexports(modules: &Modules) -> BTreeMap<Module, Module> {
    let mut names = BTreeMap::new();
    for (folder, code) in &modules.faces {
        for path in use_paths(code, folder) {
            if let Some(item) = path.last() {
                names.insert([folder.as_slice(), std::slice::from_ref(item)].concat(), path.clone());
            }
        }
    }
    names
}

/// Whether an item is an error type that the file declares.
fn is_error(item: &str, code: &str) -> bool {
    let is_declared = |line: &str| (has_word(line, "enum") || has_word(line, "struct")) && has_word(line, item);
    item.ends_with("Error") && code.lines().any(is_declared)
}

#[test]
fn imports_are_resolved_to_files_and_errors_are_exempt() {
    let module = |path: &str| path.split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect::<Module>();
    let mut modules = Modules::default();
    for (path, code) in [
        ("a/one", "use crate::b::{two::Two, TwoError, renamed};\nuse super::three::x;"),
        ("a/three", "crate::top::y();"),
        ("b/two", "pub enum TwoError {}\npub struct Two;\nuse crate::a::one::Z;"),
        ("top", ""),
    ] {
        modules.files.insert(module(path), code.to_owned());
    }
    modules.faces.insert(module("b"), "mod two;\npub use two::{TwoError, renamed};".to_owned());
    let imports = imports(&modules);
    let list: Vec<String> =
        imports.iter().map(|one| format!("{} {} {}", one.from.join("/"), one.to.join("/"), one.item)).collect();
    assert_eq!(list, ["a/one b/two Two", "a/one b/two renamed", "a/one a/three x", "a/three top y", "b/two a/one Z"]);
    let folders = folders(&imports);
    assert_eq!(folders["a"].len(), 1);
    assert_eq!(circles(&folders[""]).len(), 1);
    assert!(
        report("c", "", &circles(&folders[""]).pop_first().unwrap(), &imports).contains("b/two.rs imports a::one::Z")
    );
}
