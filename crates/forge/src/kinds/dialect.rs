//! The description of a kind of forge. Each kind has a static [`Dialect`] in its own file.

use std::sync::Arc;

use kugetsu_domain::reference::{ForgeKind, ProjectPath, ServerBase};
use kugetsu_domain::secret_forms::TokenUser;

use super::probe::{Identity, Prober};
use crate::forge::{BoxFuture, Forge};
use crate::http::client::{Client, HttpDialect};
use crate::user::TokenNeeds;

/// Everything that distinguishes a kind of forge.
pub(crate) struct Dialect {
    pub(crate) kind: ForgeKind,
    /// The user's term for a pull request.
    pub(crate) pull_request_name: &'static str,
    /// Servers that are known without configuration.
    pub(crate) public: &'static [PublicServer],
    /// The variable that holds the token, unless the server's settings name another one.
    pub(crate) token_variable: &'static str,
    /// The user name that git sends together with the token.
    pub(crate) git_user: TokenUser,
    pub(crate) pages: Pages,
    pub(crate) api: ApiPaths,
    pub(crate) http: HttpDialect,
    pub(crate) needs: TokenNeeds,
    pub(crate) connect: fn(ServerBase, Client) -> Arc<dyn Forge>,
    /// Recognizes a server. `None` if another kind's probe recognizes this kind too.
    pub(crate) probe: Option<Probe>,
}

/// Requests a server's version, and returns its kind if it is recognized.
pub(crate) type Probe = for<'a> fn(&'a Prober) -> BoxFuture<'a, Option<Identity>>;

pub(crate) struct PublicServer {
    pub(crate) base: &'static str,
    /// The address of its API, if that is not below `base`. Has no path.
    pub(crate) api: Option<&'static str>,
    /// A second host for ssh, on port 443 for networks that block port 22.
    pub(crate) ssh_host: Option<&'static str>,
}

/// The addresses of pages: `<project>[/<separator>]/<word>/<number>[#<comment anchor><id>]`.
pub(crate) struct Pages {
    /// Whether a project path may have more than two parts.
    pub(crate) nested_projects: bool,
    /// A path segment between the project and the word. It is optional when reading.
    pub(crate) separator: Option<&'static str>,
    /// Words before the number of an issue. The first one is written, all are read.
    pub(crate) issue_words: &'static [&'static str],
    /// Words before the number of a pull request. The first one is written, all are read.
    pub(crate) pull_request_words: &'static [&'static str],
    /// Anchors before the id of a comment. The first one is written, all are read.
    pub(crate) comment_anchors: &'static [&'static str],
    /// The sign before a pull request's number in a short reference (`!3`), if it is not the `#` of issues.
    pub(crate) pull_request_sign: Option<char>,
    /// Whether issues and pull requests share their numbers, so that an issue's address may lead to a pull request.
    pub(crate) shared_numbers: bool,
}

/// The addresses of the API: `<root>/<projects>/<project>/<word>/<number>`.
pub(crate) struct ApiPaths {
    /// Path of the API below the server's address, such as `api/v4`.
    pub(crate) root: &'static str,
    /// The segment before a project.
    pub(crate) projects: &'static str,
    /// Whether a project is a single percent-encoded segment instead of one segment per part.
    pub(crate) project_in_one_segment: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PageKind {
    Issue,
    PullRequest,
}

impl Dialect {
    /// Where the API of the server at `base` begins, without a trailing slash.
    pub(crate) fn api_url(&self, base: &ServerBase) -> String {
        let public = self.public.iter().find(|public| public.base == base.as_str());
        match public.and_then(|public| public.api) {
            Some(api) => api.to_owned(),
            None => format!("{base}/{}", self.api.root),
        }
    }

    /// The address of a pull request's page on the server as configured. `reported` is kept if it is such an address: the
    /// project may have been renamed. A server that does not know its own public address reports one that nothing could
    /// be looked up by later.
    pub(crate) fn pull_request_url(
        &self,
        server: &ServerBase,
        project: &ProjectPath,
        number: u64,
        reported: Option<String>,
    ) -> String {
        let path = self.pages.path(PageKind::PullRequest, number);
        let is_page = |url: &String| {
            let rest = url.strip_prefix(server.as_str()).and_then(|rest| rest.strip_prefix('/'));
            rest.and_then(|rest| rest.strip_suffix(&path)).is_some_and(|project| ProjectPath::new(project).is_ok())
        };
        reported.filter(is_page).unwrap_or_else(|| format!("{server}/{project}{path}"))
    }
}

impl Pages {
    /// The path of a page below its project, with a leading slash.
    pub(crate) fn path(&self, page: PageKind, number: u64) -> String {
        let words = match page {
            PageKind::Issue => self.issue_words,
            PageKind::PullRequest => self.pull_request_words,
        };
        let separator = self.separator.map(|separator| format!("/{separator}")).unwrap_or_default();
        format!("{separator}/{}/{number}", words.first().copied().unwrap_or_default())
    }

    /// The kind of page that a number behind this word is on.
    pub(crate) fn page_of(&self, word: &str) -> Option<PageKind> {
        if self.issue_words.contains(&word) {
            return Some(PageKind::Issue);
        }
        self.pull_request_words.contains(&word).then_some(PageKind::PullRequest)
    }

    /// Whether this kind of forge writes the word itself, instead of only reading it.
    pub(crate) fn writes(&self, word: &str) -> bool {
        [self.issue_words, self.pull_request_words].iter().any(|words| words.first() == Some(&word))
    }

    /// Whether an address in the style of `other` can belong to this kind of forge. People mix up `pull` and `pulls`, but
    /// not merge requests and pull requests.
    pub(crate) fn accepts(&self, other: &Self) -> bool {
        other.pull_request_words.first().is_some_and(|word| self.page_of(word).is_some())
    }
}

impl ApiPaths {
    /// The segments before a project, such as `api`, `v4`, `projects`.
    pub(crate) fn segments(&self) -> impl Iterator<Item = &'static str> {
        self.root.split('/').chain([self.projects])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::table::dialect;

    #[test]
    fn the_address_of_a_pull_request_is_on_the_server_as_configured() {
        let server = ServerBase::new("https://h.example/git").unwrap();
        let project = ProjectPath::new("a/b").unwrap();
        for (kind, page) in [
            (ForgeKind::GitHub, "https://h.example/git/a/b/pull/7"),
            (ForgeKind::Gitea, "https://h.example/git/a/b/pulls/7"),
            (ForgeKind::Forgejo, "https://h.example/git/a/b/pulls/7"),
            (ForgeKind::GitLab, "https://h.example/git/a/b/-/merge_requests/7"),
        ] {
            let url = |reported: Option<&str>| {
                dialect(kind).unwrap().pull_request_url(&server, &project, 7, reported.map(str::to_owned))
            };
            assert_eq!(url(Some(page)), page);
            assert_eq!(url(None), page);
            let renamed = page.replace("a/b", "c/d");
            assert_eq!(url(Some(&renamed)), renamed);
            let injected = page.replace("a/b", "a/b\n- x");
            let internal = page.replace("h.example", "localhost:3000");
            for bad in ["", &injected, &internal, &format!("{page}?token=x"), &page.replace("/7", "/8"), "javascript:x"]
            {
                assert_eq!(url(Some(bad)), page, "{bad:?}");
            }
        }
    }
}
