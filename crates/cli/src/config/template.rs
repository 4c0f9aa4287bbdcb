//! The commented `config.toml` that `init` writes. Everything in it is a comment: what is not set follows the defaults
//! of the version that runs.

/// The text of a new `config.toml`.
pub(crate) const CONFIG: &str = r#"# kugetsu's settings. Take the `#` away in front of a line to change it.
# Changes take effect at once, also in the running daemon. `kugetsu config list` shows what is in force and why.
# A variable such as KUGETSU_AGENTS_MAX wins over this file.

[agents]
# How many runs of `kugetsu start` go on at once; with 0 nothing new begins.
#max = 3

[agent]
# Which agent works where none is named.
#default = "opencode"
# What a permission question of the agent is answered: allow, ask or refuse.
#permissions = "allow"

[run]
# Wall clock of one run. After it the run is ended; its work is kept.
#timeout = "1h"
# Longest time without a sign of life from the agent.
#silence = "10m"

[server]
# The server that `owner/repo#12` means; github.com otherwise.
#default = "work"

# Git servers of your own. kind: github, gitea, forgejo or gitlab.
#[servers.work]
#url = "https://git.example.co"
#kind = "gitea"
#api_url = "https://git.example.co/api/v1"

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
    use std::path::Path;

    use crate::config::file;

    use super::*;

    #[test]
    fn c01_the_new_file_is_valid_also_with_every_comment_taken_away() {
        let layer = file::read(Path::new("config.toml"), CONFIG).unwrap();
        assert!(layer.values.is_empty() && layer.servers.is_empty() && layer.agents.is_empty());
        let uncommented: Vec<&str> =
            CONFIG.lines().map(|line| if line.starts_with("# ") { "" } else { line.trim_start_matches('#') }).collect();
        let layer = file::read(Path::new("config.toml"), &uncommented.join("\n")).unwrap();
        assert_eq!((layer.values.len(), layer.servers.len(), layer.agents.len()), (6, 1, 1));
        for entry in &layer.values {
            if !entry.key.default().is_empty() {
                assert_eq!(entry.value, entry.key.default(), "the comment shows the default");
            }
        }
    }
}
