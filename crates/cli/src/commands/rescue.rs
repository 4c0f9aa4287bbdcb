//! `kugetsu rescue`: lists, restores and deletes rescues.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use jiff::Timestamp;
use kugetsu_api::endpoints;
use kugetsu_api::home::Home;
use kugetsu_api::rescue::{DropRescuesRequest, RescueObject, RescuesQuery, RestoreRequest, Restored};
use kugetsu_domain::text::counted;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::ui::{self, Tone};
use crate::{completions, connect, format, paths};

/// List, restore and delete work that was rescued before files were removed.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kugetsu rescue list
  kugetsu rescue restore .")]
pub(crate) struct Rescue {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List rescues.
    #[command(after_help = "\
Examples:
  kugetsu rescue list
  kugetsu rescue list acme/api#12")]
    List {
        /// The issue; without it, rescues of all issues are listed.
        #[arg(add = completions::issues())]
        reference: Option<String>,
        /// Print the result as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Show a rescue.
    #[command(after_help = "\
Examples:
  kugetsu rescue show acme/api#12")]
    Show {
        /// The issue.
        #[arg(add = completions::issues())]
        reference: String,
        /// The ref of the rescue, or its last part; defaults to the newest.
        #[arg(long, value_name = "NAME")]
        rescue: Option<String>,
        /// Print the result as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Restore a rescue into a new directory.
    #[command(after_help = "\
Examples:
  kugetsu rescue restore acme/api#12
  kugetsu rescue restore acme/api#12 --to /tmp/before")]
    Restore {
        /// The issue.
        #[arg(add = completions::issues())]
        reference: String,
        /// The ref of the rescue, or its last part; defaults to the newest.
        #[arg(long, value_name = "NAME")]
        rescue: Option<String>,
        /// The new directory; defaults to one named after the issue in the current directory.
        #[arg(long, value_name = "DIRECTORY")]
        to: Option<PathBuf>,
        /// Print the result as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Delete rescues for good.
    #[command(after_help = "\
Examples:
  kugetsu rescue drop acme/api#12
  kugetsu rescue drop acme/api#12 --rescue 20261122T201500Z
  kugetsu rescue drop acme/api#12 --all --yes")]
    Drop {
        /// The issue.
        #[arg(add = completions::issues())]
        reference: String,
        /// The ref of the rescue, or its last part; needed if the issue has several.
        #[arg(long, value_name = "NAME")]
        rescue: Option<String>,
        /// All rescues of the issue.
        #[arg(long, conflicts_with = "rescue")]
        all: bool,
        /// Do not ask for confirmation.
        #[arg(short, long)]
        yes: bool,
        /// Print the result as JSON.
        #[arg(long)]
        json: bool,
    },
}

pub(crate) async fn run(home: &Home, arguments: Rescue) -> Result<Exit, Failure> {
    match arguments.action {
        Action::List { reference, json } => {
            let rescues = rescues(home, reference.as_deref()).await?;
            if json {
                ui::json(&rescues)?;
            } else if rescues.is_empty() {
                ui::line("no rescues");
            } else {
                let now = Timestamp::now();
                let row = |rescue: &RescueObject| {
                    vec![
                        rescue.issue.clone(),
                        format::age(&rescue.at, now),
                        rescue.files.to_string(),
                        // Accepted by --rescue.
                        rescue.reference.rsplit('/').next().unwrap_or_default().to_owned(),
                        rescue.why.clone(),
                    ]
                };
                let rows: Vec<Vec<String>> = rescues.iter().map(row).collect();
                ui::table(&["ISSUE", "AGE", "FILES", "RESCUE", "REASON"], &rows);
            }
        }
        Action::Show { reference, rescue, json } => {
            let rescues = rescues(home, Some(&reference)).await?;
            let rescue = select(&rescues, &reference, rescue.as_deref())?;
            if json {
                ui::json(rescue)?;
            } else {
                let RescueObject { issue, reference, .. } = rescue;
                ui::line(format!("{issue} {reference}"));
                ui::line(format!("  rescued  {}", format::local_time(&rescue.at)));
                ui::line(format!("  reason   {}", rescue.why));
                ui::line(format!("  commit   {}", rescue.commit));
                ui::line(format!("  changed  {}", counted(rescue.files, "file")));
                ui::line(format!("restore it with `kugetsu rescue restore {issue} --rescue {reference}`"));
            }
        }
        Action::Restore { reference, rescue, to, json } => {
            let into = paths::absolute(&to.unwrap_or_else(|| directory(&reference)))?;
            let into = into.into_os_string().into_string();
            let into =
                into.map_err(|path| Failure::usage(format!("the path {} is not valid UTF-8", path.display())))?;
            let request = RestoreRequest { reference, cwd: paths::cwd()?, rescue, into };
            let restored: Restored = connect::call_once(home, &endpoints::RESTORE_RESCUE, &request).await?;
            if json {
                ui::json(&restored)?;
            } else {
                ui::toned(Tone::Good, format!("restored {} to {}", restored.reference, restored.directory));
                for note in &restored.notes {
                    ui::warning(note);
                }
            }
        }
        Action::Drop { reference, rescue, all, yes, json } => {
            let found = match rescues(home, Some(&reference)).await {
                // One of an issue that the database lost is still listed.
                Err(_) => {
                    let mut found = rescues(home, None).await?;
                    found.retain(|rescue| rescue.issue == reference);
                    found
                }
                found => found?,
            };
            let chosen: Vec<&RescueObject> = match (all, &rescue) {
                (true, _) if !found.is_empty() => found.iter().collect(),
                (false, None) if found.len() > 1 => {
                    return Err(Failure::usage(format!("{reference} has {} rescues", found.len()))
                        .hint(format!("name one of `kugetsu rescue list {reference}` with --rescue, or pass --all")));
                }
                _ => vec![select(&found, &reference, rescue.as_deref())?],
            };
            let what = match chosen.as_slice() {
                [only] => format!("the rescue {} of {}", only.reference, only.issue),
                several => format!("{} of {reference}", counted(several.len() as u64, "rescue")),
            };
            if !yes && !ui::is_interactive() {
                return Err(Failure::needs_person(format!(
                    "deleting {what} needs confirmation, but stdin is not a terminal"
                ))
                .hint("pass --yes"));
            }
            if !yes && !ui::confirm(&format!("delete {what} for good?"))? {
                ui::line("deleted nothing");
                return Ok(Exit::NeedsPerson);
            }
            let names = chosen.iter().map(|rescue| rescue.reference.clone()).collect();
            let request = DropRescuesRequest { reference, cwd: paths::cwd()?, rescues: names };
            let dropped = connect::call_once(home, &endpoints::DROP_RESCUES, &request).await?;
            if json {
                ui::json(&dropped)?;
            } else {
                for rescue in &dropped {
                    ui::toned(Tone::Good, format!("deleted {} of {}", rescue.reference, rescue.issue));
                }
            }
        }
    }
    Ok(Exit::Done)
}

async fn rescues(home: &Home, reference: Option<&str>) -> Result<Vec<RescueObject>, Failure> {
    let query = RescuesQuery { reference: reference.map(str::to_owned), cwd: paths::cwd()? };
    connect::call(home, &endpoints::LIST_RESCUES, &query).await
}

/// The newest rescue whose ref is or ends with `name`.
fn select<'a>(rescues: &'a [RescueObject], issue: &str, name: Option<&str>) -> Result<&'a RescueObject, Failure> {
    let mut matching = rescues.iter().filter(|rescue| name.is_none_or(|name| rescue.is_called(name)));
    let missing = || {
        Failure::usage(match name {
            Some(name) => format!("{issue} has no rescue {name:?}"),
            None => format!("{issue} has no rescue"),
        })
        .hint("list all rescues with `kugetsu rescue list`")
    };
    let first = matching.next().ok_or_else(missing)?;
    // Times in RFC 3339 and UTC sort as text.
    Ok(matching.fold(first, |newest, rescue| if rescue.at > newest.at { rescue } else { newest }))
}

/// A directory named after the last part of the reference.
fn directory(reference: &str) -> PathBuf {
    let last = reference.rsplit('/').find(|part| !part.is_empty()).unwrap_or_default();
    let plain: String = last.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' }).collect();
    PathBuf::from(format!("rescue-{}", plain.trim_matches('-')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn newest_rescue_is_selected_by_default() {
        let rescue = |name: &str, at: &str| RescueObject {
            issue: "h/o/r#1".to_owned(),
            reference: format!("refs/kugetsu/rescue/1/{name}"),
            commit: String::new(),
            at: at.to_owned(),
            why: String::new(),
            files: 0,
        };
        let all = [rescue("b", "2026-01-02T00:00:00Z"), rescue("a", "2026-01-01T00:00:00Z")];
        assert_eq!(select(&all, "x", None).unwrap().at, all[0].at);
        assert_eq!(select(&all, "x", Some("1/a")).unwrap().at, all[1].at);
        assert!(select(&all, "x", Some("c")).is_err() && select(&[], "x", None).is_err());
    }

    #[test]
    fn directory_is_named_after_the_issue() {
        assert_eq!(directory("github.com/acme/api#12"), PathBuf::from("rescue-api-12"));
        assert_eq!(directory("https://h/o/r/issues/7/"), PathBuf::from("rescue-7"));
        assert_eq!(directory(".."), PathBuf::from("rescue-"));
    }
}
