//! The runtime of an agent: whether the program that runs it is there, and new enough.

use std::ffi::OsStr;
use std::path::Path;
use std::time::Duration;

use kugetsu_process::{OneShot, find_on_path, shebang};

use super::builtin::definition::Runtime;
use super::install::version_in;
use crate::truncate::LINE_MAX;

/// Node.js takes 0.1 s on an idle machine.
const VERSION_TIMEOUT: Duration = Duration::from_secs(20);

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RuntimeState {
    /// Its version, which is new enough.
    Present(String),
    /// Its version.
    TooOld(String),
    Missing,
    /// It did not print its version.
    Unknown,
}

impl Runtime {
    /// Whether an installed agent is run by whatever is first on `PATH`. Others name their interpreter, or need none.
    pub fn runs(&self, agent: &Path) -> bool {
        let line = shebang(agent).unwrap_or_default();
        let mut parts = line.split_whitespace();
        parts.next().is_some_and(|first| first.ends_with("/env"))
            && parts.find(|part| !part.starts_with('-')) == Some(self.program)
    }

    /// Returns what keeps an agent from running, as a sentence without a subject; `None` if nothing is known to be wrong.
    pub fn problem(&self, state: &RuntimeState) -> Option<String> {
        let needed = format!("needs {} {} or newer", self.program, self.at_least);
        match state {
            RuntimeState::Missing => Some(format!("{needed}, which is not on PATH")),
            RuntimeState::TooOld(found) => Some(format!("{needed}; version {found} is on PATH")),
            RuntimeState::Present(_) | RuntimeState::Unknown => None,
        }
    }

    /// Looks it up on `search_path`, and asks for its version.
    pub async fn state(&self, search_path: &OsStr) -> RuntimeState {
        let Some(program) = find_on_path(OsStr::new(self.program), search_path) else { return RuntimeState::Missing };
        let command = OneShot::new(program).arg("--version").cwd("/").stdout_max(LINE_MAX).time_limit(VERSION_TIMEOUT);
        let Ok(output) = kugetsu_process::run(command).await else { return RuntimeState::Unknown };
        let text = String::from_utf8_lossy(&output.stdout);
        match text.lines().next().and_then(version_in).filter(|_| output.status.success()) {
            Some(version) if numbers(version) >= numbers(self.at_least) => RuntimeState::Present(version.to_owned()),
            Some(version) => RuntimeState::TooOld(version.to_owned()),
            None => RuntimeState::Unknown,
        }
    }
}

/// The numbers of a version, up to the first other part.
fn numbers(version: &str) -> Vec<u64> {
    version.split('.').map_while(|part| part.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const NODE: Runtime = Runtime { program: "node", at_least: "22.19" };

    #[tokio::test]
    async fn runtime_is_missing_too_old_or_present() {
        let directory = tempfile::tempdir().unwrap();
        let search = directory.path().as_os_str();
        assert_eq!(NODE.state(search).await, RuntimeState::Missing);
        let path = directory.path().join("node");
        let mut states = Vec::new();
        for printed in ["echo v22.9.1", "echo v22.19.0", "echo v100.1.0", "echo v22.20.0; exit 1", "true"] {
            fs::write(&path, format!("#!/bin/sh\n{printed}\n")).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
            states.push(NODE.state(search).await);
        }
        let present = |version: &str| RuntimeState::Present(version.to_owned());
        let unknown = RuntimeState::Unknown;
        let old = RuntimeState::TooOld("22.9.1".to_owned());
        assert_eq!(states, [old, present("22.19.0"), present("100.1.0"), unknown.clone(), unknown]);
    }

    #[test]
    fn only_a_program_that_looks_its_interpreter_up_depends_on_path() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("agent");
        for (text, expected) in [
            ("#!/usr/bin/env node\nimport", true),
            ("#!/usr/bin/env -S node --no-warnings\n", true),
            ("#!/opt/node/bin/node\n", false),
            ("#!/usr/bin/env python3\n", false),
            ("\u{7f}ELF", false),
        ] {
            fs::write(&path, text).unwrap();
            assert_eq!(NODE.runs(&path), expected, "{text}");
        }
        assert!(!NODE.runs(&directory.path().join("missing")));
    }
}
