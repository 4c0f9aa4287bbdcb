//! The commented `config.toml` that `init` writes. Everything in it is a comment: what is not set follows the defaults
//! of the version that runs.
//!
//! It is also what the table in `docs/settings.md` is made of: a comment says what the setting below it means.

/// The text of a new `config.toml`.
pub(crate) const CONFIG: &str = r#"# kugetsu's settings. Take the `#` away in front of a line to change it.
# Changes take effect at once, also in the running daemon. `kugetsu config list` shows what is in force and why.
# A variable such as KUGETSU_AGENTS_MAX wins over this file. Times are written as 90s, 10m, 1h30m or 7d.

[agents]
# How many runs of `start` go on at once, 0 to 1000; with 0 none begins. `continue` needs no place.
#max = 3

[agent]
# Which agent works where none is named.
#default = "opencode"
# What an agent's permission question is answered: `allow`, `refuse`, or `ask`. Nobody can be asked during a run yet, so
# `ask` refuses as well.
#permissions = "allow"

[run]
# Wall clock of one run. After it the run is ended; its work is kept.
#timeout = "1h"
# Longest time without a sign of life from the agent; opening a session may take two minutes in any case.
#silence = "10m"
# Where runs have their temporary directories, each its own, which goes with the run. Otherwise they are in the home.
#temp_dir = "/var/tmp/kugetsu"

[queue]
# How long ended tasks stay in the history.
#keep = "7d"

[destroy]
# Whether the state of the issue's pull or merge request counts before a worktree is removed: `true` or `false`.
#check_change = true

[pm]
# Which agent coordinates; the one of `agent.default` otherwise.
#agent = "opencode"
# The coordinator's model, in its agent's words; the agent's own choice otherwise.
#model = "provider/model"
# Whether the coordinator needs a cage that keeps it from writing files: `required`, or `off` on a machine that has none.
#cage = "required"

[server]
# The server that `owner/repo#12` means outside a clone; github.com otherwise.
#default = "work"

# Git servers of your own, as `kugetsu server add` names them; its help lists the kinds.
#[servers.work]
#url = "https://git.example.co"
#kind = "gitea"
#api_url = "https://git.example.co/api/v1"
# Which variable of env/default.env holds its token, where that is not the one of its kind: a name, never the token.
#token_env = "WORK_TOKEN"

# Agents of your own: programs that speak the Agent Client Protocol on stdin and stdout.
#[agents.mine]
#program = "my-agent"
#args = ["acp"]
#env = { MY_AGENT_MODE = "quiet" }
# How it forgets a session, and how its own screen opens on one; both may be left out.
#delete = ["session", "delete", "{session}"]
#attach = ["--session", "{session}"]
"#;

/// The text of a new `env/default.env`.
pub(crate) const DEFAULT_ENV: &str = "\
# Variables for every agent, one a line: NAME=value or export NAME=value.
# Nothing here is executed. Values of names with TOKEN, SECRET, PASSWORD or API_KEY are masked in all output.
#GITHUB_TOKEN=
";

/// The text of a new `env/pm-agent.env`.
pub(crate) const PM_AGENT_ENV: &str = "\
# Variables for the coordinator (the PM agent); they win over default.env.
";

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;
    use std::path::Path;

    use crate::config::file;
    use crate::config::key::Key;

    use super::*;

    /// Set by `cargo xtask settings`.
    const WRITE: &str = "KUGETSU_WRITE_SETTINGS";
    const BEGIN: &str = "<!-- made of the commented config.toml by `cargo xtask settings` -->\n\n";
    const END: &str = "\n<!-- end -->\n";

    #[test]
    fn the_new_file_is_valid_also_with_every_comment_taken_away() {
        let read = file::read(Path::new("config.toml"), CONFIG).unwrap();
        assert_eq!(read, file::Read::default());
        let uncommented: Vec<&str> =
            CONFIG.lines().map(|line| if line.starts_with("# ") { "" } else { line.trim_start_matches('#') }).collect();
        let read = file::read(Path::new("config.toml"), &uncommented.join("\n")).unwrap();
        assert!(read.warnings.is_empty() && read.invalid.is_empty(), "{read:?}");
        let layer = read.layer;
        assert_eq!((layer.values.len(), layer.servers.len(), layer.agents.len()), (Key::ALL.len(), 1, 1));
        for entry in &layer.values {
            if !entry.key.default().is_empty() {
                assert_eq!(entry.value, entry.key.default(), "the comment shows the default");
            }
        }
    }

    #[test]
    fn the_page_of_settings_is_what_the_commented_file_says() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/settings.md");
        let found = std::fs::read_to_string(&path).unwrap();
        let (before, rest) = found.split_once(BEGIN).expect("the beginning of the table");
        let (_, after) = rest.split_once(END).expect("the end of the table");
        let page = format!("{before}{BEGIN}{}{END}{after}", table());
        if std::env::var_os(WRITE).is_some() {
            std::fs::write(&path, &page).unwrap();
            return;
        }
        assert!(
            found == page,
            "docs/settings.md is not what the commented config.toml says; type: cargo xtask settings"
        );
    }

    /// Every setting with its default, and what is said above it.
    fn table() -> String {
        let mut table = "| setting | default | meaning |\n|---|---|---|\n".to_owned();
        let (mut section, mut said) = ("", Vec::new());
        for line in CONFIG.lines() {
            if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
                (section, said) = (name, Vec::new());
            } else if let Some(words) = line.strip_prefix("# ") {
                said.push(words);
            } else if let Some((name, value)) = line.strip_prefix('#').and_then(|line| line.split_once(" = ")) {
                if let Some(key) = Key::from_name(&format!("{section}.{name}")) {
                    let default = if key.default().is_empty() { "none".to_owned() } else { format!("`{value}`") };
                    writeln!(table, "| `{}` | {default} | {} |", key.name(), said.join(" ").trim_end_matches('.'))
                        .unwrap();
                }
                said.clear();
            } else {
                said.clear();
            }
        }
        table
    }
}
