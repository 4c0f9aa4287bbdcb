//! The agent's environment: the user's own, the env files, and what keeps its shells from waiting for a terminal.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use kugetsu_domain::redact::is_secret;
use secrecy::{ExposeSecret, SecretString};

/// A variable of an env file.
#[derive(Clone, Debug)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// Its value; some are secrets, so all are treated as such.
    pub value: SecretString,
}

/// Nothing in an agent's shell may wait for a person: editors take what is there, pagers print, questions are refused.
/// These win over everything else.
const UNATTENDED: &[(&str, &str)] = &[
    ("GIT_EDITOR", "true"),
    ("GIT_SEQUENCE_EDITOR", "true"),
    ("EDITOR", "true"),
    ("VISUAL", "true"),
    ("GIT_TERMINAL_PROMPT", "0"),
    ("GIT_ASKPASS", "true"),
    ("SSH_ASKPASS", "true"),
    ("GIT_MERGE_AUTOEDIT", "no"),
    ("GIT_PAGER", "cat"),
    ("PAGER", "cat"),
    ("MANPAGER", "cat"),
    ("SYSTEMD_PAGER", "cat"),
    ("GH_PROMPT_DISABLED", "1"),
    ("DEBIAN_FRONTEND", "noninteractive"),
];

/// Variables that would lead the agent's git away from its worktree, or tell it of a terminal or of our own plumbing.
const NOT_PASSED_ON: &[&str] = &[
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_NAMESPACE",
    "GIT_PREFIX",
    "GIT_CEILING_DIRECTORIES",
    "KUGETSU_LOG",
    "NOTIFY_SOCKET",
    "LISTEN_FDS",
    "LISTEN_PID",
    "TMUX",
    "STY",
    "OLDPWD",
    "PWD",
];

/// The whole environment of an agent that works in `worktree`.
pub fn environment(
    inherited: impl IntoIterator<Item = (OsString, OsString)>,
    files: &[Variable],
    temporary: &Path,
) -> Vec<(OsString, OsString)> {
    let mut all: Vec<(OsString, OsString)> = Vec::new();
    let mut set = |name: &OsStr, value: &OsStr| {
        all.retain(|(known, _)| known != name);
        all.push((name.to_owned(), value.to_owned()));
    };
    for (name, value) in inherited {
        if !NOT_PASSED_ON.iter().any(|left_out| name == *left_out) {
            set(&name, &value);
        }
    }
    for variable in files {
        set(variable.name.as_ref(), variable.value.expose_secret().as_ref());
    }
    for (name, value) in UNATTENDED {
        set(name.as_ref(), value.as_ref());
    }
    // ssh asks on the terminal by itself; a command that the user chose knows better.
    if std::env::var_os("GIT_SSH_COMMAND").is_none() && !files.iter().any(|variable| variable.name == "GIT_SSH_COMMAND")
    {
        set("GIT_SSH_COMMAND".as_ref(), "ssh -oBatchMode=yes".as_ref());
    }
    for name in ["TMPDIR", "TMP", "TEMP", "KUGETSU_TEMP_DIR"] {
        set(name.as_ref(), temporary.as_os_str());
    }
    all
}

/// The values that must not be seen: of variables with a secret's name, and of such keys inside of JSON values (an
/// agent's configuration often travels in one variable).
pub fn secrets(inherited: impl IntoIterator<Item = (OsString, OsString)>, files: &[Variable]) -> Vec<String> {
    let inherited =
        inherited.into_iter().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let files = files.iter().map(|variable| (variable.name.clone(), variable.value.expose_secret().to_owned()));
    let mut found = Vec::new();
    for (name, value) in inherited.chain(files) {
        if is_secret(&name, &value) {
            found.push(value);
        } else if value.trim_start().starts_with('{')
            && let Ok(value) = serde_json::from_str(&value)
        {
            secrets_in(&value, &mut found);
        }
    }
    found
}

fn secrets_in(value: &serde_json::Value, found: &mut Vec<String>) {
    match value {
        serde_json::Value::Object(fields) => {
            for (name, value) in fields {
                match value.as_str() {
                    Some(text) if is_secret(name, text) => found.push(text.to_owned()),
                    _ => secrets_in(value, found),
                }
            }
        }
        serde_json::Value::Array(values) => values.iter().for_each(|value| secrets_in(value, found)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variable(name: &str, value: &str) -> Variable {
        Variable { name: name.to_owned(), value: value.to_owned().into() }
    }

    fn value<'a>(all: &'a [(OsString, OsString)], name: &str) -> Option<&'a str> {
        let mut found = all.iter().filter(|(known, _)| known == name);
        let (_, value) = found.next()?;
        assert!(found.next().is_none(), "{name} is there twice");
        value.to_str()
    }

    #[test]
    fn nothing_can_wait_for_a_terminal() {
        let inherited = [("EDITOR", "vim"), ("GIT_DIR", "/elsewhere"), ("HOME", "/home/me"), ("TMPDIR", "/tmp")];
        let inherited = inherited.map(|(name, value)| (name.into(), value.into()));
        let files = [variable("GIT_EDITOR", "nano"), variable("MY_KEY", "x")];
        let all = environment(inherited, &files, Path::new("/run/tmp"));
        assert_eq!(value(&all, "EDITOR"), Some("true"));
        assert_eq!(value(&all, "GIT_EDITOR"), Some("true"));
        assert_eq!(value(&all, "GIT_TERMINAL_PROMPT"), Some("0"));
        assert_eq!(value(&all, "PAGER"), Some("cat"));
        assert_eq!(value(&all, "GIT_DIR"), None);
        assert_eq!(value(&all, "HOME"), Some("/home/me"));
        assert_eq!(value(&all, "MY_KEY"), Some("x"));
        assert_eq!(value(&all, "TMPDIR"), Some("/run/tmp"));
        assert_eq!(value(&all, "KUGETSU_TEMP_DIR"), Some("/run/tmp"));
    }

    #[test]
    fn secrets_are_found_by_name_also_inside_of_json() {
        let files = [
            variable("GITEA_TOKEN", "tok-123456"),
            variable("PLAIN", "not-a-secret"),
            variable("MAX_TOKENS", "128000"),
            variable("OPENCODE_CONFIG_CONTENT", r#"{"provider":{"x":{"options":{"apiKey":"sk-abcdef","n":1}}}}"#),
        ];
        assert_eq!(secrets([], &files), ["tok-123456", "sk-abcdef"]);
    }
}
