//! `kugetsu rescue`: what was saved before files went, and how it comes back.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use jiff::Timestamp;
use kugetsu_api::home::Home;
use kugetsu_api::path;
use kugetsu_api::rescue::{RescueObject, RestoreRequest, Restored};

use crate::exit::Exit;
use crate::failure::Failure;
use crate::ui::{self, Tone};
use crate::{completions, connect, format, paths};

/// See what was rescued before files were removed, and bring it back.
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
        /// The issue; all otherwise.
        #[arg(add = completions::issues())]
        reference: Option<String>,
        /// Show objects for programs.
        #[arg(long)]
        json: bool,
    },
    /// Show one rescue.
    #[command(after_help = "\
Examples:
  kugetsu rescue show acme/api#12")]
    Show {
        /// The issue.
        #[arg(add = completions::issues())]
        reference: String,
        /// Which one: its ref or the end of it; the newest otherwise.
        #[arg(long, value_name = "NAME")]
        rescue: Option<String>,
        /// Show an object for programs.
        #[arg(long)]
        json: bool,
    },
    /// Put a rescue into a new directory, with everything as it was.
    #[command(after_help = "\
Examples:
  kugetsu rescue restore acme/api#12
  kugetsu rescue restore acme/api#12 --to /tmp/before")]
    Restore {
        /// The issue.
        #[arg(add = completions::issues())]
        reference: String,
        /// Which one: its ref or the end of it; the newest otherwise.
        #[arg(long, value_name = "NAME")]
        rescue: Option<String>,
        /// The directory, which must not exist yet; otherwise one named after the issue, here.
        #[arg(long, value_name = "DIRECTORY")]
        to: Option<PathBuf>,
        /// Show an object for programs.
        #[arg(long)]
        json: bool,
    },
}

/// Does what is asked.
pub(crate) async fn run(home: &Home, arguments: Rescue) -> Result<Exit, Failure> {
    match arguments.action {
        Action::List { reference, json } => {
            let rescues = rescues(home, reference.as_deref()).await?;
            if json {
                ui::json(&rescues)?;
            } else if rescues.is_empty() {
                ui::line("nothing had to be rescued");
            } else {
                let now = Timestamp::now();
                let row = |one: &RescueObject| {
                    vec![
                        one.issue.clone(),
                        format::age(&one.at, now),
                        one.files.to_string(),
                        // What --rescue takes: the end of it is enough.
                        one.reference.rsplit('/').next().unwrap_or_default().to_owned(),
                        one.why.clone(),
                    ]
                };
                let rows: Vec<Vec<String>> = rescues.iter().map(row).collect();
                ui::table(&["ISSUE", "AGE", "FILES", "RESCUE", "WHY"], &rows);
            }
        }
        Action::Show { reference, rescue, json } => {
            let rescues = rescues(home, Some(&reference)).await?;
            let one = chosen(&rescues, &reference, rescue.as_deref())?;
            if json {
                ui::json(one)?;
            } else {
                ui::line(format!("{} {}", one.issue, one.reference));
                ui::line(format!("  when    {}", one.at));
                ui::line(format!("  why     {}", one.why));
                ui::line(format!("  commit  {}", one.commit));
                ui::line(format!("  files   {} differ from what was checked out", one.files));
                ui::line(format!("bring it back: kugetsu rescue restore {} --rescue {}", one.issue, one.reference));
            }
        }
        Action::Restore { reference, rescue, to, json } => {
            let into = paths::absolute(&to.unwrap_or_else(|| directory(&reference)))?;
            let into = into.into_os_string().into_string();
            let into = into.map_err(|path| Failure::usage(format!("the path {} is not UTF-8", path.display())))?;
            let request = RestoreRequest { reference, cwd: paths::cwd()?, rescue, into };
            let restored: Restored = connect::ready(home).await?.post(path::RESCUE_RESTORE, &request).await?;
            if json {
                ui::json(&restored)?;
            } else {
                ui::toned(Tone::Good, format!("{} is in {}", restored.reference, restored.directory));
                for note in &restored.notes {
                    ui::warning(note);
                }
            }
        }
    }
    Ok(Exit::Done)
}

async fn rescues(home: &Home, reference: Option<&str>) -> Result<Vec<RescueObject>, Failure> {
    let cwd = paths::cwd()?;
    let path = path::with_query(path::RESCUES, &[("reference", reference), ("cwd", Some(&cwd))]);
    connect::ask(home, &path).await
}

/// The rescue that is named by its ref or the end of it; the newest without a name.
fn chosen<'a>(rescues: &'a [RescueObject], issue: &str, name: Option<&str>) -> Result<&'a RescueObject, Failure> {
    let mut fitting = rescues.iter().filter(|one| name.is_none_or(|name| one.is_called(name)));
    let missing = || {
        Failure::usage(match name {
            Some(name) => format!("{issue} has no rescue {name:?}"),
            None => format!("{issue} has no rescue"),
        })
        .hint("`kugetsu rescue list` shows all")
    };
    let first = fitting.next().ok_or_else(missing)?;
    // Times in RFC 3339 and one zone are in order as texts.
    Ok(fitting.fold(first, |newest, one| if one.at > newest.at { one } else { newest }))
}

/// A directory's name for an issue: its last words, in plain characters.
fn directory(reference: &str) -> PathBuf {
    let last = reference.rsplit('/').find(|part| !part.is_empty()).unwrap_or_default();
    let plain: String = last.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' }).collect();
    PathBuf::from(format!("rescue-{}", plain.trim_matches('-')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_is_meant_unless_one_is_named() {
        let rescue = |name: &str, at: &str| RescueObject {
            issue: "h/o/r#1".to_owned(),
            reference: format!("refs/kugetsu/rescue/1/{name}"),
            commit: String::new(),
            at: at.to_owned(),
            why: String::new(),
            files: 0,
        };
        let all = [rescue("b", "2026-01-02T00:00:00Z"), rescue("a", "2026-01-01T00:00:00Z")];
        assert_eq!(chosen(&all, "x", None).unwrap().at, all[0].at);
        assert_eq!(chosen(&all, "x", Some("1/a")).unwrap().at, all[1].at);
        assert!(chosen(&all, "x", Some("c")).is_err() && chosen(&[], "x", None).is_err());
    }

    #[test]
    fn a_directory_is_named_after_the_issue() {
        assert_eq!(directory("github.com/acme/api#12"), PathBuf::from("rescue-api-12"));
        assert_eq!(directory("https://h/o/r/issues/7/"), PathBuf::from("rescue-7"));
        assert_eq!(directory(".."), PathBuf::from("rescue-"));
    }
}
