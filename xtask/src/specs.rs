//! `cargo xtask specs <github.json> <forgejo.json>`: cuts the descriptions of GitHub's and Forgejo's API to what our
//! client asks, so that they can lie beside the tests and a contract server starts in seconds with them.
//!
//! The first is `generated/api.github.com.json` of the npm package `@octokit/openapi`, the second `swagger.v1.json` of the
//! crate `forgejo-api`.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::{Map, Value};

use crate::root::root;
use crate::step::Answer;

/// What is kept, as both write it.
const PATHS: &[&str] = &[
    "/meta",
    "/version",
    "/user",
    "/repos/{owner}/{repo}",
    "/repos/{owner}/{repo}/issues/{issue_number}",
    "/repos/{owner}/{repo}/issues/{index}",
    "/repos/{owner}/{repo}/pulls",
    "/repos/{owner}/{repo}/pulls/{pull_number}",
    "/repos/{owner}/{repo}/pulls/{index}",
];

/// The only method that is asked.
const METHOD: &str = "get";

pub(crate) fn run(github: &str, forgejo: &str) -> Answer {
    for (from, to) in [(github, "github.json"), (forgejo, "forgejo.json")] {
        let to = root().join("crates/forge/tests/data/specs").join(to);
        cut(Path::new(from), &to)?;
        println!("    {}", to.display());
    }
    Ok(())
}

fn cut(from: &Path, to: &Path) -> Answer {
    let text = fs::read(from).map_err(|error| format!("{}: {error}", from.display()))?;
    let whole: Value = serde_json::from_slice(&text).map_err(|error| format!("{}: {error}", from.display()))?;
    let text = serde_json::to_string(&reduced(&whole)).map_err(|error| error.to_string())?;
    fs::write(to, text + "\n").map_err(|error| format!("{}: {error}", to.display()))
}

/// The description of the kept paths, and of what they refer to.
fn reduced(whole: &Value) -> Value {
    let mut kept = Map::new();
    for name in ["openapi", "swagger", "info", "consumes", "produces", "securityDefinitions", "security"] {
        kept.extend(whole.get(name).map(|value| (name.to_owned(), value.clone())));
    }
    let mut paths = Map::new();
    for path in PATHS {
        let Some(Value::Object(all)) = whole["paths"].get(*path) else { continue };
        let wanted = all.iter().filter(|(name, _)| *name == METHOD || *name == "parameters");
        paths.insert((*path).to_owned(), wanted.map(|(name, value)| (name.clone(), value.clone())).collect());
    }
    kept.insert("paths".to_owned(), Value::Object(paths));
    let mut kept = Value::Object(kept);
    without_examples(&mut kept);

    let mut added = BTreeSet::new();
    loop {
        let mut wanted = BTreeSet::new();
        references(&kept, &mut wanted);
        let new: Vec<String> = wanted.difference(&added).cloned().collect();
        if new.is_empty() {
            break;
        }
        for pointer in new {
            let mut value = whole.pointer(&pointer).cloned().unwrap_or_default();
            without_examples(&mut value);
            put(&mut kept, &pointer, value);
            added.insert(pointer);
        }
    }
    if let Some(Value::Object(definitions)) = kept.get_mut("definitions") {
        definitions.values_mut().for_each(may_be_null);
    }
    kept
}

/// Version 2 of the format has no word for null, and servers that are described in it write null for whatever is not
/// set. This is the word of its tools. Beside a reference nothing is looked at, so what it leads to has it.
fn may_be_null(definition: &mut Value) {
    let properties = definition.get_mut("properties").and_then(Value::as_object_mut);
    for property in properties.into_iter().flat_map(|properties| properties.values_mut()) {
        if property.get("$ref").is_none() {
            property["x-nullable"] = true.into();
        }
    }
    definition["x-nullable"] = true.into();
}

/// Examples make most of a description and bind nobody. A property may be called so too: that one is a schema's child.
fn without_examples(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            if fields.contains_key("schema") {
                fields.remove("examples");
            }
            fields.values_mut().for_each(without_examples);
        }
        Value::Array(items) => items.iter_mut().for_each(without_examples),
        _ => {}
    }
}

/// Everything that is referred to, as JSON pointers.
fn references(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            let reference = fields.get("$ref").and_then(Value::as_str);
            found.extend(reference.and_then(|reference| reference.strip_prefix('#')).map(str::to_owned));
            fields.values().for_each(|value| references(value, found));
        }
        Value::Array(items) => items.iter().for_each(|value| references(value, found)),
        _ => {}
    }
}

/// Puts a value where a pointer leads.
fn put(into: &mut Value, pointer: &str, value: Value) {
    let place = pointer.split('/').skip(1).fold(into, |place, part| {
        if !place.is_object() {
            *place = Value::Object(Map::new());
        }
        &mut place[part]
    });
    *place = value;
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::reduced;

    #[test]
    fn what_is_kept_is_whole() {
        let whole = json!({
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
        let schemas = whole["components"]["schemas"].clone();
        let expected = json!({
            "openapi": "3.0.3",
            "paths": { "/user": { "get": { "schema": { "$ref": "#/components/schemas/a" } } } },
            "components": { "schemas": { "a": schemas["a"], "b": schemas["b"] } },
        });
        assert_eq!(reduced(&whole), expected);
    }

    #[test]
    fn what_the_old_format_cannot_say_is_said() {
        let whole = json!({
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
        assert_eq!(reduced(&whole)["definitions"], definitions);
    }
}
