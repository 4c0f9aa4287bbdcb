//! Reads the directories of runs.

use std::fs;
use std::path::Path;

use jiff::Timestamp;
use kugetsu_api::home::Home;
use kugetsu_api::record::Record;
use kugetsu_api::regular_file;
use kugetsu_api::run_key::PublicKey;
use kugetsu_domain::ids::{IssueId, RunId, TaskId};
use kugetsu_domain::naming;
use kugetsu_domain::reference::{ForgeKind, IssueRef, ProjectPath, RepoRef, ServerBase};
use kugetsu_store::view::Repo;
use serde_json::Value;
use uuid::Uuid;

use crate::home::unknown;
use crate::runners::own_records::OwnRecords;

/// Longest specification that is read, in bytes. It holds messages of at most 1 MiB each.
const SPEC_MAX: u64 = 64 * 1024 * 1024;

/// A run as its directory describes it.
#[derive(Debug)]
pub(super) struct FoundRun {
    pub(super) run: RunId,
    pub(super) issue: IssueId,
    pub(super) task: TaskId,
    pub(super) repo: Repo,
    pub(super) number: u64,
    /// Whether it only pushes.
    pub(super) is_push: bool,
    pub(super) message: String,
    pub(super) agent: String,
    pub(super) model: Option<String>,
    pub(super) base: Option<String>,
    /// The public part of its key.
    pub(super) key: Option<PublicKey>,
    /// In the order in which they happened.
    pub(super) facts: Vec<Record>,
}

/// Returns the runs of a home, oldest first, and the names of the directories that are not understood.
pub(super) fn read_all(home: &Home) -> std::io::Result<(Vec<FoundRun>, Vec<String>)> {
    let (mut found, mut rest) = (Vec::new(), Vec::new());
    for name in unknown::list(&home.runs())? {
        let Ok(run) = name.parse::<RunId>() else { continue };
        match read(home, run) {
            Some(run) => found.push(run),
            None => rest.push(name),
        }
    }
    // Identifiers sort by time.
    found.sort_by_key(|found| found.run);
    Ok((found, rest))
}

/// Returns the time that an identifier holds.
pub(super) fn time_of(id: Uuid) -> Timestamp {
    let time = id.get_timestamp().map(|time| time.to_unix());
    let time = time.and_then(|(seconds, nanoseconds)| {
        Timestamp::new(i64::try_from(seconds).ok()?, i32::try_from(nanoseconds).ok()?).ok()
    });
    time.unwrap_or(Timestamp::UNIX_EPOCH)
}

fn read(home: &Home, run: RunId) -> Option<FoundRun> {
    let directory = home.run(run);
    let metadata = fs::symlink_metadata(directory.spec()).ok()?;
    if !metadata.is_file() || metadata.len() > SPEC_MAX {
        return None;
    }
    // Not as a `RunSpec`, which only a program of the same version reads.
    let spec: Value = serde_json::from_slice(&regular_file::read(&directory.spec()).ok()?).ok()?;
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let is_push = spec["work"]["push"].is_object();
    let issue = &spec["work"][if is_push { "push" } else { "issue" }];
    let (repo, number) = match text(&spec["reference"])? {
        reference if reference == IssueRef::coordinator().to_string() => {
            let IssueRef { repo, number } = IssueRef::coordinator();
            (Repo { name: repo, kind: None, source: String::new() }, number)
        }
        reference => repo_and_number(&reference, issue)?,
    };
    // An agent may have changed it, but not one that can only append to the records.
    let key = spec["key"].as_str().and_then(|key| key.parse().ok());
    Some(FoundRun {
        run,
        issue: spec["issue"].as_str()?.parse().ok()?,
        task: spec["task"].as_str()?.parse().ok()?,
        repo,
        number,
        is_push,
        message: text(&spec["message"])?,
        agent: text(&spec["agent"]["name"])?,
        model: text(&spec["model"]),
        base: text(&issue["base"]),
        key,
        facts: facts(&directory.records(), OwnRecords::new(run, key)),
    })
}

fn repo_and_number(reference: &str, issue: &Value) -> Option<(Repo, u64)> {
    let (short, number) = reference.rsplit_once('#')?;
    let source = &issue["source"];
    let source = source["path"].as_str().or_else(|| source["address"].as_str())?.to_owned();
    let bases = issue["access"]["base_url"].as_str().map(str::to_owned);
    let name = repo_called(short, bases.as_deref(), issue["mirror"].as_str()?)?;
    let kind = name.base.is_local().then_some(ForgeKind::Local);
    Some((Repo { name, kind, source }, number.parse().ok()?))
}

/// Returns the repository with a short name, such as `github.com/acme/api`, and with this mirror. The short name lacks the
/// scheme, and does not show where the server's address ends: the mirror's name, which has a hash where that matters, decides.
pub(super) fn repo_called(short: &str, base: Option<&str>, mirror: &str) -> Option<RepoRef> {
    let splits = short.match_indices('/').map(|(at, _)| (&short[..at], &short[at + 1..]));
    let bases = |host: &str| match host {
        "local" => vec!["local".to_owned()],
        host => vec![format!("https://{host}"), format!("http://{host}")],
    };
    let candidates = splits.flat_map(|(host, project)| bases(host).into_iter().map(move |base| (base, project)));
    let candidates = candidates.filter(|(candidate, _)| base.is_none_or(|base| base == candidate));
    let mut repos = candidates.filter_map(|(base, project)| {
        Some(RepoRef { base: ServerBase::new(base).ok()?, project: ProjectPath::new(project).ok()? })
    });
    repos.find(|repo| naming::mirror_directory(repo) == mirror)
}

/// The facts among the records. A line that cannot be read, or that the runner has not written, is left out.
fn facts(records: &Path, own: OwnRecords) -> Vec<Record> {
    let Ok(text) = regular_file::read(records) else { return vec![] };
    let lines = text.split(|byte| *byte == b'\n');
    lines.filter_map(|line| own.read(line)).filter(|record| record.body.is_fact()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repositories_are_recognized_by_short_name_and_mirror() {
        for (base, project) in [
            ("https://github.com", "acme/api"),
            ("http://forge.test:3000", "acme/api"),
            ("https://git.example.com/gitea", "acme/api"),
            ("https://gitlab.com", "group/sub/api"),
            ("local", "demo"),
            ("local", "my-demo"),
        ] {
            let repo = RepoRef { base: ServerBase::new(base).unwrap(), project: ProjectPath::new(project).unwrap() };
            let (short, mirror) = (repo.to_string(), naming::mirror_directory(&repo));
            assert_eq!(repo_called(&short, None, &mirror), Some(repo));
            assert_eq!(repo_called(&short, None, "another"), None);
        }
    }
}
