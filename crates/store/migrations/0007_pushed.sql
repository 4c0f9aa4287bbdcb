-- What outlives the history of an issue, whose runs are deleted.
ALTER TABLE issues ADD COLUMN pushed_sha TEXT;         -- the commit that was last pushed to its branch
ALTER TABLE issues ADD COLUMN session_run_at INTEGER;  -- when the latest run began that used its session

UPDATE issues SET
    pushed_sha = (SELECT r.head_sha FROM tasks t JOIN runs r ON r.task = t.id
        WHERE t.issue = issues.id AND r.pushed AND r.head_sha IS NOT NULL ORDER BY r.fence DESC LIMIT 1),
    session_run_at = (SELECT max(r.started_at) FROM tasks t JOIN runs r ON r.task = t.id
        WHERE t.issue = issues.id AND r.session = issues.session);
