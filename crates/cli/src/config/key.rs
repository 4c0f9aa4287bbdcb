//! The settings that have one value each: name, default, and what values they take.

use std::path::Path;
use std::time::Duration;

use kugetsu_agent::Policy;

use crate::names::suggestions;

use super::duration;

/// A setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Key {
    AgentDefault,
    AgentPermissions,
    AgentsMax,
    DestroyCheckChange,
    PmAgent,
    PmCage,
    PmModel,
    QueueKeep,
    RunSilence,
    RunTempDir,
    RunTimeout,
    ServerDefault,
}

/// What a value is in TOML.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Number,
    /// `true` or `false`.
    Switch,
    Text,
}

/// More at once would be no setting but a mistake; each agent takes hundreds of megabytes.
const AGENTS_MOST: usize = 1000;
/// Nothing takes as long; and clocks cannot count to everything that can be written down.
const LONGEST: Duration = Duration::from_secs(365 * 86_400);

impl Key {
    pub(crate) const ALL: [Self; 12] = [
        Self::AgentDefault,
        Self::AgentPermissions,
        Self::AgentsMax,
        Self::DestroyCheckChange,
        Self::PmAgent,
        Self::PmCage,
        Self::PmModel,
        Self::QueueKeep,
        Self::RunSilence,
        Self::RunTempDir,
        Self::RunTimeout,
        Self::ServerDefault,
    ];

    /// Its name in `config.toml` and on the command line.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::AgentDefault => "agent.default",
            Self::AgentPermissions => "agent.permissions",
            Self::AgentsMax => "agents.max",
            Self::DestroyCheckChange => "destroy.check_change",
            Self::PmAgent => "pm.agent",
            Self::PmCage => "pm.cage",
            Self::PmModel => "pm.model",
            Self::QueueKeep => "queue.keep",
            Self::RunSilence => "run.silence",
            Self::RunTempDir => "run.temp_dir",
            Self::RunTimeout => "run.timeout",
            Self::ServerDefault => "server.default",
        }
    }

    /// The key of this name.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|key| key.name() == name)
    }

    /// The variable that overrides it.
    pub(crate) fn variable(self) -> String {
        format!("KUGETSU_{}", self.name().replace('.', "_").to_ascii_uppercase())
    }

    /// The value where nothing sets it; the empty one stands for none.
    pub(crate) const fn default(self) -> &'static str {
        match self {
            Self::AgentDefault => "opencode",
            Self::AgentPermissions => "allow",
            Self::AgentsMax => "3",
            Self::DestroyCheckChange => "true",
            Self::PmCage => "required",
            Self::QueueKeep => "7d",
            Self::RunSilence => "10m",
            Self::RunTimeout => "1h",
            Self::PmAgent | Self::PmModel | Self::RunTempDir | Self::ServerDefault => "",
        }
    }

    /// What its value is in TOML.
    pub(crate) const fn kind(self) -> Kind {
        match self {
            Self::AgentsMax => Kind::Number,
            Self::DestroyCheckChange => Kind::Switch,
            _ => Kind::Text,
        }
    }

    /// Refuses a value that the setting cannot take.
    ///
    /// # Errors
    /// Why, and what it takes.
    pub(crate) fn check(self, value: &str) -> Result<(), String> {
        let explained = |why: String| format!("{}: {why}", self.name());
        match self {
            Self::AgentsMax => agents_max(value).map(drop).map_err(explained),
            Self::AgentPermissions => permissions(value).map(drop).map_err(explained),
            Self::DestroyCheckChange => switch(value).map(drop).map_err(explained),
            Self::PmCage => cage(value).map(drop).map_err(explained),
            Self::RunTempDir => directory(value).map_err(explained),
            Self::QueueKeep | Self::RunSilence | Self::RunTimeout => match duration::read(value) {
                Ok(length) if length.is_zero() => Err(explained("it must be longer than nothing".to_owned())),
                Ok(length) if length > LONGEST => Err(explained("it must not be longer than a year (365d)".to_owned())),
                Ok(_) => Ok(()),
                Err(why) => Err(explained(why)),
            },
            Self::AgentDefault if value.trim().is_empty() => Err(explained("it must name an agent".to_owned())),
            Self::AgentDefault | Self::PmAgent | Self::PmModel | Self::ServerDefault => Ok(()),
        }
    }
}

/// Reads `agents.max`; with 0 nothing begins.
pub(crate) fn agents_max(value: &str) -> Result<usize, String> {
    match value.trim().parse() {
        Ok(number) if number <= AGENTS_MOST => Ok(number),
        _ => Err(format!("{value:?} is not a number from 0 to {AGENTS_MOST}")),
    }
}

/// Reads `agent.permissions`.
pub(crate) fn permissions(value: &str) -> Result<Policy, String> {
    Policy::from_name(value).ok_or_else(|| format!("{value:?} is none of allow, ask, refuse"))
}

/// Reads a switch.
pub(crate) fn switch(value: &str) -> Result<bool, String> {
    value.trim().parse().map_err(|_| format!("{value:?} is neither true nor false"))
}

/// Reads `pm.cage`: whether there must be one.
pub(crate) fn cage(value: &str) -> Result<bool, String> {
    match value {
        "required" => Ok(true),
        "off" => Ok(false),
        _ => Err(format!("{value:?} is none of required, off")),
    }
}

/// A relative path would mean another directory to everybody who reads it; the empty one stands for none.
fn directory(value: &str) -> Result<(), String> {
    if value.is_empty() || Path::new(value).is_absolute() {
        return Ok(());
    }
    Err(format!("{value:?} is not a whole path; write it from / on"))
}

/// An answer for a name that no setting has.
pub(crate) fn unknown(typed: &str) -> String {
    let near = suggestions(typed, Key::ALL.iter().map(|key| key.name()));
    format!("there is no setting {typed:?}; did you mean {}?", near.join(" or "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_is_a_value_that_its_setting_takes() {
        for key in Key::ALL {
            assert_eq!(key.check(key.default()), Ok(()), "{}", key.name());
            assert_eq!(Key::from_name(key.name()), Some(key));
        }
        assert_eq!(Key::AgentsMax.variable(), "KUGETSU_AGENTS_MAX");
    }

    #[test]
    fn values_that_make_no_sense_are_refused() {
        for (key, value) in [
            (Key::AgentsMax, "1001"),
            (Key::AgentsMax, "-1"),
            (Key::AgentsMax, "many"),
            (Key::AgentPermissions, "yes"),
            (Key::RunTimeout, "60"),
            (Key::RunTimeout, "0s"),
            (Key::RunTimeout, "18446744073709551615s"),
            (Key::AgentDefault, " "),
            (Key::DestroyCheckChange, "maybe"),
            (Key::PmCage, "on"),
            (Key::QueueKeep, "7"),
            (Key::RunTempDir, "tmp/kugetsu"),
        ] {
            let why = key.check(value).unwrap_err();
            assert!(why.starts_with(key.name()), "{why}");
        }
    }

    #[test]
    fn a_mistyped_name_is_answered_with_the_nearest() {
        assert!(unknown("run.timout").ends_with("did you mean run.timeout?"), "{}", unknown("run.timout"));
        assert!(unknown("agent.max").contains("agents.max"));
    }
}
