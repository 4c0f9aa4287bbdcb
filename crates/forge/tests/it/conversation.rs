//! Comments, labels, lists of issues, and what users may do: the same on every kind of server.

use kugetsu_domain::reference::ForgeKind;
use kugetsu_forge::discussion::Reaction;
use kugetsu_forge::error::ForgeError;
use kugetsu_forge::forge::Subject;
use kugetsu_forge::http::limits::Limits;
use kugetsu_forge::issue::{IssueEdit, IssueQuery, IssueState};
use kugetsu_forge::kinds::table::token_needs;
use kugetsu_forge::pull_request::MergeMethod;
use kugetsu_forge::user::Permission;
use kugetsu_testkit::ForgeServer;
use kugetsu_testkit::forge_server::issue::{Issue, Subject as On};
use kugetsu_testkit::forge_server::permission::Permission as Given;
use kugetsu_testkit::forge_server::pull_request::{PrState, PullRequest};

use crate::stage::{LOGIN, TOKEN, all, client, client_with, limits, project};

#[tokio::test]
async fn a_comment_is_added_and_edited() {
    for (kind, server) in all() {
        let (forge, acme) = (client(kind, &server), project("acme/api"));
        let number = server.issue("acme/api", Issue::new("Slow"));
        let added = forge.add_comment(&acme, Subject::Issue(number), "I look.\n").await.unwrap();
        assert_eq!(
            (added.body.as_str(), added.author.as_ref().unwrap().login.as_str()),
            ("I look.\n", LOGIN),
            "{kind:?}"
        );
        forge.edit_comment(&acme, Subject::Issue(number), added.id, "Done.").await.unwrap();
        let listed = forge.comments(&acme, Subject::Issue(number)).await.unwrap();
        assert_eq!(listed.entries.len(), 1, "{kind:?}");
        let comment = &listed.entries[0];
        assert_eq!((comment.id, comment.body.as_str()), (added.id, "Done."));
        assert!(comment.updated > comment.created, "{kind:?}");
        assert_eq!(server.comments_of("acme/api", On::Issue(number)).len(), 1);
        assert_eq!((server.changes()["comment"], server.changes()["edit_comment"]), (1, 1));
    }
}

#[tokio::test]
async fn a_pull_request_has_comments_too() {
    for (kind, server) in all() {
        let (forge, acme) = (client(kind, &server), project("acme/api"));
        let number = server.pull_request("acme/api", PullRequest::new("Quick", "quick"));
        server.review_thread("acme/api", number, "lee", ("src/main.rs", Some(2)), "Why?");
        let added = forge.add_comment(&acme, Subject::PullRequest(number), "Ready.").await.unwrap();
        forge.react(&acme, Subject::PullRequest(number), added.id, Reaction::Eyes).await.unwrap();
        forge.edit_comment(&acme, Subject::PullRequest(number), added.id, "Ready!").await.unwrap();
        // Comments below lines belong to their threads.
        let listed = forge.comments(&acme, Subject::PullRequest(number)).await.unwrap();
        let bodies: Vec<_> = listed.entries.iter().map(|comment| comment.body.as_str()).collect();
        assert_eq!(bodies, ["Ready!"], "{kind:?}");
    }
}

#[tokio::test]
async fn all_pages_of_comments_are_read_once() {
    for (kind, server) in all() {
        server.set_page_max(3);
        let number = server.issue("acme/api", Issue::new("Slow"));
        for n in 0..8 {
            server.comment("acme/api", On::Issue(number), "lee", &n.to_string());
        }
        let listed = client(kind, &server).comments(&project("acme/api"), Subject::Issue(number)).await.unwrap();
        let bodies: Vec<_> = listed.entries.iter().map(|comment| comment.body.as_str()).collect();
        assert_eq!(bodies, ["0", "1", "2", "3", "4", "5", "6", "7"], "{kind:?}");
    }
}

#[tokio::test]
async fn records_of_changes_are_no_comments() {
    let server = ForgeServer::gitlab();
    server.token(crate::stage::TOKEN, LOGIN);
    let number = server.issue("acme/api", Issue::new("Slow"));
    server.comment("acme/api", On::Issue(number), "lee", "Closing this.");
    server.set_closed("acme/api", On::Issue(number), true);
    let listed =
        client(ForgeKind::GitLab, &server).comments(&project("acme/api"), Subject::Issue(number)).await.unwrap();
    assert_eq!(listed.entries.len(), 1);
}

#[tokio::test]
async fn only_the_server_marks_a_user_as_a_program() {
    let server = ForgeServer::github();
    let number = server.issue("acme/api", Issue::new("Slow"));
    server.comment("acme/api", On::Issue(number), "renovate[bot]", "Update");
    server.comment("acme/api", On::Issue(number), "my-bot", "I am a person");
    let listed = client_without_token(&server).comments(&project("acme/api"), Subject::Issue(number)).await.unwrap();
    let bots: Vec<_> = listed.entries.iter().map(|comment| comment.author.as_ref().unwrap().is_bot).collect();
    assert_eq!(bots, [true, false]);
}

fn client_without_token(server: &ForgeServer) -> std::sync::Arc<dyn kugetsu_forge::forge::Forge> {
    crate::stage::client_with(ForgeKind::GitHub, &server.base_url(), None, crate::stage::limits())
}

#[tokio::test]
async fn a_reaction_may_be_there_already() {
    for (kind, server) in all() {
        let (forge, acme) = (client(kind, &server), project("acme/api"));
        let number = server.issue("acme/api", Issue::new("Slow"));
        let id = server.comment("acme/api", On::Issue(number), "lee", "@robot go");
        for reaction in [Reaction::Eyes, Reaction::Eyes, Reaction::ThumbsUp, Reaction::Confused] {
            forge.react(&acme, Subject::Issue(number), id, reaction).await.unwrap();
        }
        let comments = server.comments_of("acme/api", On::Issue(number));
        let names: Vec<_> = comments[0].reactions.iter().map(|(_, name)| name.as_str()).collect();
        let up = if kind == ForgeKind::GitLab { "thumbsup" } else { "+1" };
        assert_eq!(names, ["eyes", up, "confused"], "{kind:?}");
    }
}

#[tokio::test]
async fn labels_of_a_project_are_listed() {
    for (kind, server) in all() {
        server.issue("acme/api", Issue::new("Slow").label("bug").label("agent"));
        let mut labels = client(kind, &server).labels(&project("acme/api")).await.unwrap();
        labels.sort();
        assert_eq!(labels, ["agent", "bug"], "{kind:?}");
    }
}

#[test]
fn needs_of_a_token_are_named_in_the_terms_of_its_server() {
    let needs = |kind| token_needs(kind).unwrap();
    assert_eq!(needs(ForgeKind::GitHub).role(Permission::Write), "Write");
    assert_eq!(needs(ForgeKind::Forgejo).role(Permission::Maintain), "Write");
    assert_eq!(needs(ForgeKind::GitLab).role(Permission::Write), "Developer");
    assert_eq!(needs(ForgeKind::GitLab).role(Permission::None), "no role");
    let scopes = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    assert!(needs(ForgeKind::GitHub).lacks_scope(Some(&scopes(&["read:user"]))));
    assert!(!needs(ForgeKind::GitHub).lacks_scope(Some(&scopes(&["gist", "repo"]))));
    assert!(needs(ForgeKind::GitLab).lacks_scope(Some(&scopes(&["read_api"]))));
    // What a server does not report is not missing.
    assert!(!needs(ForgeKind::GitHub).lacks_scope(None) && !needs(ForgeKind::Gitea).lacks_scope(Some(&[])));
}

#[tokio::test]
async fn labels_are_added_and_removed() {
    for (kind, server) in all() {
        let (forge, acme) = (client(kind, &server), project("acme/api"));
        let number = server.issue("acme/api", Issue::new("Slow").label("bug").label("old one"));
        let pull = server.pull_request("acme/api", PullRequest::new("Quick", "quick"));
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        // One that the project does not have is created; one that the issue does not have is removed already.
        let (add, remove) = (names(&["agent: working", "bug"]), names(&["old one", "never there"]));
        forge.label(&acme, Subject::Issue(number), &add, &remove).await.unwrap();
        let mut labels = server.labels_of("acme/api", On::Issue(number));
        labels.sort();
        assert_eq!(labels, ["agent: working", "bug"], "{kind:?}");
        forge.label(&acme, Subject::PullRequest(pull), &add, &[]).await.unwrap();
        assert_eq!(server.labels_of("acme/api", On::PullRequest(pull)).len(), 2, "{kind:?}");
        forge.label(&acme, Subject::Issue(number), &[], &add).await.unwrap();
        forge.label(&acme, Subject::Issue(number), &[], &add).await.unwrap();
        assert_eq!(server.labels_of("acme/api", On::Issue(number)), [""; 0], "{kind:?}");
    }
}

#[tokio::test]
async fn a_label_on_a_later_page_is_found() {
    for (kind, server) in all() {
        server.set_page_max(2);
        for n in 0..5 {
            server.issue("acme/api", Issue::new("Other").label(&format!("label {n}")));
        }
        let number = server.issue("acme/api", Issue::new("Slow").label("z"));
        let remove = ["z".to_owned()];
        client(kind, &server).label(&project("acme/api"), Subject::Issue(number), &[], &remove).await.unwrap();
        assert_eq!(server.labels_of("acme/api", On::Issue(number)), [""; 0], "{kind:?}");
    }
}

#[tokio::test]
async fn an_issue_is_closed_reopened_and_assigned() {
    for (kind, server) in all() {
        let (forge, acme) = (client(kind, &server), project("acme/api"));
        let number = server.issue("acme/api", Issue::new("Slow").assignee("lee"));
        assert_eq!(forge.issue(&acme, number).await.unwrap().assignees, ["lee"], "{kind:?}");
        let edit = |state, assignees: Option<&[&str]>| IssueEdit {
            state,
            assignees: assignees.map(|names| names.iter().map(|name| (*name).to_owned()).collect()),
        };
        forge.edit_issue(&acme, number, &edit(Some(IssueState::Closed), Some(&[LOGIN]))).await.unwrap();
        let issue = forge.issue(&acme, number).await.unwrap();
        assert_eq!(
            (issue.state, issue.assignees.as_slice()),
            (IssueState::Closed, &[LOGIN.to_owned()][..]),
            "{kind:?}"
        );
        forge.edit_issue(&acme, number, &edit(Some(IssueState::Open), None)).await.unwrap();
        let issue = forge.issue(&acme, number).await.unwrap();
        assert_eq!((issue.state, issue.assignees.len()), (IssueState::Open, 1), "{kind:?}");
        forge.edit_issue(&acme, number, &edit(None, Some(&[]))).await.unwrap();
        assert_eq!(forge.issue(&acme, number).await.unwrap().assignees, [""; 0], "{kind:?}");
    }
}

#[tokio::test]
async fn issues_are_listed_by_their_last_change_without_pull_requests() {
    for (kind, server) in all() {
        let (forge, acme) = (client(kind, &server), project("acme/api"));
        let first = server.issue("acme/api", Issue::new("First").label("agent"));
        let second = server.issue("acme/api", Issue::new("Second").label("agent"));
        let closed = server.issue("acme/api", Issue::new("Closed").label("agent").closed());
        let plain = server.issue("acme/api", Issue::new("Plain"));
        let mut pull = PullRequest::new("Quick", "quick");
        pull.issue.labels.push("agent".to_owned());
        server.pull_request("acme/api", pull);
        server.comment("acme/api", On::Issue(first), "lee", "Still slow");
        let list = async |query: IssueQuery| -> Vec<u64> {
            let listed = forge.issues(&acme, &query).await.unwrap();
            assert!(listed.is_complete);
            listed.entries.iter().map(|issue| issue.number).collect()
        };
        assert_eq!(list(IssueQuery::default()).await, [second, closed, plain, first], "{kind:?}");
        let labeled = IssueQuery { open: true, label: Some("agent".to_owned()), ..IssueQuery::default() };
        assert_eq!(list(labeled.clone()).await, [second, first], "{kind:?}");
        let since = forge.issue(&acme, closed).await.unwrap().updated;
        assert_eq!(list(IssueQuery { since, ..IssueQuery::default() }).await, [closed, plain, first], "{kind:?}");
        assert_eq!(list(IssueQuery { since, ..labeled.clone() }).await, [first], "{kind:?}");
        let unknown = IssueQuery { label: Some("no such label".to_owned()), ..labeled };
        assert_eq!(list(unknown).await, [0; 0], "{kind:?}");
    }
}

#[tokio::test]
async fn all_pages_of_issues_are_read() {
    for (kind, server) in all() {
        server.set_page_max(3);
        for _ in 0..8 {
            server.issue("acme/api", Issue::new("One of many"));
        }
        let listed = client(kind, &server).issues(&project("acme/api"), &IssueQuery::default()).await.unwrap();
        assert_eq!((listed.entries.len(), listed.is_complete), (8, true), "{kind:?}");
    }
}

#[tokio::test]
async fn only_open_dependencies_count() {
    for (kind, server) in all() {
        let (forge, acme) = (client(kind, &server), project("acme/api"));
        let done = server.issue("acme/api", Issue::new("Done").closed());
        let open = server.issue("acme/api", Issue::new("Open"));
        let number = server.issue("acme/api", Issue::new("Later").blocked_by(done).blocked_by(open));
        assert_eq!(forge.open_dependencies(&acme, number).await.unwrap(), [open], "{kind:?}");
        assert_eq!(forge.open_dependencies(&acme, open).await.unwrap(), [0; 0], "{kind:?}");
    }
}

#[tokio::test]
async fn a_deleted_issue_is_not_found() {
    for (kind, server) in all() {
        let (forge, acme) = (client(kind, &server), project("acme/api"));
        let number = server.issue("acme/api", Issue::new("Slow"));
        server.delete_issue("acme/api", number);
        let gone = forge.issue(&acme, number).await;
        assert!(matches!(gone, Err(ForgeError::NotFound { .. })), "{kind:?}: {gone:?}");
        let gone = forge.add_comment(&acme, Subject::Issue(number), "Hello?").await;
        assert!(matches!(gone, Err(ForgeError::NotFound { .. })), "{kind:?}: {gone:?}");
    }
}

#[tokio::test]
async fn permissions_are_those_that_the_server_reports() {
    for (kind, server) in all() {
        let (forge, acme) = (client(kind, &server), project("acme/api"));
        server.issue("acme/api", Issue::new("Slow").author("stranger"));
        for (login, given) in [
            ("reader", Given::Read),
            ("triager", Given::Triage),
            ("writer", Given::Write),
            ("maintainer", Given::Maintain),
            ("admin", Given::Admin),
        ] {
            server.set_permission("acme/api", login, given);
        }
        let has_roles = matches!(kind, ForgeKind::GitHub | ForgeKind::GitLab);
        let role = |role, otherwise| if has_roles { role } else { otherwise };
        for (login, expected) in [
            ("reader", Permission::Read),
            ("triager", role(Permission::Triage, Permission::Read)),
            ("writer", Permission::Write),
            ("maintainer", role(Permission::Maintain, Permission::Write)),
            ("admin", Permission::Admin),
            // A public project can be read by everybody, which GitLab does not call a permission.
            ("stranger", if kind == ForgeKind::GitLab { Permission::None } else { Permission::Read }),
            ("no-such-user", Permission::None),
        ] {
            assert_eq!(forge.permission(&acme, login).await.unwrap(), expected, "{kind:?}: {login}");
        }
    }
}

#[tokio::test]
async fn a_permission_that_may_not_be_seen_is_an_error() {
    for (kind, server) in all() {
        server.set_permission("acme/api", "lee", Given::Admin);
        server.set_permission("acme/api", LOGIN, Given::Read);
        let permission = client(kind, &server).permission(&project("acme/api"), "lee").await;
        match kind {
            ForgeKind::GitLab => assert_eq!(permission.unwrap(), Permission::Admin),
            _ => assert!(matches!(permission, Err(ForgeError::Forbidden { .. })), "{kind:?}: {permission:?}"),
        }
    }
}

#[tokio::test]
async fn a_project_reports_what_the_token_can_do() {
    for (kind, server) in all() {
        let (forge, acme) = (client(kind, &server), project("acme/api"));
        server.set_permission("acme/api", LOGIN, Given::Write);
        server.edit_settings("acme/api", |settings| {
            settings.default_branch = "trunk".to_owned();
            settings.allows_merge = false;
        });
        let access = forge.project(&acme).await.unwrap();
        assert_eq!((access.path.as_str(), access.default_branch.as_str()), ("acme/api", "trunk"), "{kind:?}");
        assert_eq!((access.permission, access.is_archived), (Permission::Write, false), "{kind:?}");
        assert!(access.merge_methods.contains(&MergeMethod::Squash), "{kind:?}");
        assert!(!access.merge_methods.contains(&MergeMethod::Merge), "{kind:?}");
        server.edit_settings("acme/api", |settings| settings.archived = true);
        server.set_permission("acme/api", LOGIN, Given::Read);
        let access = forge.project(&acme).await.unwrap();
        assert_eq!((access.permission, access.is_archived), (Permission::Read, true), "{kind:?}");
    }
}

#[tokio::test]
async fn the_scopes_of_the_token_are_reported_where_the_server_does() {
    for (kind, server) in all() {
        let scopes = client(kind, &server).whoami().await.unwrap().scopes;
        let expected: Option<&[&str]> = match kind {
            ForgeKind::GitHub => Some(&["repo", "workflow"]),
            ForgeKind::GitLab => Some(&["api", "write_repository"]),
            _ => None,
        };
        let expected = expected.map(|scopes| scopes.iter().map(|scope| (*scope).to_owned()).collect::<Vec<_>>());
        assert_eq!(scopes, expected, "{kind:?}");
    }
}

#[tokio::test]
async fn a_renamed_project_keeps_method_and_body() {
    for (kind, server) in all() {
        let (forge, acme) = (client(kind, &server), project("acme/api"));
        let number = server.issue("acme/api", Issue::new("Slow"));
        server.rename_project("acme/api", "acme/core");
        assert_eq!(forge.issue(&acme, number).await.unwrap().title, "Slow", "{kind:?}");
        assert_eq!(forge.project(&acme).await.unwrap().path, "acme/core", "{kind:?}");
        // GitLab redirects only those who read.
        let added = forge.add_comment(&acme, Subject::Issue(number), "Hello").await.unwrap();
        assert_eq!(added.body, "Hello", "{kind:?}");
        assert_eq!(server.comments_of("acme/core", On::Issue(number)).len(), 1, "{kind:?}");
    }
}

#[tokio::test]
async fn open_sub_issues_are_counted_and_listed_where_the_server_has_them() {
    for (kind, server) in all() {
        let (forge, acme) = (client(kind, &server), project("acme/api"));
        let closed = server.issue("acme/api", Issue::new("Done").closed());
        let open = server.issue("acme/api", Issue::new("Open"));
        let number = server.issue("acme/api", Issue::new("All of it").sub_issue(closed).sub_issue(open));
        let expected: &[u64] = if kind == ForgeKind::GitHub { &[open] } else { &[] };
        let issue = forge.issue(&acme, number).await.unwrap();
        assert_eq!(issue.open_sub_issues, expected.len() as u64, "{kind:?}");
        assert_eq!(forge.open_sub_issues(&acme, number).await.unwrap(), expected, "{kind:?}");
        assert_eq!(forge.issue(&acme, open).await.unwrap().open_sub_issues, 0, "{kind:?}");
    }
}

#[tokio::test]
async fn a_branch_exists_until_it_is_deleted() {
    for (kind, server) in all() {
        let (forge, acme) = (client(kind, &server), project("acme/api"));
        server.pull_request("acme/api", PullRequest::new("Quick", "kugetsu/1-quick"));
        assert!(forge.has_branch(&acme, "kugetsu/1-quick").await.unwrap(), "{kind:?}");
        assert!(!forge.has_branch(&acme, "kugetsu/1").await.unwrap(), "{kind:?}");
        server.push("acme/api", "kugetsu/2-slow", "6dcb09b5b57875f334f61aebed695e2e4193db5e");
        assert!(forge.has_branch(&acme, "kugetsu/2-slow").await.unwrap(), "{kind:?}");
        forge.delete_branch(&acme, "kugetsu/1-quick").await.unwrap();
        assert!(!forge.has_branch(&acme, "kugetsu/1-quick").await.unwrap(), "{kind:?}");
    }
}

#[tokio::test]
async fn large_comments_are_read_in_smaller_pages() {
    for (kind, server) in all() {
        // Gitea and Forgejo list all comments of an issue at once.
        if matches!(kind, ForgeKind::Gitea | ForgeKind::Forgejo) {
            continue;
        }
        let number = server.issue("acme/api", Issue::new("Slow"));
        let texts: Vec<String> = (0..12).map(|n| format!("{n} {}", "x".repeat(n * 1000))).collect();
        for text in &texts {
            server.comment("acme/api", On::Issue(number), "eve", text);
        }
        // A page of fifty is too large for both, and a page of five for the second one.
        for body in [70_000, 20_000] {
            let limits = Limits { body, ..limits() };
            let forge = client_with(kind, &server.base_url(), Some(TOKEN), limits);
            let listed = forge.comments(&project("acme/api"), Subject::Issue(number)).await.unwrap();
            let bodies: Vec<_> = listed.entries.into_iter().map(|comment| comment.body).collect();
            assert_eq!(bodies, texts, "{kind:?}");
        }
        let forge = client_with(kind, &server.base_url(), Some(TOKEN), Limits { body: 10_000, ..limits() });
        let listed = forge.comments(&project("acme/api"), Subject::Issue(number)).await;
        assert!(matches!(listed, Err(ForgeError::TooLarge { .. })), "{kind:?}");
    }
}

#[tokio::test]
async fn the_beginning_of_a_huge_comment_is_kept() {
    for (kind, server) in all() {
        let number = server.issue("acme/api", Issue::new("Slow"));
        server.comment("acme/api", On::Issue(number), "eve", &"\u{e9}x".repeat(100_000));
        let listed = client(kind, &server).comments(&project("acme/api"), Subject::Issue(number)).await.unwrap();
        let kept = &listed.entries[0].body;
        assert!(kept.starts_with("\u{e9}x") && (65_000..=65_536).contains(&kept.len()), "{kind:?}: {}", kept.len());
    }
}

#[tokio::test]
async fn head_that_was_merged_stays_when_the_branch_is_moved() {
    const MERGED: &str = "6dcb09b5b57875f334f61aebed695e2e4193db5e";
    const LATER: &str = "00000000000000000000000000000000000ea7ed";
    for (kind, server) in all() {
        let (forge, acme) = (client(kind, &server), project("acme/api"));
        let number = server.pull_request("acme/api", PullRequest::new("Quick", "quick").sha(MERGED));
        server.set_pr_state("acme/api", number, PrState::Merged);
        assert_eq!(forge.branch_head(&acme, "quick").await.unwrap().as_deref(), Some(MERGED), "{kind:?}");
        server.push("acme/api", "quick", LATER);
        assert_eq!(forge.branch_head(&acme, "quick").await.unwrap().as_deref(), Some(LATER), "{kind:?}");
        assert_eq!(forge.merged_head(&acme, number).await.unwrap(), MERGED, "{kind:?}");
        forge.delete_branch(&acme, "quick").await.unwrap();
        assert_eq!(forge.branch_head(&acme, "quick").await.unwrap(), None, "{kind:?}");
    }
}
