//! Opening, changing and merging pull requests, on servers whose projects have real repositories.

use kugetsu_domain::pull_request::PrState;
use kugetsu_domain::reference::ForgeKind;
use kugetsu_forge::error::ForgeError;
use kugetsu_forge::forge::{Forge, NewHook};
use kugetsu_forge::pull_request::{Merge, MergeMethod, NewPullRequest, PullRequest, PullRequestEdit};
use kugetsu_forge::webhook::delivery::verified;
use kugetsu_forge::webhook::notice::NoticeSubject;
use kugetsu_testkit::forge_server::check::CheckState;
use kugetsu_testkit::forge_server::hook::Delivery;
use kugetsu_testkit::{ForgeServer, GitServer, Repository};

use crate::stage::{LOGIN, TOKEN, all, client, project};

/// A repository for `acme/api` with the branches `main` and, one commit ahead, `quick`. The copy pushes to it.
fn serve_git(server: &ForgeServer) -> (GitServer, Repository) {
    let git = GitServer::start(TOKEN);
    let copy = Repository::with_commit();
    git.add_repository_from("acme/api", &copy);
    server.serve_git(&git);
    // Creates the project.
    server.set_permission("acme/api", "lee", kugetsu_testkit::forge_server::permission::Permission::Write);
    copy.branch("quick");
    copy.switch("quick");
    copy.commit_files("Make it quick", &[("quick.txt", "quick\n")]);
    push(server, &copy, "quick");
    (git, copy)
}

/// Pushes through the forge's own address.
fn push(server: &ForgeServer, copy: &Repository, branch: &str) {
    let url = server.base_url().replace("http://", &format!("http://token:{TOKEN}@"));
    copy.git(["push", "--quiet", "--force", &format!("{url}/acme/api.git"), branch]);
}

fn new(draft: bool) -> NewPullRequest {
    let [title, body, head, base] = ["Make it quick", "Fixes #1", "quick", "main"].map(str::to_owned);
    NewPullRequest { title, body, head, base, draft }
}

async fn opened(forge: &dyn Forge) -> PullRequest {
    forge.open_pull_request(&project("acme/api"), &new(false)).await.unwrap()
}

fn merge_of(pull: &PullRequest, method: MergeMethod) -> Merge {
    Merge { head_sha: pull.head_sha.clone(), method, when_ready: false }
}

#[tokio::test]
async fn a_pull_request_is_opened_for_a_branch() {
    for (kind, server) in all() {
        let (_git, copy) = serve_git(&server);
        let (forge, acme) = (client(kind, &server), project("acme/api"));
        let pull = opened(&*forge).await;
        assert_eq!((pull.title.as_str(), pull.body.as_str()), ("Make it quick", "Fixes #1"), "{kind:?}");
        assert_eq!((pull.head_branch.as_str(), pull.base_branch.as_str()), ("quick", "main"), "{kind:?}");
        assert_eq!((pull.head_sha.as_str(), pull.state), (copy.head().as_str(), PrState::Open), "{kind:?}");
        assert_eq!(pull.author.as_deref(), Some(LOGIN), "{kind:?}");
        let found = forge.find_pull_requests(&acme, "quick").await.unwrap();
        assert_eq!(found.iter().map(|found| found.number).collect::<Vec<_>>(), [pull.number], "{kind:?}");
    }
}

#[tokio::test]
async fn a_second_pull_request_for_the_branch_is_refused() {
    for (kind, server) in all() {
        let _git = serve_git(&server);
        let (forge, acme) = (client(kind, &server), project("acme/api"));
        opened(&*forge).await;
        let second = forge.open_pull_request(&acme, &new(false)).await.unwrap_err();
        let ForgeError::Refused { message, .. } = &second else { panic!("{kind:?}: {second}") };
        assert!(message.contains("exists"), "{kind:?}: {message}");
        assert_eq!(server.changes()["open_pull_request"], 1, "{kind:?}");
    }
}

#[tokio::test]
async fn a_branch_without_commits_gets_no_pull_request() {
    for (kind, server) in all() {
        let (_git, copy) = serve_git(&server);
        copy.git(["branch", "empty", "main"]);
        push(&server, &copy, "empty");
        let empty = NewPullRequest { head: "empty".to_owned(), ..new(false) };
        let opened = client(kind, &server).open_pull_request(&project("acme/api"), &empty).await;
        match kind {
            // It opens one without changes.
            ForgeKind::GitLab => assert!(opened.is_ok(), "{opened:?}"),
            _ => assert!(matches!(opened, Err(ForgeError::Refused { .. })), "{kind:?}: {opened:?}"),
        }
    }
}

#[tokio::test]
async fn a_draft_becomes_ready_and_a_draft_again() {
    for (kind, server) in all() {
        let _git = serve_git(&server);
        let (forge, acme) = (client(kind, &server), project("acme/api"));
        let number = forge.open_pull_request(&acme, &new(true)).await.unwrap().number;
        for draft in [true, false, false, true] {
            let edit = PullRequestEdit { draft: Some(draft), ..PullRequestEdit::default() };
            forge.edit_pull_request(&acme, number, &edit).await.unwrap();
            let pull = forge.pull_request(&acme, number).await.unwrap();
            assert_eq!((pull.draft, pull.state == PrState::Draft), (draft, draft), "{kind:?}");
        }
        // A new title leaves it a draft.
        let edit = PullRequestEdit { title: Some("Quicker".to_owned()), ..PullRequestEdit::default() };
        forge.edit_pull_request(&acme, number, &edit).await.unwrap();
        let pull = forge.pull_request(&acme, number).await.unwrap();
        assert!(pull.draft && pull.title.ends_with("Quicker"), "{kind:?}: {pull:?}");
    }
}

#[tokio::test]
async fn title_and_description_are_changed_and_it_is_closed() {
    for (kind, server) in all() {
        let _git = serve_git(&server);
        let (forge, acme) = (client(kind, &server), project("acme/api"));
        let number = opened(&*forge).await.number;
        let (title, body) = (Some("Quicker".to_owned()), Some("Fixes #2".to_owned()));
        let edit = PullRequestEdit { title, body, draft: None, close: false };
        forge.edit_pull_request(&acme, number, &edit).await.unwrap();
        let pull = forge.pull_request(&acme, number).await.unwrap();
        assert_eq!((pull.title.as_str(), pull.body.as_str()), ("Quicker", "Fixes #2"), "{kind:?}");
        let edit = PullRequestEdit { close: true, ..PullRequestEdit::default() };
        forge.edit_pull_request(&acme, number, &edit).await.unwrap();
        assert_eq!(forge.pull_request(&acme, number).await.unwrap().state, PrState::Closed, "{kind:?}");
    }
}

#[tokio::test]
async fn a_push_moves_the_head() {
    for (kind, server) in all() {
        let (_git, copy) = serve_git(&server);
        let (forge, acme) = (client(kind, &server), project("acme/api"));
        let before = opened(&*forge).await;
        copy.commit_files("Make it quicker", &[("quick.txt", "quicker\n")]);
        push(&server, &copy, "quick");
        let after = forge.pull_request(&acme, before.number).await.unwrap();
        assert_eq!(after.head_sha, copy.head(), "{kind:?}");
        assert!(after.updated > before.updated, "{kind:?}");
    }
}

#[tokio::test]
async fn every_method_merges_into_the_base() {
    for (kind, server) in all() {
        for method in [MergeMethod::Merge, MergeMethod::Squash, MergeMethod::Rebase] {
            if (kind, method) == (ForgeKind::GitLab, MergeMethod::Rebase) {
                // A setting of the project.
                continue;
            }
            let (git, _copy) = serve_git(&server);
            let (forge, acme) = (client(kind, &server), project("acme/api"));
            let pull = opened(&*forge).await;
            forge.merge(&acme, pull.number, &merge_of(&pull, method)).await.unwrap();
            let repository = git.repository("acme/api");
            assert_eq!(repository.show_text("main", "quick.txt"), "quick\n", "{kind:?}: {method:?}");
            let merged = forge.pull_request(&acme, pull.number).await.unwrap();
            assert_eq!(merged.state, PrState::Merged, "{kind:?}: {method:?}");
            assert_eq!(merged.merge_commit, repository.resolve("main"), "{kind:?}: {method:?}");
            let again = forge.merge(&acme, pull.number, &merge_of(&pull, method)).await;
            assert!(matches!(again, Err(ForgeError::Refused { .. })), "{kind:?}: {again:?}");
        }
    }
}

#[tokio::test]
async fn a_head_that_moved_is_not_merged() {
    for (kind, server) in all() {
        let (git, copy) = serve_git(&server);
        let (forge, acme) = (client(kind, &server), project("acme/api"));
        let pull = opened(&*forge).await;
        copy.commit_files("Something else", &[("other.txt", "other\n")]);
        push(&server, &copy, "quick");
        let refused = forge.merge(&acme, pull.number, &merge_of(&pull, MergeMethod::Squash)).await;
        assert!(matches!(refused, Err(ForgeError::Refused { status: 409, .. })), "{kind:?}: {refused:?}");
        assert_eq!(git.repository("acme/api").show("main", "quick.txt"), None, "{kind:?}");
    }
}

#[tokio::test]
async fn a_conflict_is_reported_and_not_merged() {
    for (kind, server) in all() {
        let (_git, copy) = serve_git(&server);
        let (forge, acme) = (client(kind, &server), project("acme/api"));
        let pull = opened(&*forge).await;
        copy.switch("main");
        copy.commit_files("Slow", &[("quick.txt", "slow\n")]);
        push(&server, &copy, "main");
        assert_eq!(forge.pull_request(&acme, pull.number).await.unwrap().state, PrState::Conflict, "{kind:?}");
        let refused = forge.merge(&acme, pull.number, &merge_of(&pull, MergeMethod::Merge)).await;
        assert!(matches!(refused, Err(ForgeError::Refused { .. })), "{kind:?}: {refused:?}");
    }
}

#[tokio::test]
async fn a_draft_is_not_merged() {
    for (kind, server) in all() {
        let _git = serve_git(&server);
        let (forge, acme) = (client(kind, &server), project("acme/api"));
        let pull = forge.open_pull_request(&acme, &new(true)).await.unwrap();
        let refused = forge.merge(&acme, pull.number, &merge_of(&pull, MergeMethod::Merge)).await;
        assert!(matches!(refused, Err(ForgeError::Refused { status: 405, .. })), "{kind:?}: {refused:?}");
    }
}

#[tokio::test]
async fn the_server_merges_when_the_checks_have_passed() {
    for (kind, server) in all() {
        let _git = serve_git(&server);
        let (forge, acme) = (client(kind, &server), project("acme/api"));
        let pull = opened(&*forge).await;
        server.set_check("acme/api", &pull.head_sha, "build", CheckState::Running, Some("log"));
        let later = Merge { when_ready: true, ..merge_of(&pull, MergeMethod::Squash) };
        forge.merge(&acme, pull.number, &later).await.unwrap();
        assert_eq!(forge.pull_request(&acme, pull.number).await.unwrap().state, PrState::Open, "{kind:?}");
        assert_eq!(server.changes().get("merge"), None, "{kind:?}");
        server.set_check("acme/api", &pull.head_sha, "build", CheckState::Success, Some("log"));
        assert_eq!(forge.pull_request(&acme, pull.number).await.unwrap().state, PrState::Merged, "{kind:?}");
    }
}

#[tokio::test]
async fn waiting_for_nothing_merges_now_or_is_refused() {
    for (kind, server) in all() {
        let _git = serve_git(&server);
        let (forge, acme) = (client(kind, &server), project("acme/api"));
        let pull = opened(&*forge).await;
        let later = Merge { when_ready: true, ..merge_of(&pull, MergeMethod::Squash) };
        let merged = forge.merge(&acme, pull.number, &later).await;
        match kind {
            ForgeKind::GitHub => assert!(matches!(merged, Err(ForgeError::Refused { .. })), "{merged:?}"),
            _ => assert!(merged.is_ok(), "{kind:?}: {merged:?}"),
        }
    }
}

#[tokio::test]
async fn a_branch_is_deleted_once_and_its_pull_request_is_still_found() {
    for (kind, server) in all() {
        let (git, _copy) = serve_git(&server);
        let (forge, acme) = (client(kind, &server), project("acme/api"));
        let pull = opened(&*forge).await;
        forge.merge(&acme, pull.number, &merge_of(&pull, MergeMethod::Merge)).await.unwrap();
        forge.delete_branch(&acme, "quick").await.unwrap();
        assert_eq!(git.repository("acme/api").resolve("refs/heads/quick"), None, "{kind:?}");
        forge.delete_branch(&acme, "quick").await.unwrap();
        let found = forge.find_pull_requests(&acme, "quick").await.unwrap();
        assert_eq!((found.len(), found[0].state), (1, PrState::Merged), "{kind:?}");
        assert_eq!(server.changes()["delete_branch"], 1, "{kind:?}");
    }
}

#[tokio::test]
async fn a_branch_with_a_slash_is_deleted() {
    for (kind, server) in all() {
        let (git, copy) = serve_git(&server);
        copy.git(["branch", "kugetsu/1-quick"]);
        push(&server, &copy, "kugetsu/1-quick");
        client(kind, &server).delete_branch(&project("acme/api"), "kugetsu/1-quick").await.unwrap();
        assert_eq!(git.repository("acme/api").resolve("refs/heads/kugetsu/1-quick"), None, "{kind:?}");
    }
}

#[tokio::test]
async fn a_push_is_reported_with_the_pull_request_that_it_changes() {
    for (kind, server) in all() {
        let (_git, copy) = serve_git(&server);
        let (forge, acme) = (client(kind, &server), project("acme/api"));
        let number = opened(&*forge).await.number;
        let hook = NewHook { url: "http://127.0.0.1:1/hooks".to_owned(), secret: "s3cret".into() };
        forge.create_hook(&acme, &hook).await.unwrap();
        let before = usize::from(kind == ForgeKind::GitHub);
        copy.commit_files("Make it quicker", &[("quick.txt", "quicker\n")]);
        push(&server, &copy, "quick");
        let sent = server.await_deliveries(before + 2).await.split_off(before);
        let subject = |sent: &Delivery| {
            let header = |name: &str| sent.header(name);
            let delivery = verified(kind, &"s3cret".into(), header, sent.body.as_bytes(), jiff::Timestamp::now());
            delivery.unwrap().notice.unwrap().subject
        };
        let subjects: Vec<_> = sent.iter().map(subject).collect();
        let pushed = NoticeSubject::Push { branch: "quick".to_owned() };
        assert_eq!(subjects, [pushed, NoticeSubject::PullRequest(number)], "{kind:?}");
        assert!(sent[0].body.contains(&copy.head()), "{kind:?}");
    }
}
