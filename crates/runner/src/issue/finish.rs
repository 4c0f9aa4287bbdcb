//! The end of a run on an issue: the host inspects the worktree itself, pushes finished work and rescues everything else.

use jiff::Timestamp;
use kugetsu_agent::environment::named_secrets;
use kugetsu_api::run::Usage;
use kugetsu_api::run_spec::{IssueSpec, Uncommitted};
use kugetsu_domain::reason::Reason;
use kugetsu_domain::rescue_time;
use kugetsu_domain::run::Verdict;
use kugetsu_domain::secret_finder::SecretFinder;
use kugetsu_domain::text::counted;
use kugetsu_git::names::Oid;
use kugetsu_git::push::{FoundSecret, Lease, PushError};
use kugetsu_git::rescue::{self, SaveSpec};
use kugetsu_git::worktree::{StatusError, WorktreeStatus};

use super::files::{Files, token_variable};
use super::sandboxed::IssueSandbox;
use super::verify::verify;
use crate::control::interrupts::{Interruption, Interrupts};
use crate::records::spool::Spool;
use crate::resources::exceeded::Exceeded;
use crate::run_context::RunContext;
use crate::verdict::{End, Inspection, Left, Push, RunResult, is_publishable, verdict};

/// Characters in the first line of a commit message.
const SUBJECT_MAX: usize = 72;
/// Bytes of the text below the first line.
const BODY_MAX: usize = 4 * 1024;
/// The first line of a commit message if the agent's last message has no text.
const DEFAULT_SUBJECT: &str = "Commit what the agent left uncommitted";

/// Inspects, commits what is left if the settings ask for it, pushes, decides and rescues, in this order. No process of the
/// agent is left.
///
/// What the agent reported is not trusted: commits and changed files are read from the worktree. The push comes before the
/// verdict, which depends on it. Everything but `done` is rescued, because the next run, a removal or the user may change the
/// worktree.
///
/// All of this can take long, so the run's limits and a cancel interrupt it as they interrupt the agent. A push ends at once, the
/// inspection and the rescue after a short grace ([`Interrupts::with_grace`]). The run then ends as interrupted; what was not
/// rescued stays in the worktree, which nothing removes before it is rescued.
#[tracing::instrument(skip_all)]
pub(crate) async fn finish(
    mut end: End,
    issue: &IssueSpec,
    files: &Files,
    sandbox: &IssueSandbox<'_>,
    run: &RunContext,
    last_text: &str,
    interrupts: &mut Interrupts,
) -> RunResult {
    let spool = &run.spool;
    spool.step("inspecting the worktree");
    let inspected = interrupts.with_grace(inspect(files, issue, run, last_text, is_publishable(&end))).await;
    let mut result = match inspected {
        Ok(result) => result.map_err(|error| error.to_string()),
        Err(interruption) => {
            end = interrupted(end, interruption);
            Err("the inspection was interrupted".to_owned())
        }
    };
    let mut push_expired = false;
    let push = match &result {
        Ok(Inspected { status, inspection }) if is_publishable(&end) && inspection.damage.is_none() => {
            match head_to_push(status, files) {
                Some(head) => match interrupts.unless_interrupted(push(head, files, issue, run)).await {
                    Ok(push) => push,
                    Err(interruption) => {
                        let landed = landed(head, files, &run.spool, interrupts, &interruption).await;
                        // The time was spent on a server that did not close the connection; the work is there.
                        if landed.is_none() || !matches!(interruption, Interruption::Expired(_)) {
                            push_expired = matches!(interruption, Interruption::Expired(_));
                            end = interrupted(end, interruption);
                        }
                        landed.unwrap_or(Push::None)
                    }
                },
                None => Push::None,
            }
        }
        _ => Push::None,
    };
    let (inspection, head) = match &mut result {
        Ok(Inspected { inspection, status }) => (std::mem::take(inspection), status.best_head.clone()),
        Err(error) => (Inspection { error: Some(error.clone()), ..Inspection::default() }, None),
    };
    let (mut decided, mut reason) = verdict(&end, &inspection, &push);
    let is_published = decided == Verdict::Done && matches!(push, Push::Done { .. });
    if let Some(head) = head.as_ref().filter(|_| is_published && !issue.verify.is_empty())
        && let Err(interruption) = verify(&issue.verify, head, files, sandbox, run, interrupts).await
    {
        end = interrupted(end, interruption);
        (decided, reason) = verdict(&end, &inspection, &push);
    }
    let verdict = decided;
    if push_expired {
        reason = reason.hint(format!("push it without running the agent again: `kugetsu push {}`", run.spec.reference));
    }
    let scope = match verdict {
        Verdict::Done => Some(Scope::Temporary),
        _ if matches!(end, End::Superseded) => None,
        // A rescue would take the same space again. The next run continues with the files.
        _ if matches!(end, End::Exceeded(Exceeded::Growth { .. })) => Some(Scope::Temporary),
        _ => Some(Scope::All),
    };
    let mut keeps_temporary = true;
    if let Some(scope) = scope {
        let rescued = save(scope, &spool.mask(&reason.text), files, issue, run, interrupts).await;
        keeps_temporary = rescued.keeps_temporary;
        if let Some(note) = rescued.note {
            reason = reason.map_text(|text| format!("{text}; {note}"));
        }
    }
    if verdict == Verdict::Done
        && let Ok(Inspected { status, .. }) = &result
        && let Err(error) = files.worktree.accept_left_behind(&status.left_behind)
    {
        tracing::warn!(%error, "later runs mention again what this one left behind");
    }
    let pushed = match (&push, &head) {
        (Push::Done { .. }, _) => true,
        // An earlier run, or the user, may have pushed it.
        (_, Some(head)) => interrupts.with_grace(is_on_server(head, files)).await.unwrap_or(false),
        (_, None) => false,
    };
    let (commits, usage) = (inspection.commits, Usage::ZERO);
    let (is_lost, paused_until) = (matches!(end, End::Killed(_)), end.paused_until());
    RunResult { verdict, reason, head, commits, pushed, usage, is_lost, paused_until, keeps_temporary }
}

/// Whether the issue's branch at the server has this commit, as of the last update of the mirror.
async fn is_on_server(head: &Oid, files: &Files) -> bool {
    let is_on_branch = async {
        match files.mirror.branch_tip(files.worktree.branch()).await? {
            Some(tip) if tip == *head => Ok(true),
            Some(tip) => files.worktree.has_ancestor(&tip, head).await,
            None => Ok(false),
        }
    };
    is_on_branch.await.unwrap_or_else(|error: StatusError| {
        tracing::warn!(%error, "whether the server has the commit is not known");
        false
    })
}

/// The end of a run that was interrupted after the agent's part. One that had ended badly before keeps its first reason, unless
/// the user canceled it or another run holds the issue.
fn interrupted(end: End, interruption: Interruption) -> End {
    match (&end, &interruption) {
        (End::Turn { .. } | End::NotNeeded, _) | (_, Interruption::Canceled | Interruption::Superseded) => {
            interruption.into()
        }
        _ => end,
    }
}

struct Inspected {
    inspection: Inspection,
    status: WorktreeStatus,
}

/// Reads the worktree's status and, if the settings ask for it and the turn ended well, commits what is uncommitted first.
async fn inspect(
    files: &Files,
    issue: &IssueSpec,
    run: &RunContext,
    last_text: &str,
    may_commit: bool,
) -> Result<Inspected, StatusError> {
    let worktree = &files.worktree;
    let damage = worktree.damage().await?;
    let may_commit = may_commit && damage.is_none();
    let mut status = worktree.status(files.base.as_ref()).await?;
    let mut not_committed = None;
    let commits_rest = may_commit && issue.uncommitted == Uncommitted::Commit && status.operations.is_empty();
    if commits_rest && status.uncommitted_total > 0 {
        run.spool.step("committing what the agent left uncommitted");
        match worktree.commit_rest(status.best_head.as_ref(), &commit_message(last_text)).await {
            Ok(None) => {}
            Ok(Some(commit)) => {
                let count = counted(status.uncommitted_total as u64, "file");
                run.spool.notice(format!("committed {count} that the agent left uncommitted as {}", commit.short()));
            }
            Err(error) => not_committed = Some(error.to_string()),
        }
        status = worktree.status(files.base.as_ref()).await?;
    }
    let new: Vec<String> = worktree.new_left_behind(&status.left_behind).iter().map(ToString::to_string).collect();
    let left = status.left_behind.iter().map(|left| Left {
        name: left.to_string(),
        is_accepted: !new.contains(&left.to_string()),
        is_needed: left.is_part_of_branch(),
    });
    let inspection = Inspection {
        issue: run.spec.reference.clone(),
        branch: worktree.branch().to_string(),
        commits: u64::from(status.commits),
        uncommitted: status.uncommitted_total as u64,
        uncommitted_names: status.uncommitted.clone(),
        not_committed,
        left_behind: left.collect(),
        damage: damage.map(|damage| damage.to_string()),
        unfinished: status.operations.iter().map(|operation| (operation.to_string(), operation.ending())).collect(),
        error: None,
    };
    Ok(Inspected { inspection, status })
}

/// The commit to push: a head that differs from the base. While an operation is unfinished, HEAD and the branch are at commits
/// that are not meant to last, so none is pushed.
///
/// Commits that kugetsu pushed and that another branch of the server has by now were merged: pushing them again would only
/// bring back a branch that was deleted. That is known only if this run could reach the server.
fn head_to_push<'s>(status: &'s WorktreeStatus, files: &Files) -> Option<&'s Oid> {
    let head = status.best_head.as_ref().filter(|_| status.operations.is_empty())?;
    let is_merged = files.is_current && status.own_commits == 0 && files.pushed.as_ref() == Some(head);
    (files.base.as_ref() != Some(head) && !is_merged).then_some(head)
}

/// The work that is rescued at the end of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scope {
    All,
    /// Work in the temporary directory, which is removed with the run. The worktree stays.
    Temporary,
}

struct Rescued {
    /// A clause to add to the run's reason.
    note: Option<String>,
    /// Whether the temporary directory may hold work that is not rescued.
    keeps_temporary: bool,
}

/// Rescues the worktree's state, and work in the run's temporary directory.
async fn save(
    scope: Scope,
    reason: &str,
    files: &Files,
    issue: &IssueSpec,
    run: &RunContext,
    interrupts: &mut Interrupts,
) -> Rescued {
    let spool = &run.spool;
    let temporary = run.directory.temporary();
    let is_done = scope == Scope::Temporary;
    let spec = SaveSpec {
        issue_number: issue.number,
        reason: match scope {
            Scope::All => reason.to_owned(),
            Scope::Temporary => "the run's temporary directory was removed".to_owned(),
        },
        at: rescue_time::format(Timestamp::now()),
        max_file: issue.rescue_max_file,
    };
    let saving = async {
        match scope {
            Scope::All => rescue::save_with_temporary(&files.mirror, &files.worktree, &temporary, spec).await,
            Scope::Temporary if !rescue::holds_repositories(&temporary).await? => Ok(None),
            Scope::Temporary => rescue::save_temporary(&files.mirror, &files.worktree, &temporary, spec).await,
        }
    };
    let saved = interrupts.with_rescue_grace(saving).await;
    let directory = if is_done { temporary.display() } else { files.worktree.dir().display() };
    let kept = |note: String| Rescued { note: Some(note), keeps_temporary: true };
    match saved {
        Err(Interruption::Superseded) => Rescued { note: None, keeps_temporary: true },
        Ok(Ok(None)) => Rescued { note: None, keeps_temporary: false },
        Err(_) => kept(format!("there was no time to rescue it: it is still in {directory}")),
        Ok(Ok(Some(saved))) => {
            let (subject, files) = match is_done {
                true => ("what the agent left in its temporary directory", String::new()),
                false => ("the worktree", format!(" ({})", counted(saved.files as u64, "file"))),
            };
            let rescued = format!("rescued {subject} as {}", saved.name);
            spool.notice(format!("{rescued}{files}"));
            match saved.unsaved.is_empty() {
                true => Rescued { note: is_done.then_some(rescued), keeps_temporary: false },
                false => kept(format!("not rescued: {}", saved.unsaved.join(", "))),
            }
        }
        Ok(Err(error)) => {
            spool.notice(format!("could not rescue the work: {error}; its files are still in {directory}"));
            kept(format!("its files are still in {directory}, but could not be rescued: {error}"))
        }
    }
}

/// Pushes the issue's own branch, and nothing else, on behalf of the agent. The push succeeds only if the branch on the server
/// is as kugetsu left it, so that commits of others are never overwritten. Two differences are harmless and tried again.
async fn push(head: &Oid, files: &Files, issue: &IssueSpec, run: &RunContext) -> Push {
    let spool = &run.spool;
    let branch = files.worktree.branch();
    spool.step(format!("pushing {branch}"));
    if issue.base_branch.as_deref() == Some(branch.as_str()) {
        let error = PushError::BaseBranch { branch: branch.clone(), repo: files.mirror.source().to_string() };
        return push_error(&error, None);
    }
    if let Err(error) = files.worktree.keep_lfs_content(head, &run.directory.temporary()).await {
        return Push::Failed(format!("could not read its Git LFS content: {error}").into());
    }
    match secret_in_push(head, files, issue, run).await {
        Ok(None) => {}
        Ok(Some(problem)) => return Push::NeedsPerson(problem),
        Err(error) => return Push::Failed(format!("could not look for secrets in it: {error}").into()),
    }
    let publish = async |expected| files.mirror.push(&files.worktree, head, Lease::Expect(expected)).await;
    let result = match publish(files.pushed.clone()).await {
        // Servers delete branches when they are merged. Nothing is left that could be overwritten.
        Err(PushError::Diverged { theirs: None, .. }) => {
            spool.notice(format!("{branch} was deleted on the server since the last push; pushing it again"));
            publish(None).await
        }
        // The server's commits are part of the work: a push that was not recorded, or commits that the agent merged.
        Err(PushError::Diverged { theirs: Some(theirs), branch }) => {
            match files.worktree.has_ancestor(head, &theirs).await {
                Ok(true) => publish(Some(theirs)).await,
                Ok(false) => Err(PushError::Diverged { theirs: Some(theirs), branch }),
                Err(error) => {
                    return Push::Failed(format!("could not compare {branch} with the server's: {error}").into());
                }
            }
        }
        other => other,
    };
    match result {
        Ok(published) => {
            let is_new = files.pushed.as_ref() != Some(&published.head);
            Push::Done { branch: published.branch.to_string(), is_new }
        }
        Err(error) => push_error(&error, token_variable(issue)),
    }
}

/// Describes a secret in what would be pushed, without its value: a token on a server is known to everyone who reads it.
async fn secret_in_push(
    head: &Oid,
    files: &Files,
    issue: &IssueSpec,
    run: &RunContext,
) -> Result<Option<Reason>, StatusError> {
    let variables = [run.variables.as_slice(), &run.agent_variables].concat();
    let finder = SecretFinder::new(named_secrets(std::env::vars_os(), &variables), &issue.allow_secrets);
    let found = files.worktree.secret_in_push(head, &finder).await?;
    Ok(found.map(|FoundSecret { variable, location, is_in_history }| {
        let (removed, action) = match is_in_history {
            true => ("; later commits remove it, but the history would be pushed", "rewrite the commits without it"),
            false => ("", "remove it from the commits"),
        };
        Reason::from(format!("{location} contains the value of {variable}{removed}")).hint(format!(
            "{action}, with `kugetsu continue {} \"rewrite the commits that are not pushed, without the value of \
             {variable}\"`, or allow it: `kugetsu config set run.allow_secrets {variable}`",
            run.spec.reference
        ))
    }))
}

/// The result of a push that was interrupted, if the server has taken it all the same.
async fn landed(
    head: &Oid,
    files: &Files,
    spool: &Spool,
    interrupts: &mut Interrupts,
    interruption: &Interruption,
) -> Option<Push> {
    // Another run holds the issue now, and pushes itself.
    if matches!(interruption, Interruption::Superseded) {
        return None;
    }
    let branch = files.worktree.branch();
    match interrupts.with_grace(files.mirror.confirm_push(branch, head)).await {
        Ok(Ok(true)) => {
            spool.notice(format!("the push of {branch} did not end in time, but the server has the branch"));
            Some(Push::Done { branch: branch.to_string(), is_new: files.pushed.as_ref() != Some(head) })
        }
        Ok(Ok(false)) => None,
        Ok(Err(error)) => {
            spool.notice(format!("could not find out whether {branch} was pushed: {error}"));
            None
        }
        Err(_) => {
            spool.notice(format!("could not find out in time whether {branch} was pushed"));
            None
        }
    }
}

fn push_error(error: &PushError, token_variable: Option<&str>) -> Push {
    match error {
        PushError::Diverged { .. }
        | PushError::Rejected { .. }
        | PushError::CheckedOut { .. }
        | PushError::BaseBranch { .. }
        | PushError::LfsContent { .. }
        | PushError::NoGitLfs { .. }
        | PushError::Source(_) => Push::NeedsPerson(Reason::new(error, error.hint())),
        PushError::Unauthenticated(_) => Push::NeedsPerson(match token_variable {
            Some(name) => Reason::new(error, Some(format!("set the token with `kugetsu env set {name} -`"))),
            None => Reason::new(error, error.hint()),
        }),
        PushError::Unreachable(_) | PushError::Git(_) | PushError::File(_) => {
            Push::Failed(Reason::new(error, error.hint()))
        }
    }
}

/// Makes a commit message of the agent's last message: its first line becomes the subject, the rest the text. Nothing in it
/// controls a terminal.
pub(crate) fn commit_message(last_text: &str) -> String {
    let clean = |line: &str| line.chars().filter(|c| !c.is_control() && !is_invisible(*c)).collect::<String>();
    let mut lines = last_text.lines().map(clean).skip_while(|line| line.trim().is_empty());
    // The marks of headings and lists in Markdown.
    let first = lines.next().unwrap_or_default();
    let first = first.trim().trim_start_matches(['#', '*', '-', '>', '`', ' ']).trim_end_matches(['*', '`', ':', ' ']);
    if first.is_empty() {
        return format!("{DEFAULT_SUBJECT}\n");
    }
    let (mut subject, mut body) = (first.to_owned(), lines.collect::<Vec<_>>().join("\n"));
    if subject.chars().count() > SUBJECT_MAX {
        body = format!("{subject}\n{body}");
        subject = subject.chars().take(SUBJECT_MAX - 3).collect::<String>().trim_end().to_owned();
        subject.push_str("...");
    }
    let body = body.trim();
    let body = &body[..body.floor_char_boundary(BODY_MAX)];
    if body.is_empty() { format!("{subject}\n") } else { format!("{subject}\n\n{body}\n") }
}

/// Characters that change the direction of writing or have no width.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_is_the_subject_and_nothing_controls_a_terminal() {
        assert_eq!(commit_message(""), "Commit what the agent left uncommitted\n");
        assert_eq!(commit_message(" \n\u{1b}\n"), "Commit what the agent left uncommitted\n");
        assert_eq!(
            commit_message("\n## Fixed the parser:\n\nIt \u{1b}[2Jwas\u{202e} wrong.\n"),
            "Fixed the parser\n\nIt [2Jwas wrong.\n"
        );
    }

    #[test]
    fn long_messages_are_cut() {
        let message = commit_message(&format!("{}\n{}", "word ".repeat(40), "ä".repeat(100_000)));
        let subject = message.lines().next().unwrap();
        assert!(subject.chars().count() <= SUBJECT_MAX && subject.ends_with("word..."), "{subject}");
        assert!(message.contains(&"word ".repeat(39)) && message.len() < BODY_MAX + 100, "{}", message.len());
    }
}
