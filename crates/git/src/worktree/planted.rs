//! Things in a worktree that programs of the user execute: settings of editors, shells and git that an agent left there.
//!
//! Only what differs from the base is of interest: the rest is the repository's.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::command::runner::GitError;
use crate::files::access::{is_real_dir, is_there, read_if_there, read_regular};
use crate::mirror::repo::Mirror;
use crate::names::Oid;
use crate::printable::printable;
use crate::untrusted::changes::StatusError;
use crate::worktree::lifecycle::Worktree;
use crate::worktree::template_hooks::TemplateHooks;

/// Files that programs execute, or whose commands they execute, when a person enters the directory or opens it.
const FILES: &[&str] = &[
    ".autoenv",
    ".autoenv.zsh",
    ".claude/settings.json",
    ".claude/settings.local.json",
    ".codex/config.toml",
    ".cursor/mcp.json",
    ".devcontainer.json",
    ".devcontainer/devcontainer.json",
    ".dir-locals.el",
    ".envrc",
    ".exrc",
    ".gemini/settings.json",
    ".idea/workspace.xml",
    ".mcp.json",
    ".mise.toml",
    ".nvim.lua",
    ".nvimrc",
    ".vimrc",
    ".vscode/launch.json",
    ".vscode/mcp.json",
    ".vscode/settings.json",
    ".vscode/tasks.json",
    ".zed/settings.json",
    ".zed/tasks.json",
    "mise.toml",
    "opencode.json",
    "opencode.jsonc",
];
/// Directories in which every file counts.
const DIRECTORIES: &[&str] = &[".husky", ".idea/runConfigurations", ".opencode/plugin", ".opencode/plugins"];
/// A directory with this file is a virtual environment of Python: editors execute its interpreter.
const VIRTUAL_ENVIRONMENT: &str = "pyvenv.cfg";
/// Bytes of a file that are compared. A longer one counts as changed.
const FILE_MAX: u64 = 1024 * 1024;
/// Entries of a directory that are compared.
const ENTRIES_MAX: usize = 200;
/// Settings of git that name a command: the section, and the last part, `*` for any.
const COMMANDS: &[(&str, &str)] = &[
    ("alias", "*"),
    ("core", "alternaterefscommand"),
    ("core", "askpass"),
    ("core", "attributesfile"),
    ("core", "editor"),
    ("core", "fsmonitor"),
    ("core", "gitproxy"),
    ("core", "hookspath"),
    ("core", "pager"),
    ("core", "sshcommand"),
    ("credential", "helper"),
    ("diff", "command"),
    ("diff", "external"),
    ("diff", "textconv"),
    ("difftool", "cmd"),
    ("difftool", "path"),
    ("filter", "clean"),
    ("filter", "process"),
    ("filter", "smudge"),
    ("gpg", "program"),
    ("hook", "command"),
    ("include", "path"),
    ("includeif", "path"),
    ("init", "templatedir"),
    ("interactive", "difffilter"),
    ("merge", "driver"),
    ("mergetool", "cmd"),
    ("mergetool", "path"),
    ("pager", "*"),
    ("protocol", "allow"),
    ("remote", "receivepack"),
    ("remote", "uploadpack"),
    ("remote", "vcs"),
    ("sendemail", "*"),
    ("sequence", "editor"),
    ("submodule", "update"),
    ("trailer", "cmd"),
    ("trailer", "command"),
    ("url", "insteadof"),
];
/// Values that name no command, or one that does nothing.
const HARMLESS: [&str; 3] = ["", "false", "true"];
/// Settings of `git lfs install`.
const LFS: [(&str, &str); 3] = [
    ("filter.lfs.clean", "git-lfs clean -- %f"),
    ("filter.lfs.smudge", "git-lfs smudge -- %f"),
    ("filter.lfs.process", "git-lfs filter-process"),
];

impl Worktree {
    /// Lists files that differ from the base, and settings of git, which programs of a person would execute. Names are printable.
    ///
    /// # Errors
    /// git failed, or a file cannot be read: then nothing is known.
    pub async fn planted(&self, base: Option<&Oid>) -> Result<Vec<String>, StatusError> {
        if !is_real_dir(self.dir()) {
            return Ok(Vec::new());
        }
        let found = candidates(self.dir());
        let known = match base {
            Some(base) if !found.is_empty() => blobs(self.mirror(), base, &found).await?,
            _ => BTreeMap::new(),
        };
        let mut planted = Vec::new();
        for path in found {
            let is_known = match (known.get(&path), read_regular(&self.dir().join(&path), FILE_MAX)) {
                (Some(blob), Some(content)) => hash(self.mirror(), content).await? == *blob,
                _ => false,
            };
            if !is_known {
                planted.push(printable(path.as_bytes()));
            }
        }
        planted.extend(self.planted_hooks().await?);
        planted.extend(self.planted_settings().await?);
        // With it, settings and hooks are elsewhere.
        if is_there(&self.git_dir().join("commondir"))? {
            planted.push(".git/commondir".to_owned());
        }
        Ok(planted)
    }

    /// Hooks other than those of the user's template.
    async fn planted_hooks(&self) -> Result<Vec<String>, StatusError> {
        let hooks = self.git_dir().join("hooks");
        let names = names(&hooks, |name| !name.ends_with(".sample"));
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let template = TemplateHooks::of_user(self.mirror()).await.ok();
        let same = |name: &String| {
            let Some(ours) = template.as_ref().and_then(|template| read_regular(&template.dir().join(name), FILE_MAX))
            else {
                return false;
            };
            read_regular(&hooks.join(name), FILE_MAX) == Some(ours)
        };
        let planted = names.iter().filter(|name| !same(name));
        Ok(planted.map(|name| printable(format!(".git/hooks/{name}").as_bytes())).collect())
    }

    /// Settings of the worktree's repository that name commands.
    async fn planted_settings(&self) -> Result<Vec<String>, StatusError> {
        let mut found = Vec::new();
        for file in ["config", "config.worktree"] {
            let Some(text) = read_if_there(&self.git_dir().join(file), FILE_MAX)? else { continue };
            let command = self.mirror().command("config", "read the settings of the worktree");
            let command = command.args(["--file", "-", "--no-includes", "--list", "-z"]).stdin(text);
            let listed = match command.run().await {
                Ok(listed) => listed.stdout,
                Err(GitError::Failed { .. }) => {
                    found.push(format!(".git/{file} (git cannot read it)"));
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            for entry in listed.split(|byte| *byte == 0) {
                let entry = String::from_utf8_lossy(entry);
                let (name, value) = entry.split_once('\n').unwrap_or((&entry, ""));
                if names_command(name) && !HARMLESS.contains(&value) && !LFS.contains(&(name, value)) {
                    found.push(format!("{} in .git/{file}", printable(name.as_bytes())));
                }
            }
        }
        Ok(found)
    }
}

fn names_command(name: &str) -> bool {
    let Some((section, rest)) = name.split_once('.') else { return false };
    let last = rest.rsplit_once('.').map_or(rest, |(_, last)| last).to_ascii_lowercase();
    let section = section.to_ascii_lowercase();
    COMMANDS.iter().any(|(known, key)| *known == section && (*key == "*" || *key == last))
}

/// The paths of [`FILES`] and the like that exist, relative to the worktree.
fn candidates(worktree: &Path) -> Vec<String> {
    let mut found: Vec<String> = FILES.iter().map(|path| (*path).to_owned()).collect();
    for directory in DIRECTORIES {
        // A link is a change, too.
        match is_real_dir(&worktree.join(directory)) {
            true => found
                .extend(names(&worktree.join(directory), |_| true).iter().map(|name| format!("{directory}/{name}"))),
            false => found.push((*directory).to_owned()),
        }
    }
    let is_environment = |name: &str| worktree.join(name).join(VIRTUAL_ENVIRONMENT).symlink_metadata().is_ok();
    found.extend(names(worktree, is_environment).iter().map(|name| format!("{name}/{VIRTUAL_ENVIRONMENT}")));
    found.retain(|path| worktree.join(path).symlink_metadata().is_ok());
    found
}

/// The names of some entries of a directory; none if it cannot be read.
fn names(directory: &Path, is_wanted: impl Fn(&str) -> bool) -> Vec<String> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut names: Vec<String> = names.filter(|name| is_wanted(name)).take(ENTRIES_MAX).collect();
    names.sort();
    names
}

/// The blobs that a commit has at these paths.
async fn blobs(mirror: &Mirror, commit: &Oid, paths: &[String]) -> Result<BTreeMap<String, String>, GitError> {
    let list = mirror.command("ls-tree", "list files of the base").env("GIT_LITERAL_PATHSPECS", "1");
    let list = list.args(["-r", "-z", commit.as_str(), "--"]).args(paths.iter().map(PathBuf::from)).run().await?;
    let entries = list.stdout.split(|byte| *byte == 0).filter_map(|entry| {
        let (facts, path) = std::str::from_utf8(entry).ok()?.split_once('\t')?;
        Some((path.to_owned(), facts.rsplit_once(' ')?.1.to_owned()))
    });
    Ok(entries.collect())
}

async fn hash(mirror: &Mirror, content: Vec<u8>) -> Result<String, GitError> {
    let command = mirror.command("hash-object", "compare a file with the base").args(["--stdin", "--no-filters"]);
    Ok(String::from_utf8_lossy(&command.stdin(content).run().await?.stdout).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_name_commands_are_found_in_every_section() {
        for name in [
            "core.fsmonitor",
            "core.sshCommand",
            "filter.x.y.clean",
            "alias.st",
            "includeIf.gitdir:/a.path",
            "gpg.ssh.program",
        ] {
            assert!(names_command(name), "{name}");
        }
        for name in ["core.bare", "user.name", "remote.origin.url", "branch.main.merge", "nothing"] {
            assert!(!names_command(name), "{name}");
        }
    }
}
