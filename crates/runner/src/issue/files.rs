//! Prepares the files of a run: updates the mirror, creates or opens the worktree, and rescues what a lost run left in it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use kugetsu_agent::environment::Variable;
use kugetsu_agent::refs_of_agents;
use kugetsu_api::location::Location;
use kugetsu_api::record::Body;
use kugetsu_api::run_spec::{CloneSource, IssueSpec};
use kugetsu_domain::rescue_time;
use kugetsu_git::command::{Git, GitError, Progress};
use kugetsu_git::files::FileError;
use kugetsu_git::mirror::{Base, BaseError, Mirror, MirrorError, Source, uncommitted_notice};
use kugetsu_git::names::{BranchName, InvalidBranchName, InvalidOid, Oid};
use kugetsu_git::rescue::{self, Rescue, RescueError, SaveSpec};
use kugetsu_git::worktree::lock::hold;
use kugetsu_git::worktree::{Damage, Operation, StatusError, Worktree, WorktreeError, WorktreeSpec};
use kugetsu_process::MARKER;
use secrecy::ExposeSecret;
use thiserror::Error;
use tokio::time::{Duration, Instant};

use crate::records::spool::Spool;
use crate::run_context::RunContext;

/// Progress of git is recorded at most this often.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(1);
/// How many branch names are tried.
const BRANCHES_MAX: u32 = 100;

#[derive(Clone, Debug)]
pub(crate) struct Files {
    pub(crate) mirror: Mirror,
    pub(crate) worktree: Worktree,
    /// The commit that the work started from. None in a repository without commits.
    pub(crate) base: Option<Oid>,
    /// The branch that the work started from, if this run created the worktree.
    pub(crate) base_branch: Option<BranchName>,
    /// The commit that kugetsu last pushed to the issue's branch: the push of this run expects to find it there.
    pub(crate) pushed: Option<Oid>,
    /// Whether the mirror has the server's branches as of the beginning of this run.
    pub(crate) is_current: bool,
    /// Facts about the worktree that the agent has to know before it continues, one sentence each.
    pub(crate) notes: Vec<String>,
}

#[derive(Debug, Error)]
pub(crate) enum FilesError {
    #[error("could not fetch the repository: {error}")]
    Mirror {
        #[source]
        error: MirrorError,
        /// The variable that would hold the server's token.
        token_variable: Option<String>,
    },
    #[error(transparent)]
    Base(#[from] BaseError),
    #[error("could not prepare the worktree: {0}")]
    Worktree(#[from] WorktreeError),
    #[error("could not inspect the worktree: {0}")]
    Status(#[from] StatusError),
    #[error("could not rescue what the previous run left, so the agent was not started: {0}")]
    Rescue(#[from] RescueError),
    #[error("the worktree is damaged ({damage}), and not all of it could be rescued: {unsaved}")]
    NotRescued { damage: Damage, unsaved: String, directory: PathBuf },
    #[error("there is nothing to push: the worktree {} is missing", directory.display())]
    NothingToPush { directory: PathBuf, issue: String },
    #[error(transparent)]
    Branch(#[from] InvalidBranchName),
    #[error(transparent)]
    Oid(#[from] InvalidOid),
    #[error(transparent)]
    Git(#[from] GitError),
    #[error(transparent)]
    File(#[from] FileError),
    #[error("the branches {0}, {0}-2 and so on are all taken")]
    NoFreeBranch(BranchName),
}

impl FilesError {
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            Self::Mirror { error, token_variable } => {
                let token = token_variable.as_deref();
                let token = token.map(|name| format!("if a token is missing: `kugetsu env set {name} -`"));
                let hints: Vec<String> = error.hint().into_iter().chain(token).collect();
                (!hints.is_empty()).then(|| hints.join("; "))
            }
            Self::Base(error) => error.hint(),
            Self::Worktree(error) => error.hint(),
            Self::Rescue(error) => error.hint(),
            Self::Git(error) => error.hint(),
            Self::NotRescued { directory, .. } => {
                Some(format!("move these files out of {}, then continue the issue", directory.display()))
            }
            Self::NothingToPush { issue, .. } => Some(format!(
                "`kugetsu continue {issue} \"<message>\"` creates it again from what was pushed; other work is in its rescues: \
                 `kugetsu rescue list {issue}`"
            )),
            Self::NoFreeBranch(_) => Some("delete branches on the server that are no longer needed".to_owned()),
            Self::Status(_) | Self::Branch(_) | Self::Oid(_) | Self::File(_) => None,
        }
    }
}

/// Creates the issue's worktree, or opens it as the previous run left it.
///
/// # Errors
/// [`FilesError`]; a worktree that existed is unchanged.
#[tracing::instrument(skip_all)]
pub(crate) async fn prepare(issue: &IssueSpec, run: &RunContext) -> Result<Files, FilesError> {
    let spool = &run.spool;
    let mut progress = progress_recorder(spool.clone());
    let has_mirror = run.home.mirrors().join(&issue.mirror).exists();
    let mut preparation = Preparation::begin(issue, run, &mut progress).await?;
    let mirror = preparation.mirror.clone();
    match Worktree::open(&mirror, &preparation.directory, &preparation.relay, &preparation.branch).await {
        Ok(worktree) => {
            // The work can continue without news from the server. If it cannot be reached at the end either, the push fails.
            if has_mirror && let Err(error) = mirror.update(&mut progress).await {
                spool.notice(format!("could not update the server's branches: {error}"));
                preparation.is_current = false;
            }
            match worktree.damage().await? {
                Some(damage) => preparation.rebuild(worktree, damage, &mut progress).await,
                None => preparation.resume(worktree).await,
            }
        }
        Err(WorktreeError::Missing(_)) => {
            // New work has to start from the current state.
            if has_mirror {
                mirror.update(&mut progress).await.map_err(|error| fetch_failed(issue, error))?;
            }
            preparation.create(&mut progress).await
        }
        Err(error) => Err(error.into()),
    }
}

/// Opens the issue's worktree without changing it. Nothing is created, also not a worktree that is missing or damaged: it would
/// lack what is to be pushed.
///
/// # Errors
/// [`FilesError`].
pub(crate) async fn open_to_push(issue: &IssueSpec, run: &RunContext) -> Result<Files, FilesError> {
    let spool = &run.spool;
    let mut progress = progress_recorder(spool.clone());
    let missing = |directory: &Path| FilesError::NothingToPush {
        directory: directory.to_owned(),
        issue: run.spec.reference.clone(),
    };
    let (directory, _) = run.home.files(&issue.directory);
    if !directory.exists() {
        return Err(missing(&directory));
    }
    let preparation = Preparation::begin(issue, run, &mut progress).await?;
    let Preparation { mirror, directory, relay, branch, .. } = &preparation;
    match Worktree::open(mirror, directory, relay, branch).await {
        Ok(worktree) => {
            mirror.update(&mut progress).await.map_err(|error| fetch_failed(issue, error))?;
            match worktree.damage().await? {
                // The inspection reports it.
                Some(_) => preparation.files_of(worktree),
                None => preparation.resume(worktree).await,
            }
        }
        Err(WorktreeError::Missing(_)) => Err(missing(directory)),
        Err(error) => Err(error.into()),
    }
}

fn fetch_failed(issue: &IssueSpec, error: MirrorError) -> FilesError {
    FilesError::Mirror { error, token_variable: token_variable(issue).map(str::to_owned) }
}

/// The variable that holds the server's token.
pub(crate) fn token_variable(issue: &IssueSpec) -> Option<&str> {
    issue.access.as_ref().map(|access| access.token_variable.as_str())
}

/// The variables of Git LFS in the env files, which count for the host's git, too: the agent's worktree is checked out by it.
fn lfs_variables(variables: &[Variable]) -> Vec<(OsString, OsString)> {
    let lfs = variables.iter().filter(|variable| variable.name.starts_with("GIT_LFS_"));
    lfs.map(|variable| (variable.name.clone().into(), variable.value.expose_secret().into())).collect()
}

/// Lets git log in to the issue's server, if its token is set.
fn with_token(git: Git, issue: &IssueSpec, run: &RunContext) -> Git {
    let Some(access) = &issue.access else { return git };
    match run.variable(&access.token_variable).filter(|token| !token.expose_secret().is_empty()) {
        Some(token) => git.with_token(&access.base_url, &access.user, token.clone()),
        None => git,
    }
}

fn source(source: &CloneSource) -> Source {
    match source {
        CloneSource::Path(path) => Source::Path(path.clone()),
        CloneSource::Address(text) => Source::parse(text).unwrap_or_else(|_| Source::Url(text.clone())),
    }
}

struct Preparation<'a> {
    issue: &'a IssueSpec,
    spool: &'a Spool,
    mirror: Mirror,
    directory: PathBuf,
    relay: PathBuf,
    branch: BranchName,
    is_current: bool,
}

impl<'a> Preparation<'a> {
    /// Opens or creates the mirror.
    async fn begin(
        issue: &'a IssueSpec,
        run: &'a RunContext,
        progress: &mut (dyn FnMut(Progress) + Send),
    ) -> Result<Self, FilesError> {
        let RunContext { home, spool, .. } = run;
        let mut variables = lfs_variables(&run.variables);
        let location = Location::of(home);
        let location = location.map_err(|source| FileError { action: "read", path: home.path().to_owned(), source })?;
        variables.push((MARKER.into(), location.git_marker(&run.spec.run).into()));
        let git = with_token(Git::find_with(variables).await?.with_bookkeeping(&refs_of_agents()), issue, run);
        spool.step("preparing the repository");
        let path = home.mirrors().join(&issue.mirror);
        let mirror = Mirror::open_or_create(&git, &path, &source(&issue.source), progress).await;
        let mirror = mirror.map_err(|error| fetch_failed(issue, error))?;
        let (directory, relay) = home.files(&issue.directory);
        let branch = BranchName::new(issue.branch.clone())?;
        Ok(Self { issue, spool, mirror, directory, relay, branch, is_current: true })
    }

    fn files_of(self, worktree: Worktree) -> Result<Files, FilesError> {
        let base = self.base_commit()?;
        let pushed = self.issue.pushed.as_deref().map(str::parse).transpose()?;
        Ok(Files {
            mirror: self.mirror,
            worktree,
            base,
            base_branch: None,
            pushed,
            is_current: self.is_current,
            notes: Vec::new(),
        })
    }

    /// Continues in a worktree that exists. What a lost run left in it is rescued first: the agent may have been in the middle
    /// of a change.
    async fn resume(self, worktree: Worktree) -> Result<Files, FilesError> {
        for notice in worktree.refresh().await? {
            self.spool.notice(notice);
        }
        self.spool.step("continuing in the issue's worktree");
        self.warn_of_unused_base(worktree.branch());
        if self.issue.lost_before.is_some() {
            let spec = self.rescue_of("the previous run was lost");
            if let Some(saved) = rescue::save(&self.mirror, &worktree, spec).await? {
                self.spool.notice(format!("rescued what the previous run left as {}", saved.name));
            }
        }
        let mut notes: Vec<String> = worktree.operations().await?.into_iter().map(unfinished_note).collect();
        if let Some((branch, default)) = self.renamed_base().await? {
            let gone = format!("the server has no branch {branch} any more, from which this work started");
            self.spool.notice(format!("{gone}; its default branch is {default}"));
            notes.push(format!("The server has no branch {branch} any more, from which your work started. Its default branch is {default}."));
        }
        notes.extend(self.commits_of_others(&worktree).await?);
        Ok(Files { notes, ..self.files_of(worktree)? })
    }

    /// Offers the agent what others pushed to the issue's branch. It is never overwritten: a push over it is refused.
    async fn commits_of_others(&self, worktree: &Worktree) -> Result<Option<String>, FilesError> {
        let branch = worktree.branch();
        let Some(tip) = self.mirror.branch_tip(branch).await? else { return Ok(None) };
        if self.issue.pushed.as_deref() == Some(tip.as_str()) {
            return Ok(None);
        }
        let base = self.base_commit()?;
        let head = worktree.best_head(base.as_ref()).await?;
        if let Some(head) = &head
            && worktree.has_ancestor(head, &tip).await?
        {
            return Ok(None);
        }
        let short = tip.short();
        self.spool.notice(format!("others pushed to {branch}: it is at {short} on the server"));
        Ok(Some(match worktree.offer(&tip).await? {
            true => format!(
                "Others pushed to your branch: it is at {short} on the server. Before you change anything, get it with `git fetch origin`, \
                 then `git merge origin/{branch}`, and keep what they did."
            ),
            false => format!(
                "Others pushed to your branch: it is at {short} on the server, which is not what you pushed to origin. A person has to \
                 merge the two, so end your turn and say so."
            ),
        }))
    }

    async fn create(self, progress: &mut (dyn FnMut(Progress) + Send)) -> Result<Files, FilesError> {
        if self.issue.base_sha.is_some() {
            return self.recreate(progress).await;
        }
        self.spool.step("creating the worktree");
        let requested = self.issue.base.clone();
        self.create_from_base(requested, progress).await
    }

    /// Rescues what is left of a damaged worktree, removes it and creates it again where the work was.
    async fn rebuild(
        self,
        worktree: Worktree,
        damage: Damage,
        progress: &mut (dyn FnMut(Progress) + Send),
    ) -> Result<Files, FilesError> {
        // While a user is attached, the run does not begin, and nothing may be removed.
        let Ok(Some(_lock)) = hold(worktree.dir()) else { return self.resume(worktree).await };
        self.spool.step("rescuing a damaged worktree");
        let tip = self.known_tip(&worktree).await?;
        let spec = self.rescue_of(&format!("the worktree was damaged: {damage}"));
        let saved = rescue::save(&self.mirror, &worktree, spec).await?;
        if let Some(saved) = saved.as_ref().filter(|saved| !saved.unsaved.is_empty()) {
            return Err(FilesError::NotRescued {
                damage,
                unsaved: saved.unsaved.join(", "),
                directory: self.directory,
            });
        }
        worktree.remove_damaged(damage).await?;
        // The run that damaged it has usually rescued it already.
        let newest = self.newest_rescue().await?;
        let rescued = match &newest {
            Some(newest) => format!("its files are in the rescue {}", newest.name),
            None => "it held nothing that exists nowhere else".to_owned(),
        };
        self.spool.notice(format!("the worktree was damaged: {damage}; {rescued}; creating it again"));
        let mut notes =
            vec![format!("Your worktree was damaged before this turn: {damage}. It has been created again.")];
        notes.extend(newest.map(|newest| rescue_note(&newest)));
        self.create_at(tip, notes, progress).await
    }

    /// Creates the worktree of work that has begun: the directory was removed outside of kugetsu. The work continues from what
    /// was pushed, to the server or only to the relay, and its base stays the same; other work starts again.
    async fn recreate(self, progress: &mut (dyn FnMut(Progress) + Send)) -> Result<Files, FilesError> {
        let remains = Worktree::remains(&self.mirror, &self.directory, &self.relay, &self.branch).await?;
        let tip = match remains {
            Some(remains) => {
                // What only the relay has.
                rescue::save(&self.mirror, &remains, self.rescue_of("the worktree was removed")).await?;
                self.known_tip(&remains).await?
            }
            None => self.pushed_tip().await?,
        };
        self.spool.notice(match &tip {
            Some(tip) => format!(
                "the worktree was removed outside of kugetsu; creating it again from what was pushed ({}), without unpushed work",
                tip.short()
            ),
            None => "the worktree was removed outside of kugetsu; creating it again without unpushed work".to_owned(),
        });
        let mut notes = vec!["Your worktree was removed before this turn. It has been created again.".to_owned()];
        if let Some(newest) = self.newest_rescue().await? {
            self.spool.notice(format!("the newest rescue of the issue is {}", newest.name));
            notes.push(rescue_note(&newest));
        }
        self.create_at(tip, notes, progress).await
    }

    /// The newest commit of the issue's work that is known: in what is left of the worktree, in the relay, or pushed. `None` if
    /// there is no work.
    async fn known_tip(&self, worktree: &Worktree) -> Result<Option<Oid>, FilesError> {
        let (base, pushed) = (self.base_commit()?, self.pushed_tip().await?);
        let (Some(best), Some(base)) = (worktree.best_head(base.as_ref()).await?, &base) else { return Ok(pushed) };
        // A repository that replaced the worktree's has a history of another origin.
        if best == *base || !worktree.has_ancestor(&best, base).await? {
            return Ok(pushed);
        }
        match pushed {
            Some(pushed) if !worktree.has_ancestor(&best, &pushed).await? => Ok(Some(pushed)),
            _ => Ok(Some(best)),
        }
    }

    async fn newest_rescue(&self) -> Result<Option<Rescue>, FilesError> {
        let rescues = rescue::list(&self.mirror, Some(self.issue.number)).await?;
        Ok(rescues.into_iter().max_by(|a, b| a.at.cmp(&b.at)))
    }

    fn rescue_of(&self, reason: &str) -> SaveSpec {
        SaveSpec {
            issue_number: self.issue.number,
            reason: reason.to_owned(),
            at: rescue_time::format(Timestamp::now()),
            max_file: self.issue.rescue_max_file,
        }
    }

    async fn pushed_tip(&self) -> Result<Option<Oid>, FilesError> {
        match self.issue.pushed {
            Some(_) => Ok(self.mirror.pushed_tip(&self.branch).await?),
            None => Ok(None),
        }
    }

    /// Creates the worktree at `tip`, or where the work started, with `notes` for the agent.
    async fn create_at(
        self,
        tip: Option<Oid>,
        notes: Vec<String>,
        progress: &mut (dyn FnMut(Progress) + Send),
    ) -> Result<Files, FilesError> {
        self.spool.step("creating the worktree");
        let Some(tip) = tip else {
            let base = match self.renamed_base().await? {
                Some((branch, default)) => {
                    self.spool.notice(format!(
                        "the server has no branch {branch} any more, from which this work started; starting from {default}, its \
                         default branch"
                    ));
                    Some(default.to_string())
                }
                None => self.issue.base_branch.clone(),
            };
            return Ok(Files { notes, ..self.create_from_base(base, progress).await? });
        };
        self.warn_of_unused_base(&self.branch);
        let from = Base { branch: Some(self.branch.clone()), commit: Some(tip) };
        let base = self.base_commit()?;
        let pushed = self.issue.pushed.as_deref().map(str::parse).transpose()?;
        let spec = WorktreeSpec { dir: self.directory, relay: self.relay, branch: self.branch, base: from };
        let created = Worktree::create(&self.mirror, spec, progress).await?;
        for notice in created.notices {
            self.spool.notice(notice);
        }
        Ok(Files {
            mirror: self.mirror,
            worktree: created.worktree,
            base,
            base_branch: None,
            pushed,
            is_current: self.is_current,
            notes,
        })
    }

    /// The branch that the work started from, which the server has no more, and the server's default branch.
    async fn renamed_base(&self) -> Result<Option<(BranchName, BranchName)>, FilesError> {
        let Some(branch) = self.issue.base_branch.clone().map(BranchName::new).transpose()? else { return Ok(None) };
        if self.mirror.branch_tip(&branch).await?.is_some() {
            return Ok(None);
        }
        Ok(self.mirror.default_branch().await?.map(|default| (branch, default)))
    }

    async fn create_from_base(
        self,
        requested: Option<String>,
        progress: &mut (dyn FnMut(Progress) + Send),
    ) -> Result<Files, FilesError> {
        let requested = requested.map(BranchName::new).transpose()?;
        let base = self.mirror.resolve_base(requested.as_ref()).await?;
        if base.commit.is_none() {
            let (repo, name) = (self.mirror.source(), base.branch.as_ref());
            self.spool.notice(match name {
                Some(name) => format!("{name} of {repo} has no commit yet; the work starts without files"),
                None => format!("{repo} has no commit yet; the work starts without files"),
            });
        }
        let (branch, ()) =
            tokio::join!(self.mirror.free_branch(&self.branch, BRANCHES_MAX), self.warn_of_uncommitted_changes());
        let branch = branch?.ok_or(FilesError::NoFreeBranch(self.branch))?;
        let spec = WorktreeSpec { dir: self.directory, relay: self.relay, branch: branch.clone(), base: base.clone() };
        let created = Worktree::create(&self.mirror, spec, progress).await?;
        for notice in created.notices {
            self.spool.notice(notice);
        }
        self.spool.write(Body::Worktree {
            directory: self.issue.directory.clone(),
            branch: branch.to_string(),
            base_branch: base.branch.as_ref().map(ToString::to_string),
            base_sha: created.base_sha.as_ref().map(ToString::to_string),
        });
        Ok(Files {
            mirror: self.mirror,
            worktree: created.worktree,
            base: created.base_sha,
            base_branch: base.branch,
            pushed: None,
            is_current: self.is_current,
            notes: Vec::new(),
        })
    }

    async fn warn_of_uncommitted_changes(&self) {
        let Ok(Some(local)) = self.mirror.local_repo().await else { return };
        match local.uncommitted(self.mirror.git()).await {
            Ok(0) => {}
            Err(error) => self.spool.notice(format!("could not look for changes that are not committed: {error}")),
            Ok(count) => self.spool.notice(uncommitted_notice(count, &local.root.display().to_string())),
        }
    }

    fn base_commit(&self) -> Result<Option<Oid>, InvalidOid> {
        self.issue.base_sha.as_deref().map(str::parse).transpose()
    }

    /// A base is where work starts; it has no effect on work that continues. Later attempts of the task that named it do not
    /// warn: the first one started there.
    fn warn_of_unused_base(&self, branch: &BranchName) {
        if let Some(base) = self.issue.base.as_ref().filter(|_| self.issue.first_attempt) {
            self.spool.notice(format!(
                "--base {base} has no effect: the issue's work continues from {branch}; to include {base}, ask the agent to \
                 merge origin/{base} or to rebase onto it"
            ));
        }
    }
}

/// Tells the agent how to get at rescued files: the worktree borrows the mirror's objects, so git finds the commit there.
fn rescue_note(rescue: &Rescue) -> String {
    let commit = &rescue.commit;
    format!(
        "The newest rescue of its files is the commit {commit}. `git diff --stat HEAD {commit}` lists the differences, and `git \
         restore --source {commit} -- <path>` brings a file back."
    )
}

/// Tells the agent of an operation that an earlier run left open.
fn unfinished_note(operation: Operation) -> String {
    format!("{operation} is unfinished in this worktree. Nothing is pushed until you end it: {}.", operation.ending())
}

fn progress_recorder(spool: Spool) -> impl FnMut(Progress) + Send {
    let mut last: Option<Instant> = None;
    move |progress: Progress| {
        if last.is_none_or(|last| last.elapsed() >= PROGRESS_INTERVAL) {
            last = Some(Instant::now());
            spool.step(progress.text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_of_git_lfs_count_for_the_hosts_git() {
        let variable = |name: &str| Variable { name: name.to_owned(), value: "1".into(), is_own: false };
        let variables = ["GIT_LFS_SKIP_SMUDGE", "GIT_DIR", "PATH"].map(variable);
        assert_eq!(lfs_variables(&variables), [("GIT_LFS_SKIP_SMUDGE".into(), "1".into())]);
    }
}
