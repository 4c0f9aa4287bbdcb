-- The provider of the run's model, if the model's name begins with one. NULL: not known.
ALTER TABLE runs ADD COLUMN provider TEXT;
-- Whether the model has answered.
ALTER TABLE runs ADD COLUMN answered INTEGER NOT NULL DEFAULT 0;
-- Until when the limit of the model's provider lasts that ended the run. NULL: no limit ended it.
ALTER TABLE runs ADD COLUMN limited_until INTEGER;
CREATE INDEX runs_limited ON runs (agent, provider, ended_at) WHERE limited_until IS NOT NULL;
CREATE INDEX runs_answered ON runs (agent, started_at) WHERE answered = 1;
-- kugetsu resume --agent: when a person last ended the waits of an agent; of all agents if the name is empty.
CREATE TABLE resumed_agents (
    agent TEXT PRIMARY KEY,
    at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
-- What the runs of an issue, and of a day, have used.
CREATE INDEX runs_by_issue ON runs (issue, cost_usd, input_tokens, output_tokens);
CREATE INDEX runs_by_end ON runs (ended_at);
