//! Listing the rescues of a repository.

use crate::command::runner::GitError;
use crate::mirror::repo::{Mirror, RESCUE};
use crate::names::Oid;
use crate::printable::printable_lines;
use crate::rescue::error::RescueError;
use crate::rescue::note::Note;

/// Maximum number of names in an error.
const OFFERED: usize = 5;
/// Maximum length of a diffstat in characters.
const STAT_MAX: usize = 20_000;
/// Maximum number of files in a diffstat.
const STAT_FILES: usize = 200;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rescue {
    /// Its ref in the mirror: `refs/kugetsu/rescue/<issue>/<time>`.
    pub name: String,
    pub issue: u64,
    /// The time, as given to `save`; `-2` and so on follows if it was not the first at that time.
    pub at: String,
    pub commit: Oid,
    /// One line, escaped.
    pub reason: String,
    /// Number of files that differ from the commit that was checked out.
    pub files: usize,
}

/// A rescue with a summary of its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    pub rescue: Rescue,
    /// The difference to the commit that was checked out: `git diff --stat`, shortened and escaped.
    pub stat: String,
    /// Files that could not be saved, escaped.
    pub unsaved: Vec<String>,
    /// Files that were saved in another form, escaped.
    pub notices: Vec<String>,
}

/// The rescues of one issue or of all, the oldest first.
pub async fn list(mirror: &Mirror, issue: Option<u64>) -> Result<Vec<Rescue>, RescueError> {
    Ok(load_notes(mirror, issue).await?.into_iter().map(|(rescue, _)| rescue).collect())
}

pub(super) async fn load_notes(mirror: &Mirror, issue: Option<u64>) -> Result<Vec<(Rescue, Note)>, GitError> {
    let prefix = issue.map_or_else(|| RESCUE.to_owned(), |issue| format!("{RESCUE}{issue}/"));
    let command =
        mirror.command("for-each-ref", "list the rescues").arg("--format=%(objectname) %(refname)%0a%(contents)%00");
    let output = command.arg(prefix.trim_end_matches('/')).run().await?;
    let parse = |record: &[u8]| {
        let text = String::from_utf8_lossy(record);
        let (header, message) = text.trim_start_matches('\n').split_once('\n')?;
        let (commit, name) = header.split_once(' ')?;
        let (issue, at) = name.strip_prefix(RESCUE)?.split_once('/')?;
        let (issue, at, commit) = (issue.parse().ok()?, at.to_owned(), commit.parse().ok()?);
        let note = Note::parse(message)?;
        let (reason, files) = (note.reason.clone(), note.files);
        Some((Rescue { name: name.to_owned(), issue, at, commit, reason, files }, note))
    };
    let mut rescues: Vec<_> = output.records().filter_map(parse).collect();
    rescues.sort_by(|(a, _), (b, _)| (&a.at, a.issue).cmp(&(&b.at, b.issue)));
    Ok(rescues)
}

/// Finds a rescue by its ref or the end of it, such as `7/20261122T201500Z`.
pub(super) async fn find(mirror: &Mirror, name: &str) -> Result<(Rescue, Note), RescueError> {
    let all = load_notes(mirror, None).await?;
    let short = |rescue: &Rescue| rescue.name.strip_prefix(RESCUE).unwrap_or(&rescue.name).to_owned();
    if let Some(exact) = all.iter().find(|(rescue, _)| rescue.name == name || short(rescue) == name) {
        return Ok(exact.clone());
    }
    let has_suffix =
        |rescue: &Rescue| !name.is_empty() && rescue.name.strip_suffix(name).is_some_and(|rest| rest.ends_with('/'));
    let mut matching = all.iter().filter(|(rescue, _)| has_suffix(rescue));
    match (matching.next(), matching.next()) {
        (Some(one), None) => Ok(one.clone()),
        (Some(_), Some(_)) => {
            let matching =
                all.iter().filter(|(rescue, _)| has_suffix(rescue)).map(|(rescue, _)| short(rescue)).collect();
            Err(RescueError::Ambiguous { name: name.to_owned(), matching })
        }
        (None, _) => {
            let existing = all.iter().rev().take(OFFERED).map(|(rescue, _)| short(rescue)).collect();
            Err(RescueError::Unknown { name: name.to_owned(), existing })
        }
    }
}

/// A rescue with a summary of its files. `name` is its ref or the end of it.
pub async fn show(mirror: &Mirror, name: &str) -> Result<Shown, RescueError> {
    let (rescue, note) = find(mirror, name).await?;
    let from = match &note.head {
        Some(head) => head.clone(),
        None => empty_tree(mirror).await?,
    };
    let command = mirror.command("diff", "compare the rescue").args(["--no-ext-diff", "--no-textconv", "--no-color"]);
    let command = command
        .args(["--stat=100".to_owned(), format!("--stat-count={STAT_FILES}")])
        .args([&from, &rescue.commit].map(Oid::as_str));
    let stat = mirror.authenticate(command).await.run().await?;
    Ok(Shown {
        rescue,
        stat: printable_lines(stat.stdout.trim_ascii_end(), STAT_MAX),
        unsaved: note.unsaved,
        notices: note.notices,
    })
}

async fn empty_tree(mirror: &Mirror) -> Result<Oid, GitError> {
    let command = mirror.command("hash-object", "create an empty tree");
    command.args(["-w", "-t", "tree", "--stdin"]).stdin(Vec::new()).run().await?.oid()
}
