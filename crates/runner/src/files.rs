//! The run's files: the mirror brought up to date, the worktree made or found, what was left in it rescued.

use jiff::Timestamp;
use kugetsu_api::record::Body;
use kugetsu_api::run_spec::{CloneSource, IssueSpec};
use kugetsu_domain::rescue_time;
use kugetsu_git::command::{Git, GitError, Progress};
use kugetsu_git::files::FileError;
use kugetsu_git::mirror::{Base, BaseError, Mirror, MirrorError, Source, uncommitted_notice};
use kugetsu_git::names::{BranchName, InvalidBranchName, InvalidOid, Oid};
use kugetsu_git::rescue::{self, RescueError, SaveSpec};
use kugetsu_git::worktree::{Worktree, WorktreeError, WorktreeSpec};
use secrecy::ExposeSecret;
use thiserror::Error;
use tokio::time::{Duration, Instant};

use super::run_context::RunContext;
use super::spool::Spool;

/// Progress is told at most this often.
const TELL_EVERY: Duration = Duration::from_secs(1);
/// How many branch names are tried.
const BRANCHES: u32 = 100;

/// The run's files.
#[derive(Clone, Debug)]
pub(crate) struct Files {
    /// The repository's mirror.
    pub(crate) mirror: Mirror,
    /// The issue's worktree.
    pub(crate) worktree: Worktree,
    /// The commit that the work began from.
    pub(crate) base: Option<Oid>,
    /// The branch that the work began from, where the worktree was made now.
    pub(crate) base_branch: Option<BranchName>,
    /// What the issue's branch on the server was when kugetsu last pushed it, if it did: the work goes on from there.
    pub(crate) pushed: Option<Oid>,
}

/// Why there are no files to work in.
#[derive(Debug, Error)]
pub(crate) enum FilesError {
    /// The mirror.
    #[error("the repository could not be fetched: {error}")]
    Mirror {
        /// Why.
        #[source]
        error: MirrorError,
        /// The variable that holds the server's token, where that may help.
        variable: Option<String>,
    },
    /// The place to begin from.
    #[error(transparent)]
    Base(#[from] BaseError),
    /// The worktree.
    #[error("the worktree could not be made: {0}")]
    Worktree(#[from] WorktreeError),
    /// What was left.
    #[error("what the last attempt left could not be rescued, so nothing was begun: {0}")]
    Rescue(#[from] RescueError),
    /// A name that is none.
    #[error(transparent)]
    Branch(#[from] InvalidBranchName),
    /// A commit that is none.
    #[error(transparent)]
    Oid(#[from] InvalidOid),
    /// Git itself.
    #[error(transparent)]
    Git(#[from] GitError),
    /// The file system.
    #[error(transparent)]
    File(#[from] FileError),
    /// Every name that was tried is taken.
    #[error("the branches {0}, {0}-2 and so on are all taken")]
    NoFreeBranch(BranchName),
}

impl FilesError {
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            Self::Mirror { error, variable } => {
                let token = variable.as_deref().map(|name| format!("if a token is missing: kugetsu env set {name} -"));
                let hints: Vec<String> = error.hint().into_iter().chain(token).collect();
                (!hints.is_empty()).then(|| hints.join("; "))
            }
            Self::Base(error) => error.hint(),
            Self::Worktree(error) => error.hint(),
            Self::Rescue(error) => error.hint(),
            Self::Git(error) => error.hint(),
            Self::NoFreeBranch(_) => Some("delete branches on the server that are no longer needed".to_owned()),
            Self::Branch(_) | Self::Oid(_) | Self::File(_) => None,
        }
    }
}

/// Makes the files ready, or finds them as they were left.
///
/// # Errors
/// [`FilesError`]; a worktree that was there is as it was.
pub(crate) async fn prepare(order: &IssueSpec, run: &RunContext) -> Result<Files, FilesError> {
    let RunContext { home, spool, .. } = run;
    let git = with_token(Git::find().await?, order, run);
    let variable = token_variable(order);
    let failed = |error| FilesError::Mirror { error, variable: variable.map(str::to_owned) };
    let mut progress = teller(spool.clone());
    spool.step("looking at the repository");
    let place = home.mirrors().join(&order.mirror);
    let was_there = place.exists();
    let source = source(&order.source);
    let mirror = Mirror::open_or_create(&git, &place, &source, &mut progress).await.map_err(failed)?;

    let (directory, relay) = home.files(&order.directory);
    let branch = BranchName::new(order.branch.clone())?;
    match Worktree::open(&mirror, &directory, &relay, &branch).await {
        Ok(worktree) => {
            if was_there && let Err(error) = mirror.update(&mut progress).await {
                // The work can go on without the server's news; the push at the end will tell if it cannot be reached.
                spool.notice(format!("the server's branches were not brought up to date: {error}"));
            }
            for notice in worktree.refresh().await? {
                spool.notice(notice);
            }
            let base = order.base_sha.as_deref().map(str::parse).transpose()?;
            found(order, &mirror, worktree, base, spool).await
        }
        Err(WorktreeError::Missing(_)) => {
            if was_there {
                mirror.update(&mut progress).await.map_err(failed)?;
            }
            make(order, mirror, WorktreePlaces { directory, relay, branch }, spool, &mut progress).await
        }
        Err(error) => Err(error.into()),
    }
}

/// The variable that holds the server's token.
pub(crate) fn token_variable(issue: &IssueSpec) -> Option<&str> {
    issue.access.as_ref().map(|access| access.token_variable.as_str())
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

struct WorktreePlaces {
    directory: std::path::PathBuf,
    relay: std::path::PathBuf,
    branch: BranchName,
}

async fn make(
    order: &IssueSpec,
    mirror: Mirror,
    places: WorktreePlaces,
    spool: &Spool,
    progress: &mut (dyn FnMut(Progress) + Send),
) -> Result<Files, FilesError> {
    let begun = order.base_sha.as_deref().map(str::parse).transpose()?;
    let pushed = match begun.is_some() && order.pushed.is_some() {
        true => mirror.pushed_tip(&places.branch).await?,
        false => None,
    };
    if begun.is_some() {
        spool.notice(match &pushed {
            Some(pushed) => format!(
                "the worktree was removed by somebody; it is made anew from what was pushed ({}); what was not is gone",
                pushed.short()
            ),
            None => "the worktree was removed by somebody; it is made anew, without what was not pushed".to_owned(),
        });
    }
    spool.step("making the worktree");
    if let Some(commit) = pushed {
        return make_again(order, mirror, places, (begun, commit), spool, progress).await;
    }
    let wanted = order.base.clone().map(BranchName::new).transpose()?;
    let base = mirror.resolve_base(wanted.as_ref()).await?;
    let branch = free_branch(&mirror, places.branch).await?;
    if let Ok(Some(located)) = mirror.local_repo().await {
        match located.uncommitted(mirror.git()).await? {
            0 => {}
            count => spool.notice(uncommitted_notice(count, &located.root.display().to_string())),
        }
    }
    let spec = WorktreeSpec { dir: places.directory, relay: places.relay, branch: branch.clone(), base: base.clone() };
    let made = Worktree::create(&mirror, spec, progress).await?;
    for notice in made.notices {
        spool.notice(notice);
    }
    spool.write(Body::Worktree {
        directory: order.directory.clone(),
        branch: branch.to_string(),
        base_branch: base.branch.as_ref().map(ToString::to_string),
        base_sha: made.base_sha.as_ref().map(ToString::to_string),
    });
    Ok(Files { mirror, worktree: made.worktree, base: made.base_sha, base_branch: base.branch, pushed: None })
}

/// Makes the worktree of work that was pushed before: it goes on from there, and its base stays what it was.
async fn make_again(
    order: &IssueSpec,
    mirror: Mirror,
    places: WorktreePlaces,
    (base, pushed): (Option<Oid>, Oid),
    spool: &Spool,
    progress: &mut (dyn FnMut(Progress) + Send),
) -> Result<Files, FilesError> {
    let WorktreePlaces { directory, relay, branch } = places;
    tell_base_is_not_used(order, &branch, spool);
    let from = Base { branch: Some(branch.clone()), commit: Some(pushed.clone()) };
    let spec = WorktreeSpec { dir: directory, relay, branch, base: from };
    let made = Worktree::create(&mirror, spec, progress).await?;
    for notice in made.notices {
        spool.notice(notice);
    }
    Ok(Files { mirror, worktree: made.worktree, base, base_branch: None, pushed: Some(pushed) })
}

/// A base is where work begins; it changes nothing for work that goes on.
fn tell_base_is_not_used(order: &IssueSpec, branch: &BranchName, spool: &Spool) {
    // A later attempt goes on with what the first one began there.
    if let Some(base) = order.base.as_ref().filter(|_| order.first_attempt) {
        spool.notice(format!(
            "--base {base} is not used: the issue's work has begun and goes on from {branch}; \
             to take {base} in, ask the agent to merge or rebase onto origin/{base}"
        ));
    }
}

/// A worktree that was there. After a lost attempt its state is saved before anything goes on in it.
async fn found(
    order: &IssueSpec,
    mirror: &Mirror,
    worktree: Worktree,
    base: Option<Oid>,
    spool: &Spool,
) -> Result<Files, FilesError> {
    spool.step("going on in the issue's worktree");
    tell_base_is_not_used(order, worktree.branch(), spool);
    if order.lost_before.is_some() {
        let why = "the run before was cut off".to_owned();
        let spec = SaveSpec { issue_number: order.number, reason: why, at: rescue_time::format(Timestamp::now()) };
        if let Some(saved) = rescue::save(mirror, &worktree, spec).await? {
            spool.notice(format!("what the run before left is saved as {}", saved.name));
        }
    }
    let pushed = order.pushed.as_deref().map(str::parse).transpose()?;
    Ok(Files { mirror: mirror.clone(), worktree, base, base_branch: None, pushed })
}

/// The branch, or the first of `-2`, `-3`, ... that the server does not have: an earlier piece of work on the same issue
/// is never overwritten.
async fn free_branch(mirror: &Mirror, wanted: BranchName) -> Result<BranchName, FilesError> {
    for number in 1..=BRANCHES {
        let name = if number == 1 { wanted.clone() } else { BranchName::new(format!("{wanted}-{number}"))? };
        if mirror.branch_tip(&name).await?.is_none() {
            return Ok(name);
        }
    }
    Err(FilesError::NoFreeBranch(wanted))
}

/// Tells what git does, not more often than a person can read.
fn teller(spool: Spool) -> impl FnMut(Progress) + Send {
    let mut last: Option<Instant> = None;
    move |progress: Progress| {
        if last.is_none_or(|last| last.elapsed() >= TELL_EVERY) {
            last = Some(Instant::now());
            spool.step(progress.text);
        }
    }
}
