-- Consequences of events, saved with them. A row is deleted when its effect is settled.
CREATE TABLE effects (
    id INTEGER PRIMARY KEY,      -- in the order of creation
    key TEXT NOT NULL UNIQUE,    -- identifies the effect; adding it again changes nothing
    issue TEXT NOT NULL REFERENCES issues (id),
    kind TEXT NOT NULL,
    data TEXT NOT NULL,          -- JSON
    state TEXT NOT NULL,         -- pending; failed: given up
    attempt INTEGER NOT NULL,    -- failed executions so far
    due_at INTEGER NOT NULL,     -- not executed before
    error TEXT,                  -- of the last execution
    created_at INTEGER NOT NULL
) STRICT;

CREATE INDEX effects_due ON effects (due_at, id) WHERE state = 'pending';
CREATE INDEX effects_by_issue ON effects (issue, id);

-- What a daemon without this table has in progress.
INSERT INTO effects (key, issue, kind, data, state, attempt, due_at, created_at)
    SELECT 'run/' || id, issue, 'run', json_object('run', id, 'fence', fence), 'pending', 0, 0, started_at
        FROM runs WHERE state IN ('starting', 'working') ORDER BY started_at;
INSERT INTO effects (key, issue, kind, data, state, attempt, due_at, created_at)
    SELECT 'remove_files/' || i.id || '/' || i.version, i.id, 'remove_files', json_object('version', i.version),
        'pending', 0, 0,
        coalesce((SELECT max(e.at) FROM events e WHERE e.issue = i.id AND e.kind = 'destroy_asked'), i.created_at)
        FROM issues i WHERE i.state = 'destroying';
-- One look at the reports that may be due.
INSERT INTO effects (key, issue, kind, data, state, attempt, due_at, created_at)
    SELECT 'report/' || id || '/0', issue, 'report', json_object('task', id, 'version', 0), 'pending', 0, 0, queued_at
        FROM tasks WHERE kind IN ('delegate', 'report') ORDER BY seq DESC LIMIT 1;
