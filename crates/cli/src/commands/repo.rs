//! `kugetsu repo`: lists repositories, and follows local ones that were moved or deleted.

use clap::{Args, Subcommand};
use kugetsu_api::endpoint::NoFields;
use kugetsu_api::endpoints;
use kugetsu_api::home::Home;
use kugetsu_api::repo::{MoveRepoRequest, RepoObject, RepoQuery};

use crate::exit::Exit;
use crate::failure::Failure;
use crate::table::Fit;
use crate::ui::{self, Tone};
use crate::{connect, format, paths};

/// List the repositories that kugetsu works on, and follow moved ones.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kugetsu repo list
  kugetsu repo move local/shop ~/projects/shop")]
pub(crate) struct Repo {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List repositories.
    #[command(after_help = "\
Examples:
  kugetsu repo list
  kugetsu repo list --json")]
    List {
        /// Print the result as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Use a local repository at the path that it was moved to.
    #[command(after_help = "\
Examples:
  kugetsu repo move local/shop ~/projects/shop
  kugetsu repo move /srv/old/shop /srv/new/shop")]
    Move {
        /// The repository: its name, or its earlier path.
        repo: String,
        /// Where it is now.
        path: String,
        /// Print the result as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Remove the mirror of a repository whose issues are destroyed.
    #[command(after_help = "\
Examples:
  kugetsu repo forget local/shop")]
    Forget {
        /// The repository: its name, or its path.
        repo: String,
        /// Print the result as JSON.
        #[arg(long)]
        json: bool,
    },
}

pub(crate) async fn run(home: &Home, arguments: Repo) -> Result<Exit, Failure> {
    match arguments.action {
        Action::List { json } => {
            let repos: Vec<RepoObject> = connect::call(home, &endpoints::LIST_REPOS, &NoFields {}).await?;
            if json {
                ui::json(&repos)?;
            } else if repos.is_empty() {
                ui::line("no repositories; start with `kugetsu start . \"<message>\"`");
            } else {
                let row = |repo: &RepoObject| {
                    vec![
                        repo.name.clone(),
                        repo.kind.clone().unwrap_or_else(|| "-".to_owned()),
                        repo.open_issues.to_string(),
                        format::size(repo.mirror_bytes),
                        repo.source.clone(),
                    ]
                };
                let rows: Vec<Vec<String>> = repos.iter().map(row).collect();
                let columns = [
                    ("REPOSITORY", Fit::Middle(24)),
                    ("KIND", Fit::Whole),
                    ("ISSUES", Fit::Whole),
                    ("MIRROR", Fit::Whole),
                    ("SOURCE", Fit::Middle(16)),
                ];
                ui::table_with_tones(&columns, &rows, |_| (0, Tone::Plain));
            }
        }
        Action::Move { repo, path, json } => {
            let request = MoveRepoRequest { repo: RepoQuery { repo, cwd: paths::cwd()? }, path };
            let moved = connect::call_once(home, &endpoints::MOVE_REPO, &request).await?;
            if json {
                ui::json(&moved)?;
            } else {
                ui::toned(Tone::Good, format!("{} is now at {}", moved.name, moved.source));
            }
        }
        Action::Forget { repo, json } => {
            let query = RepoQuery { repo, cwd: paths::cwd()? };
            let forgotten = connect::call_once(home, &endpoints::FORGET_REPO, &query).await?;
            if json {
                ui::json(&forgotten)?;
            } else {
                let size = format::size(forgotten.mirror_bytes);
                ui::toned(Tone::Good, format!("forgot {} and removed its mirror ({size})", forgotten.name));
            }
        }
    }
    Ok(Exit::Done)
}
