//! A pull or merge request, in words that all forges share.

use jiff::Timestamp;
use kugetsu_domain::pull_request::PrState;
use kugetsu_domain::reference::{ForgeKind, ProjectPath, ServerBase};

use crate::address::{Address, Target};

/// One pull or merge request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PullRequest {
    /// Its number in its project.
    pub number: u64,
    /// The address of its page.
    pub url: String,
    /// One line, written by other people.
    pub title: String,
    /// What has become of it.
    pub state: PrState,
    /// Whether it is marked as not ready. A draft in conflict has the state [`PrState::Conflict`].
    pub draft: bool,
    /// Whether it fits onto its base, as far as the server has found out.
    pub merge: MergeCheck,
    /// The branch that is to be merged, without its owner.
    pub head_branch: String,
    /// The commit at its end; empty where the server does not know it.
    pub head_sha: String,
    /// The branch that it is to be merged into.
    pub base_branch: String,
    /// When anything of it was last changed.
    pub updated: Option<Timestamp>,
}

impl PullRequest {
    /// With the address of its page on `server` as it is configured. The server's own word for it stays where it is such
    /// an address; a server that was not told its own address names another one, which nobody could ask about later.
    pub(super) fn on(self, kind: ForgeKind, server: &ServerBase, project: &ProjectPath) -> Self {
        let page = Address {
            kind: Some(kind),
            base: Some(server.clone()),
            project: project.clone(),
            target: Target::PullRequest(self.number),
            comment: None,
            ssh: None,
            credentials_dropped: false,
        };
        let page = page.to_string();
        let before = format!("{server}/");
        let behind = &page[before.len() + project.as_str().len()..];
        // The project may have been renamed since.
        let its_project = self.url.strip_prefix(&before).and_then(|rest| rest.strip_suffix(behind));
        let is_page = its_project.is_some_and(|project| ProjectPath::new(project).is_ok());
        Self { url: if is_page { self.url } else { page }, ..self }
    }
}

/// Whether a change fits onto its base.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MergeCheck {
    /// It does.
    Mergeable,
    /// It does not: somebody has to resolve a conflict.
    Conflict,
    /// The server is finding out, or does not say. Ask again.
    Unknown,
}

/// What has become of a change that a server tells of by single facts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts {
    pub(super) merged: bool,
    pub(super) closed: bool,
    pub(super) draft: bool,
    pub(super) merge: MergeCheck,
}

impl Facts {
    /// The first that is true, from what ends a change to what only marks it.
    pub(super) fn state(self) -> PrState {
        match self {
            Self { merged: true, .. } => PrState::Merged,
            Self { closed: true, .. } => PrState::Closed,
            Self { merge: MergeCheck::Conflict, .. } => PrState::Conflict,
            Self { draft: true, .. } => PrState::Draft,
            Self { .. } => PrState::Open,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(kind: ForgeKind, told: &str) -> String {
        let pull = PullRequest {
            number: 7,
            url: told.to_owned(),
            title: String::new(),
            state: PrState::Open,
            draft: false,
            merge: MergeCheck::Unknown,
            head_branch: String::new(),
            head_sha: String::new(),
            base_branch: String::new(),
            updated: None,
        };
        let server = ServerBase::new("https://h.example/git").unwrap();
        pull.on(kind, &server, &ProjectPath::new("a/b").unwrap()).url
    }

    #[test]
    fn a_page_is_on_the_server_as_it_is_configured_whatever_that_says() {
        for (kind, own) in [
            (ForgeKind::GitHub, "https://h.example/git/a/b/pull/7"),
            (ForgeKind::Gitea, "https://h.example/git/a/b/pulls/7"),
            (ForgeKind::Forgejo, "https://h.example/git/a/b/pulls/7"),
            (ForgeKind::GitLab, "https://h.example/git/a/b/-/merge_requests/7"),
        ] {
            assert_eq!(page(kind, own), own);
            let renamed = own.replace("a/b", "c/d");
            assert_eq!(page(kind, &renamed), renamed);
            let injected = own.replace("a/b", "a/b\n- x");
            let others = own.replace("h.example", "localhost:3000");
            for bad in ["", &injected, &others, &format!("{own}?token=x"), &own.replace("/7", "/8"), "javascript:x"] {
                assert_eq!(page(kind, bad), own, "{bad:?}");
            }
        }
    }
}
