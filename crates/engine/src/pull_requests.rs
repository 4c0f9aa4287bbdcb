//! The pull request of an issue: set by the user or detected by the branch, and its state on the forge.

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

/// The current state of an issue's pull request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PrStatus {
    /// The forge has none, or the forge is not known.
    None,
    /// The forge may have one, and hides it from requests without a token.
    Hidden {
        /// A message for the user, with the command that sets a token.
        why: String,
    },
    /// The forge has just reported it.
    Known { url: String, state: PrState },
    /// The forge did not answer, so there may be an open one.
    Unknown {
        /// The pull request, if one is recorded.
        url: Option<String>,
        /// The reason, for the user.
        why: String,
    },
}

/// Records the pull request of an issue, after asking the forge for its state. A forge that does not answer is no error.
///
/// # Errors
/// There is no such issue, the URL is not that of a pull request, or the forge has no such pull request. Nothing was stored.
pub async fn set(engine: &Engine, reference: &str, cwd: &Path, url: &str) -> Result<(Issue, PrStatus), Problem> {
    let issue = of_an_issue(engine, reference, cwd).await?;
    let url = checked(url)?;
    let Some(address) = address(engine, &url) else { return Err(not_a_pull_request(&url)) };
    let known = match state_of(engine, &url).await {
        Ok(state) => PrStatus::Known { url: url.clone(), state },
        Err(StateError::Forge(error)) if error.denies_pull_request() => {
            let kind = match error {
                ForgeError::NotAPullRequest { .. } => ProblemKind::Usage,
                _ => ProblemKind::NotFound,
            };
            return Err(problem(kind, format!("nothing was stored: {error}"), error.hint()));
        }
        // The page of an issue may be one of a pull request, but only its server knows.
        Err(_) if !matches!(address.target, Target::PullRequest(_)) => return Err(not_a_pull_request(&url)),
        Err(error) => PrStatus::Unknown { url: Some(url.clone()), why: error.to_string() },
    };
    let set = engine.apply(issue.id, Event::PrSet { url }).await;
    let mut issue = set.map_err(|error| not_stored(&issue.reference, error))?;
    if let PrStatus::Known { url, state } = &known {
        let checked = engine.apply(issue.id, Event::PrChecked { url: url.clone(), state: *state }).await;
        issue = checked.map_err(|error| not_stored(&issue.reference, error))?;
    }
    Ok((issue, known))
}

/// Clears the recorded pull request of an issue. Returns the issue, and the URL if there was one.
///
/// # Errors
/// There is no such issue.
pub async fn clear(engine: &Engine, reference: &str, cwd: &Path) -> Result<(Issue, Option<String>), Problem> {
    let issue = of_an_issue(engine, reference, cwd).await?;
    let Some(pr) = issue.pr.clone() else { return Ok((issue, None)) };
    let cleared = engine.apply(issue.id, Event::PrCleared).await;
    let issue = cleared.map_err(|error| not_stored(&issue.reference, error))?;
    Ok((issue, Some(pr.url)))
}

async fn of_an_issue(engine: &Engine, reference: &str, cwd: &Path) -> Result<Issue, Problem> {
    let issue = resolve::issue(engine, &Reference::new(reference), cwd).await?;
    match issue.reference.is_coordinator() {
        true => Err(usage("the coordinator has no pull request")),
        false => Ok(issue),
    }
}

/// Asks the forge for the state of an issue's pull request and stores it. Without a recorded one, the forge is asked for
/// that of the pushed branch.
pub(crate) async fn refresh(engine: &Engine, issue: &Issue) -> PrStatus {
    let status = ask(engine, issue).await;
    if let PrStatus::Known { url, state } = &status
        && let Err(error) = engine.apply(issue.id, Event::PrChecked { url: url.clone(), state: *state }).await
    {
        tracing::warn!(issue = %issue.reference, %error, "the state of a pull request could not be stored");
    }
    status
}

/// As [`refresh`], without storing the state.
pub(crate) async fn ask(engine: &Engine, issue: &Issue) -> PrStatus {
    let Some(pr) = &issue.pr else { return by_branch(engine, issue).await };
    let url = pr.url.clone();
    let state = match state_of(engine, &url).await {
        Ok(state) => state,
        Err(error) => return PrStatus::Unknown { url: Some(url), why: error.to_string() },
    };
    if pr.origin == PrOrigin::Detected && !state.is_open() {
        // The branch may have another one that is open.
        let other = by_branch(engine, issue).await;
        let is_open = matches!(&other, PrStatus::Known { state, .. } if state.is_open());
        if is_open || matches!(other, PrStatus::Unknown { .. }) {
            return other;
        }
    }
    PrStatus::Known { url, state }
}

/// Why the state of a pull request is not known.
#[derive(Debug, Error)]
enum StateError {
    #[error("it is not the URL of a pull request on a known server")]
    NoAddress,
    #[error("its server is not known")]
    NoServer,
    #[error("{0} is not configured; add it with `kugetsu server add <name> {0}`")]
    NotConfigured(ServerBase),
    #[error(transparent)]
    Forge(#[from] ForgeError),
}

/// Asks the forge for the state of the pull request at a URL.
async fn state_of(engine: &Engine, url: &str) -> Result<PrState, StateError> {
    let address = address(engine, url).ok_or(StateError::NoAddress)?;
    let base = address.base.as_ref().ok_or(StateError::NoServer)?;
    let forge = forge(engine, base)?.ok_or_else(|| StateError::NotConfigured(base.clone()))?;
    Ok(pull_request_at(forge.as_ref(), &address).await?.state)
}

/// Asks the forge for the pull request of the issue's branch. Only a pushed branch can have one.
async fn by_branch(engine: &Engine, issue: &Issue) -> PrStatus {
    let (base, project) = (&issue.reference.repo.base, &issue.reference.repo.project);
    let Some(files) = issue.worktree.as_ref().filter(|_| !base.is_local()) else { return PrStatus::None };
    if issue.pushed.is_none() {
        return PrStatus::None;
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

/// Returns [`PrStatus::Hidden`] if no token is set for the server.
fn hidden(engine: &Engine, base: &ServerBase) -> Option<PrStatus> {
    let settings = engine.settings();
    let variable = token_variable(&settings, base.as_str())?;
    let why = format!(
        "without a token for {base}, open {}s may be hidden; set one with `kugetsu env set {variable} -`",
        pull_request_name(settings.servers.kind_of(base.as_str()))
    );
    token(&settings, base.as_str()).is_none().then_some(PrStatus::Hidden { why })
}

/// Returns an open one if there is one, else the one that changed last.
fn best(pulls: Vec<PullRequest>) -> Option<PullRequest> {
    let open = pulls.iter().position(|pull| pull.state.is_open());
    pulls.into_iter().nth(open.unwrap_or(0))
}

/// Parses the URL of a pull request.
fn address(engine: &Engine, url: &str) -> Option<Address> {
    let address = parse(url, &engine.settings().servers.known(), None).ok()?;
    // Most forges number issues and pull requests together and redirect from the page of one to the other.
    matches!(address.target, Target::PullRequest(_) | Target::Issue(_)).then_some(address)
}

/// Returns the URL if its form is that of a pull request, without a request to its server.
///
/// # Errors
/// It is another URL, or contains credentials or a query.
pub(crate) fn of_pull_request(engine: &Engine, url: &str) -> Result<String, Problem> {
    let url = checked(url)?;
    match address(engine, &url).map(|address| address.target) {
        Some(Target::PullRequest(_)) => Ok(url),
        _ => Err(not_a_pull_request(&url)),
    }
}

/// Returns the URL if it can be stored and shown.
///
/// # Errors
/// It is not a URL, or contains credentials or a query.
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
