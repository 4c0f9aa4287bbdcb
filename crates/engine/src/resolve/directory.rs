//! Directories that users name, and the repositories and worktrees there.

use std::path::{Path, PathBuf};

use kugetsu_api::problem::{Problem, ProblemKind};
use kugetsu_domain::issue::Issue;
use kugetsu_forge::references::reference::Reference;
use kugetsu_git::mirror::{LocalRepo, SourceError, look_at};
use kugetsu_store::query::IssueFilter;
use kugetsu_store::view::Repo;

use crate::engine::Engine;
use crate::problems::{problem, store_failed, usage};

/// Turns a reference that names no issue, such as `shop` or `projects/shop/`, into a path if there is such a directory.
///
/// # Errors
/// Its file system does not answer.
pub(super) async fn directory_by_name(reference: &Reference, cwd: &Path) -> Result<Reference, Problem> {
    let (Reference::Session(text) | Reference::Address(text)) = reference else { return Ok(reference.clone()) };
    let is_address = text.is_empty() || text.contains(['#', '!', ':']);
    let is_directory = !is_address && look(&cwd.join(text), Path::is_dir).await?;
    Ok(if is_directory { Reference::Path(text.clone()) } else { reference.clone() })
}

/// Looks at the files at a path of the user's, which may be on a file system that no longer answers.
pub(crate) async fn look<T: Send + 'static>(
    path: &Path,
    look: impl FnOnce(&Path) -> T + Send + 'static,
) -> Result<T, Problem> {
    look_at(path, look).await.map_err(|error| problem(ProblemKind::Failed, &error, error.hint()))
}

/// Makes a path absolute. `~` is the user's home.
pub(crate) fn expand(reference: &str, cwd: &Path) -> Result<PathBuf, Problem> {
    let path =
        reference.get(..7).filter(|begin| begin.eq_ignore_ascii_case("file://")).map_or(reference, |_| &reference[7..]);
    let path = match path.strip_prefix('~') {
        None => PathBuf::from(path),
        Some(rest) if rest.is_empty() || rest.starts_with('/') => {
            let home = std::env::var_os("HOME").filter(|home| !home.is_empty());
            let home = home.ok_or_else(|| usage(format!("cannot expand {reference}: HOME is not set")))?;
            PathBuf::from(home).join(rest.trim_start_matches('/'))
        }
        Some(_) => {
            return Err(
                usage(format!("cannot expand {reference}: only your own ~ is supported")).hint("use an absolute path")
            );
        }
    };
    Ok(cwd.join(path))
}

/// Finds the repository at a path. One in kugetsu's directories is refused: agents write there, and git would run the
/// programs that its settings name. The links of the path are resolved before the check, so that none can be changed after
/// it, and the directories that git reports are checked too.
pub(crate) async fn locate(engine: &Engine, path: &Path) -> Result<LocalRepo, Problem> {
    let path = look(path, |path| path.canonicalize().unwrap_or_else(|_| path.to_owned())).await?;
    refuse_kugetsus(engine, &path)?;
    let located = LocalRepo::find(engine.git(), &path).await.map_err(|error| not_a_repository(&error))?;
    for directory in [&located.root, &located.common_dir] {
        refuse_kugetsus(engine, &directory.canonicalize().unwrap_or_else(|_| directory.clone()))?;
    }
    Ok(located)
}

fn refuse_kugetsus(engine: &Engine, path: &Path) -> Result<(), Problem> {
    if worktree_directory(engine, path).is_some() {
        return Err(usage(format!("{} is the worktree of an issue, not a repository", path.display()))
            .hint("continue the issue with `kugetsu continue . \"<message>\"`"));
    }
    if engine.home().holds(path) {
        return Err(usage(format!("{} is below a directory of kugetsu", path.display()))
            .hint("name one of your own repositories"));
    }
    Ok(())
}

fn not_a_repository(error: &SourceError) -> Problem {
    let kind = if matches!(error, SourceError::NoAnswer(_)) { ProblemKind::Failed } else { ProblemKind::Usage };
    problem(kind, error, error.hint())
}

/// Returns the directory of the repository itself, also for a linked worktree.
pub(crate) fn main_directory(located: &LocalRepo) -> PathBuf {
    let directory = match located.common_dir.file_name() {
        Some(name) if !located.bare && name == ".git" => located.common_dir.parent().unwrap_or(&located.root),
        _ => &located.root,
    };
    directory.canonicalize().unwrap_or_else(|_| directory.to_owned())
}

pub(super) async fn known_local_repo(engine: &Engine, directory: &Path) -> Result<Option<Repo>, Problem> {
    let known = engine.store().local_repos().await.map_err(store_failed)?;
    Ok(known.into_iter().find(|repo| Path::new(&repo.source) == directory))
}

/// Returns the issue whose worktree contains the path.
pub(super) async fn worktree_issue(engine: &Engine, path: &Path) -> Result<Option<Issue>, Problem> {
    // An answer now means that the path can be resolved below.
    look(path, |path| path.symlink_metadata().is_ok()).await?;
    let Some(directory) = worktree_directory(engine, path) else { return Ok(None) };
    engine.store().issue(IssueFilter::Directory(directory)).await.map_err(store_failed)
}

/// Returns the name of the directory of the issue's worktree that contains the path.
fn worktree_directory(engine: &Engine, path: &Path) -> Option<String> {
    let worktrees = engine.home().worktrees().canonicalize().ok()?;
    let inside = path.canonicalize().ok()?.strip_prefix(worktrees).ok()?.to_owned();
    Some(inside.components().next()?.as_os_str().to_str()?.to_owned())
}
