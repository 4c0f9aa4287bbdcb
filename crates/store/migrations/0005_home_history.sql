-- The home that the database belongs to: the same identifier is in a file of the home.
CREATE TABLE home (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    id TEXT NOT NULL
) STRICT;

-- Runs whose directories are to be removed. A row is deleted once its directory is gone.
CREATE TABLE expired_runs (run TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;

-- Whether the run's directory is kept. The row of an issue's latest run outlives it.
ALTER TABLE runs ADD COLUMN has_files INTEGER NOT NULL DEFAULT 1;
