"""pyforgejo, whose models are generated from Forgejo's description of its API. Arguments: addresses, two tokens.

Loading it takes several seconds, so one process calls all servers."""

import sys

from pyforgejo import PyforgejoApi
from pyforgejo.core.api_error import ApiError

*urls, robot, kim = sys.argv[1:]


def connect(url, token):
    return PyforgejoApi(base_url=f"{url}/api/v1", api_key=token)


for url in urls:
    forge = connect(url, robot)
    acme = ("acme", "api")
    print("user", forge.user.get_current().login)
    project = forge.repository.repo_get(*acme)
    print("project", project.full_name, project.default_branch, project.permissions.push, project.archived)
    print("permission", forge.repository.repo_get_repo_permissions(*acme, "kim").permission)

    label = forge.issue.create_label(*acme, name="urgent", color="#ff0000")
    issue = forge.issue.create_issue(*acme, title="It is slow", body="Very.", labels=[label.id])
    print("issue", issue.title, issue.body, issue.state, issue.user.login, [it.name for it in issue.labels])
    print("labeled", [it.title for it in forge.issue.list_issues(*acme, state="open", type="issues", labels="urgent")])
    comment = forge.issue.create_comment(*acme, issue.number, body="I look.")
    forge.issue.edit_comment(*acme, comment.id, body="Done.")
    forge.issue.post_comment_reaction(*acme, comment.id, content="eyes")
    print("comments", [(it.user.login, it.body) for it in forge.issue.get_comments(*acme, issue.number)])
    bug = next(it.id for it in forge.issue.list_labels(*acme) if it.name == "bug")
    forge.issue.add_label(*acme, issue.number, labels=[bug])
    forge.issue.remove_label(*acme, issue.number, str(label.id))
    print("labels", [it.name for it in forge.issue.get_issue(*acme, issue.number).labels])
    forge.issue.edit_issue(*acme, issue.number, assignees=["kim"])
    print("assignees", [it.login for it in forge.issue.get_issue(*acme, issue.number).assignees])

    pull = forge.repository.repo_create_pull_request(*acme, head="quick", base="main", title="WIP: Make it quick", body="Fixes it.")
    print("pull request", pull.title, pull.state, pull.draft, pull.mergeable, pull.head.ref, pull.base.ref, pull.user.login)
    print("found", [it.head.ref for it in forge.repository.repo_list_pull_requests(*acme, state="open")])
    try:
        forge.repository.repo_create_pull_request(*acme, head="quick", base="main", title="Again")
    except ApiError as error:
        print("refused", error.status_code)
    forge.repository.repo_edit_pull_request(*acme, pull.number, title="Quicker")
    print("ready", forge.repository.repo_get_pull_request(*acme, pull.number).draft)
    forge.repository.repo_create_pull_review_requests(*acme, pull.number, reviewers=["kim"])
    reviewer = connect(url, kim).repository
    lines = [{"path": "a.txt", "new_position": 1, "body": "Why?"}]
    review = reviewer.repo_create_pull_review(*acme, pull.number, event="REQUEST_CHANGES", body="Please say more.", comments=lines)
    reviewer.repo_create_pull_review(*acme, pull.number, event="APPROVED", commit_id=pull.head.sha)
    reviews = forge.repository.repo_list_pull_reviews(*acme, pull.number)
    print("reviews", [(it.user.login, it.state, it.body, it.stale) for it in reviews])
    remarks = forge.repository.repo_get_pull_review_comments(*acme, pull.number, review.id)
    print("remarks", [(it.path, it.position, it.user.login, it.body) for it in remarks])
    status = forge.repository.repo_get_combined_status_by_ref(*acme, pull.head.sha)
    print("statuses", status.state, sorted((it.context, it.status) for it in status.statuses))
    try:
        forge.repository.repo_merge_pull_request(*acme, pull.number, do="squash", head_commit_id="0" * 40)
    except ApiError as error:
        print("moved", error.status_code, error.body["message"])
    forge.repository.repo_merge_pull_request(*acme, pull.number, do="squash", head_commit_id=pull.head.sha)
    merged = forge.repository.repo_get_pull_request(*acme, pull.number)
    print("merged", merged.merged, merged.state, merged.merge_commit_sha is not None)
    forge.repository.repo_delete_branch(*acme, "quick")
    forge.issue.edit_issue(*acme, issue.number, state="closed")
    print("closed", forge.issue.get_issue(*acme, issue.number).state)
    config = {"url": "https://kugetsu.example.org/hooks/1", "content_type": "json", "secret": "s"}
    hook = forge.repository.repo_create_hook(*acme, type="forgejo", active=True, events=["issues"], config=config)
    print("hooks", [(it.id == hook.id, it.active, it.config["url"], it.events) for it in forge.repository.repo_list_hooks(*acme)])
