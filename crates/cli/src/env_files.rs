//! The env files: `env/default.env` for every agent, `env/<agent>.env` for a single one. The agent's own file wins.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use kugetsu_agent::environment::Variable;
use kugetsu_api::home::Home;
use kugetsu_api::regular_file;
use kugetsu_domain::redact::{MASK, Redactor, is_secret, is_secret_field, is_secret_name};
use secrecy::{ExposeSecret, SecretString};

use crate::assignments::{self, Assignment, Value};
use crate::atomic;
use crate::failure::Failure;
use crate::names::is_plain;

/// Name of the file that applies to every agent.
pub(crate) const DEFAULT: &str = "default";
/// Name of the coordinator's file.
pub(crate) const PM_AGENT: &str = "pm-agent";

/// The text of a new `env/default.env`.
pub(crate) const DEFAULT_TEMPLATE: &str = "\
# Variables for every agent, one per line: NAME=value or export NAME=value. Nothing is executed.
# Values of names with TOKEN, SECRET, PASSWORD or API_KEY are masked in all output.
#GITHUB_TOKEN=
";

/// The text of a new `env/pm-agent.env`.
pub(crate) const PM_AGENT_TEMPLATE: &str = "# Variables for the coordinator. They win over default.env.\n";

#[derive(Debug, Default)]
pub(crate) struct EnvFile {
    pub(crate) variables: Vec<Variable>,
    /// Problems with single lines, as `path:line: message`. They never contain a value.
    pub(crate) diagnostics: Vec<String>,
}

pub(crate) fn path(home: &Home, agent: &str) -> Result<PathBuf, Failure> {
    if !is_plain(agent) {
        return Err(
            Failure::usage(format!("invalid agent name {agent:?}")).hint("use only letters, digits, `-`, `_` and `.`")
        );
    }
    Ok(home.env().join(format!("{agent}.env")))
}

/// Names of the agents that have an env file, `default` first.
pub(crate) fn agents(home: &Home) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    let listing = match fs::read_dir(home.env()) {
        Ok(listing) => listing,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(names),
        Err(error) => return Err(error),
    };
    for entry in listing {
        let name = entry?.file_name();
        if let Some(agent) = name.to_str().and_then(|name| name.strip_suffix(".env")).filter(|name| !name.is_empty()) {
            names.push(agent.to_owned());
        }
    }
    names.sort_by_key(|name| (name != DEFAULT, name.clone()));
    Ok(names)
}

/// Reads an env file. A missing file is an empty one.
pub(crate) fn read(path: &Path) -> io::Result<EnvFile> {
    let (text, undecodable) = assignments::decode(&bytes(path)?);
    let (assignments, unparsable) = assignments::parse(&text);
    let diagnostics = undecodable.iter().chain(&unparsable);
    let mut file = EnvFile {
        diagnostics: diagnostics.map(|one| format!("{}:{}: {}", path.display(), one.line, one.message)).collect(),
        ..EnvFile::default()
    };
    for one in assignments {
        let diagnostic = |message: &str| format!("{}:{}: {}: {message}", path.display(), one.line, one.name);
        match &one.value {
            Value::Text(value) if value.contains('\0') => {
                file.diagnostics.push(diagnostic("variable ignored: the value contains a NUL character"));
            }
            Value::Text(value) => {
                if one.expands {
                    file.diagnostics
                        .push(diagnostic("`$` and backquotes are kept verbatim: env files are not executed"));
                }
                let value = SecretString::from(value.clone());
                upsert(&mut file.variables, Variable { name: one.name, value, is_own: false });
            }
            Value::List(_) => file.diagnostics.push(diagnostic("variable ignored: the value is an array")),
        }
    }
    Ok(file)
}

/// Merges `default.env` with the given files; a later file wins.
pub(crate) fn merged(home: &Home, agents: &[&str]) -> Result<EnvFile, Failure> {
    let mut all = EnvFile::default();
    for name in std::iter::once(DEFAULT).chain(agents.iter().copied().filter(|agent| *agent != DEFAULT)) {
        let path = path(home, name)?;
        let file = read(&path).map_err(|error| unreadable(&path, &error))?;
        all.diagnostics.extend(file.diagnostics);
        let is_own = name != DEFAULT && name != PM_AGENT;
        for variable in file.variables {
            upsert(&mut all.variables, Variable { is_own, ..variable });
        }
    }
    Ok(all)
}

/// The variables of all env files that can be read.
pub(crate) fn all_variables(home: &Home) -> Vec<Variable> {
    let paths = agents(home).unwrap_or_default().into_iter().filter_map(|agent| path(home, &agent).ok());
    paths.filter_map(|path| read(&path).ok()).flat_map(|file| file.variables).collect()
}

/// Masks the values of secret variables in any text.
pub(crate) fn redactor(variables: &[Variable]) -> Redactor {
    Redactor::new(kugetsu_agent::environment::secrets([], variables))
}

/// The value for display: masked if it is a secret or contains one.
pub(crate) fn display_value(variable: &Variable, redactor: &Redactor) -> String {
    let value = variable.value.expose_secret();
    if is_secret(&variable.name, value) {
        return MASK.to_owned();
    }
    if !value.trim_start().starts_with(['{', '[']) {
        return redactor.mask(value);
    }
    match serde_json::from_str::<serde_json::Value>(value) {
        Ok(mut json) => {
            if mask_fields(&mut json) {
                return redactor.mask(&json.to_string());
            }
            redactor.mask(value)
        }
        // It may be JSON with comments, and nothing says where a secret is.
        Err(_) if value.contains('"') => MASK.to_owned(),
        Err(_) => redactor.mask(value),
    }
}

/// Masks the fields of a JSON value that hold secrets. Returns whether there are any.
fn mask_fields(json: &mut serde_json::Value) -> bool {
    let mut found = false;
    match json {
        serde_json::Value::Object(fields) => {
            for (name, value) in fields.iter_mut() {
                let text = match value {
                    serde_json::Value::String(text) => Some(text.clone()),
                    serde_json::Value::Number(number) => Some(number.to_string()),
                    _ => None,
                };
                if text.is_some_and(|text| !text.is_empty() && is_secret_field(name, &text)) {
                    *value = serde_json::Value::from(MASK);
                    found = true;
                } else {
                    found |= mask_fields(value);
                }
            }
        }
        serde_json::Value::Array(values) => {
            for value in values {
                found |= mask_fields(value);
            }
        }
        _ => {}
    }
    found
}

/// Describes the harm that setting a variable of this name may do; `None` for an ordinary variable.
pub(crate) fn concern(name: &str) -> Option<&'static str> {
    Some(match name {
        "PATH" => "agents find only programs in these directories, also git and the agent itself",
        "HOME" => "agents find neither their login and settings nor those of git",
        "SHELL" | "BASH_ENV" | "ENV" => "it decides how every command of an agent starts",
        "TMPDIR" | "TMP" | "TEMP" => "files there are not removed with the run",
        "USER" | "LOGNAME" | "PWD" => "programs expect the real value",
        "NODE_OPTIONS" | "PYTHONPATH" | "PYTHONHOME" | "PYTHONSTARTUP" | "RUBYOPT" | "PERL5OPT"
        | "JAVA_TOOL_OPTIONS" => "it changes every program in that language, maybe also the agent itself",
        _ if name.starts_with("LD_") || name.starts_with("DYLD_") => {
            "it makes every program of an agent load other libraries"
        }
        _ if name.starts_with("XDG_") => "agents look for their login, settings and sessions elsewhere",
        _ if name.starts_with("GIT_") && name != "GIT_SSH_COMMAND" && !is_secret_name(name) => {
            "it changes what git does in every worktree"
        }
        _ => return None,
    })
}

/// Sets a variable and leaves the rest of the file unchanged.
pub(crate) fn set(path: &Path, name: &str, value: &str) -> Result<(), Failure> {
    if !assignments::is_name(name) {
        return Err(Failure::usage(format!("invalid variable name {name:?}"))
            .hint("use only letters, digits and `_`, and do not start with a digit"));
    }
    if value.contains('\0') {
        return Err(Failure::usage(format!("the value of {name} contains a NUL character")));
    }
    edit(path, name, Some(value)).map(drop)
}

/// Removes a variable. Returns whether it was set.
pub(crate) fn remove(path: &Path, name: &str) -> Result<bool, Failure> {
    edit(path, name, None)
}

pub(crate) fn unreadable(path: &Path, error: &io::Error) -> Failure {
    Failure::new(format!("could not read {}: {error}", path.display()))
}

/// Replaces the last assignment of the variable, or appends one. Earlier assignments are removed; otherwise removing the
/// variable would bring one of them back.
fn edit(path: &Path, name: &str, value: Option<&str>) -> Result<bool, Failure> {
    let directory = path.parent().unwrap_or(path);
    let _lock = atomic::lock_directory(directory).map_err(|error| unreadable(directory, &error))?;
    let (mut text, undecodable) = assignments::decode(&bytes(path).map_err(|error| unreadable(path, &error))?);
    if let Some(line) = undecodable.first() {
        return Err(Failure::new(format!(
            "could not change {}: line {} is not valid UTF-8",
            path.display(),
            line.line
        ))
        .hint("the line would be lost; correct it in an editor and try again"));
    }
    let (assignments, unparsable) = assignments::parse(&text);
    let others_before = others(&assignments, name);
    let own: Vec<&Assignment> = assignments.iter().filter(|one| one.name == name).collect();
    let was_set = !own.is_empty();
    let new = value.map(|value| assignments::format_assignment(name, value));
    // From the end, so that the ranges of earlier assignments stay valid.
    for (index, one) in own.iter().rev().enumerate() {
        match &new {
            Some(new) if index == 0 => text.replace_range(one.range.clone(), new),
            _ => {
                // Include the line break if the line contains nothing else.
                let begins = text[..one.range.start].ends_with('\n') || one.range.start == 0;
                let ends = text[one.range.end..].starts_with('\n');
                let end = if begins && ends { one.range.end + 1 } else { one.range.end };
                text.replace_range(one.range.start..end, "");
            }
        }
    }
    if let (false, Some(new)) = (was_set, &new) {
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        text.push_str(new);
        text.push('\n');
    }
    // A quote in the new value would end an unterminated one above it.
    let (after, _) = assignments::parse(&text);
    let own: Vec<Value> = after.iter().filter(|one| one.name == name).map(|one| one.value.clone()).collect();
    let expected: Vec<Value> = value.map(|value| Value::Text(value.to_owned())).into_iter().collect();
    if others(&after, name) != others_before || own != expected {
        let line = unparsable.first().map(|line| format!(": {line}")).unwrap_or_default();
        return Err(Failure::new(format!(
            "could not change {} without changing other variables{line}",
            path.display()
        ))
        .hint("correct the file in an editor and try again"));
    }
    if was_set || new.is_some() {
        atomic::write(path, &text)
            .map_err(|error| Failure::new(format!("could not write {}: {error}", path.display())))?;
    }
    Ok(was_set)
}

/// All other variables with their values.
fn others(assignments: &[Assignment], name: &str) -> Vec<(String, Value)> {
    let others = assignments.iter().filter(|one| one.name != name);
    others.map(|one| (one.name.clone(), one.value.clone())).collect()
}

fn upsert(variables: &mut Vec<Variable>, new: Variable) {
    variables.retain(|one| one.name != new.name);
    variables.push(new);
}

fn bytes(path: &Path) -> io::Result<Vec<u8>> {
    regular_file::read_if_there(path).map(Option::unwrap_or_default)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(file: &EnvFile) -> Vec<(String, String)> {
        file.variables.iter().map(|one| (one.name.clone(), one.value.expose_secret().to_owned())).collect()
    }

    fn home() -> (tempfile::TempDir, Home) {
        let directory = tempfile::tempdir().unwrap();
        let home = Home::new(directory.path().join("kugetsu"));
        home.create().unwrap();
        (directory, home)
    }

    #[test]
    fn own_file_of_an_agent_wins_over_the_default_file() {
        let (_directory, home) = home();
        fs::write(home.env().join("default.env"), "A=1\nexport B=2\n").unwrap();
        fs::write(home.env().join("pm-agent.env"), "export B=3\nC=4\n").unwrap();
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(pairs(&merged(&home, &[]).unwrap()), [pair("A", "1"), pair("B", "2")]);
        assert_eq!(pairs(&merged(&home, &[PM_AGENT]).unwrap()), [pair("A", "1"), pair("B", "3"), pair("C", "4")]);
        assert_eq!(agents(&home).unwrap(), ["default", "pm-agent"]);

        fs::write(home.env().join("mine.env"), "B=5\nC=6\n").unwrap();
        let merged = merged(&home, &["mine", PM_AGENT]).unwrap();
        let own: Vec<_> = merged.variables.iter().map(|one| (one.name.as_str(), one.is_own)).collect();
        assert_eq!(own, [("A", false), ("B", false), ("C", false)], "the last file that sets it");
        let merged = super::merged(&home, &["mine"]).unwrap();
        assert!(merged.variables.iter().all(|one| one.is_own == (one.name != "A")), "{merged:?}");
    }

    #[test]
    fn set_and_remove_keep_the_rest_of_the_file() {
        let (_directory, home) = home();
        let path = path(&home, DEFAULT).unwrap();
        fs::write(&path, "# mine\nA=1\nexport TOKEN=old # here\nTOKEN=older\nB=2").unwrap();
        set(&path, "TOKEN", "it's new").unwrap();
        set(&path, "C", "3").unwrap();
        let expected = "# mine\nA=1\n # here\nTOKEN='it'\\''s new'\nB=2\nC=3\n";
        assert_eq!(fs::read_to_string(&path).unwrap(), expected);
        assert!(remove(&path, "A").unwrap());
        assert!(!remove(&path, "A").unwrap());
        assert_eq!(pairs(&read(&path).unwrap()).len(), 3);
        assert!(set(&path, "NO WAY", "x").is_err());
    }

    #[test]
    fn secrets_are_masked_by_name_and_by_value() {
        let (_directory, home) = home();
        let path = path(&home, DEFAULT).unwrap();
        fs::write(&path, "MY_API_KEY=abcdef123\nURL=https://h/?k=abcdef123\nEDITOR=vi\n").unwrap();
        let file = read(&path).unwrap();
        let redactor = redactor(&file.variables);
        let displayed: Vec<String> = file.variables.iter().map(|one| display_value(one, &redactor)).collect();
        assert_eq!(displayed, ["***", "https://h/?k=***", "vi"]);

        let config = r#"A='{"provider":{"x":{"options":{"apiKey":"k1","headers":[{"X-Api-Key":7}]}}},"keybinds":{"key":"ctrl+x"}}'"#;
        fs::write(&path, format!("{config}\nB='{{\"a\":\"b\"}}'\nC='{{\"apiKey\": \"k2\", // mine\n}}'\n")).unwrap();
        let file = read(&path).unwrap();
        let shown = |name: &str| {
            let variable = file.variables.iter().find(|one| one.name == name).unwrap();
            display_value(variable, &super::redactor(&file.variables))
        };
        assert!(
            !shown("A").contains("k1") && !shown("A").contains('7') && shown("A").contains("ctrl+x"),
            "{}",
            shown("A")
        );
        assert_eq!(shown("B"), r#"{"a":"b"}"#, "a value without secrets is unchanged");
        assert_eq!(shown("C"), "***");
        assert!(!format!("{file:?}").contains("abcdef123"));
    }

    #[test]
    fn variables_that_break_programs_are_a_concern() {
        for name in ["PATH", "HOME", "LD_PRELOAD", "XDG_DATA_HOME", "GIT_DIR", "NODE_OPTIONS"] {
            assert!(concern(name).is_some(), "{name}");
        }
        for name in ["MY_MODE", "GITHUB_TOKEN", "GIT_SSH_COMMAND", "GIT_TOKEN"] {
            assert!(concern(name).is_none(), "{name}");
        }
    }

    #[test]
    fn a_line_that_is_not_utf_8_is_reported_and_never_overwritten() {
        let (_directory, home) = home();
        let path = path(&home, DEFAULT).unwrap();
        let text = b"# caf\xe9\nA=1\nB=\xff\n";
        fs::write(&path, text).unwrap();
        let file = read(&path).unwrap();
        assert_eq!(pairs(&file), [("A".to_owned(), "1".to_owned())]);
        assert_eq!(file.diagnostics.len(), 2, "{:?}", file.diagnostics);
        assert!(set(&path, "A", "2").unwrap_err().message.contains("line 1"));
        assert_eq!(fs::read(&path).unwrap(), text);
    }

    #[test]
    fn agent_names_cannot_escape_the_env_directory() {
        let home = Home::new("/h".into());
        for name in ["", "../x", "a/b", ".x", "-x", "a\nb"] {
            assert!(path(&home, name).is_err(), "{name}");
        }
        assert!(path(&home, "my-agent.2").is_ok());
    }
}
