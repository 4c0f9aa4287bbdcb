//! `kugetsu hook`: the webhooks of watched repositories.

use clap::{Args, Subcommand};
use kugetsu_api::endpoints;
use kugetsu_api::home::Home;
use kugetsu_api::repo::RepoQuery;

use crate::config::load::{load, own_environment};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::ui::{self, Tone};
use crate::{connect, paths};

/// Let a server report changes of a watched repository at once.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kugetsu hook create api

Before, set the settings hooks.listen and hooks.url.")]
pub(crate) struct Hook {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Create the webhook on the repository's server. The token needs the right to do so.
    #[command(after_help = "\
Examples:
  kugetsu hook create api
  kugetsu hook create https://git.example.com/acme/api")]
    Create {
        /// The name of the watch, or its repository.
        repo: String,
        /// Print the result as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Print the address and the secret, to create the webhook by hand.
    #[command(after_help = "\
Examples:
  kugetsu hook show api")]
    Show {
        /// The name of the watch, or its repository.
        repo: String,
        /// Print the result as JSON.
        #[arg(long)]
        json: bool,
    },
}

/// If the address is in use, the daemon warns.
fn warn_if_not_listening(home: &Home) -> Result<(), Failure> {
    if load(home, &own_environment)?.settings.hooks.listen.is_none() {
        ui::warning(
            "hooks.listen is not set, so the daemon accepts no webhooks; set it with `kugetsu config set hooks.listen \
             127.0.0.1:8790`",
        );
    }
    Ok(())
}

pub(crate) async fn run(home: &Home, arguments: Hook) -> Result<Exit, Failure> {
    match arguments.action {
        Action::Create { repo, json } => {
            let query = RepoQuery { repo, cwd: paths::cwd()? };
            // A webhook that exists is not created again.
            let hook = connect::call(home, &endpoints::CREATE_HOOK, &query).await?;
            warn_if_not_listening(home)?;
            if json {
                ui::json(&hook)?;
            } else if hook.created {
                ui::toned(Tone::Good, format!("created the webhook of {}: {}", hook.watch, hook.url));
            } else {
                ui::line(format!("{} has a webhook for {} already", hook.watch, hook.url));
            }
        }
        Action::Show { repo, json } => {
            let query = RepoQuery { repo, cwd: paths::cwd()? };
            let hook = connect::call(home, &endpoints::SHOW_HOOK, &query).await?;
            warn_if_not_listening(home)?;
            if json {
                ui::json(&hook)?;
            } else {
                ui::line(format!("address  {}", hook.url));
                ui::line(format!("secret   {}", hook.secret.unwrap_or_default()));
                ui::line("content  application/json");
                ui::line("events   issues, comments, pull requests, reviews, checks and pushes");
            }
        }
    }
    Ok(Exit::Done)
}
