-- Times are milliseconds since 1970 UTC. Identifiers are UUIDv7 as text. Names of states are those of the domain's tables.

CREATE TABLE repos (
    id INTEGER PRIMARY KEY,
    base TEXT NOT NULL,          -- https://host[:port][/path], or 'local'
    project TEXT NOT NULL,       -- owner/repo; the local name for a repository without a server
    kind TEXT,                   -- github, gitea, forgejo, gitlab, local; NULL while unknown
    source TEXT NOT NULL,        -- where git clones from and pushes to: an address or a path
    last_number INTEGER NOT NULL DEFAULT 0,  -- local issues are numbered here
    created_at INTEGER NOT NULL,
    UNIQUE (base, project)
) STRICT;

CREATE TABLE issues (
    id TEXT PRIMARY KEY,
    repo INTEGER NOT NULL REFERENCES repos (id),
    number INTEGER NOT NULL,
    state TEXT NOT NULL,
    title TEXT NOT NULL,
    directory TEXT,              -- the worktree's name below the home's worktrees
    branch TEXT,
    base_branch TEXT,
    base_sha TEXT,
    session TEXT,                -- the agent's identifier for its conversation
    session_agent TEXT,
    session_state TEXT,
    change_url TEXT,             -- the pull or merge request
    fence INTEGER NOT NULL,      -- of the latest lease
    version INTEGER NOT NULL,    -- counts the changes of this row
    created_at INTEGER NOT NULL,
    UNIQUE (repo, number)
) STRICT, WITHOUT ROWID;

-- Partial, so that an issue that only waits costs nothing here.
CREATE INDEX issues_by_directory ON issues (directory) WHERE directory IS NOT NULL;
CREATE INDEX issues_by_session ON issues (session) WHERE session IS NOT NULL;

CREATE TABLE tasks (
    seq INTEGER PRIMARY KEY,     -- the order in which they were queued
    id TEXT NOT NULL UNIQUE,
    issue TEXT NOT NULL REFERENCES issues (id),
    kind TEXT NOT NULL,          -- start, continue
    state TEXT NOT NULL,
    message TEXT NOT NULL,
    agent TEXT NOT NULL,
    model TEXT,
    base TEXT,                   -- the branch to begin from
    priority INTEGER NOT NULL,   -- larger comes first
    after TEXT REFERENCES issues (id),
    attempt INTEGER NOT NULL,
    cancel_asked INTEGER NOT NULL,
    queued_at INTEGER NOT NULL,
    ended_at INTEGER,
    reason TEXT
) STRICT;

CREATE INDEX tasks_by_issue ON tasks (issue, seq);
CREATE INDEX tasks_queue ON tasks (kind, priority DESC, seq) WHERE state = 'queued';
-- One issue, one owner: kept by the database, whatever the program believes.
CREATE UNIQUE INDEX tasks_one_running ON tasks (issue) WHERE state = 'running';

CREATE TABLE runs (
    id TEXT PRIMARY KEY,
    task TEXT NOT NULL REFERENCES tasks (id),
    issue TEXT NOT NULL REFERENCES issues (id),
    state TEXT NOT NULL,
    fence INTEGER NOT NULL,
    agent TEXT NOT NULL,
    session TEXT,
    started_at INTEGER NOT NULL,
    ended_at INTEGER,
    verdict TEXT,                -- the rest is known once it has ended with a report
    reason TEXT,
    head_sha TEXT,
    commits INTEGER,
    pushed INTEGER,
    cost_usd REAL,
    input_tokens INTEGER,
    output_tokens INTEGER,
    acknowledged INTEGER NOT NULL -- bytes of the runner's report whose facts are stored
) STRICT, WITHOUT ROWID;

CREATE INDEX runs_by_task ON runs (task, fence);
CREATE UNIQUE INDEX runs_one_live ON runs (issue) WHERE state IN ('starting', 'working');

-- Every fact, in the order in which it was stored. Rows are only ever added.
CREATE TABLE events (
    seq INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    issue TEXT NOT NULL REFERENCES issues (id),
    task TEXT,
    run TEXT,
    kind TEXT NOT NULL,
    data TEXT NOT NULL           -- JSON
) STRICT;

CREATE INDEX events_by_issue ON events (issue, seq);
