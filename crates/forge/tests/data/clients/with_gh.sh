# gh, GitHub's own client. It calls the REST API; its other verbs need GraphQL. Arguments: address of the API, two tokens.
api="$1/repos/acme/api"
robot="$2"
kim="$3"
export GH_CONFIG_DIR="$HOME/gh" GH_NO_UPDATE_NOTIFIER=1 NO_COLOR=1
as() {
    token="$1"
    shift
    GH_ENTERPRISE_TOKEN="$token" gh api "$@" 2>&1
}
# The same without an answer.
change() {
    as "$@" --silent
}

as "$robot" "$1/user" --jq '"user \(.login)"'
as "$robot" "$api" --jq '"project \(.full_name) \(.default_branch) \(.permissions.push)"'
as "$robot" "$api/collaborators/kim/permission" --jq '"permission \(.permission) \(.role_name)"'

issue=$(as "$kim" "$api/issues" -f title='It is slow' -f body=Very. -f 'labels[]=agent' --jq .number)
as "$robot" "$api/issues/$issue" --jq '"issue \(.title) \(.body) \(.state) \(.user.login) \([.labels[].name])"'
change "$kim" "$api/issues" -f title='It is slower' -f 'labels[]=agent'
as "$robot" "$api/issues?state=open&labels=agent&per_page=1&sort=created&direction=asc" --paginate --jq '.[] | "labeled \(.title)"'
comment=$(as "$robot" "$api/issues/$issue/comments" -f body='I look.' --jq .id)
change "$robot" -X PATCH "$api/issues/comments/$comment" -f body=Done.
change "$robot" "$api/issues/comments/$comment/reactions" -f content=eyes
as "$kim" "$api/issues/$issue/comments" --jq '.[] | "comment \(.user.login) \(.body)"'
change "$robot" "$api/issues/$issue/labels" -f 'labels[]=urgent'
change "$robot" -X DELETE "$api/issues/$issue/labels/agent"
as "$robot" "$api/issues/$issue" --jq '"labels \([.labels[].name])"'

pull=$(as "$robot" "$api/pulls" -f title='Make it quick' -f head=quick -f base=main -f body='Fixes it.' --jq .number)
as "$robot" "$api/pulls" -f title=Again -f head=quick -f base=main --jq .number | grep -o 'HTTP 422'
as "$robot" "$api/pulls?state=all&head=acme:quick" --jq '.[] | "found \(.title) \(.state) \(.head.ref) \(.base.ref)"'
change "$robot" -X PATCH "$api/pulls/$pull" -f title=Quicker
change "$robot" "$api/pulls/$pull/requested_reviewers" -f 'reviewers[]=kim'
as "$robot" "$api/pulls/$pull" --jq '"pull request \(.title) \(.draft) \(.mergeable) \([.requested_reviewers[].login])"'
change "$kim" "$api/pulls/$pull/reviews" -f event=REQUEST_CHANGES -f body='Please say more.' \
    -f 'comments[][path]=a.txt' -F 'comments[][line]=1' -f 'comments[][body]=Why?'
as "$robot" "$api/pulls/$pull/reviews" --jq '.[] | "review \(.user.login) \(.state) \(.body)"'
as "$robot" "$api/pulls/$pull/comments" --jq '.[] | "remark \(.path) \(.line) \(.user.login) \(.body)"'
head=$(as "$robot" "$api/pulls/$pull" --jq .head.sha)
as "$robot" "$api/commits/$head/status" --jq '"statuses \(.state) \([.statuses[] | .context + " " + .state])"'
as "$robot" "$api/commits/$head/check-runs?filter=latest" --jq '.check_runs[] | "check run \(.name) \(.status) \(.conclusion)"'
job=$(as "$robot" "$api/commits/$head/check-runs" --jq '.check_runs[0].id')
printf 'log %s\n' "$(as "$robot" "$api/actions/jobs/$job/logs")"
as "$robot" -X PUT "$api/pulls/$pull/merge" -f sha=0000000000000000000000000000000000000000 | grep -o 'HTTP 409'
as "$robot" -X PUT "$api/pulls/$pull/merge" -f "sha=$head" -f merge_method=squash --jq '"merge \(.merged)"'
as "$robot" "$api/pulls/$pull" --jq '"merged \(.merged) \(.state)"'
change "$robot" -X DELETE "$api/git/refs/heads/quick"
change "$robot" -X PATCH "$api/issues/$issue" -f state=closed
as "$robot" "$api/issues/$issue" --jq '"closed \(.state)"'
change "$robot" "$api/hooks" -f name=web -F active=true -f 'events[]=issues' \
    -f 'config[url]=https://kugetsu.example.org/hooks/1' -f 'config[content_type]=json' -f 'config[secret]=s'
as "$robot" "$api/hooks" --jq '.[] | "hook \(.active) \(.config.url) \(.events)"'
