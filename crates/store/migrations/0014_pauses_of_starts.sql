-- kugetsu pause: no agent starts in a repository, or anywhere if both names are empty.
CREATE TABLE pauses (
    base TEXT NOT NULL,
    project TEXT NOT NULL,
    since INTEGER NOT NULL,
    PRIMARY KEY (base, project)
) STRICT, WITHOUT ROWID;
-- The latest runs of an agent show whether it can be started.
CREATE INDEX runs_by_agent ON runs (agent, ended_at);
