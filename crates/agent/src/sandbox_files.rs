//! The files that an agent can access in its sandbox, and the commands that check its work.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use kugetsu_process::sandbox::{Backend, FileAccess, PRIVATE_DIRECTORIES};

use crate::profile::Profile;
use crate::user_directories::AgentDirectories;

/// Files and directories in a user's home that the agent and its tools read: settings without secrets, and toolchains.
const READABLE: &[&str] = &[
    ".gitconfig",
    ".config/git/attributes",
    ".config/git/config",
    ".config/git/ignore",
    ".cargo/bin",
    ".cargo/config.toml",
    ".cargo/env",
    ".rustup",
    ".nvm",
    ".fnm",
    ".volta",
    ".bun",
    ".deno",
    ".pyenv",
    ".rbenv",
    ".asdf",
    ".sdkman",
    ".gradle/wrapper",
    ".dotnet/dotnet",
    ".dotnet/host",
    ".dotnet/sdk",
    ".dotnet/shared",
    ".dotnet/tools",
    ".ghcup",
    ".opam",
    ".elan",
    ".juliaup",
    ".local/bin",
    ".local/lib",
    ".local/share/fnm",
    ".local/share/mise",
    ".local/share/pipx",
    ".local/share/pnpm",
    ".local/share/uv/python",
    ".local/share/uv/tools",
];
/// Caches of package managers and compilers in a user's home. What is written into them is gone with the run: a later build of the user
/// would execute it.
const CACHES: &[&str] = &[
    ".cargo/git",
    ".cargo/registry",
    ".npm",
    ".yarn",
    ".pnpm-store",
    ".m2/repository",
    ".gradle/caches",
    ".nuget/packages",
    "go/pkg",
    ".cache/go-build",
    ".cache/ms-playwright",
    ".cache/pip",
    ".cache/pnpm",
    ".cache/uv",
    ".cache/yarn",
];
/// Where the homes of users are. Only the allowed parts of the own one are visible.
const HOMES: [&str; 2] = ["/home", "/root"];

/// The files of one agent. It sees the system, and of the user's home settings without secrets, toolchains and the programs on its `PATH`;
/// of other homes, and of kugetsu's, nothing. It writes its own directories.
#[derive(Debug)]
pub struct SandboxFiles<'a> {
    pub profile: &'a Profile,
    /// Kugetsu's home.
    pub home: &'a Path,
    /// Its program, and others that it starts, such as kugetsu.
    pub programs: Vec<PathBuf>,
    /// Its `PATH`.
    pub search_path: OsString,
    /// Others that it may read.
    pub readable: Vec<PathBuf>,
    /// Further directories that it may write.
    pub writable: Vec<PathBuf>,
}

impl SandboxFiles<'_> {
    /// Creates the directories of the agent that do not exist. `variable` looks a variable of its environment up.
    ///
    /// # Errors
    /// A directory of the agent cannot be created.
    pub fn access(self, backend: Backend, variable: impl Fn(&str) -> Option<OsString>) -> io::Result<FileAccess> {
        let given = variable("HOME").map(PathBuf::from).filter(|home| home.is_absolute());
        let user = given.as_ref().and_then(|home| home.canonicalize().ok()).filter(|home| home.parent().is_some());
        let own = AgentDirectories::of(self.profile, variable);
        let is_copied = backend == Backend::Namespaces;
        for directory in own.writable.iter().chain(own.settings.iter().filter(|_| !is_copied)) {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        }
        let homes: Vec<PathBuf> = user.iter().cloned().chain([self.home.to_owned()]).collect();
        let mut readable = programs(&self.programs, &self.search_path, &real(homes));
        readable.extend(self.readable);
        let mut writable: Vec<PathBuf> = own.writable.into_iter().collect();
        // Agents write beside their settings when they start, and some end if they cannot.
        let mut copied = Vec::new();
        let settings = if is_copied { &mut copied } else { &mut writable };
        settings.extend(own.settings);
        if let Some(user) = &user {
            readable.extend(READABLE.iter().map(|path| user.join(path)));
            copied.extend(CACHES.iter().map(|path| user.join(path)));
        }
        writable.extend(self.writable);
        // The agent finds them under the names of their links.
        let emptied: Vec<PathBuf> = given
            .iter()
            .filter_map(|home| home.parent().filter(|parent| parent.parent().is_some()))
            .map(Path::to_owned)
            .chain(user.clone())
            .chain(HOMES.map(PathBuf::from))
            .chain(PRIVATE_DIRECTORIES.map(PathBuf::from))
            .collect();
        let named = readable.iter().chain(&copied).chain(&writable).chain(&given);
        let mut links: BTreeMap<_, _> =
            named.flat_map(|path| emptied.iter().filter_map(|root| link_below(root, path))).collect();
        let writable = real(writable);
        // What is below a writable directory is writable with it.
        let is_apart = |path: &PathBuf| !writable.iter().any(|outer| path.starts_with(outer));
        let copied: Vec<PathBuf> = real(copied).into_iter().filter(|path| is_apart(path) && path.is_dir()).collect();
        let readable: Vec<PathBuf> =
            real(readable).into_iter().filter(|path| is_apart(path) && !copied.contains(path)).collect();
        // The others are shown with their directories.
        links.retain(|link, _| {
            ![&readable, &copied, &writable].into_iter().flatten().any(|shown| link.starts_with(shown))
        });
        let homes = HOMES.map(PathBuf::from).into_iter().chain([self.home.to_owned()]);
        let hidden = real(homes).into_iter().filter(|path| path.is_dir() && Some(path) != user.as_ref());
        Ok(FileAccess {
            readable,
            hidden: hidden.collect(),
            private: user.into_iter().collect(),
            copied,
            links: links.into_iter().collect(),
            writable,
        })
    }
}

/// The first symbolic link on the way from a directory to a path, with what it leads to.
fn link_below(directory: &Path, path: &Path) -> Option<(PathBuf, PathBuf)> {
    let below = path.strip_prefix(directory).ok()?;
    let mut link = directory.to_owned();
    for component in below.components() {
        link.push(component);
        if link.is_symlink() {
            let target = link.canonicalize().ok()?;
            return Some((link, target));
        }
    }
    None
}

/// The programs that the agent may start: those on its `PATH` and these, with the packages that they belong to. Never a whole home: a
/// program that is directly in one is visible alone.
fn programs(programs: &[PathBuf], search_path: &OsStr, homes: &[PathBuf]) -> Vec<PathBuf> {
    let on_path = std::env::split_paths(search_path).filter(|directory| directory.is_absolute());
    let contains_home = |path: &Path| {
        let real = path.canonicalize();
        real.is_ok_and(|real| homes.iter().any(|home| home.starts_with(&real)))
    };
    let beside = with_targets(programs).filter_map(|file| match file.parent()? {
        parent if contains_home(parent) => Some(file),
        parent => Some(parent.to_owned()),
    });
    let found: Vec<PathBuf> = on_path.chain(beside).collect();
    let packages = found.iter().filter_map(|programs| package_of(&programs.canonicalize().ok()?, homes));
    found.iter().cloned().chain(packages).filter(|path| !contains_home(path)).collect()
}

/// A program is often a link, so its target counts, too.
pub fn with_targets(programs: &[PathBuf]) -> impl Iterator<Item = PathBuf> {
    programs.iter().flat_map(|program| [Some(program.clone()), program.canonicalize().ok()]).flatten()
}

/// The directory of the package that these programs belong to, in which they find their libraries and modules: the outermost
/// `node_modules` above, or what contains `bin`. None for directories in which the programs of many packages are, and for those that
/// are directly in a home: they often hold settings and keys as well.
fn package_of(programs: &Path, homes: &[PathBuf]) -> Option<PathBuf> {
    let modules = programs.ancestors().filter(|path| path.file_name() == Some(OsStr::new("node_modules"))).last();
    let around_bin = || programs.parent().filter(|_| programs.file_name() == Some(OsStr::new("bin")));
    let package = modules.or_else(around_bin)?;
    let mut below = homes.iter().filter_map(|home| package.strip_prefix(home).ok());
    let is_deep = below.any(|below| below.components().count() > 1);
    let is_elsewhere =
        !HOMES.iter().any(|home| package.starts_with(home)) && !homes.iter().any(|home| package.starts_with(home));
    (is_deep || is_elsewhere || modules.is_some()).then(|| package.to_owned())
}

/// Those that exist, without links and without repetition.
fn real(paths: impl IntoIterator<Item = PathBuf>) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = paths.into_iter().filter_map(|path| path.canonicalize().ok()).collect();
    found.sort();
    found.dedup();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn package_is_what_surrounds_its_programs() {
        let package =
            |programs: &str| package_of(Path::new(programs), &["/u".into()]).map(|path| path.display().to_string());
        assert_eq!(package("/u/.nvm/v22/bin").as_deref(), Some("/u/.nvm/v22"));
        assert_eq!(package("/u/x/node_modules/a/node_modules/b/bin").as_deref(), Some("/u/x/node_modules"));
        assert_eq!(package("/u/x/node_modules/.bin").as_deref(), Some("/u/x/node_modules"));
        for shared in ["/u/.local/bin", "/u/.cargo/bin", "/u/bin", "/home/other/bin"] {
            assert_eq!(package(shared), None, "{shared}");
        }
        assert_eq!(package("/opt/node/bin").as_deref(), Some("/opt/node"));
        assert_eq!(package("/u/.pyenv/shims"), None);
    }

    #[test]
    fn links_on_the_way_to_a_path_are_found() {
        let directory = tempfile::tempdir().unwrap();
        let home = directory.path().canonicalize().unwrap();
        fs::create_dir_all(home.join("dotfiles/agent")).unwrap();
        std::os::unix::fs::symlink("dotfiles", home.join(".config")).unwrap();
        let found = link_below(&home, &home.join(".config/agent"));
        assert_eq!(found, Some((home.join(".config"), home.join("dotfiles"))));
        assert_eq!(link_below(&home, &home.join("dotfiles/agent")), None);
        assert_eq!(link_below(&home, Path::new("/elsewhere")), None);
    }
}
