//! The quarantine: a git directory of the host's own in which git processes an untrusted repository.
//!
//! Git in the agent's directory would obey what the agent wrote there: `config` names programs (filters, textconv,
//! `core.fsmonitor`, `core.sshCommand`), `hooks` are programs, and `objects/info/alternates` and symbolic links open any
//! repository that the host can read. So git never runs there. The quarantine is a temporary directory inside the mirror
//! with
//!
//! - a config that is written here;
//! - an `info/attributes` that overrides every `.gitattributes` of the files and turns their filters off;
//! - the agent's object files, linked or copied one by one, without links and alternates;
//! - the mirror's objects as its only alternate;
//! - no refs. Commits are named by their ids, which the host read as files (`reader`).
//!
//! Git verifies nothing when it merely opens an object. Commits become trusted when [`Mirror::import`] fetches them: then
//! git hashes every object on the way.

use std::path::{Path, PathBuf};

use crate::command::answer::Answer;
use crate::command::runner::{Git, GitCommand, GitError, TRANSFER_TIMEOUT, has_commit};
use crate::files::access::{
    FileError, blocking, is_dir_there, is_real_dir, read_dir_if_there, read_if_there, unique_suffix, write_atomic,
};
use crate::files::index::copy_index;
use crate::git_dir::layout::{SHALLOW, UNBORN_HEAD, bare_config, create_git_dir, merge_shallow, write_alternates};
use crate::git_dir::mend::{MendError, remove_damaged_objects};
use crate::git_dir::objects::{Left, Take, take_objects};
use crate::mirror::repo::{Mirror, SHALLOW_MAX};
use crate::mirror::scratch::Scratch;
use crate::names::Oid;
use crate::printable::printable;
use crate::untrusted::changes::StatusError;
use crate::untrusted::reader::{Head, UntrustedRepo, uses_reftable};
use crate::untrusted::reftable;

/// The refs under which objects leave a quarantine.
const EXPORT_REFS: &str = "refs/kugetsu/out/";

/// The conversions between files and objects that git may make. None of them runs a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Conversion {
    /// Line endings and encodings, so that a file which was only checked out does not look changed.
    BuiltIn,
    /// None: files are stored byte for byte.
    Raw,
    /// As [`BuiltIn`](Self::BuiltIn), and git decides for each file whether it is text, for people who read differences.
    Compared,
}

impl Conversion {
    /// The content of `info/attributes`, which overrides every `.gitattributes`.
    pub(crate) fn attributes(self) -> &'static [u8] {
        match self {
            Self::BuiltIn => b"* -filter -diff -merge\n",
            Self::Compared => b"* -filter !diff -merge\n",
            Self::Raw => b"* -filter -diff -merge -text -eol -crlf -ident -working-tree-encoding\n",
        }
    }
}

/// The directory is removed when it is dropped.
pub(crate) struct Quarantine {
    git: Git,
    /// The mirror is a partial clone, so objects may be missing that the server has.
    partial: bool,
    oid_digits: usize,
    /// The agent's object files that are not here.
    left: Left,
    scratch: Scratch,
}

impl Quarantine {
    /// Opens a quarantine with the objects of `git_dirs` and of the mirror, and HEAD at `head`. The repositories share the
    /// mirror's history: they are a worktree and its relay, or a clone.
    pub(crate) async fn open(mirror: &Mirror, git_dirs: &[&Path], head: Option<&Oid>) -> Result<Self, StatusError> {
        let partial = mirror.promisor().is_some();
        let mut config = bare_config(mirror.format(), partial);
        if let Some(promisor) = mirror.promisor() {
            promisor.write(&mut config);
        }
        // It has no files of its own, but commands bring their work tree.
        config.section("core", None).set("bare", "false");
        let mut quarantine = Self {
            git: mirror.git().clone(),
            partial,
            oid_digits: oid_digits(mirror.format()),
            left: Left::default(),
            scratch: mirror.scratch_dir()?,
        };
        let head = head.map_or(UNBORN_HEAD, Oid::as_str);
        create_git_dir(quarantine.dir(), head, &config)?;
        quarantine.set_conversion(Conversion::BuiltIn)?;
        write_alternates(&quarantine.objects(), [mirror.objects().as_path()])?;
        if let Some(shallow) = mirror.shallow()? {
            write_atomic(&quarantine.dir().join(SHALLOW), &shallow)?;
        }
        quarantine.add_objects_of(git_dirs).await?;
        Ok(quarantine)
    }

    /// Opens a quarantine for a repository with a history and an object format of its own, such as a submodule. The
    /// mirror's objects are added where the formats agree: an earlier rescue may have put commits of it there.
    pub(crate) async fn open_separate(
        mirror: &Mirror,
        git_dir: &Path,
        head: Option<&Oid>,
    ) -> Result<Self, StatusError> {
        let by_head = head.map(|head| if head.hex_len() == 64 { "sha256" } else { "sha1" });
        let format = by_head.or_else(|| reftable::object_format(git_dir)).unwrap_or(mirror.format());
        let mut config = bare_config(format, false);
        config.section("core", None).set("bare", "false");
        let mut quarantine = Self {
            git: mirror.git().clone(),
            partial: false,
            oid_digits: oid_digits(format),
            left: Left::default(),
            scratch: mirror.scratch_dir()?,
        };
        create_git_dir(quarantine.dir(), head.map_or(UNBORN_HEAD, Oid::as_str), &config)?;
        quarantine.set_conversion(Conversion::BuiltIn)?;
        let mut shallow = vec![read_shallow(git_dir)?];
        if format == mirror.format() {
            write_alternates(&quarantine.objects(), [mirror.objects().as_path()])?;
            shallow.extend(mirror.shallow()?);
        }
        let shallow = merge_shallow(shallow);
        if !shallow.is_empty() {
            write_atomic(&quarantine.dir().join(SHALLOW), &shallow)?;
        }
        quarantine.add_objects_of(&[git_dir]).await?;
        Ok(quarantine)
    }

    /// Reads HEAD and refs of a git directory whose objects are in this quarantine. Refs in reftable format are read by git,
    /// from a copy; if it cannot, they count as unreadable.
    pub(crate) async fn read_refs(&self, git_dir: &Path) -> Result<UntrustedRepo, StatusError> {
        let mut repo = UntrustedRepo::read_files(git_dir);
        let linked = read_dir_if_there(&git_dir.join("worktrees"))?.unwrap_or_default();
        let own = std::iter::once(git_dir.to_owned()).chain(linked);
        for (number, dir) in own.enumerate().filter(|(_, dir)| uses_reftable(dir)) {
            let scratch = self.dir().join(format!("reftable-{}", unique_suffix()));
            match reftable::read(&self.git, &scratch, &self.objects(), &dir).await {
                Ok(found) if number == 0 => {
                    repo.head = found.head;
                    repo.refs.extend(found.refs);
                    repo.others.extend(found.others);
                }
                Ok(found) => {
                    let name = dir.file_name().unwrap_or_default().as_encoded_bytes();
                    let named = |rest: &[u8]| [b"worktrees/", name, b"/", rest].concat();
                    repo.others.extend(found.head_commit().map(|oid| (named(b"HEAD"), oid.clone())));
                    let rest = found.refs.into_iter().chain(found.others);
                    repo.others.extend(rest.map(|(name, oid)| (named(&name), oid)));
                }
                Err(error) if reftable::is_about_tables(&error) => {
                    repo.unreadable.push(reftable::unreadable(&dir, &error));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(repo)
    }

    /// Adds the objects that can be read. What cannot is not an error yet: commits whose objects are missing show up as
    /// incomplete, and the files of the worktree can still be saved.
    async fn add_objects_of(&mut self, git_dirs: &[&Path]) -> Result<(), StatusError> {
        for git_dir in git_dirs.iter().filter(|dir| is_real_dir(dir)) {
            let left = take_objects(git_dir.join("objects"), self.objects(), Take::Link).await?;
            self.left.damaged.extend(left.damaged);
            self.left.unreadable.extend(left.unreadable);
            for pack in left.unindexed {
                // 1 and 128: git cannot index it, so it has nothing to give.
                let command = self.command("index-pack", "index a pack").arg(&pack).timeout(TRANSFER_TIMEOUT);
                command.answer(&[1, 128]).await?;
            }
        }
        Ok(())
    }

    /// Verifies every object that the agent's repositories have, and removes those from here whose content does not match
    /// their id. The agent's files stay, and the mirror's objects are not looked at.
    pub(crate) async fn remove_damaged_objects(&self) -> Result<(), StatusError> {
        remove_damaged_objects(&self.git, self.dir()).await.map_err(|error| match error {
            MendError::Git(error) => error.into(),
            MendError::File(error) => error.into(),
        })
    }

    /// The agent's object files that could not be read, with the reason, escaped.
    pub(crate) fn unreadable(&self) -> Vec<String> {
        self.left.unreadable.iter().map(|error| printable(error.to_string().as_bytes())).collect()
    }

    /// The git directory.
    pub(crate) fn dir(&self) -> &Path {
        self.scratch.path()
    }

    pub(super) fn objects(&self) -> PathBuf {
        self.dir().join("objects")
    }

    /// Sets the conversions that git makes from now on.
    pub(crate) fn set_conversion(&self, conversion: Conversion) -> Result<(), FileError> {
        write_atomic(&self.dir().join("info/attributes"), conversion.attributes())
    }

    /// Moves HEAD to a commit, or to an unborn branch.
    pub(crate) fn set_head(&self, head: Option<&Oid>) -> Result<(), FileError> {
        let head = head.map_or(UNBORN_HEAD, Oid::as_str);
        write_atomic(&self.dir().join("HEAD"), format!("{head}\n").as_bytes())
    }

    /// Copies an index file; `false` if it does not exist.
    pub(crate) async fn copy_index(&self, from: &Path) -> Result<bool, FileError> {
        let (from, to) = (from.to_owned(), self.dir().join("index"));
        blocking(&to.clone(), move || copy_index(&from, &to)).await
    }

    pub(crate) fn remove_index(&self) -> Result<(), FileError> {
        let path = self.dir().join("index");
        match std::fs::remove_file(&path) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                Err(FileError { action: "remove", path, source })
            }
            _ => Ok(()),
        }
    }

    pub(crate) fn git(&self) -> &Git {
        &self.git
    }

    /// Begins a git command without files.
    pub(crate) fn command(&self, subcommand: &str, action: impl Into<String>) -> GitCommand {
        self.git.command(subcommand, action).owned_git_dir(self.dir())
    }

    /// Begins a git command on the agent's files. Git does not enter repositories inside them: it would run there with the
    /// agent's settings.
    pub(crate) fn command_on(&self, files: &Path, subcommand: &str, action: impl Into<String>) -> GitCommand {
        self.command(subcommand, action)
            .work_tree(files)
            .config("diff.ignoreSubmodules", "all")
            .config("status.submoduleSummary", "false")
            .config("status.relativePaths", "false")
    }

    /// Whether the commits and everything they need exist. What is reachable from `safe` is not looked at again.
    pub(crate) async fn is_complete(&self, commits: &[&Oid], safe: &[Oid]) -> Result<bool, GitError> {
        let mut command = self.command("rev-list", "check the commits").args(["--objects", "--quiet"]);
        if self.partial {
            command = command.arg("--exclude-promisor-objects");
        }
        let command = command.arg("--stdin");
        Ok(command.stdin(rev_list_input(commits, safe)).whole().await?.yes().is_some())
    }

    /// The commit that an object is or, if it is a tag, points to.
    pub(crate) async fn peel_to_commit(&self, object: &Oid) -> Result<Option<Oid>, GitError> {
        let command = self.command("rev-parse", "look up the commit").args(["--verify", "--quiet", "--end-of-options"]);
        // 1: it is missing, or neither a commit nor a tag of one; 128: it is damaged.
        match command.arg(format!("{object}^{{commit}}")).answer(&[1, 128]).await? {
            Answer::Yes(output) => output.oid().map(Some),
            Answer::No(failed) if failed.code() == Some(1) || failed.names_damage() => Ok(None),
            Answer::No(failed) => Err(failed.error),
        }
    }

    /// The types of objects, in their order; `None` where one is missing.
    pub(crate) async fn kinds(&self, objects: &[&Oid]) -> Result<Vec<Option<Kind>>, GitError> {
        let command = self.command("cat-file", "look up objects").no_lazy_fetch().arg("--batch-check=%(objecttype)");
        let lines: String = objects.iter().map(|oid| format!("{oid}\n")).collect();
        let output = command.stdin(lines).run().await?;
        let kinds: Vec<Option<Kind>> = output.lines().map(Kind::parse).collect();
        if kinds.len() == objects.len() { Ok(kinds) } else { Err(output.unexpected()) }
    }

    /// Whether `head` contains `other`; `false` if one of them is missing.
    pub(crate) async fn contains(&self, head: &Oid, other: &Oid) -> Result<bool, GitError> {
        for commit in [head, other] {
            if !has_commit(self.command("cat-file", "look up a commit").no_lazy_fetch(), commit).await? {
                return Ok(false);
            }
        }
        let command = self.command("merge-base", "compare two commits").arg("--is-ancestor");
        // 1: it does not.
        Ok(command.args([other.as_str(), head.as_str()]).answer(&[1]).await?.is_yes())
    }

    /// Number of files that differ between a tree and a commit, or the empty tree.
    pub(crate) async fn count_changed_files(&self, from: Option<&Oid>, tree: &Oid) -> Result<usize, GitError> {
        let from = match from {
            Some(from) => from.clone(),
            None => {
                let command = self.command("hash-object", "create an empty tree");
                command.args(["-w", "-t", "tree", "--stdin"]).stdin(Vec::new()).run().await?.oid()?
            }
        };
        let command = self.command("diff-tree", "compare the files").args(["-r", "-z", "--name-only", "--no-renames"]);
        Ok(command.args([from.as_str(), tree.as_str()]).run().await?.records().count())
    }

    /// Number of hex digits of an id: 40 or 64.
    pub(crate) fn oid_digits(&self) -> usize {
        self.oid_digits
    }

    /// The commits reachable from `heads`, but not from `excluded`; `None` if git cannot list them, because objects are
    /// missing or damaged.
    pub(crate) async fn commits_not_in(&self, heads: &[&Oid], excluded: &[Oid]) -> Result<Option<Vec<Oid>>, GitError> {
        let command = self.command("rev-list", "list the commits").arg("--stdin");
        let listed = command.stdin(rev_list_input(heads, excluded)).whole().await?.yes();
        Ok(listed.map(|output| output.lines().filter_map(Oid::from_bytes).collect()))
    }

    /// Number of commits reachable from `commits`, but not from `excluded`.
    pub(crate) async fn count_commits_not_in(&self, commits: &[&Oid], excluded: &[Oid]) -> Result<u32, GitError> {
        let command = self.command("rev-list", "count the commits").args(["--count", "--stdin"]);
        let output = command.stdin(rev_list_input(commits, excluded)).run().await?;
        output.line().parse().map_err(|_| output.unexpected())
    }
}

/// The type of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Commit,
    Tag,
    /// A tree or a blob.
    Content,
}

impl Kind {
    fn parse(line: &[u8]) -> Option<Self> {
        match line {
            b"commit" => Some(Self::Commit),
            b"tag" => Some(Self::Tag),
            b"tree" | b"blob" => Some(Self::Content),
            _ => None,
        }
    }
}

impl Mirror {
    /// Imports a commit with all its objects from a quarantine and names it `ref_name` here. From then on it is trusted:
    /// git packs the objects, hashes each of them and checks that none is missing.
    ///
    /// `fetch.fsckObjects` also rejects objects for their form (a strange date, a broken mode). If that fails, the import
    /// is repeated without it: the content still has to match its id, and work must not be lost for its form.
    pub(crate) async fn import(&self, quarantine: &Quarantine, commit: &Oid, ref_name: &str) -> Result<(), GitError> {
        self.import_all(quarantine, &[(commit, ref_name.to_owned())]).await
    }

    /// Imports several objects at once, and names all of them or none. They need not be commits.
    pub(crate) async fn import_all(&self, quarantine: &Quarantine, objects: &[(&Oid, String)]) -> Result<(), GitError> {
        let export = |number: usize| format!("{EXPORT_REFS}{number}");
        let lines: String =
            objects.iter().enumerate().map(|(number, (oid, _))| format!("update {} {oid}\n", export(number))).collect();
        let command = quarantine.command("update-ref", "name the commits").args(["--no-deref", "--stdin"]);
        command.stdin(lines).run().await?;
        let specs: Vec<String> =
            objects.iter().enumerate().map(|(number, (_, name))| format!("+{}:{name}", export(number))).collect();
        match self.fetch_export(quarantine, &specs, true).await {
            Ok(()) => {}
            Err(GitError::Failed { .. }) => self.fetch_export(quarantine, &specs, false).await?,
            Err(error) => return Err(error),
        }
        // From a repository whose history is cut off, git fetches without an error and leaves the ref out if it cannot
        // take it.
        for (oid, name) in objects {
            if self.read_ref(name).await?.as_ref() != Some(*oid) {
                return Err(GitError::UnexpectedOutput {
                    action: "import the commits into the mirror".to_owned(),
                    output: format!("the history of {} is cut off", oid.short()),
                });
            }
        }
        Ok(())
    }

    async fn fetch_export(&self, quarantine: &Quarantine, specs: &[String], fsck: bool) -> Result<(), GitError> {
        let command = self.command("fetch", "import the commits into the mirror").timeout(TRANSFER_TIMEOUT);
        let command = command.config("fetch.fsckObjects", if fsck { "true" } else { "false" });
        // From 100 objects on they stay a pack: thousands of loose objects would slow the mirror down.
        let command = command.config("fetch.unpackLimit", "100");
        let command = command.args(["--quiet", "--atomic", "--no-tags", "--no-write-fetch-head", "--end-of-options"]);
        command.arg(quarantine.dir()).args(specs).run().await.map(drop)
    }
}

/// The content of the `shallow` file of an untrusted git directory; empty if there is none.
pub(crate) fn read_shallow(git_dir: &Path) -> Result<Vec<u8>, FileError> {
    let is_there = is_dir_there(git_dir)?;
    let text = if is_there { read_if_there(&git_dir.join(SHALLOW), SHALLOW_MAX)? } else { None };
    Ok(text.unwrap_or_default())
}

fn oid_digits(format: &str) -> usize {
    if format == "sha256" { 64 } else { 40 }
}

/// Input for `rev-list --stdin`.
pub(crate) fn rev_list_input(commits: &[&Oid], excluded: &[Oid]) -> Vec<u8> {
    let mut lines = String::new();
    for commit in commits {
        lines.push_str(commit.as_str());
        lines.push('\n');
    }
    for commit in excluded {
        lines.push('^');
        lines.push_str(commit.as_str());
        lines.push('\n');
    }
    lines.into_bytes()
}

/// The name of the branch that HEAD is on, escaped; `None` if HEAD is detached or unreadable.
pub(crate) fn head_branch(repo: &UntrustedRepo) -> Option<String> {
    match repo.head.as_ref()? {
        Head::Symbolic(name) => Some(printable(name.strip_prefix(b"refs/heads/").unwrap_or(name))),
        Head::Detached(_) => None,
    }
}
