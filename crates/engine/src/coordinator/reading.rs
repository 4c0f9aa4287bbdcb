//! What a message names, as far as kugetsu knows it.

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

use super::facts;
use crate::engine::Engine;
use crate::problems::store_failed;
use crate::resolve;
use crate::settings::Settings;

/// How many issues a number alone is looked up to mean. One that more of them have names none of them: who is asked to
/// choose could not.
const LISTED: usize = 10;

/// An issue that was worked on and that a message may mean.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// What the message says.
    pub written: String,
    /// Its latest task with its latest run.
    pub view: RunView,
}

/// A message, read.
pub(super) struct Read {
    /// The repository that the person is in.
    here: Option<CurrentRepo>,
    named: Vec<Named>,
}

/// A thing that the message names.
struct Named {
    written: String,
    found: Found,
}

enum Found {
    /// An issue that kugetsu has worked on.
    Known(Box<RunView>),
    /// An issue that it has not worked on.
    New {
        reference: IssueRef,
        /// Whether it is known what serves there.
        is_server_known: bool,
        /// Whether the message names its server; what does not may be no issue at all (`src/lib.rs#12`).
        is_certain: bool,
    },
    /// It may be any of these, or another one; besides them, so many more have the number.
    Ambiguous(Vec<RunView>, usize),
    /// A pull request, with what users call it there.
    PullRequest(&'static str),
    /// It cannot be found out which repository is meant.
    Unclear(String),
}

impl Read {
    /// The issues with work of their own that the message may mean.
    pub(super) fn candidates(&self) -> Vec<Candidate> {
        let mut all: Vec<Candidate> = Vec::new();
        for named in &self.named {
            let views = match &named.found {
                Found::Known(view) => std::slice::from_ref(view.as_ref()),
                Found::Ambiguous(views, 0) => views.as_slice(),
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

    /// What the coordinator is told besides the message.
    pub(super) fn told(&self, cwd: &Path, chosen: Option<&RunView>, candidates: &[Candidate]) -> String {
        let mut text = format!("- the person was in {}", cwd.display());
        // Writing into a string cannot fail.
        let _ = match &self.here {
            Some(here) => writeln!(text, ", of the repository {}/{}", here.base.without_scheme(), here.project),
            None => writeln!(text, ", which is no repository that is known"),
        };
        for named in &self.named {
            let _ = writeln!(text, "- {}", named.told());
        }
        if self.named.is_empty() && chosen.is_none() {
            text.push_str("- no issue is named\n");
        }
        let _ = match chosen {
            Some(view) => writeln!(
                text,
                "- chosen by the person: {}, which is {}; go on with it by `continue`",
                view.reference,
                facts::standing(view)
            ),
            None if !candidates.is_empty() => {
                writeln!(text, "- the person did not say which of the issues that were worked on is meant")
            }
            None => Ok(()),
        };
        text
    }
}

impl Named {
    fn told(&self) -> String {
        match &self.found {
            Found::Known(view) => {
                format!("{}: worked on; {}; more goes to it by `continue`", view.reference, facts::standing(view))
            }
            Found::New { reference, is_certain: false, .. } => {
                format!("{}: may mean {reference}, which was not worked on", self.written)
            }
            Found::New { reference, is_server_known: true, .. } => format!("{reference}: not worked on yet"),
            Found::New { reference, .. } => {
                format!("{reference}: not worked on yet; its server is not in the settings, so no token is sent to it")
            }
            Found::Ambiguous(views, _) if views.is_empty() => {
                format!("{}: it is missing which repository is meant", self.written)
            }
            Found::Ambiguous(views, more) => {
                let mut names: Vec<String> = views.iter().map(|view| view.reference.to_string()).collect();
                if *more > 0 {
                    names.push(format!("{more} more"));
                }
                format!("{}: it is missing which repository is meant; worked on are {}", self.written, names.join(", "))
            }
            Found::PullRequest(name) => {
                format!("{}: a {name}; work begins from the issue that it belongs to", self.written)
            }
            Found::Unclear(why) => format!("{}: {why}", self.written),
        }
    }
}

/// Reads a message as somebody wrote it who is in `cwd`.
///
/// # Errors
/// What is stored cannot be read.
pub(super) async fn read(engine: &Engine, message: &str, cwd: &Path) -> Result<Read, Problem> {
    let settings = engine.settings();
    let here = resolve::context(engine, &settings, cwd).await?;
    let mut servers = settings.servers.known();
    servers.extend(resolve::worked_with(engine).await?);
    let mut named: Vec<Named> = Vec::new();
    for mention in mentions(message, &servers, here.as_ref()) {
        let next = match mention {
            Mention::Number(number) => {
                let (views, more) = numbered(engine, number).await?;
                Named { written: format!("#{number}"), found: Found::Ambiguous(views, more) }
            }
            Mention::Address(address) => {
                let written = address.to_string();
                let found = match address.target {
                    Target::PullRequest(_) => Found::PullRequest(pull_request_name(address.kind)),
                    Target::Repo => continue,
                    Target::Issue(number) => match repository(&address, &settings) {
                        Ok(repo) => {
                            let is_certain = address.base.is_some();
                            let is_server_known =
                                repo.base.is_local() || settings.servers.kind_of(repo.base.as_str()).is_some();
                            let reference = IssueRef { repo, number };
                            match on_issue(engine, &reference).await? {
                                Some(view) => Found::Known(Box::new(view)),
                                None => Found::New { reference, is_server_known, is_certain },
                            }
                        }
                        Err(why) => Found::Unclear(why),
                    },
                };
                Named { written, found }
            }
        };
        // `acme/api#5` and its page are the same issue once it is known where they lead.
        if !named.iter().any(|other| other.is_same(&next)) {
            named.push(next);
        }
    }
    Ok(Read { here, named })
}

/// The repository of an address; where the address names no server, the settings do.
fn repository(address: &Address, settings: &Settings) -> Result<RepoRef, String> {
    match address.repo() {
        Some(repo) => Ok(repo),
        None => clone_source(address, &settings.repositories, &settings.servers)
            .map(|placed| placed.repo)
            .map_err(|error| error.to_string()),
    }
}

impl Named {
    fn is_same(&self, other: &Self) -> bool {
        match (&self.found, &other.found) {
            (Found::Known(one), Found::Known(other)) => one.issue == other.issue,
            (Found::New { reference: one, .. }, Found::New { reference: other, .. }) => one == other,
            _ => self.written == other.written,
        }
    }
}

/// Where the issue stands, if there is work on it.
async fn on_issue(engine: &Engine, reference: &IssueRef) -> Result<Option<RunView>, Problem> {
    match engine.store().issue(reference).await.map_err(store_failed)? {
        Some(issue) => view(engine, &issue).await,
        None => Ok(None),
    }
}

/// The issues with work of their own that have this number, in whatever repository, and how many more have it.
async fn numbered(engine: &Engine, number: u64) -> Result<(Vec<RunView>, usize), Problem> {
    let page = engine.store().issues(IssueFilter::Numbered(number), LISTED).await.map_err(store_failed)?;
    let (issues, all) = (page.issues, page.total);
    let mut views = Vec::new();
    for issue in &issues {
        views.extend(view(engine, issue).await?);
    }
    Ok((views, all - issues.len()))
}

/// The issue's latest task, if there is work of it to go on with.
pub(super) async fn view(engine: &Engine, issue: &Issue) -> Result<Option<RunView>, Problem> {
    if issue.state != IssueState::Open || !issue.is_begun() {
        return Ok(None);
    }
    engine.store().view(issue.id).await.map_err(store_failed)
}
