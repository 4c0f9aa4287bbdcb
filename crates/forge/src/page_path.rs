//! What the path of a web address names: the project, and an issue or a change of it.
//!
//! A path is given as its parts, already decoded and without the part that is a known server's own. Whether the host
//! is known decides how much of a path can be understood: nothing but the configuration tells a server's sub-path
//! from a GitLab group.

use kugetsu_domain::reference::{ForgeKind, ProjectPath};

use crate::address::Target;
use crate::error::Fault;

/// GitLab's own limit: a project and twenty groups around it.
const GITLAB_PARTS_MAX: usize = 21;

/// How far the server of an address is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    /// The path begins with the project, on a server of this kind.
    Kind(ForgeKind),
    /// The path begins with the project; what serves it is not known.
    Project,
    /// Nothing is known: the path may begin with parts that are the server's.
    Anything,
}

/// A path, understood.
#[derive(Debug)]
pub(crate) struct Page {
    /// How many parts at the beginning belong to the server.
    pub(crate) server_parts: usize,
    pub(crate) project: ProjectPath,
    pub(crate) target: Target,
    /// What the shape of the path says about the server.
    pub(crate) kind: Option<ForgeKind>,
}

/// The words between a project and a number.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Marker {
    Issues,
    WorkItems,
    Pull,
    Pulls,
    MergeRequests,
}

impl Marker {
    fn from_part(part: &str) -> Option<Self> {
        match part {
            "issues" => Some(Self::Issues),
            "work_items" => Some(Self::WorkItems),
            "pull" => Some(Self::Pull),
            "pulls" => Some(Self::Pulls),
            "merge_requests" => Some(Self::MergeRequests),
            _ => None,
        }
    }

    /// The only kind of server with this word, where there is one. `pulls` says Gitea; Forgejo has the same pages.
    fn kind(self) -> Option<ForgeKind> {
        match self {
            Self::Issues => None,
            Self::WorkItems | Self::MergeRequests => Some(ForgeKind::GitLab),
            Self::Pull => Some(ForgeKind::GitHub),
            Self::Pulls => Some(ForgeKind::Gitea),
        }
    }

    /// `pull` and `pulls` are one to GitHub and Gitea, whose API says `pulls` where GitHub's pages say `pull`.
    fn fits(self, kind: ForgeKind) -> bool {
        match self {
            Self::Issues => true,
            Self::WorkItems | Self::MergeRequests => kind == ForgeKind::GitLab,
            Self::Pull | Self::Pulls => kind != ForgeKind::GitLab,
        }
    }

    fn target(self, number: u64) -> Target {
        match self {
            Self::Issues | Self::WorkItems => Target::Issue(number),
            Self::Pull | Self::Pulls | Self::MergeRequests => Target::PullRequest(number),
        }
    }
}

/// Reads a path. `short` is the number that `#12` or `!3` behind the path gave.
pub(crate) fn read(path: &[String], layout: Layout, short: Option<Target>) -> Result<Page, Fault> {
    let page = match api_begin(path, layout) {
        Some(begin) => api(path, begin, layout == Layout::Anything)?,
        None => match path.iter().position(|part| part == "-") {
            Some(dash) => dashed(path, dash, layout)?,
            None => match layout {
                Layout::Kind(ForgeKind::GitLab) => gitlab(path)?,
                Layout::Kind(kind) => two_parts(path, kind)?,
                Layout::Project => project_first(path, short)?,
                Layout::Anything => anywhere(path, short)?,
            },
        },
    };
    // Pages of one project below the pages of another: nobody can tell where the server's part ends.
    let odd = |part: &String| part == "api" || Marker::from_part(part).is_some();
    if path[..page.server_parts].iter().any(odd) {
        return Err(Fault::UnknownServer);
    }
    finish(page, layout, short)
}

/// A project's path as git's own addresses give it.
pub(crate) fn repository(path: &str, kind: Option<ForgeKind>) -> Result<ProjectPath, Fault> {
    let project = project(&[path.trim_matches('/').to_owned()])?;
    check_parts(&project, kind)?;
    Ok(project)
}

/// The number of an issue or a comment. No database counts further than an `i64`.
pub(crate) fn number(text: &str) -> Result<u64, Fault> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|number| digits && (1..=i64::MAX.unsigned_abs()).contains(number));
    number.ok_or_else(|| Fault::Number(text.chars().take(40).collect()))
}

/// Nothing but GitLab has projects of more than two parts.
pub(crate) fn kind_by_parts(project: &ProjectPath) -> Option<ForgeKind> {
    (parts(project) > 2).then_some(ForgeKind::GitLab)
}

/// Whether a path begins as those of an API do.
pub(crate) fn is_api(path: &[String]) -> bool {
    api_begin(path, Layout::Project).is_some()
}

fn finish(mut page: Page, layout: Layout, short: Option<Target>) -> Result<Page, Fault> {
    if let Layout::Kind(kind) = layout {
        if page.kind.is_some_and(|shape| (shape == ForgeKind::GitLab) != (kind == ForgeKind::GitLab)) {
            return Err(Fault::OtherPage);
        }
        page.kind = Some(kind);
    }
    match (page.target, short) {
        (Target::Repo, Some(target)) => page.target = target,
        (_, Some(Target::PullRequest(_))) => return Err(Fault::OtherPage),
        _ => {}
    }
    if let Some(Target::PullRequest(_)) = short {
        page.kind = page.kind.or(Some(ForgeKind::GitLab));
        if page.kind != Some(ForgeKind::GitLab) {
            return Err(Fault::NotGitLab);
        }
    }
    page.kind = page.kind.or(kind_by_parts(&page.project));
    check_parts(&page.project, page.kind)?;
    Ok(page)
}

fn parts(project: &ProjectPath) -> usize {
    project.as_str().split('/').count()
}

fn check_parts(project: &ProjectPath, kind: Option<ForgeKind>) -> Result<(), Fault> {
    match parts(project) {
        0 | 1 => Err(Fault::TooFewParts),
        2 => Ok(()),
        n if n > GITLAB_PARTS_MAX || kind.is_some_and(|kind| kind != ForgeKind::GitLab) => Err(Fault::TooManyParts),
        _ => Ok(()),
    }
}

fn project(path: &[String]) -> Result<ProjectPath, Fault> {
    ProjectPath::new(path.join("/").trim_end_matches(".git")).map_err(Fault::Project)
}

/// Where `api/v1/repos`, `api/v3/repos` or `api/v4/projects` begins; on a known server only at the path's beginning.
fn api_begin(path: &[String], layout: Layout) -> Option<usize> {
    let is_api = |at: &[String]| {
        at[0] == "api"
            && match at[1].as_str() {
                "v1" | "v3" => at[2] == "repos",
                "v4" => at[2] == "projects",
                _ => false,
            }
    };
    path.windows(3).position(is_api).filter(|begin| *begin == 0 || layout == Layout::Anything)
}

fn api(path: &[String], begin: usize, begin_is_guessed: bool) -> Result<Page, Fault> {
    let (kind, project_parts) = match path[begin + 1].as_str() {
        "v1" => (ForgeKind::Gitea, 2),
        "v3" => (ForgeKind::GitHub, 2),
        _ => (ForgeKind::GitLab, 1),
    };
    let rest = &path[begin + 3..];
    if rest.len() < project_parts {
        return Err(Fault::TooFewParts);
    }
    if kind == ForgeKind::GitLab && rest[0].bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Fault::ProjectId);
    }
    let target =
        if rest.len() == project_parts { Target::Repo } else { numbered(&rest[project_parts..], Some(kind))?.0 };
    let project = project(&rest[..project_parts])?;
    // A page of the same project would not show where the server's part ends.
    let hidden = (kind == ForgeKind::GitLab && begin > 0) || (target == Target::Repo && begin + parts(&project) > 2);
    if begin_is_guessed && hidden {
        return Err(Fault::UnknownServer);
    }
    // No more than the same thing's page would say, so that an address does not change when it is written and read.
    let told = match target {
        Target::Issue(_) => kind == ForgeKind::GitLab,
        Target::PullRequest(_) => true,
        Target::Repo => !begin_is_guessed,
    };
    Ok(Page { server_parts: begin, project, target, kind: told.then_some(kind) })
}

/// GitLab's `group/project/-/issues/12`.
fn dashed(path: &[String], dash: usize, layout: Layout) -> Result<Page, Fault> {
    let kind = Some(ForgeKind::GitLab);
    if matches!(layout, Layout::Kind(known) if known != ForgeKind::GitLab) {
        return Err(Fault::OtherPage);
    }
    let (target, _) = numbered(&path[dash + 1..], kind)?;
    Ok(Page { server_parts: 0, project: project(&path[..dash])?, target, kind })
}

/// A server whose projects are `owner/repo`.
fn two_parts(path: &[String], kind: ForgeKind) -> Result<Page, Fault> {
    let (project_path, rest) = path.split_at_checked(2).ok_or(Fault::TooFewParts)?;
    let target = if rest.is_empty() { Target::Repo } else { numbered(rest, Some(kind))?.0 };
    Ok(Page { server_parts: 0, project: project(project_path)?, target, kind: Some(kind) })
}

/// A GitLab server, in the older form without `/-/`: the last word with a number behind it counts.
fn gitlab(path: &[String]) -> Result<Page, Fault> {
    let kind = ForgeKind::GitLab;
    let fits = |part: &String| Marker::from_part(part.trim_end_matches(".git")).is_some_and(|marker| marker.fits(kind));
    let found =
        (2..path.len()).rev().find(|&at| fits(&path[at]) && path.get(at + 1).is_some_and(|part| is_number(part)));
    let end = found.or_else(|| (2..path.len()).find(|&at| fits(&path[at]))).unwrap_or(path.len());
    let target = if end == path.len() { Target::Repo } else { numbered(&path[end..], Some(kind))?.0 };
    Ok(Page { server_parts: 0, project: project(&path[..end])?, target, kind: Some(kind) })
}

/// A server of unknown kind, whose pages are known to begin here.
fn project_first(path: &[String], short: Option<Target>) -> Result<Page, Fault> {
    let Some(at) = first_numbered(path) else {
        if path.len() > 2 && short.is_none() {
            return Err(unnumbered(path));
        }
        return Ok(Page { server_parts: 0, project: project(path)?, target: Target::Repo, kind: None });
    };
    let (target, kind) = numbered(&path[at..], None)?;
    Ok(Page { server_parts: 0, project: project(&path[..at])?, target, kind })
}

/// A server that is not known at all: the project is the two parts before the word, and what stands before them is
/// the server's; but GitLab's words say that all of it is the project.
fn anywhere(path: &[String], short: Option<Target>) -> Result<Page, Fault> {
    let (end, target, kind) = match first_numbered(path) {
        Some(at) => {
            let (target, kind) = numbered(&path[at..], None)?;
            (at, target, kind)
        }
        None if path.len() > 2 && short.is_none() => return Err(unnumbered(path)),
        None => (path.len(), Target::Repo, None),
    };
    let gitlab = kind == Some(ForgeKind::GitLab) || matches!(short, Some(Target::PullRequest(_)));
    let server_parts = if gitlab { 0 } else { end.saturating_sub(2) };
    Ok(Page { server_parts, project: project(&path[server_parts..end])?, target, kind })
}

/// The first word behind two parts that has a number behind it. A repository may itself be named `issues`.
fn first_numbered(path: &[String]) -> Option<usize> {
    (2..path.len())
        .find(|&at| Marker::from_part(&path[at]).is_some() && path.get(at + 1).is_some_and(|part| is_number(part)))
}

/// Why a long path on an unknown server cannot be a repository's.
fn unnumbered(path: &[String]) -> Fault {
    match (2..path.len()).find(|&at| Marker::from_part(&path[at]).is_some()) {
        Some(at) => numbered(&path[at..], None).err().unwrap_or(Fault::UnknownServer),
        None => Fault::UnknownServer,
    }
}

/// `issues/12` and what may follow it, such as the tab of a pull request.
fn numbered(rest: &[String], kind: Option<ForgeKind>) -> Result<(Target, Option<ForgeKind>), Fault> {
    let marker = rest.first().and_then(|part| Marker::from_part(part)).ok_or(Fault::OtherPage)?;
    if kind.is_some_and(|kind| !marker.fits(kind)) {
        return Err(Fault::OtherPage);
    }
    let number = number(rest.get(1).ok_or(Fault::NumberMissing)?)?;
    Ok((marker.target(number), marker.kind()))
}

fn is_number(part: &str) -> bool {
    !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit())
}
