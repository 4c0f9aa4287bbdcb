"""python-gitlab. Arguments: address, two tokens."""

import sys

import gitlab

url, robot, kim = sys.argv[1:]
forge = gitlab.Gitlab(url, private_token=robot)
forge.auth()
print("user", forge.user.username)
project = forge.projects.get("acme/api")
print("project", project.path_with_namespace, project.default_branch, project.archived, project.merge_method)

issue = project.issues.create({"title": "It is slow", "description": "Very.", "labels": ["agent"]})
print("issue", issue.title, issue.description, issue.state, issue.author["username"], issue.labels)
print("labeled", [it.title for it in project.issues.list(state="opened", labels=["agent"], iterator=True)])
note = issue.notes.create({"body": "I look."})
note.body = "Done."
note.save()
note.awardemojis.create({"name": "eyes"})
print("notes", [(it.author["username"], it.body) for it in issue.notes.list(iterator=True) if not it.system])
issue.labels = ["urgent"]
issue.save()
print("labels", project.issues.get(issue.iid).labels)
issue.assignee_ids = [forge.users.list(username="kim")[0].id]
issue.save()
print("assignees", [it["username"] for it in project.issues.get(issue.iid).assignees])

request = project.mergerequests.create({"source_branch": "quick", "target_branch": "main", "title": "Draft: Make it quick"})
print("merge request", request.title, request.state, request.draft, request.source_branch, request.target_branch)
print("found", [it.iid == request.iid for it in project.mergerequests.list(source_branch="quick", state="opened", iterator=True)])
try:
    project.mergerequests.create({"source_branch": "quick", "target_branch": "main", "title": "Again"})
except gitlab.GitlabCreateError as error:
    print("refused", error.response_code, error.error_message)
request.title = "Make it quick"
request.save()
print("ready", project.mergerequests.get(request.iid).draft)
reviewed = gitlab.Gitlab(url, private_token=kim).projects.get("acme/api").mergerequests.get(request.iid)
position = {"position_type": "text", "new_path": "a.txt", "new_line": 1, "base_sha": "1", "start_sha": "1", "head_sha": request.sha}
thread = reviewed.discussions.create({"body": "Why?", "position": position})
notes = [note for it in request.discussions.list(iterator=True) for note in it.attributes["notes"]]
print("threads", [(note["position"]["new_path"], note["position"]["new_line"], note["author"]["username"], note["body"], note["resolved"]) for note in notes if note["type"] == "DiffNote"])
reviewed.approve(sha=request.sha)
print("approvals", [it["user"]["username"] for it in request.approvals.get().approved_by])
statuses = project.commits.get(request.sha, lazy=True).statuses.list(iterator=True)
print("statuses", sorted((it.name, it.status) for it in statuses))
job = project.jobs.get(next(it.id for it in project.commits.get(request.sha, lazy=True).statuses.list(iterator=True) if it.name == "test"), lazy=True)
print("log", job.trace().decode().strip())
try:
    request.merge(sha="0" * 40, squash=True)
except gitlab.GitlabMRClosedError as error:
    print("moved", error.response_code, error.error_message)
except gitlab.GitlabError as error:
    print("moved", error.response_code, error.error_message)
request.merge(sha=request.sha, squash=True)
print("merged", project.mergerequests.get(request.iid).state)
project.branches.delete("quick")
issue.state_event = "close"
issue.save()
print("closed", project.issues.get(issue.iid).state)
hook = project.hooks.create({"url": "https://kugetsu.example.org/hooks/1", "token": "s", "issues_events": True})
print("hooks", [(it.id == hook.id, it.url, it.issues_events) for it in project.hooks.list(iterator=True)])
