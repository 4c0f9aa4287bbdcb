//! What is special about one agent: how it is started, and what it does otherwise than the protocol says.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use thiserror::Error;

use crate::opencode;
use crate::policy::Policy;
use crate::session::SessionId;

/// What stands for the session's id in a command template.
const SESSION: &str = "{session}";

/// An agent that is not built in: any program that speaks ACP on stdin and stdout.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CustomProfile {
    /// What it is called in commands and settings.
    pub name: String,
    /// Its program: a name that is looked up, or an absolute path.
    pub program: PathBuf,
    /// Arguments that make it speak ACP.
    pub args: Vec<String>,
    /// Variables that are set for it, on top of everything else.
    pub env: Vec<(String, String)>,
    /// Arguments that make it forget a session, with `{session}` for the id; `None` if it cannot.
    pub delete: Option<Vec<String>>,
    /// Arguments that open its own screen on a session, with `{session}` for the id; `None` if it has none.
    pub attach: Option<Vec<String>>,
}

/// One agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    pub(crate) name: String,
    pub(crate) program: PathBuf,
    pub(crate) args: Vec<String>,
    pub(crate) env: Vec<(String, String)>,
    /// Arguments that make it forget a session.
    pub(crate) delete: Option<Vec<String>>,
    /// Arguments that open its own screen on a session.
    pub(crate) attach: Option<Vec<String>>,
    /// Arguments that print a session, in opencode's format.
    pub(crate) record: Option<Vec<String>>,
    pub(crate) install_hint: String,
    pub(crate) login_hint: String,
    pub(crate) quirks: Quirks,
}

/// What an agent does otherwise than the protocol says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Quirks {
    /// A message that begins with "/" is taken for a command of the agent's own.
    pub(crate) slash_commands: bool,
    /// When the model's answer breaks off, it asks again at once and for ever, in a new message.
    pub(crate) asks_again_when_cut: bool,
    /// The tokens it reports are those of the last step, and 0 if that step broke off.
    pub(crate) reports_last_step: bool,
    /// It takes its permission rules from `OPENCODE_PERMISSION`.
    pub(crate) opencode_permission: bool,
}

/// How to run an agent's program: what comes after its name, and what is added to its environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Launch {
    /// The arguments, without the program's name.
    pub args: Vec<OsString>,
    env: Vec<(String, String)>,
    permissions: Option<Policy>,
}

/// There is no agent of this name.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("there is no agent {asked:?}; there is {}", known.join(", "))]
pub struct UnknownAgent {
    /// The name that was asked for.
    pub asked: String,
    /// The names there are.
    pub known: Vec<String>,
}

/// The user's own permission rules for the agent cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the variable {variable} holds no JSON object ({detail}); correct it or unset it")]
pub struct BadPermission {
    /// The variable.
    pub variable: &'static str,
    /// What is wrong with it.
    pub detail: String,
}

/// The agent of this name: one of `custom`, which wins, or one that is built in.
///
/// # Errors
/// [`UnknownAgent`] lists the names there are.
pub fn profile(name: &str, custom: &[CustomProfile]) -> Result<Profile, UnknownAgent> {
    if let Some(own) = custom.iter().find(|own| own.name == name) {
        return Ok(Profile::custom(own));
    }
    if name == opencode::NAME {
        return Ok(opencode::profile());
    }
    let mut known = vec![opencode::NAME.to_owned()];
    known.extend(custom.iter().map(|own| own.name.clone()).filter(|own| own != opencode::NAME));
    Err(UnknownAgent { asked: name.to_owned(), known })
}

impl Profile {
    fn custom(own: &CustomProfile) -> Self {
        let program = own.program.display();
        Self {
            name: own.name.clone(),
            program: own.program.clone(),
            args: own.args.clone(),
            env: own.env.clone(),
            delete: own.delete.clone(),
            attach: own.attach.clone(),
            record: None,
            install_hint: format!("install it, or correct `program` of the agent {} in the configuration", own.name),
            login_hint: program.to_string(),
            quirks: Quirks::default(),
        }
    }

    /// What the agent is called in commands and settings.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Starts the agent, to speak ACP on its stdin and stdout.
    pub fn launch(&self, policy: Policy) -> Launch {
        let permissions = self.quirks.opencode_permission.then_some(policy);
        Launch { permissions, ..self.run(&self.args, "") }
    }

    /// Makes the agent forget a session; `None` if it cannot.
    pub fn delete_session(&self, session: &SessionId) -> Option<Launch> {
        self.delete.as_ref().map(|args| self.run(args, session.as_str()))
    }

    /// Opens the agent's own screen on a session, in the session's directory; `None` if it has none.
    pub fn attach(&self, session: &SessionId) -> Option<Launch> {
        self.attach.as_ref().map(|args| self.run(args, session.as_str()))
    }

    /// Prints a session on stdout, for [`SessionRecord::read`](crate::SessionRecord::read); `None` if the agent keeps no
    /// such record. It can be large: send it to a file.
    pub fn record(&self, session: &SessionId) -> Option<Launch> {
        self.record.as_ref().map(|args| self.run(args, session.as_str()))
    }

    fn run(&self, args: &[String], session: &str) -> Launch {
        Launch {
            args: args.iter().map(|arg| arg.replace(SESSION, session).into()).collect(),
            env: self.env.clone(),
            permissions: None,
        }
    }

    /// The program's name or path, as it is to be found.
    pub(crate) fn program_name(&self) -> &OsStr {
        self.program.as_os_str()
    }
}

impl Launch {
    /// Adds what the agent needs to the environment it is going to get. The user's own permission rules there are kept.
    ///
    /// # Errors
    /// [`BadPermission`] if those rules cannot be read.
    pub fn add_to(&self, env: &mut Vec<(OsString, OsString)>) -> Result<(), BadPermission> {
        for (name, value) in &self.env {
            set(env, name, value);
        }
        if let Some(policy) = self.permissions {
            let own =
                env.iter().rev().find(|(name, _)| name == opencode::PERMISSION).map(|(_, value)| value.as_os_str());
            let rules = opencode::permission(policy, own)?;
            set(env, opencode::PERMISSION, &rules);
        }
        Ok(())
    }
}

fn set(env: &mut Vec<(OsString, OsString)>, name: &str, value: &str) {
    env.retain(|(known, _)| known != name);
    env.push((name.into(), value.into()));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scripted() -> CustomProfile {
        CustomProfile {
            name: "scripted".into(),
            program: "/bin/agent".into(),
            args: vec!["acp".into()],
            env: vec![("A".into(), "b c".into())],
            delete: Some(["session", "delete", "{session}"].map(str::to_owned).to_vec()),
            attach: None,
        }
    }

    #[test]
    fn an_unknown_agent_is_told_with_the_known_ones() {
        let error = profile("codx", &[scripted()]).unwrap_err();
        assert_eq!(error.to_string(), "there is no agent \"codx\"; there is opencode, scripted");
    }

    #[test]
    fn a_custom_agent_wins_over_a_built_in_one() {
        let own = CustomProfile { name: "opencode".into(), ..scripted() };
        assert_eq!(profile("opencode", &[own]).unwrap().program, PathBuf::from("/bin/agent"));
    }

    fn env(launch: &Launch, before: &[(&str, &str)]) -> Vec<(String, String)> {
        let mut env = before.iter().map(|(name, value)| (name.into(), value.into())).collect();
        launch.add_to(&mut env).unwrap();
        env.into_iter().map(|(name, value)| (name.into_string().unwrap(), value.into_string().unwrap())).collect()
    }

    #[test]
    fn r17_every_command_is_a_vector_with_the_session_in_its_place() {
        let id = SessionId::new("ses_a;rm").unwrap();
        let own = profile("scripted", &[scripted()]).unwrap();
        let delete = own.delete_session(&id).unwrap();
        assert_eq!(delete.args, ["session", "delete", "ses_a;rm"]);
        assert_eq!(env(&delete, &[("A", "old")]), [("A".to_owned(), "b c".to_owned())]);
        assert!(own.attach(&id).is_none() && own.record(&id).is_none());
        assert_eq!(env(&own.launch(Policy::Ask), &[]).len(), 1);

        let opencode = profile("opencode", &[]).unwrap();
        assert_eq!(opencode.delete_session(&id).unwrap().args, ["session", "delete", "ses_a;rm"]);
        assert_eq!(opencode.attach(&id).unwrap().args, ["--session", "ses_a;rm"]);
        assert_eq!(opencode.record(&id).unwrap().args, ["export", "ses_a;rm"]);
    }

    #[test]
    fn the_users_permission_rules_are_merged_or_refused() {
        let launch = profile("opencode", &[]).unwrap().launch(Policy::Ask);
        let env = env(&launch, &[("OPENCODE_PERMISSION", r#"{"bash":"ask"}"#)]);
        let rules = env.iter().filter(|(name, _)| name == "OPENCODE_PERMISSION").collect::<Vec<_>>();
        assert_eq!(rules.len(), 1);
        assert!(rules[0].1.contains(r#""bash":"ask""#) && rules[0].1.contains(r#""task":"deny""#), "{rules:?}");
        let error = launch.add_to(&mut vec![("OPENCODE_PERMISSION".into(), "{".into())]).unwrap_err().to_string();
        assert!(error.starts_with("the variable OPENCODE_PERMISSION holds no JSON object"), "{error}");
    }
}
