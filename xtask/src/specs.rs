//! `cargo xtask specs <github.json> <forgejo.json>`: reduces the API descriptions of GitHub and Forgejo to the requests
//! that our client makes, so that they are small enough to commit and Prism starts within seconds.
//!
//! The first file is `generated/api.github.com.json` of the npm package `@octokit/openapi`, the second `swagger.v1.json`
//! of the crate `forgejo-api`.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::{Map, Value};

use crate::steps::Outcome;
use crate::workspace::root;

/// The paths and methods to keep below a repository, as either description writes them.
const OF_REPOSITORY: &[(&str, &[&str])] = &[
    ("", &["get"]),
    ("/issues", &["get"]),
    ("/issues/{issue_number}", &["get", "patch"]),
    ("/issues/{index}", &["get", "patch"]),
    ("/issues/{issue_number}/comments", &["get", "post"]),
    ("/issues/{index}/comments", &["get", "post"]),
    ("/issues/comments/{comment_id}", &["patch"]),
    ("/issues/comments/{id}", &["patch"]),
    ("/issues/comments/{comment_id}/reactions", &["post"]),
    ("/issues/comments/{id}/reactions", &["post"]),
    ("/issues/{issue_number}/labels", &["post"]),
    ("/issues/{index}/labels", &["post"]),
    ("/issues/{issue_number}/labels/{name}", &["delete"]),
    ("/issues/{index}/labels/{identifier}", &["delete"]),
    ("/issues/{issue_number}/events", &["get"]),
    ("/issues/{index}/timeline", &["get"]),
    ("/issues/{issue_number}/dependencies/blocked_by", &["get"]),
    ("/issues/{issue_number}/sub_issues", &["get"]),
    ("/issues/{index}/dependencies", &["get"]),
    ("/labels", &["get", "post"]),
    ("/collaborators/{username}/permission", &["get"]),
    ("/collaborators/{collaborator}/permission", &["get"]),
    ("/pulls", &["get", "post"]),
    ("/pulls/{pull_number}", &["get", "patch"]),
    ("/pulls/{index}", &["get", "patch"]),
    ("/pulls/{pull_number}/reviews", &["get"]),
    ("/pulls/{index}/reviews", &["get"]),
    ("/pulls/{index}/reviews/{id}/comments", &["get"]),
    ("/pulls/{pull_number}/comments", &["get"]),
    ("/pulls/{pull_number}/requested_reviewers", &["post"]),
    ("/pulls/{index}/requested_reviewers", &["post"]),
    ("/pulls/{pull_number}/merge", &["put"]),
    ("/pulls/{index}/commits", &["get"]),
    ("/pulls/{index}/merge", &["post", "delete"]),
    ("/commits/{ref}/status", &["get"]),
    ("/commits/{ref}/check-runs", &["get"]),
    ("/git/ref/{ref}", &["get"]),
    ("/git/refs/{ref}", &["delete"]),
    ("/branches/{branch}", &["get", "delete"]),
    ("/rules/branches/{branch}", &["get"]),
    ("/hooks", &["get", "post"]),
];

/// The same for Forgejo only.
const OF_FORGEJO_REPOSITORY: &[(&str, &[&str])] = &[
    ("/actions/runs", &["get"]),
    ("/actions/runs/{run_id}/jobs", &["get"]),
    ("/actions/jobs/{job_id}/logs", &["get"]),
];

/// The other paths to keep, for reading.
const OTHERS: &[&str] = &["/meta", "/version", "/user", "/orgs/{org}/labels"];

pub(crate) fn run(github: &str, forgejo: &str) -> Outcome {
    for (from, to) in [(github, "github.json"), (forgejo, "forgejo.json")] {
        let to = root().join("crates/forge/tests/data/specs").join(to);
        cut(Path::new(from), &to)?;
        println!("    {}", to.display());
    }
    Ok(())
}

fn cut(from: &Path, to: &Path) -> Outcome {
    let text = fs::read(from).map_err(|error| format!("{}: {error}", from.display()))?;
    let full: Value = serde_json::from_slice(&text).map_err(|error| format!("{}: {error}", from.display()))?;
    let text = serde_json::to_string(&reduced(&full)).map_err(|error| error.to_string())?;
    fs::write(to, text + "\n").map_err(|error| format!("{}: {error}", to.display()))
}

/// The description of the kept paths and of everything that they refer to.
fn reduced(full: &Value) -> Value {
    let mut kept = Map::new();
    for name in ["openapi", "swagger", "info", "consumes", "produces", "securityDefinitions", "security"] {
        kept.extend(full.get(name).map(|value| (name.to_owned(), value.clone())));
    }
    // GitHub's description is no Swagger.
    let of_forgejo = OF_FORGEJO_REPOSITORY.iter().filter(|_| full.get("swagger").is_some());
    let of_repository = OF_REPOSITORY.iter().chain(of_forgejo);
    let of_repository = of_repository.map(|(path, methods)| (format!("/repos/{{owner}}/{{repo}}{path}"), *methods));
    let others = OTHERS.iter().map(|path| ((*path).to_owned(), &["get"][..]));
    let mut paths = Map::new();
    for (path, methods) in of_repository.chain(others) {
        let Some(Value::Object(all)) = full["paths"].get(&path) else { continue };
        let is_kept = |name: &str| name == "parameters" || methods.contains(&name);
        let kept = all.iter().filter(|(name, _)| is_kept(name));
        paths.insert(path, kept.map(|(name, value)| (name.clone(), value.clone())).collect());
    }
    kept.insert("paths".to_owned(), Value::Object(paths));
    let mut kept = Value::Object(kept);
    remove_examples(&mut kept);

    let mut added = BTreeSet::new();
    loop {
        let mut pointers = BTreeSet::new();
        collect_references(&kept, &mut pointers);
        let new: Vec<String> = pointers.difference(&added).cloned().collect();
        if new.is_empty() {
            break;
        }
        for pointer in new {
            let mut value = full.pointer(&pointer).cloned().unwrap_or_default();
            remove_examples(&mut value);
            insert_at(&mut kept, &pointer, value);
            added.insert(pointer);
        }
    }
    if let Some(Value::Object(definitions)) = kept.get_mut("definitions") {
        definitions.values_mut().for_each(make_nullable);
    }
    kept
}

/// Marks a definition and its properties as nullable. Swagger 2 cannot express null, but the servers write it for every
/// unset value; `x-nullable` is the extension that tools understand. Keys beside a `$ref` are ignored, so the definition
/// that it refers to is marked instead. Addresses lose their format, because an unset one is an empty text.
fn make_nullable(definition: &mut Value) {
    let properties = definition.get_mut("properties").and_then(Value::as_object_mut);
    for property in properties.into_iter().flat_map(|properties| properties.values_mut()) {
        if property.get("$ref").is_none() {
            property["x-nullable"] = true.into();
        }
        if let Some(fields) = property.as_object_mut().filter(|fields| fields.get("format") == Some(&"url".into())) {
            fields.remove("format");
        }
    }
    definition["x-nullable"] = true.into();
}

/// Removes examples, which make up most of a description. `examples` may also be the name of a property, whose parent has
/// no `schema`.
fn remove_examples(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            if fields.contains_key("schema") {
                fields.remove("examples");
            }
            fields.values_mut().for_each(remove_examples);
        }
        Value::Array(items) => items.iter_mut().for_each(remove_examples),
        _ => {}
    }
}

/// Adds the JSON pointers of all references.
fn collect_references(value: &Value, pointers: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            let reference = fields.get("$ref").and_then(Value::as_str);
            pointers.extend(reference.and_then(|reference| reference.strip_prefix('#')).map(str::to_owned));
            fields.values().for_each(|value| collect_references(value, pointers));
        }
        Value::Array(items) => items.iter().for_each(|value| collect_references(value, pointers)),
        _ => {}
    }
}

/// Sets the value at a JSON pointer and creates missing parents.
fn insert_at(into: &mut Value, pointer: &str, value: Value) {
    let slot = pointer.split('/').skip(1).fold(into, |parent, key| {
        if !parent.is_object() {
            *parent = Value::Object(Map::new());
        }
        &mut parent[key]
    });
    *slot = value;
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::reduced;

    #[test]
    fn kept_paths_bring_what_they_refer_to() {
        let full = json!({
            "openapi": "3.0.3",
            "servers": [],
            "paths": {
                "/user": {
                    "get": { "schema": { "$ref": "#/components/schemas/a" }, "examples": { "$ref": "#/components/examples/x" } },
                    "post": { "$ref": "#/components/schemas/d" },
                },
                "/other": { "get": { "$ref": "#/components/schemas/d" } },
            },
            "components": {
                "schemas": { "a": { "b": { "$ref": "#/components/schemas/b" } }, "b": { "a": { "$ref": "#/components/schemas/a" } }, "d": 1 },
                "examples": { "x": 1 },
            },
        });
        let schemas = full["components"]["schemas"].clone();
        let expected = json!({
            "openapi": "3.0.3",
            "paths": { "/user": { "get": { "schema": { "$ref": "#/components/schemas/a" } } } },
            "components": { "schemas": { "a": schemas["a"], "b": schemas["b"] } },
        });
        assert_eq!(reduced(&full), expected);
    }

    #[test]
    fn swagger_2_definitions_become_nullable() {
        let full = json!({
            "swagger": "2.0",
            "paths": { "/user": { "get": { "$ref": "#/definitions/a" } } },
            "definitions": { "a": { "properties": { "b": { "type": "string" }, "c": { "$ref": "#/definitions/d" } } }, "d": {} },
        });
        let definitions = json!({
            "a": {
                "properties": { "b": { "type": "string", "x-nullable": true }, "c": { "$ref": "#/definitions/d" } },
                "x-nullable": true,
            },
            "d": { "x-nullable": true },
        });
        assert_eq!(reduced(&full)["definitions"], definitions);
    }
}
