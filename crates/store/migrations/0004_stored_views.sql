-- Lists read these columns and not the tasks. A transaction that changes a task changes them as well.
ALTER TABLE issues ADD COLUMN latest_task INTEGER;   -- seq of its latest task
ALTER TABLE issues ADD COLUMN shown_task INTEGER;    -- seq of its running task, or else of its latest
ALTER TABLE issues ADD COLUMN shown_as TEXT;         -- state of that task; 'destroyed'; NULL for the coordinator, which is not listed

UPDATE issues SET latest_task = (SELECT max(seq) FROM tasks WHERE issue = issues.id);
UPDATE issues SET shown_task =
    coalesce((SELECT seq FROM tasks WHERE issue = issues.id AND state = 'running'), latest_task);
UPDATE issues SET shown_as =
    CASE WHEN state = 'destroyed' THEN state ELSE (SELECT state FROM tasks WHERE seq = shown_task) END
    WHERE repo NOT IN (SELECT id FROM repos WHERE base = 'coordinator');

CREATE INDEX issues_shown ON issues (shown_as, shown_task);
CREATE INDEX tasks_live_by_seq ON tasks (seq) WHERE state IN ('queued', 'running');
