-- The public part of the key that a run's runner has. NULL: the runner was started by a version without keys, or not yet.
ALTER TABLE runs ADD COLUMN key TEXT;
