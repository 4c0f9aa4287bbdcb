//! Webhooks of watched repositories: their secrets, their creation, and the deliveries that come in.

use std::io;
use std::path::Path;

use jiff::SignedDuration;
use kugetsu_api::problem::{Problem, ProblemKind};
use kugetsu_api::repo::{HookObject, RepoQuery};
use kugetsu_domain::reference::ServerBase;
use kugetsu_forge::error::ForgeError;
use kugetsu_forge::forge::NewHook;
use kugetsu_forge::servers::public_servers;
use kugetsu_forge::webhook::delivery::{Rejected, verified};
use kugetsu_store::error::StoreError;
use secrecy::{ExposeSecret, SecretString};

use crate::engine::Engine;
use crate::forges::forge;
use crate::problems::{absolute, internal, no_watch, problem};
use crate::resolve;
use crate::watches::Watch;

/// How long deliveries are remembered. Servers repeat them for hours, people for some days.
const REMEMBERED: SignedDuration = SignedDuration::from_hours(7 * 24);

/// The result of a delivery.
#[derive(Debug)]
pub enum Delivered {
    /// It is looked into.
    Accepted,
    /// It came before, so it has no effect.
    Repeated,
    /// It did not come from the server.
    Rejected(Rejected),
    /// No server has this name.
    NoServer,
    /// Too many wait. The server may send it again, and otherwise a poll finds the change.
    Busy,
    /// It could not be noted.
    Failed(String),
}

/// Takes a delivery of the server named `server` in. `header` returns the value of a header by its lower-case name.
pub async fn deliver<'a>(
    engine: &Engine,
    server: &str,
    header: impl Fn(&str) -> Option<&'a str>,
    body: &[u8],
) -> Delivered {
    let Some(server) = engine.settings().servers.named(server) else { return Delivered::NoServer };
    let Some(kind) = server.kind else { return Delivered::NoServer };
    let secret = match secret(engine, &server.base) {
        Ok(secret) => secret,
        Err(error) => return Delivered::Failed(error.to_string()),
    };
    let now = engine.now();
    let delivery = match verified(kind, &secret, header, body, now) {
        Ok(delivery) => delivery,
        Err(rejected) => return Delivered::Rejected(rejected),
    };
    let failed = |error: StoreError| Delivered::Failed(error.to_string());
    let base = server.base.to_string();
    // The sender chooses the ID, and the store keeps it with the notes about commands.
    let id = format!("delivery {}", delivery.id);
    match engine.store().is_handled(base.clone(), id.clone()).await {
        Ok(true) => return Delivered::Repeated,
        Ok(false) => {}
        Err(error) => return failed(error),
    }
    // Before it is noted: one that is refused may come again.
    if let Some(notice) = delivery.notice
        && !engine.notices().send(server.base, notice)
    {
        return Delivered::Busy;
    }
    let forget = now.saturating_sub(REMEMBERED).unwrap_or(now);
    match engine.store().add_handled(base, id, Some(now), forget).await {
        Ok(()) => Delivered::Accepted,
        Err(error) => failed(error),
    }
}

/// Creates the webhook of a watched repository on its server, unless there is one with the same address.
///
/// # Errors
/// The repository is not watched, no address is set, or the server refuses.
pub async fn create(engine: &Engine, query: &RepoQuery) -> Result<HookObject, Problem> {
    let (watch, url) = describe(engine, query).await?;
    let failed = |error: ForgeError| {
        let by_hand = format!("create it by hand with what `kugetsu hook show {}` prints", watch.name);
        let hint = match &error {
            // Servers hide webhooks from those who may not see them.
            ForgeError::NotFound { .. } | ForgeError::Forbidden { .. } => {
                format!("let the token administer the repository, or {by_hand}")
            }
            _ => error.hint().unwrap_or(by_hand),
        };
        problem(ProblemKind::Failed, format!("could not create the webhook of {}: {error}", watch.repo), Some(hint))
    };
    let Some(forge) = forge(engine, &watch.repo.base).map_err(failed)? else {
        return Err(problem(
            ProblemKind::Failed,
            format!("the kind of server at {} is not known", watch.repo.base),
            Some(format!("add it with `kugetsu server add <name> {}`", watch.repo.base)),
        ));
    };
    let hooks = forge.hooks(&watch.repo.project).await.map_err(failed)?;
    let created = !hooks.iter().any(|hook| hook.url == url);
    if created {
        let secret = secret(engine, &watch.repo.base).map_err(internal)?;
        let new = NewHook { url: url.clone(), secret };
        forge.create_hook(&watch.repo.project, &new).await.map_err(failed)?;
    }
    Ok(HookObject { watch: watch.name, url, secret: None, created })
}

/// Returns the address and the secret of the webhook of a watched repository, for a person who creates it.
///
/// # Errors
/// The repository is not watched, or no address is set.
pub async fn show(engine: &Engine, query: &RepoQuery) -> Result<HookObject, Problem> {
    let (watch, url) = describe(engine, query).await?;
    let secret = secret(engine, &watch.repo.base).map_err(internal)?;
    Ok(HookObject { watch: watch.name, url, secret: Some(secret.expose_secret().to_owned()), created: false })
}

/// The watch, and the address of its webhook.
async fn describe(engine: &Engine, query: &RepoQuery) -> Result<(Watch, String), Problem> {
    let watch = watched(engine, &query.repo, absolute(&query.cwd)?).await?;
    let settings = engine.settings();
    let Some(own) = settings.hooks.url.as_deref().map(|url| url.trim_end_matches('/')) else {
        return Err(problem(
            ProblemKind::Usage,
            "the address under which servers reach the daemon is not set",
            Some(
                "set it with `kugetsu config set hooks.url https://<host>`, and the port with `kugetsu config set hooks.listen 127.0.0.1:8790`",
            ),
        ));
    };
    let url = format!("{own}/hooks/{}", server_name(engine, &watch.repo.base));
    Ok((watch, url))
}

/// The watch with this name, or of the repository that is meant.
async fn watched(engine: &Engine, reference: &str, cwd: &Path) -> Result<Watch, Problem> {
    let settings = engine.settings();
    if let Some(watch) = settings.watch(reference) {
        return Ok(watch.clone());
    }
    let repo = match resolve::repo_on_server(engine, reference, cwd).await {
        Ok(repo) => repo,
        // It can only be meant as a name.
        Err(_) if !reference.contains(['/', '.', ':']) => return Err(no_watch(reference)),
        Err(problem) => return Err(problem),
    };
    let watch = settings.watches.iter().find(|watch| watch.repo == repo).cloned();
    watch.ok_or_else(|| {
        problem(
            ProblemKind::NotFound,
            format!("{repo} is not watched"),
            Some(format!("watch it with `kugetsu watch add {repo}`")),
        )
    })
}

/// The name under which a server's deliveries come in.
fn server_name(engine: &Engine, base: &ServerBase) -> String {
    let settings = engine.settings();
    let configured = settings.servers.list().iter().find(|server| server.base == *base).cloned();
    let server = configured.or_else(|| public_servers().find(|server| server.base == *base));
    server.map_or_else(|| base.without_scheme().to_owned(), |server| server.name)
}

/// The secret of a server's webhooks.
fn secret(engine: &Engine, server: &ServerBase) -> io::Result<SecretString> {
    engine.hook_key().map(|key| key.secret(server))
}
