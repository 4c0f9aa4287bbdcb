//! Reads the path of a web address: the project, and an issue or a pull request of it.
//!
//! A path is given as decoded parts, without those of a known server's own path. How much of a path can be understood
//! depends on what is known about the server: only the configuration distinguishes a server's own path from a group.

use kugetsu_domain::reference::{ForgeKind, ProjectPath};

use super::address::Target;
use super::error::Reason;
use crate::kinds::dialect::{Dialect, PageKind, Pages};
use crate::kinds::table::{dialect, dialects};

/// Most parts of a project path. GitLab allows twenty groups around a project.
const PARTS_MAX: usize = 21;

/// Knowledge about the server of an address.
#[derive(Clone, Copy)]
pub(crate) enum Layout {
    /// The path begins with the project, on a server of this kind.
    Kind(&'static Dialect),
    /// The path begins with the project, on a server of unknown kind.
    Project,
    /// Nothing: the path may begin with parts that belong to the server.
    Unknown,
}

/// A path that was read.
#[derive(Debug)]
pub(crate) struct Page {
    /// Number of leading parts that belong to the server.
    pub(crate) server_parts: usize,
    pub(crate) project: ProjectPath,
    pub(crate) target: Target,
    /// The kind of server that the form of the path shows.
    pub(crate) kind: Option<ForgeKind>,
}

impl Layout {
    /// The layout of a known server.
    pub(crate) fn of(kind: Option<ForgeKind>) -> Self {
        kind.and_then(dialect).map_or(Self::Project, Self::Kind)
    }
}

/// Reads a path. `short` is the target that `#12` or `!3` after the path names.
pub(crate) fn read(path: &[String], layout: Layout, short: Option<Target>) -> Result<Page, Reason> {
    let page = match find_api(path, layout) {
        Some((dialect, begin)) => api(path, dialect, begin, matches!(layout, Layout::Unknown))?,
        None => match (find_separator(path), layout) {
            (Some((dialect, at)), _) => separated(path, dialect, at, layout)?,
            (None, Layout::Kind(dialect)) if dialect.pages.nested_projects => nested(path, dialect)?,
            (None, Layout::Kind(dialect)) => two_parts(path, dialect)?,
            (None, Layout::Project) => project_first(path, short)?,
            (None, Layout::Unknown) => anywhere(path, short)?,
        },
    };
    // A page of one project below a page of another: it is unclear where the server's own path ends.
    let is_page_word = |part: &String| part == "api" || known_word(part).is_some();
    if path[..page.server_parts].iter().any(is_page_word) {
        return Err(Reason::UnknownServer);
    }
    finish(page, layout, short)
}

/// The project of an address that is for git only.
pub(crate) fn repository(path: &str, kind: Option<ForgeKind>) -> Result<ProjectPath, Reason> {
    let project = project(&[path.trim_matches('/').to_owned()])?;
    check_parts(&project, kind)?;
    Ok(project)
}

/// The number of an issue or a comment, from 1 to the largest `i64`, which is what databases count with.
pub(crate) fn number(text: &str) -> Result<u64, Reason> {
    let is_digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|number| is_digits && (1..=i64::MAX.unsigned_abs()).contains(number));
    number.ok_or_else(|| Reason::Number(text.chars().take(40).collect()))
}

/// The only kind that has projects of so many parts, if there is only one.
pub(crate) fn kind_by_parts(project: &ProjectPath) -> Option<ForgeKind> {
    let mut nested = dialects().filter(|dialect| dialect.pages.nested_projects);
    match (nested.next(), nested.next()) {
        (Some(only), None) if parts(project) > 2 => Some(only.kind),
        _ => None,
    }
}

/// Whether a path is one of an API.
pub(crate) fn is_api(path: &[String]) -> bool {
    find_api(path, Layout::Project).is_some()
}

/// Checks the page against what is known about the server, and completes it with the short target.
fn finish(mut page: Page, layout: Layout, short: Option<Target>) -> Result<Page, Reason> {
    if let Layout::Kind(known) = layout {
        if page.kind.and_then(dialect).is_some_and(|form| !known.pages.accepts(&form.pages)) {
            return Err(Reason::OtherPage);
        }
        page.kind = Some(known.kind);
    }
    match (page.target, short) {
        (Target::Repo, Some(target)) => page.target = target,
        (_, Some(Target::PullRequest(_))) => return Err(Reason::OtherPage),
        _ => {}
    }
    if let Some(Target::PullRequest(_)) = short {
        let has_sign = |dialect: &&'static Dialect| dialect.pages.pull_request_sign.is_some();
        page.kind = page.kind.or_else(|| Some(dialects().find(has_sign)?.kind));
        if !page.kind.and_then(dialect).is_some_and(|dialect| has_sign(&dialect)) {
            return Err(Reason::PullRequestSign);
        }
    }
    page.kind = page.kind.or_else(|| kind_by_parts(&page.project));
    check_parts(&page.project, page.kind)?;
    Ok(page)
}

fn parts(project: &ProjectPath) -> usize {
    project.as_str().split('/').count()
}

fn check_parts(project: &ProjectPath, kind: Option<ForgeKind>) -> Result<(), Reason> {
    let is_flat = || kind.and_then(dialect).is_some_and(|dialect| !dialect.pages.nested_projects);
    match parts(project) {
        0 | 1 => Err(Reason::TooFewParts),
        2 => Ok(()),
        n if n > PARTS_MAX || is_flat() => Err(Reason::TooManyParts),
        _ => Ok(()),
    }
}

fn project(path: &[String]) -> Result<ProjectPath, Reason> {
    ProjectPath::new(path.join("/").trim_end_matches(".git")).map_err(Reason::Project)
}

/// The API that a path belongs to, and where it begins, such as `api/v4/projects`. On a known server, it can only be the
/// beginning of the path.
fn find_api(path: &[String], layout: Layout) -> Option<(&'static Dialect, usize)> {
    let starts = |at: usize, dialect: &Dialect| {
        let mut rest = path[at..].iter();
        dialect.api.segments().all(|segment| rest.next().is_some_and(|part| part == segment))
    };
    let last = if matches!(layout, Layout::Unknown) { path.len() } else { 1 };
    (0..path.len().min(last)).find_map(|at| Some((dialects().find(|dialect| starts(at, dialect))?, at)))
}

fn api(path: &[String], dialect: &'static Dialect, begin: usize, begin_is_guessed: bool) -> Result<Page, Reason> {
    let is_one_segment = dialect.api.project_in_one_segment;
    let project_parts = if is_one_segment { 1 } else { 2 };
    let rest = &path[begin + dialect.api.segments().count()..];
    if rest.len() < project_parts {
        return Err(Reason::TooFewParts);
    }
    if is_one_segment && rest[0].bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Reason::ProjectId);
    }
    let target = match &rest[project_parts..] {
        [] => Target::Repo,
        rest => numbered(rest, &dialect.pages)?,
    };
    let project = project(&rest[..project_parts])?;
    // The page of the same thing would not show where the server's own path ends.
    let is_lost = (is_one_segment && begin > 0) || (target == Target::Repo && begin + parts(&project) > 2);
    if begin_is_guessed && is_lost {
        return Err(Reason::UnknownServer);
    }
    // The kind only where the page would show it too, so that an address survives being written and parsed again.
    let is_shown = match target {
        Target::Issue(_) => dialect.pages.separator.is_some(),
        Target::PullRequest(_) => true,
        Target::Repo => !begin_is_guessed,
    };
    Ok(Page { server_parts: begin, project, target, kind: is_shown.then_some(dialect.kind) })
}

/// The first separator between project and page, as `-` in `group/project/-/issues/12`.
fn find_separator(path: &[String]) -> Option<(&'static Dialect, usize)> {
    let is_separator = |dialect: &Dialect, part: &str| dialect.pages.separator == Some(part);
    let mut parts = path.iter().enumerate();
    parts.find_map(|(at, part)| Some((dialects().find(|dialect| is_separator(dialect, part))?, at)))
}

fn separated(path: &[String], dialect: &'static Dialect, at: usize, layout: Layout) -> Result<Page, Reason> {
    if matches!(layout, Layout::Kind(known) if known.pages.separator != dialect.pages.separator) {
        return Err(Reason::OtherPage);
    }
    let target = numbered(&path[at + 1..], &dialect.pages)?;
    Ok(Page { server_parts: 0, project: project(&path[..at])?, target, kind: Some(dialect.kind) })
}

/// A server whose projects are `owner/repo`.
fn two_parts(path: &[String], dialect: &'static Dialect) -> Result<Page, Reason> {
    let (project_path, rest) = path.split_at_checked(2).ok_or(Reason::TooFewParts)?;
    let target = if rest.is_empty() { Target::Repo } else { numbered(rest, &dialect.pages)? };
    Ok(Page { server_parts: 0, project: project(project_path)?, target, kind: Some(dialect.kind) })
}

/// A server with nested projects, in the old form without a separator: the last word with a number after it counts.
fn nested(path: &[String], dialect: &'static Dialect) -> Result<Page, Reason> {
    let is_word = |part: &String| dialect.pages.page_of(part.trim_end_matches(".git")).is_some();
    let has_number = |at: usize| path.get(at + 1).is_some_and(|part| is_number(part));
    let last = (2..path.len()).rev().find(|&at| is_word(&path[at]) && has_number(at));
    let end = last.or_else(|| (2..path.len()).find(|&at| is_word(&path[at]))).unwrap_or(path.len());
    let target = if end == path.len() { Target::Repo } else { numbered(&path[end..], &dialect.pages)? };
    Ok(Page { server_parts: 0, project: project(&path[..end])?, target, kind: Some(dialect.kind) })
}

/// A server of unknown kind whose own path is known.
fn project_first(path: &[String], short: Option<Target>) -> Result<Page, Reason> {
    let Some(at) = first_numbered(path) else {
        if path.len() > 2 && short.is_none() {
            return Err(unnumbered(path));
        }
        return Ok(Page { server_parts: 0, project: project(path)?, target: Target::Repo, kind: None });
    };
    let (target, kind) = numbered_anywhere(&path[at..])?;
    Ok(Page { server_parts: 0, project: project(&path[..at])?, target, kind })
}

/// An unknown server: the project is the two parts before the word, and what precedes them is the server's own path. If
/// the word or the sign belongs to a kind with nested projects, everything is the project.
fn anywhere(path: &[String], short: Option<Target>) -> Result<Page, Reason> {
    let (end, target, kind) = match first_numbered(path) {
        Some(at) => {
            let (target, kind) = numbered_anywhere(&path[at..])?;
            (at, target, kind)
        }
        None if path.len() > 2 && short.is_none() => return Err(unnumbered(path)),
        None => (path.len(), Target::Repo, None),
    };
    let is_nested = kind.and_then(dialect).is_some_and(|dialect| dialect.pages.nested_projects)
        || matches!(short, Some(Target::PullRequest(_)));
    let server_parts = if is_nested { 0 } else { end.saturating_sub(2) };
    Ok(Page { server_parts, project: project(&path[server_parts..end])?, target, kind })
}

/// The first page word after two parts that has a number after it. A repository may itself be named `issues`.
fn first_numbered(path: &[String]) -> Option<usize> {
    (2..path.len()).find(|&at| known_word(&path[at]).is_some() && path.get(at + 1).is_some_and(|part| is_number(part)))
}

/// Why a long path on an unknown server cannot be a repository.
fn unnumbered(path: &[String]) -> Reason {
    match (2..path.len()).find(|&at| known_word(&path[at]).is_some()) {
        Some(at) => numbered_anywhere(&path[at..]).err().unwrap_or(Reason::UnknownServer),
        None => Reason::UnknownServer,
    }
}

/// `issues/12` and anything after it, such as the tab of a pull request.
fn numbered(rest: &[String], pages: &Pages) -> Result<Target, Reason> {
    let page = rest.first().and_then(|word| pages.page_of(word)).ok_or(Reason::OtherPage)?;
    with_number(page, rest)
}

/// The same for a server of unknown kind, with the kind that the word shows.
fn numbered_anywhere(rest: &[String]) -> Result<(Target, Option<ForgeKind>), Reason> {
    let (page, kind) = rest.first().and_then(|word| known_word(word)).ok_or(Reason::OtherPage)?;
    Ok((with_number(page, rest)?, kind))
}

fn with_number(page: PageKind, rest: &[String]) -> Result<Target, Reason> {
    let number = number(rest.get(1).ok_or(Reason::NumberMissing)?)?;
    Ok(match page {
        PageKind::Issue => Target::Issue(number),
        PageKind::PullRequest => Target::PullRequest(number),
    })
}

/// The page that a word leads to on any kind of server, and the kind that the word shows: none if all kinds have the word,
/// otherwise the first that writes it, or else the first that reads it.
fn known_word(word: &str) -> Option<(PageKind, Option<ForgeKind>)> {
    let mut readers = dialects().filter(|dialect| dialect.pages.page_of(word).is_some());
    let first = readers.next()?;
    let kind = match readers.count() + 1 < dialects().count() {
        true => Some(dialects().find(|dialect| dialect.pages.writes(word)).unwrap_or(first).kind),
        false => None,
    };
    Some((first.pages.page_of(word)?, kind))
}

fn is_number(part: &str) -> bool {
    !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit())
}
