-- An issue that a watch handed over. NULL: a person started it.
ALTER TABLE issues ADD COLUMN watch TEXT;
ALTER TABLE issues ADD COLUMN watch_stopped INTEGER NOT NULL DEFAULT 0;  -- a user stopped it
ALTER TABLE issues ADD COLUMN watch_comment INTEGER;                     -- the server's ID of kugetsu's comment
ALTER TABLE issues ADD COLUMN watch_look_at INTEGER;                     -- when the pull request is looked at next
ALTER TABLE issues ADD COLUMN watch_head TEXT;                           -- of the pull request, as it was seen last
ALTER TABLE issues ADD COLUMN watch_head_at INTEGER;
ALTER TABLE issues ADD COLUMN watch_ended TEXT;                          -- merged, closed

-- The latest feedback of each kind about a pull request.
CREATE TABLE feedback (
    issue TEXT NOT NULL REFERENCES issues (id),
    kind TEXT NOT NULL,
    fingerprint TEXT NOT NULL,   -- the head, and what was decided about it
    given INTEGER NOT NULL,      -- how many times since the budget began
    state TEXT NOT NULL,         -- given, settled, stopped
    task TEXT,                   -- of given
    reason TEXT,                 -- of stopped, for people
    PRIMARY KEY (issue, kind)
) STRICT, WITHOUT ROWID;

-- What is known of a watched repository. Its settings are in config.toml.
CREATE TABLE watches (
    base TEXT NOT NULL,
    project TEXT NOT NULL,
    since INTEGER,               -- every change of its issues up to this time was read
    polled_at INTEGER,           -- the last time that the server answered
    error TEXT,                  -- of the last poll
    hooked_at INTEGER,           -- the last delivery of its webhook, or its creation
    missed_at INTEGER,           -- when a poll last found what a webhook would have reported
    PRIMARY KEY (base, project)
) STRICT, WITHOUT ROWID;

-- Issues of watched repositories that were handed over.
CREATE TABLE candidates (
    base TEXT NOT NULL,
    project TEXT NOT NULL,
    number INTEGER NOT NULL,
    text_hash TEXT NOT NULL,     -- of title and description when the issue was first seen with the label
    seen_at INTEGER NOT NULL,
    conditions TEXT NOT NULL,    -- JSON: what was found the last time
    read_at INTEGER NOT NULL,
    PRIMARY KEY (base, project, number)
) STRICT, WITHOUT ROWID;

-- What came from servers and was handled, so that it has no effect when it comes again: webhook deliveries, and commands in comments.
CREATE TABLE handled (
    server TEXT NOT NULL,
    id TEXT NOT NULL,
    at INTEGER,                  -- NULL: kept for good
    PRIMARY KEY (server, id)
) STRICT, WITHOUT ROWID;

CREATE INDEX handled_by_age ON handled (at);
