//! Carries a plan out, issue by issue: what is taken over is moved into the backup, what is not stays where it is.

use std::fs;
use std::path::{Path, PathBuf};

use kugetsu_api::adopt::{AdoptRequest, AdoptedObject};
use kugetsu_api::delegate::DelegateRequest;
use kugetsu_api::endpoint::NoFields;
use kugetsu_api::endpoints;
use kugetsu_api::home::Home;
use kugetsu_api::run::RunObject;
use kugetsu_domain::text::shell_word;

use super::backup::Backup;
use super::names::below;
use super::plan::{Plan, Work, worked_on};
use super::row::{Outcome, Row};
use crate::failure::Failure;
use crate::setup::InitReport;
use crate::{connect, ui};

/// Directories that are the script's alone, innermost first.
const SCRIPTS: [&str; 3] = ["sessions", "queue/items", "queue"];

/// Takes everything over that can be.
///
/// # Errors
/// Something could not be moved into the backup; the next `init` goes on from there.
pub(crate) async fn all(home: &Home, plan: Plan, report: &mut InitReport) -> Result<(), Failure> {
    let backup = Backup::new(home);
    let mut taken = Vec::new();
    let mut index_stays = false;
    let known: Vec<RunObject> = match plan.work.is_empty() {
        true => Vec::new(),
        false => connect::call(home, &endpoints::LIST_ISSUES, &NoFields {}).await?,
    };
    for work in &plan.work {
        let row = match known.iter().find(|run| work.session.file.is_none() && run.issue == work.reference) {
            // A directory that was copied, or that nobody needs any more.
            Some(run) => Row::left(&work.what, format!("kugetsu has the work of {}; this stays as it is", run.issue)),
            None => take(home, work, &backup).await,
        };
        let is_taken = row.outcome == Outcome::Taken;
        report.script.push(row);
        match &work.session.file {
            Some(file) if is_taken => taken.push(file.clone()),
            _ => index_stays |= !is_taken,
        }
    }
    let mut waiting: Vec<&PathBuf> = Vec::new();
    for (file, item) in &plan.messages {
        let request = DelegateRequest {
            task: item.task(),
            message: item.told(),
            cwd: home.path().display().to_string(),
            worktree: None,
            anyway: true,
        };
        report.script.push(match connect::call(home, &endpoints::DELEGATE, &request).await {
            Ok(_) => Row::taken(&item.what, "a message for the coordinator").because("kugetsu logs -f pm follows it"),
            Err(failure) => {
                waiting.push(file);
                left(&item.what, &failure)
            }
        });
    }
    let mut unused: Vec<&PathBuf> = Vec::new();
    for (path, row) in &plan.unused {
        report.script.extend(row.clone());
        if !unused.contains(&path) && !plan.queues.contains(path) {
            unused.push(path);
        }
    }
    report.script.extend(plan.left);

    let index = plan.index.iter().filter(|_| !index_stays);
    let kept: Vec<&PathBuf> = taken
        .iter()
        .chain(plan.queues.iter().filter(|path| !waiting.contains(path)))
        .chain(unused)
        .chain(index)
        .collect();
    if !kept.is_empty() || !plan.broken.is_empty() || backup.made().is_some() {
        backup.copy()?;
    }
    for path in kept {
        backup.keep(path)?;
    }
    for (path, why) in &plan.broken {
        report.script.push(Row::set_aside(below(home.path(), path), why.clone()));
        backup.set_aside(path)?;
    }
    for name in SCRIPTS {
        // One that is not empty holds what was left.
        let _ = fs::remove_dir(home.path().join(name));
    }
    report.backup = backup.made();
    Ok(())
}

async fn take(home: &Home, work: &Work, backup: &Backup) -> Row {
    let what = format!("{} ({})", work.reference, work.what);
    if let Some(pid) = worked_on(work) {
        return Row::left(what, format!("its agent (process {pid}) is at work"))
            .next(format!("wait for its end, or: kill {pid}; then kugetsu init"));
    }
    let clone = match &work.clone {
        Ok(clone) => clone,
        Err(why) => {
            let base = work.session.branch.as_ref().map(|branch| format!(" --base {}", shell_word(branch)));
            let begin = format!("kugetsu start {} \"<message>\"", shell_word(&work.reference));
            return Row::left(what, why.clone())
                .next(format!("to begin again from what is on the server: {begin}{}", base.unwrap_or_default()));
        }
    };
    ui::note(format!("taking over {} from {}", work.reference, clone.display()));
    let session = &work.session;
    let request = AdoptRequest {
        reference: work.reference.clone(),
        clone: clone.display().to_string(),
        session: session.id.clone(),
        branch: session.branch.clone(),
        pr_url: session.change_url.clone(),
        message: session.message.clone(),
        state: session.state.clone(),
        backup: backup.name().to_owned(),
    };
    match connect::call(home, &endpoints::ADOPT, &request).await {
        Ok(adopted) => taken(home.path(), &what, work, clone, &adopted),
        Err(failure) => left(&what, &failure),
    }
}

fn taken(home: &Path, what: &str, work: &Work, clone: &Path, adopted: &AdoptedObject) -> Row {
    let place = adopted.worktree.as_deref().map(Path::new);
    let mut words = vec![place.map_or_else(|| "an issue".to_owned(), |place| below(home, place))];
    words.extend(adopted.branch.as_ref().map(|branch| format!("on {branch}")));
    if work.session.id.is_some() && !adopted.known {
        words.push(if adopted.resumable { "in its session" } else { "with a new session" }.to_owned());
    }
    let mut why = adopted.notes.clone();
    if adopted.known {
        why.insert(0, "kugetsu knew it already".to_owned());
    }
    if place != Some(clone) && clone.exists() {
        why.push(format!("{} stays as it is", clone.display()));
    }
    Row::taken(what, words.join(" "))
        .because(why.join("; "))
        .next(format!("to go on: kugetsu continue {} \"<message>\"", shell_word(&adopted.issue)))
}

fn left(what: &str, failure: &Failure) -> Row {
    Row::left(what, failure.message.clone()).next(failure.hints.join("; "))
}
