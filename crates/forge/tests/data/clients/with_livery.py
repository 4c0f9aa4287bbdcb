"""livery-forge: one client of GitHub, Gitea and GitLab. Arguments: kind, address, two tokens."""

import sys

from livery.forge import ForgeError, GiteaForge, GithubForge, GitlabForge

kind, url, robot, kim = sys.argv[1:]
connect = {"github": GithubForge, "gitea": GiteaForge, "gitlab": GitlabForge}[kind].connect
forge = connect(url=url, token=robot)
repo = forge.repository("acme", "api")
print("user", forge.whoami())
info = forge.get_repo("acme", "api")
print("project", info.owner, info.name, info.default_branch, info.private)

issue = repo.issue.create("It is slow", body="Very.", labels=("agent",))
print("issue", issue.title, issue.body, issue.state, issue.labels)
repo.issue.comment(issue.number, "I look.")
print("comments", [(comment.author, comment.body) for comment in repo.issue.comments(issue.number)])
repo.issue.update(issue.number, title="It is very slow")
print("labeled", [it.title for it in repo.issue.search("slow", labels=("agent",))])

pull = repo.pr.open("quick", "main", "Make it quick", "Fixes it.")
print("pull request", pull.title, pull.state, pull.merged, pull.head_branch, pull.base_branch, pull.author)
print("found", repo.pr.find_by_head("quick").number == pull.number)
repo.pr.update_body(pull.number, "Fixes all.")
repo.pr.add_labels(pull.number, ("bug",))
print("edited", repo.pr.get(pull.number).body, repo.pr.get(pull.number).labels)
print("reviews", [(review.author, review.state) for review in repo.pr.reviews(pull.number)])
status = repo.checks.status(pull.head_sha)
print("checks", status.state, status.contexts)
try:
    repo.pr.open("quick", "main", "Again")
except ForgeError as error:
    print("refused", error.status)
repo.pr.merge_now(pull.number, title="Make it quick")
merged = repo.pr.get(pull.number)
print("merged", merged.state, merged.merged, bool(merged.merged_sha))
repo.delete_branch("quick")
repo.issue.close(issue.number)
print("closed", repo.issue.get(issue.number).state, [it.title for it in repo.issue.list()])
