//! The issues that a message mentions, and what kugetsu knows of them.

use std::fmt::Write as _;
use std::path::Path;

use kugetsu_api::problem::Problem;
use kugetsu_domain::issue::{Issue, IssueState};
use kugetsu_domain::reference::{IssueRef, RepoRef};
use kugetsu_forge::clone_source::clone_source;
use kugetsu_forge::kinds::table::pull_request_name;
use kugetsu_forge::references::address::{Address, CurrentRepo, Target};
use kugetsu_forge::references::mentions::{Mention, mentions};
use kugetsu_store::query::IssueFilter;
use kugetsu_store::view::RunView;

use super::describe::describe;
use crate::engine::Engine;
use crate::problems::store_failed;
use crate::resolve;
use crate::settings::Settings;

/// Maximum number of issues that a bare number may refer to. With more of them the user is not asked to choose.
const LISTED: usize = 10;

/// An issue with work in progress that a message may refer to.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// The text in the message.
    pub written: String,
    pub view: RunView,
}

/// The mentions of a message.
pub(super) struct Mentions {
    /// The repository of the user's directory.
    here: Option<CurrentRepo>,
    named: Vec<Named>,
}

struct Named {
    written: String,
    meaning: Meaning,
}

enum Meaning {
    /// An issue with work in progress.
    Known(Box<RunView>),
    /// An issue without work in progress.
    New {
        reference: IssueRef,
        /// Whether its forge is configured or well known.
        is_server_known: bool,
        /// Whether the message names the server; otherwise it may not be an issue at all (`src/lib.rs#12`).
        is_certain: bool,
    },
    /// Any of these issues, or another one, and the number of further issues with this number.
    Ambiguous(Vec<RunView>, usize),
    /// A pull request, with the name that its forge has for it.
    PullRequest(&'static str),
    /// The repository cannot be determined; the reason.
    Unclear(String),
}

impl Mentions {
    /// Returns the issues with work in progress that the message may refer to.
    pub(super) fn candidates(&self) -> Vec<Candidate> {
        let mut all: Vec<Candidate> = Vec::new();
        for named in &self.named {
            let views = match &named.meaning {
                Meaning::Known(view) => std::slice::from_ref(view.as_ref()),
                Meaning::Ambiguous(views, 0) => views.as_slice(),
                _ => &[],
            };
            for view in views {
                if !all.iter().any(|other| other.view.issue == view.issue) {
                    all.push(Candidate { written: named.written.clone(), view: view.clone() });
                }
            }
        }
        all
    }

    /// Lists the facts that are added to the message.
    pub(super) fn facts(&self, cwd: &Path, chosen: Option<&RunView>, candidates: &[Candidate]) -> String {
        let mut text = format!("- the user's directory is {}", cwd.display());
        // Writing into a string cannot fail.
        let _ = match &self.here {
            Some(here) => writeln!(text, ", in the repository {}/{}", here.base.without_scheme(), here.project),
            None => writeln!(text, ", which is not in a known repository"),
        };
        for named in &self.named {
            let _ = writeln!(text, "- {}", named.describe());
        }
        if self.named.is_empty() && chosen.is_none() {
            text.push_str("- no issue is mentioned\n");
        }
        let _ = match chosen {
            Some(view) => writeln!(
                text,
                "- the user chose {}, which is {}; use `continue` for it",
                view.reference,
                describe(view)
            ),
            None if !candidates.is_empty() => {
                writeln!(text, "- the user did not say which of the issues with work in progress is meant")
            }
            None => Ok(()),
        };
        text
    }
}

impl Named {
    fn describe(&self) -> String {
        match &self.meaning {
            Meaning::Known(view) => {
                format!("{}: work in progress; {}; use `continue` for it", view.reference, describe(view))
            }
            Meaning::New { reference, is_certain: false, .. } => {
                format!("{}: may refer to {reference}, which has no work in progress", self.written)
            }
            Meaning::New { reference, is_server_known: true, .. } => format!("{reference}: no work in progress"),
            Meaning::New { reference, .. } => {
                format!("{reference}: no work in progress; its server is not configured, so no token is sent to it")
            }
            Meaning::Ambiguous(views, _) if views.is_empty() => {
                format!("{}: the repository is missing", self.written)
            }
            Meaning::Ambiguous(views, more) => {
                let mut names: Vec<String> = views.iter().map(|view| view.reference.to_string()).collect();
                if *more > 0 {
                    names.push(format!("{more} more"));
                }
                format!(
                    "{}: the repository is missing; issues with work in progress: {}",
                    self.written,
                    names.join(", ")
                )
            }
            Meaning::PullRequest(name) => {
                format!("{}: a {name}; start from the issue that it belongs to", self.written)
            }
            Meaning::Unclear(why) => format!("{}: {why}", self.written),
        }
    }
}

/// Finds the mentions in a message that the user wrote in directory `cwd`.
pub(super) async fn read(engine: &Engine, message: &str, cwd: &Path) -> Result<Mentions, Problem> {
    let settings = engine.settings();
    let here = resolve::context(engine, &settings, cwd).await?;
    let mut servers = settings.servers.known();
    servers.extend(resolve::stored_servers(engine).await?);
    let mut named: Vec<Named> = Vec::new();
    for mention in mentions(message, &servers, here.as_ref()) {
        let next = match mention {
            Mention::Number(number) => {
                let (views, more) = numbered(engine, number).await?;
                Named { written: format!("#{number}"), meaning: Meaning::Ambiguous(views, more) }
            }
            Mention::Address(address) => {
                let written = address.to_string();
                let meaning = match address.target {
                    Target::PullRequest(_) => Meaning::PullRequest(pull_request_name(address.kind)),
                    Target::Repo => continue,
                    Target::Issue(number) => match repository(&address, &settings) {
                        Ok(repo) => {
                            let is_certain = address.base.is_some();
                            let is_server_known =
                                repo.base.is_local() || settings.servers.kind_of(repo.base.as_str()).is_some();
                            let reference = IssueRef { repo, number };
                            match find_latest_task(engine, &reference).await? {
                                Some(view) => Meaning::Known(Box::new(view)),
                                None => Meaning::New { reference, is_server_known, is_certain },
                            }
                        }
                        Err(why) => Meaning::Unclear(why),
                    },
                };
                Named { written, meaning }
            }
        };
        // `acme/api#5` and the address of its page are the same issue.
        if !named.iter().any(|other| other.is_same(&next)) {
            named.push(next);
        }
    }
    Ok(Mentions { here, named })
}

/// Returns the repository of an address; an address without a server gets the configured one.
fn repository(address: &Address, settings: &Settings) -> Result<RepoRef, String> {
    match address.repo() {
        Some(repo) => Ok(repo),
        None => clone_source(address, &settings.repositories, &settings.servers)
            .map(|source| source.repo)
            .map_err(|error| error.to_string()),
    }
}

impl Named {
    fn is_same(&self, other: &Self) -> bool {
        match (&self.meaning, &other.meaning) {
            (Meaning::Known(one), Meaning::Known(other)) => one.issue == other.issue,
            (Meaning::New { reference: one, .. }, Meaning::New { reference: other, .. }) => one == other,
            _ => self.written == other.written,
        }
    }
}

async fn find_latest_task(engine: &Engine, reference: &IssueRef) -> Result<Option<RunView>, Problem> {
    match engine.store().issue(reference).await.map_err(store_failed)? {
        Some(issue) => latest_task(engine, &issue).await,
        None => Ok(None),
    }
}

/// Returns the issues with work in progress that have this number, in any repository, and the number of further ones.
async fn numbered(engine: &Engine, number: u64) -> Result<(Vec<RunView>, usize), Problem> {
    let page = engine.store().issues(IssueFilter::Numbered(number), LISTED).await.map_err(store_failed)?;
    let (issues, all) = (page.issues, page.total);
    let mut views = Vec::new();
    for issue in &issues {
        views.extend(latest_task(engine, issue).await?);
    }
    Ok((views, all - issues.len()))
}

/// Returns the issue's latest task, if there is work to continue.
pub(super) async fn latest_task(engine: &Engine, issue: &Issue) -> Result<Option<RunView>, Problem> {
    if issue.state != IssueState::Open || !issue.is_begun() {
        return Ok(None);
    }
    engine.store().view(issue.id).await.map_err(store_failed)
}
