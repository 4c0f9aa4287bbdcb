//! Descriptions of the features of an agent, for people.

use super::agent_profile::{Profile, SessionDeletion};
use super::builtin::definition::{PermissionControl, SessionTools, Switch, Trailers, UsageReport};

/// Whether something works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Supported {
    Yes,
    /// In some cases.
    Partly,
    No,
    /// Only a run shows it.
    Unknown,
}

impl Supported {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Yes => "yes",
            Self::Partly => "partly",
            Self::No => "no",
            Self::Unknown => "unknown",
        }
    }
}

impl Profile {
    /// Whether `agent.permissions` reaches the agent, and how.
    pub fn permission_support(&self) -> (Supported, String) {
        let how = |what: &str, allow: &str, ask: &str| {
            format!("{what}: `{allow}` for `allow`, `{ask}` for `ask` and `refuse`")
        };
        match self.permissions() {
            PermissionControl::OpencodeRules => {
                (Supported::Yes, "rules in the variable OPENCODE_PERMISSION; its own rules have precedence".to_owned())
            }
            PermissionControl::Mode { allow, ask } => (Supported::Yes, how("the mode of its session", allow, ask)),
            PermissionControl::Variable { name, allow, ask } => {
                (Supported::Yes, how(&format!("the variable {name}"), allow, ask))
            }
            PermissionControl::Option { id, allow, ask } => {
                (Supported::Yes, how(&format!("the option {id} of its session"), allow, ask))
            }
            PermissionControl::Unknown => {
                (Supported::Unknown, "its questions are answered; what it asks about is its own decision".to_owned())
            }
        }
    }

    /// Whether `run.agent_trailers = "remove"` keeps the agent from naming itself in messages of commits, and how.
    pub fn trailer_support(&self) -> (Supported, String) {
        match self.trailers() {
            Trailers::None => (Supported::Yes, "it does not name itself".to_owned()),
            Trailers::Switch(Switch::Variable { name, .. }) => (Supported::Yes, format!("by the variable {name}")),
            Trailers::SessionSettings(_) => (Supported::Yes, "by the settings of its session".to_owned()),
            Trailers::Switch(Switch::Defaults { variable, .. }) => {
                (Supported::Partly, format!("by its default settings ({variable}), unless your own differ"))
            }
            Trailers::Prompt => (Supported::Partly, "its prompt asks it; your own settings of it decide".to_owned()),
            Trailers::Unknown => (Supported::Unknown, "its prompt asks it".to_owned()),
        }
    }

    /// Whether an issue continues in the same session. Other agents show it when they start.
    pub fn resume_support(&self) -> (Supported, &'static str) {
        match self.is_built_in() {
            true => (Supported::Yes, "an issue continues in the same session"),
            false => (Supported::Unknown, "if it loads or resumes sessions; otherwise a new one gets a summary"),
        }
    }

    /// Whether the tokens of a run are known.
    pub fn token_support(&self) -> (Supported, &'static str) {
        match self.usage_report() {
            _ if !self.is_built_in() => (Supported::Unknown, "if it reports them"),
            UsageReport::LastStep => (Supported::Partly, "of turns without tool calls only"),
            UsageReport::Turn | UsageReport::Quota | UsageReport::Pieces | UsageReport::SessionFile => {
                (Supported::Yes, "it reports them for each turn")
            }
            UsageReport::Session | UsageReport::Connection => {
                (Supported::Yes, "it reports a total, from which each turn's follow")
            }
        }
    }

    /// Whether the cost of a run is known.
    pub fn cost_support(&self) -> (Supported, &'static str) {
        match self.reports_cost() {
            Some(true) => (Supported::Yes, "it reports US dollars"),
            Some(false) => (Supported::No, "it does not report it"),
            None => (Supported::Unknown, "if it reports it"),
        }
    }

    /// Whether the agent can be the coordinator, which needs the tools of its session.
    pub fn tool_support(&self) -> (Supported, &'static str) {
        match self.session_tools() {
            SessionTools::Work | SessionTools::WorkWith(_) => (Supported::Yes, "it can be the coordinator"),
            SessionTools::Unknown => (Supported::Unknown, "if its model finds them; a coordinator without tools fails"),
            SessionTools::Refused(why) => (Supported::No, why),
        }
    }

    /// Whether `kugetsu destroy` can delete the agent's session, and how.
    pub fn deletion_support(&self) -> (Supported, String) {
        match self.deletion() {
            SessionDeletion::Protocol => (Supported::Yes, "by a request to the agent".to_owned()),
            SessionDeletion::Command(args) => {
                (Supported::Yes, format!("`{} {}`", self.program().display(), args.join(" ")))
            }
            SessionDeletion::Impossible => (Supported::No, "its sessions stay where it keeps them".to_owned()),
        }
    }

    /// Describes the tokens for git servers that the agent does not get; `None` if it gets all.
    pub fn withheld_tokens(&self) -> Option<String> {
        let first = self.forge_tokens().first()?;
        Some(format!("{}: {}", self.forge_tokens().join(", "), self.why_withheld(first)))
    }

    /// Says why the agent does not get a token for a git server, and what gives it to the agent.
    pub fn why_withheld(&self, token: &str) -> String {
        format!(
            "it would log in to its model provider with a token for a git server; if it should: `kugetsu env set {token} - {}`",
            self.name()
        )
    }

    /// Whether `kugetsu attach` can open the agent's session, and how.
    pub fn attach_support(&self) -> (Supported, String) {
        match self.attach_args() {
            Some(args) => (Supported::Yes, format!("`{} {}`", self.attach_program().display(), args.join(" "))),
            None => (Supported::No, "no command is known".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;
    use std::path::Path;

    use super::*;
    use crate::profile::{agent_names, profile};

    /// Set by `cargo xtask agents`.
    const WRITE: &str = "KUGETSU_WRITE_AGENTS";
    const BEGIN: &str = "<!-- generated from crates/agent/src/profile/builtin by `cargo xtask agents` -->\n\n";
    const END: &str = "\n<!-- end -->\n";

    #[test]
    fn page_of_agents_is_generated_from_the_definitions() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/agents.md");
        let present = std::fs::read_to_string(&path).unwrap();
        let (before, rest) = present.split_once(BEGIN).expect("the beginning of the generated part");
        let (_, after) = rest.split_once(END).expect("the end of the generated part");
        let agents: Vec<Profile> = agent_names(&[]).iter().map(|name| profile(name, &[]).unwrap()).collect();
        let page = format!("{before}{BEGIN}{}{}{END}{after}", table(&agents), sections(&agents));
        if std::env::var_os(WRITE).is_some() {
            std::fs::write(&path, &page).unwrap();
            return;
        }
        assert!(present == page, "docs/agents.md is out of date; run: cargo xtask agents");
    }

    fn table(agents: &[Profile]) -> String {
        let mut table =
            "| agent | tested version | `agent.permissions` | tokens | cost | deletes sessions | tools | exceptions |\n\
                         |---|---|---|---|---|---|---|---|\n"
                .to_owned();
        for agent in agents {
            let supported = [
                agent.permission_support().0,
                agent.token_support().0,
                agent.cost_support().0,
                agent.deletion_support().0,
                agent.tool_support().0,
            ];
            let cells = supported.map(Supported::name).join(" | ");
            let (name, tested) = (agent.name(), agent.tested_version().unwrap());
            let exceptions = match agent.exceptions() {
                [] => "none known".to_owned(),
                all => format!("[{}](#{name})", all.len()),
            };
            writeln!(table, "| {name} | {tested} | {cells} | {exceptions} |").unwrap();
        }
        table
    }

    /// How to set each agent up, in three lines, and what is special about it.
    fn sections(agents: &[Profile]) -> String {
        let mut text = String::new();
        for agent in agents {
            let (name, installation, login) = (agent.name(), agent.installation(), agent.login());
            let then = if login.then.is_empty() { String::new() } else { format!("   # {}", login.then) };
            writeln!(text, "\n### {name}\n\n```").unwrap();
            writeln!(
                text,
                "{}\n{}{then}\nkugetsu start . \"fix it\" --agent {name}\n```\n",
                installation.command, login.command
            )
            .unwrap();
            if let Some(needs) = installation.runtime {
                writeln!(text, "- Needs {} {} or newer.", needs.program, needs.at_least).unwrap();
            }
            if let Some(first) = login.variables.first() {
                let names: Vec<String> = login.variables.iter().map(|name| format!("`{name}`")).collect();
                writeln!(
                    text,
                    "- Instead of the login, one of these variables, such as `kugetsu env set {first} - {name}`: {}.",
                    names.join(", ")
                )
                .unwrap();
            }
            writeln!(text, "- Permissions: {}.", agent.permission_support().1).unwrap();
            writeln!(text, "- Attach: {}.", agent.attach_support().1).unwrap();
            writeln!(text, "- `run.agent_trailers = \"remove\"`: {}.", agent.trailer_support().1).unwrap();
            if let Some(withheld) = agent.withheld_tokens() {
                writeln!(text, "- Withheld: {withheld}.").unwrap();
            }
            for exception in agent.exceptions() {
                writeln!(text, "- Exception: {}", exception.text()).unwrap();
            }
        }
        text
    }

    #[test]
    fn own_agent_shows_what_it_supports_in_a_run_only() {
        let entry = crate::profile::AgentSettings {
            name: "mine".into(),
            program: Some("my-agent".into()),
            delete: Some(vec!["rm".into(), "{session}".into()]),
            ..Default::default()
        };
        let mine = profile("mine", &[entry]).unwrap();
        assert_eq!(mine.token_support().0, Supported::Unknown);
        assert_eq!((mine.cost_support().0, mine.permission_support().0), (Supported::Unknown, Supported::Unknown));
        assert_eq!(mine.deletion_support(), (Supported::Yes, "`my-agent rm {session}`".to_owned()));
        assert_eq!(mine.attach_support().0, Supported::No);
    }
}
