-- The number of the pull request whose merge was left to the server: to its queue, or until its own conditions are met.
ALTER TABLE issues ADD COLUMN watch_merge INTEGER;
-- The only head that it may merge.
ALTER TABLE issues ADD COLUMN watch_merge_head TEXT;
-- Why the server did not merge it at once. NULL: its branch has a queue.
ALTER TABLE issues ADD COLUMN watch_merge_refusal TEXT;
-- The rule of the watch that the issue matched. NULL: the rule has no limit.
ALTER TABLE issues ADD COLUMN watch_rule TEXT;
ALTER TABLE candidates ADD COLUMN rule TEXT;
