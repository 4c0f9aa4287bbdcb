//! the pull request of an issue: named by somebody or found by its branch, and what its server says of it.

use std::path::Path;

use kugetsu_api::problem::{Problem, ProblemKind};
use kugetsu_domain::flow::Event;
use kugetsu_domain::issue::Issue;
use kugetsu_domain::pull_request::{PrOrigin, PrState};
use kugetsu_domain::reference::ServerBase;
use kugetsu_forge::error::ForgeError;
use kugetsu_forge::kinds::table::pull_request_name;
use kugetsu_forge::open::pull_request_at;
use kugetsu_forge::pull_request::PullRequest;
use kugetsu_forge::references::address::{Address, Target};
use kugetsu_forge::references::parser::parse;
use kugetsu_forge::references::reference::Reference;
use thiserror::Error;

use crate::credentials::{token, token_variable};
use crate::engine::Engine;
use crate::forges::forge;
use crate::problems::{not_stored, problem, usage};
use crate::resolve;

/// What is known of an issue's pull request now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PrStatus {
    /// There is none, as far as can be told.
    None,
    /// Its server shows it, if there is one, only to those who bring a token, and there is no token.
    Hidden {
        /// That, and how to set one, in words.
        why: String,
    },
    /// Its server was asked just now.
    Known {
        /// The address of its page.
        url: String,
        /// What has become of it.
        state: PrState,
    },
    /// Its server could not be asked, or did not answer: nothing may be taken for granted.
    Unknown {
        /// The address of its page, where there is a pull request for certain.
        url: Option<String>,
        /// Why, in words.
        why: String,
    },
}

/// Says which pull request belongs to an issue (C7), once its server was asked about it.
///
/// # Errors
/// There is no such issue, that is no address of a pull request, or its server says that no pull request is there: nothing was
/// stored then. A server that cannot be asked is no error.
pub async fn set(engine: &Engine, reference: &str, cwd: &Path, url: &str) -> Result<(Issue, PrStatus), Problem> {
    let issue = of_an_issue(engine, reference, cwd).await?;
    let url = checked(url)?;
    if address(engine, &url).is_none() {
        return Err(not_a_pull_request(&url));
    }
    let known = match at(engine, &url).await {
        Ok(state) => PrStatus::Known { url: url.clone(), state },
        Err(Unasked::Answer(error)) if error.denies_pull_request() => {
            let kind = match error {
                ForgeError::NotAPullRequest { .. } => ProblemKind::Usage,
                _ => ProblemKind::NotFound,
            };
            return Err(problem(kind, format!("nothing was stored: {error}"), error.hint()));
        }
        Err(error) => PrStatus::Unknown { url: Some(url.clone()), why: error.to_string() },
    };
    let named = engine.apply(issue.id, Event::PrSet { url }).await;
    let mut issue = named.map_err(|error| not_stored(&issue.reference, error))?;
    if let PrStatus::Known { url, state } = &known {
        let seen = engine.apply(issue.id, Event::PrChecked { url: url.clone(), state: *state }).await;
        issue = seen.map_err(|error| not_stored(&issue.reference, error))?;
    }
    Ok((issue, known))
}

/// Takes back which pull request belongs to an issue: the issue, and the address that it had.
///
/// # Errors
/// There is no such issue.
pub async fn clear(engine: &Engine, reference: &str, cwd: &Path) -> Result<(Issue, Option<String>), Problem> {
    let issue = of_an_issue(engine, reference, cwd).await?;
    let Some(pr) = issue.pr.clone() else { return Ok((issue, None)) };
    let forgotten = engine.apply(issue.id, Event::PrCleared).await;
    let issue = forgotten.map_err(|error| not_stored(&issue.reference, error))?;
    Ok((issue, Some(pr.url)))
}

async fn of_an_issue(engine: &Engine, reference: &str, cwd: &Path) -> Result<Issue, Problem> {
    let issue = resolve::issue(engine, &Reference::new(reference), cwd).await?;
    match issue.reference.is_coordinator() {
        true => Err(usage("the coordinator has no pull request")),
        false => Ok(issue),
    }
}

/// Asks the server what has become of an issue's pull request, and stores what it says. One that nobody named is looked for by
/// the branch that was pushed.
pub(crate) async fn refresh(engine: &Engine, issue: &Issue) -> PrStatus {
    let known = ask(engine, issue).await;
    if let PrStatus::Known { url, state } = &known
        && let Err(error) = engine.apply(issue.id, Event::PrChecked { url: url.clone(), state: *state }).await
    {
        tracing::warn!(issue = %issue.reference, %error, "what became of a pull request could not be stored");
    }
    known
}

/// Asks the forge without storing its answer.
pub(crate) async fn ask(engine: &Engine, issue: &Issue) -> PrStatus {
    let Some(pr) = &issue.pr else { return by_branch(engine, issue).await };
    let url = pr.url.clone();
    let state = match at(engine, &url).await {
        Ok(state) => state,
        Err(error) => return PrStatus::Unknown { url: Some(url), why: error.to_string() },
    };
    if pr.origin == PrOrigin::Detected && !state.is_open() {
        // Nobody said that it is the only one: another one of the same branch may wait.
        let found = by_branch(engine, issue).await;
        let waits = matches!(&found, PrStatus::Known { state, .. } if state.is_open());
        if waits || matches!(found, PrStatus::Unknown { .. }) {
            return found;
        }
    }
    PrStatus::Known { url, state }
}

/// Why nothing is known of a pull request at an address.
#[derive(Debug, Error)]
enum Unasked {
    #[error("it is not the URL of a pull request on a known server")]
    NoAddress,
    #[error("its server is not known")]
    NoServer,
    #[error("{0} is not configured; add it with `kugetsu server add <name> {0}`")]
    NotConfigured(ServerBase),
    /// What the server said, or why it did not.
    #[error(transparent)]
    Answer(#[from] ForgeError),
}

/// What its server says of the change at an address.
async fn at(engine: &Engine, url: &str) -> Result<PrState, Unasked> {
    let address = address(engine, url).ok_or(Unasked::NoAddress)?;
    let base = address.base.as_ref().ok_or(Unasked::NoServer)?;
    let forge = forge(engine, base)?.ok_or_else(|| Unasked::NotConfigured(base.clone()))?;
    Ok(pull_request_at(forge.as_ref(), &address).await?.state)
}

/// Only what was pushed can have a pull request, and only a server that is known can be asked for it.
async fn by_branch(engine: &Engine, issue: &Issue) -> PrStatus {
    let (base, project) = (&issue.reference.repo.base, &issue.reference.repo.project);
    let Some(files) = issue.worktree.as_ref().filter(|_| !base.is_local()) else { return PrStatus::None };
    match engine.store().last_pushed(issue.id).await {
        Ok(Some(_)) => {}
        Ok(None) => return PrStatus::None,
        Err(error) => return PrStatus::Unknown { url: None, why: error.to_string() },
    }
    let unknown = |why: String| PrStatus::Unknown { url: None, why };
    let forge = match forge(engine, base) {
        Ok(Some(forge)) => forge,
        Ok(None) => return PrStatus::None,
        Err(error) => return unknown(error.to_string()),
    };
    match forge.find_pull_requests(project, &files.branch).await {
        Ok(pulls) => best(pulls).map_or(PrStatus::None, |pull| PrStatus::Known { url: pull.url, state: pull.state }),
        Err(error) if error.may_be_hidden() => hidden(engine, base).unwrap_or_else(|| unknown(error.to_string())),
        Err(error) => unknown(error.to_string()),
    }
}

/// What there is to say of a server that hides its pull requests from whoever brings no token, where there is none to bring.
fn hidden(engine: &Engine, base: &ServerBase) -> Option<PrStatus> {
    let settings = engine.settings();
    let variable = token_variable(&settings, base.as_str())?;
    let why = format!(
        "without a token for {base}, open {}s may be hidden; set one with `kugetsu env set {variable} -`",
        pull_request_name(settings.servers.kind_of(base.as_str()))
    );
    token(&settings, base.as_str()).is_none().then_some(PrStatus::Hidden { why })
}

/// The one that still waits, if one does; else the one that was changed last.
fn best(pulls: Vec<PullRequest>) -> Option<PullRequest> {
    let open = pulls.iter().position(|pull| pull.state.is_open());
    pulls.into_iter().nth(open.unwrap_or(0))
}

/// The address as it can be asked about.
fn address(engine: &Engine, url: &str) -> Option<Address> {
    let address = parse(url, &engine.settings().servers.known(), None).ok()?;
    // On most servers issues and pull requests share their numbers, and the page of one leads to the other.
    matches!(address.target, Target::PullRequest(_) | Target::Issue(_)).then_some(address)
}

/// The address of a pull request as it may be stored and shown: nothing that opens a door is in it.
///
/// # Errors
/// It is none, or holds a user, a password or a query.
pub(crate) fn checked(url: &str) -> Result<String, Problem> {
    let plain = !url.contains(|c: char| c.is_whitespace() || c.is_control());
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    let (host, query) = (rest.and_then(|rest| rest.split('/').next()), url.contains('?'));
    match host {
        Some(host) if plain && !host.contains('@') && !query => Ok(url.to_owned()),
        Some(host) if host.contains('@') || query => {
            Err(usage("the URL of the pull request must not contain a user, a password or a query")
                .hint("use a URL such as https://host/owner/repo/pulls/34"))
        }
        _ => Err(not_a_pull_request(url)),
    }
}

fn not_a_pull_request(url: &str) -> Problem {
    Problem::new(ProblemKind::Usage, format!("{url:?} is not the URL of a pull request"))
        .hint("use a URL such as https://host/owner/repo/pulls/34")
}
