//! The environment of an agent: the user's, the env files, and variables that keep programs from waiting for input.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use kugetsu_domain::git_variables::is_inherited;
use kugetsu_domain::redact::{is_secret, is_secret_field};
use secrecy::{ExposeSecret, SecretString};

/// A variable of an env file.
#[derive(Clone, Debug)]
pub struct Variable {
    pub name: String,
    /// Some values are secrets, so all are treated as such.
    pub value: SecretString,
    /// Whether the env file of the agent itself sets it, rather than one for other agents, too.
    pub is_own: bool,
}

/// Keeps programs in the agent's shell from waiting for a person: editors accept the text unchanged, pagers print, and prompts
/// fail. These override all other variables.
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

/// Variables that refer to kugetsu's own terminal, directory or sockets.
const REMOVED: &[&str] = &["KUGETSU_LOG", "NOTIFY_SOCKET", "LISTEN_FDS", "LISTEN_PID", "TMUX", "STY", "OLDPWD", "PWD"];

/// Returns the whole environment of an agent. Env files override inherited variables. `ceilings` is the value
/// of `GIT_CEILING_DIRECTORIES`.
pub fn environment(
    inherited: impl IntoIterator<Item = (OsString, OsString)>,
    files: &[Variable],
    temporary: &Path,
    ceilings: &OsStr,
) -> Vec<(OsString, OsString)> {
    let mut all: Vec<(OsString, OsString)> = Vec::new();
    let mut set = |name: &OsStr, value: &OsStr| {
        all.retain(|(existing, _)| existing != name);
        all.push((name.to_owned(), value.to_owned()));
    };
    for (name, value) in inherited {
        if is_inherited(name.as_encoded_bytes()) && !REMOVED.iter().any(|removed| name == *removed) {
            set(&name, &value);
        }
    }
    for variable in files {
        set(variable.name.as_ref(), variable.value.expose_secret().as_ref());
    }
    for (name, value) in UNATTENDED {
        set(name.as_ref(), value.as_ref());
    }
    for name in ["TMPDIR", "TMP", "TEMP", "KUGETSU_TEMP_DIR"] {
        set(name.as_ref(), temporary.as_os_str());
    }
    set("GIT_CEILING_DIRECTORIES".as_ref(), ceilings);
    // ssh opens the terminal directly, so it needs an option. A program that the user chose is left alone.
    if !all.iter().any(|(name, _)| name == "GIT_SSH_COMMAND" || name == "GIT_SSH") {
        all.push(("GIT_SSH_COMMAND".into(), "ssh -oBatchMode=yes".into()));
    }
    all
}

/// Removes the variables with these names, unless the agent's own env file sets them.
pub fn withhold(env: &mut Vec<(OsString, OsString)>, names: &[String], files: &[Variable]) {
    let is_own = |name: &str| files.iter().any(|variable| variable.is_own && variable.name == name);
    let is_withheld = |name: &OsString| names.iter().any(|withheld| name == withheld.as_str() && !is_own(withheld));
    env.retain(|(name, _)| !is_withheld(name));
}

/// Returns the `PATH` of an agent: that of the env files, or else this process's own.
pub fn search_path(files: &[Variable]) -> OsString {
    let own = files.iter().rev().find(|variable| variable.name == "PATH");
    let own = own.map(|variable| variable.value.expose_secret().into());
    own.or_else(|| std::env::var_os("PATH")).unwrap_or_default()
}

/// Returns the secret values: those of variables with a secret's name, and of such keys in JSON values, because some agents
/// take their whole configuration from a variable.
pub fn secrets(inherited: impl IntoIterator<Item = (OsString, OsString)>, files: &[Variable]) -> Vec<String> {
    named_secrets(inherited, files).into_iter().map(|(_, value)| value).collect()
}

/// Returns the [secret values](secrets), each with the name of its variable.
pub fn named_secrets(
    inherited: impl IntoIterator<Item = (OsString, OsString)>,
    files: &[Variable],
) -> Vec<(String, String)> {
    let inherited =
        inherited.into_iter().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let files = files.iter().map(|variable| (variable.name.clone(), variable.value.expose_secret().to_owned()));
    let mut secrets = Vec::new();
    for (name, value) in inherited.chain(files) {
        if is_secret(&name, &value) {
            secrets.push((name, value));
        } else if value.trim_start().starts_with(['{', '['])
            && let Ok(value) = serde_json::from_str(&value)
        {
            let mut inside = Vec::new();
            secrets_in(&value, &mut inside);
            secrets.extend(inside.into_iter().map(|value| (name.clone(), value)));
        }
    }
    secrets
}

fn secrets_in(value: &serde_json::Value, secrets: &mut Vec<String>) {
    match value {
        serde_json::Value::Object(fields) => {
            for (name, value) in fields {
                match value.as_str() {
                    Some(text) if is_secret_field(name, text) => secrets.push(text.to_owned()),
                    _ => secrets_in(value, secrets),
                }
            }
        }
        serde_json::Value::Array(values) => values.iter().for_each(|value| secrets_in(value, secrets)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variable(name: &str, value: &str) -> Variable {
        Variable { name: name.to_owned(), value: value.to_owned().into(), is_own: false }
    }

    fn value<'a>(all: &'a [(OsString, OsString)], name: &str) -> Option<&'a str> {
        let mut matches = all.iter().filter(|(existing, _)| existing == name);
        let (_, value) = matches.next()?;
        assert!(matches.next().is_none(), "{name} occurs twice");
        value.to_str()
    }

    #[test]
    fn programs_cannot_wait_for_a_terminal() {
        let inherited = [
            ("EDITOR", "vim"),
            ("GIT_DIR", "/elsewhere"),
            ("GIT_AUTHOR_DATE", "2020-01-01"),
            ("GIT_CEILING_DIRECTORIES", "/"),
            ("HOME", "/home/me"),
            ("TMPDIR", "/tmp"),
        ];
        let inherited = inherited.map(|(name, value)| (name.into(), value.into()));
        let files = [variable("GIT_EDITOR", "nano"), variable("MY_KEY", "x")];
        let all = environment(inherited, &files, Path::new("/run/tmp"), OsStr::new("/w"));
        assert_eq!(value(&all, "EDITOR"), Some("true"));
        assert_eq!(value(&all, "GIT_EDITOR"), Some("true"));
        assert_eq!(value(&all, "GIT_TERMINAL_PROMPT"), Some("0"));
        assert_eq!(value(&all, "PAGER"), Some("cat"));
        assert_eq!((value(&all, "GIT_DIR"), value(&all, "GIT_AUTHOR_DATE")), (None, None));
        assert_eq!(value(&all, "GIT_CEILING_DIRECTORIES"), Some("/w"));
        assert_eq!(value(&all, "HOME"), Some("/home/me"));
        assert_eq!(value(&all, "MY_KEY"), Some("x"));
        assert_eq!(value(&all, "TMPDIR"), Some("/run/tmp"));
        assert_eq!(value(&all, "KUGETSU_TEMP_DIR"), Some("/run/tmp"));
    }

    #[test]
    fn git_finds_no_repository_around_the_home() {
        let ceilings = OsStr::new("/home/me/.kugetsu:/home/me");
        let inherited = [("GIT_CEILING_DIRECTORIES".into(), "/elsewhere".into())];
        let all = environment(inherited, &[], Path::new("/tmp"), ceilings);
        let set: Vec<_> = all.iter().filter(|(name, _)| name == "GIT_CEILING_DIRECTORIES").collect();
        assert_eq!(set, [&("GIT_CEILING_DIRECTORIES".into(), ceilings.to_owned())]);
    }

    #[test]
    fn ssh_is_set_unless_the_user_chose_a_program() {
        let ssh = |inherited: &[(&str, &str)], files: &[Variable]| {
            let inherited: Vec<_> = inherited.iter().map(|(name, value)| (name.into(), value.into())).collect();
            let all = environment(inherited, files, Path::new("/run/tmp"), OsStr::new("/w"));
            value(&all, "GIT_SSH_COMMAND").map(str::to_owned)
        };
        assert_eq!(ssh(&[], &[]).as_deref(), Some("ssh -oBatchMode=yes"));
        assert_eq!(ssh(&[("GIT_SSH_COMMAND", "my-ssh")], &[]).as_deref(), Some("my-ssh"));
        assert_eq!(ssh(&[], &[variable("GIT_SSH_COMMAND", "my-ssh")]).as_deref(), Some("my-ssh"));
        assert_eq!(ssh(&[("GIT_SSH", "/usr/bin/my-ssh")], &[]), None, "it would take precedence");
    }

    #[test]
    fn secrets_are_found_by_name_and_inside_json() {
        let files = [
            variable("GITEA_TOKEN", "tok-123456"),
            variable("PLAIN", "not-a-secret"),
            variable("MAX_TOKENS", "128000"),
            variable("OPENCODE_CONFIG_CONTENT", r#"{"provider":{"x":{"options":{"apiKey":"sk-abcdef","n":1}}}}"#),
        ];
        assert_eq!(secrets([], &files), ["tok-123456", "sk-abcdef"]);
    }
}
