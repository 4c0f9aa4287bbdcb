-- The coordinator's task during which a task was asked for; of a report, the one whose tasks it is about.
ALTER TABLE tasks ADD COLUMN asked_by TEXT;
CREATE INDEX tasks_asked_by ON tasks (asked_by) WHERE asked_by IS NOT NULL;

-- What waits for an issue.
CREATE INDEX tasks_after ON tasks (after) WHERE state = 'queued' AND after IS NOT NULL;

-- What is alive of an issue, found without reading its history: the coordinator's grows with every message.
CREATE INDEX tasks_live ON tasks (issue, seq) WHERE state IN ('queued', 'running');

-- The pull or merge request as its server described it: open, draft, conflict, merged, closed; and when it was asked.
ALTER TABLE issues ADD COLUMN change_state TEXT;
ALTER TABLE issues ADD COLUMN change_seen_at INTEGER;
-- Who said that it is this one: a person (named), or its server by the branch (found). Before there was this column, people.
ALTER TABLE issues ADD COLUMN change_by TEXT;
