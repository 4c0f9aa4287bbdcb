-- A task whose model is not available for a while is queued, and does not run before this time. NULL: it is not paused.
ALTER TABLE tasks ADD COLUMN not_before INTEGER;
ALTER TABLE tasks ADD COLUMN pauses INTEGER NOT NULL DEFAULT 0;   -- how many of its runs ended in a pause
CREATE INDEX tasks_paused ON tasks (not_before) WHERE not_before IS NOT NULL;
