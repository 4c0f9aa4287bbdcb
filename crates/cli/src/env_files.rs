//! The env files (B7, C9): `env/default.env` for every agent, `env/<agent>.env` for one; the later file wins.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use kugetsu_agent::environment::Variable;
use kugetsu_api::home::Home;
use kugetsu_domain::redact::{MASK, Redactor, is_secret};
use secrecy::{ExposeSecret, SecretString};

use crate::assignments::{self, Assignment, Value};
use crate::atomic;
use crate::failure::Failure;
use crate::names::is_plain;

/// The file that every agent gets.
pub(crate) const DEFAULT: &str = "default";
/// The coordinator's file.
pub(crate) const PM_AGENT: &str = "pm-agent";

/// What is in a file, and what could not be read of it.
#[derive(Debug, Default)]
pub(crate) struct EnvFile {
    pub(crate) variables: Vec<Variable>,
    /// Each names the file and the line, and no value.
    pub(crate) faults: Vec<String>,
}

/// Where an agent's file is.
pub(crate) fn path(home: &Home, agent: &str) -> Result<PathBuf, Failure> {
    if !is_plain(agent) {
        return Err(Failure::usage(format!("{agent:?} is not an agent's name"))
            .hint("a name has letters, digits, `-`, `_` and `.` only"));
    }
    Ok(home.env().join(format!("{agent}.env")))
}

/// The agents that have a file, `default` first.
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

/// Reads one file; one that is not there is empty.
pub(crate) fn read(path: &Path) -> io::Result<EnvFile> {
    let (text, unreadable) = assignments::text(&bytes(path)?);
    let (read, faults) = assignments::read(&text);
    let faults = unreadable.iter().chain(&faults);
    let mut file = EnvFile {
        faults: faults.map(|fault| format!("{}:{}: {}", path.display(), fault.line, fault.why)).collect(),
        ..EnvFile::default()
    };
    for one in read {
        let fault = |why: &str| format!("{}:{}: {}: {why}", path.display(), one.line, one.name);
        match &one.value {
            Value::Text(value) if value.contains('\0') => {
                file.faults.push(fault("the value holds a NUL character; it is left out"));
            }
            Value::Text(value) => {
                if one.expands {
                    file.faults.push(fault("`$` and backquotes stay as they are, since env files are not executed"));
                }
                put(&mut file.variables, Variable { name: one.name, value: SecretString::from(value.clone()) });
            }
            Value::List(_) => file.faults.push(fault("a variable cannot be an array; it is left out")),
        }
    }
    Ok(file)
}

/// Everything that reaches an agent: the default file, then those of its own, of which the later one wins.
pub(crate) fn reaching(home: &Home, own: &[&str]) -> Result<EnvFile, Failure> {
    let mut all = EnvFile::default();
    for name in std::iter::once(DEFAULT).chain(own.iter().copied().filter(|agent| *agent != DEFAULT)) {
        let path = path(home, name)?;
        let file = read(&path).map_err(|error| unreadable(&path, &error))?;
        all.faults.extend(file.faults);
        for variable in file.variables {
            put(&mut all.variables, variable);
        }
    }
    Ok(all)
}

/// The values that are masked wherever they turn up (B8).
pub(crate) fn redactor(variables: &[Variable]) -> Redactor {
    Redactor::new(kugetsu_agent::environment::secrets([], variables))
}

/// A value as it may be shown.
pub(crate) fn shown(variable: &Variable, redactor: &Redactor) -> String {
    let value = variable.value.expose_secret();
    if is_secret(&variable.name, value) { MASK.to_owned() } else { redactor.mask(value) }
}

/// Sets a variable; everything else in the file stays as it is.
pub(crate) fn set(path: &Path, name: &str, value: &str) -> Result<(), Failure> {
    if !assignments::is_name(name) {
        return Err(Failure::usage(format!("{name:?} is not a variable's name"))
            .hint("a name has letters, digits and `_`, and does not begin with a digit"));
    }
    if value.contains('\0') {
        return Err(Failure::usage("a variable's value cannot hold a NUL character"));
    }
    edit(path, name, Some(&assignments::written(name, value))).map(drop)
}

/// Removes a variable; says whether it was there.
pub(crate) fn remove(path: &Path, name: &str) -> Result<bool, Failure> {
    edit(path, name, None)
}

/// A file that cannot be read.
pub(crate) fn unreadable(path: &Path, error: &io::Error) -> Failure {
    Failure::new(format!("{} cannot be read: {error}", path.display()))
}

/// Puts `new` in the place of the variable's last assignment, or at the end; earlier ones go, so that none comes back.
fn edit(path: &Path, name: &str, new: Option<&str>) -> Result<bool, Failure> {
    let directory = path.parent().unwrap_or(path);
    let _held = atomic::changing(directory).map_err(|error| unreadable(directory, &error))?;
    let (mut text, faults) = assignments::text(&bytes(path).map_err(|error| unreadable(path, &error))?);
    if let Some(fault) = faults.first() {
        return Err(Failure::new(format!("{} is not changed: {fault}", path.display()))
            .hint("what is not UTF-8 would be lost; correct that line in an editor, then try again"));
    }
    let (read, _) = assignments::read(&text);
    let own: Vec<&Assignment> = read.iter().filter(|one| one.name == name).collect();
    let found = !own.is_empty();
    for (later, one) in own.iter().rev().enumerate() {
        match new {
            Some(new) if later == 0 => text.replace_range(one.range.clone(), new),
            _ => {
                // With its line's end, when nothing else stands in the line.
                let begins = text[..one.range.start].ends_with('\n') || one.range.start == 0;
                let ends = text[one.range.end..].starts_with('\n');
                let end = if begins && ends { one.range.end + 1 } else { one.range.end };
                text.replace_range(one.range.start..end, "");
            }
        }
    }
    if let (false, Some(new)) = (found, new) {
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        text.push_str(new);
        text.push('\n');
    }
    if found || new.is_some() {
        atomic::write(path, &text)
            .map_err(|error| Failure::new(format!("{} cannot be written: {error}", path.display())))?;
    }
    Ok(found)
}

fn put(variables: &mut Vec<Variable>, new: Variable) {
    variables.retain(|one| one.name != new.name);
    variables.push(new);
}

fn bytes(path: &Path) -> io::Result<Vec<u8>> {
    match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        read => read,
    }
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
    fn the_agents_own_file_wins_over_the_default_one() {
        let (_directory, home) = home();
        fs::write(home.env().join("default.env"), "A=1\nexport B=2\n").unwrap();
        fs::write(home.env().join("pm-agent.env"), "export B=3\nC=4\n").unwrap();
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(pairs(&reaching(&home, &[]).unwrap()), [pair("A", "1"), pair("B", "2")]);
        assert_eq!(pairs(&reaching(&home, &[PM_AGENT]).unwrap()), [pair("A", "1"), pair("B", "3"), pair("C", "4")]);
        assert_eq!(agents(&home).unwrap(), ["default", "pm-agent"]);
    }

    #[test]
    fn setting_keeps_everything_else() {
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
        let shown: Vec<String> = file.variables.iter().map(|one| shown(one, &redactor)).collect();
        assert_eq!(shown, ["***", "https://h/?k=***", "vi"]);
        assert!(!format!("{file:?}").contains("abcdef123"));
    }

    #[test]
    fn a_line_that_is_not_utf_8_spoils_neither_the_others_nor_itself() {
        let (_directory, home) = home();
        let path = path(&home, DEFAULT).unwrap();
        let text = b"# caf\xe9\nA=1\nB=\xff\n";
        fs::write(&path, text).unwrap();
        let file = read(&path).unwrap();
        assert_eq!(pairs(&file), [("A".to_owned(), "1".to_owned())]);
        assert_eq!(file.faults.len(), 2, "{:?}", file.faults);
        assert!(set(&path, "A", "2").unwrap_err().message.contains("line 1"));
        assert_eq!(fs::read(&path).unwrap(), text);
    }

    #[test]
    fn an_agents_name_cannot_leave_the_folder() {
        let home = Home::new("/h".into());
        for name in ["", "../x", "a/b", ".x", "-x", "a\nb"] {
            assert!(path(&home, name).is_err(), "{name}");
        }
        assert!(path(&home, "my-agent.2").is_ok());
    }
}
