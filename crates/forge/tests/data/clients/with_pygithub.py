"""PyGithub, which checks the type of every field that it reads. Arguments: address of the API, two tokens."""

import sys

from github import Auth, Github, GithubException

url, robot, kim = sys.argv[1:]


def connect(token, lazy=False):
    pauses = {"seconds_between_requests": 0, "seconds_between_writes": 0}
    return Github(base_url=url, auth=Auth.Token(token), retry=None, lazy=lazy, **pauses)


forge = connect(robot)
repo = forge.get_repo("acme/api")
print("user", forge.get_user().login)
print("project", repo.full_name, repo.default_branch, repo.permissions.push, repo.allow_squash_merge, repo.archived)
print("permission", repo.get_collaborator_permission("kim"))

issue = repo.create_issue("It is slow", "Very.", labels=["agent"])
print("issue", issue.title, issue.body, issue.state, issue.user.login, [label.name for label in issue.labels])
print("labeled", [it.title for it in repo.get_issues(state="open", labels=["agent"], sort="updated")])
comment = issue.create_comment("I look.")
comment.edit("Done.")
comment.create_reaction("eyes")
print("comments", [(it.user.login, it.body) for it in issue.get_comments()])
issue.add_to_labels("urgent")
issue.remove_from_labels("agent")
print("labels", [label.name for label in repo.get_issue(issue.number).labels])
issue.edit(assignees=["kim"])
print("assignees", [it.login for it in repo.get_issue(issue.number).assignees])

pull = repo.create_pull(base="main", head="quick", title="Make it quick", body="Fixes it.", draft=False)
print("pull request", pull.title, pull.state, pull.draft, pull.mergeable, pull.head.ref, pull.base.ref, pull.user.login)
print("found", [it.number == pull.number for it in repo.get_pulls(state="all", head="acme:quick")])
try:
    repo.create_pull(base="main", head="quick", title="Again", body="")
except GithubException as error:
    print("refused", error.status, error.data["errors"][0]["message"])
pull.edit(title="Quicker", body="Fixes all.")
pull.create_review_request(reviewers=["kim"])
print("requested", [it.login for it in repo.get_pull(pull.number).requested_reviewers])
reviewed = connect(kim).get_repo("acme/api").get_pull(pull.number)
reviewed.create_review(body="Please say more.", event="REQUEST_CHANGES", comments=[{"path": "a.txt", "line": 1, "body": "Why?"}])
print("reviews", [(it.user.login, it.state, it.body) for it in pull.get_reviews()])
print("threads", [(it.path, it.line, it.user.login, it.body) for it in pull.get_review_comments()])
commit = pull.head.sha
lazy = connect(robot, lazy=True).get_repo("acme/api")
checked = lazy.get_commit(commit)
status = checked.get_combined_status()
print("statuses", status.state, [(it.context, it.state) for it in status.statuses])
print("check runs", [(it.name, it.status, it.conclusion, it.app.slug) for it in checked.get_check_runs(filter="latest")])
try:
    pull.merge(sha="0" * 40, merge_method="squash")
except GithubException as error:
    print("moved", error.status, error.data["message"])
reviewed.create_review(event="APPROVE")
print("merge", pull.merge(sha=commit, merge_method="squash").merged)
print("merged", repo.get_pull(pull.number).merged, repo.get_pull(pull.number).state)
repo.get_git_ref("heads/quick").delete()
issue.edit(state="closed")
print("closed", repo.get_issue(issue.number).state)
hook = repo.create_hook("web", {"url": "https://kugetsu.example.org/hooks/1", "content_type": "json", "secret": "s"}, ["issues"], True)
print("hooks", [(it.id == hook.id, it.active, it.config["url"], it.events) for it in repo.get_hooks()])
