-- What the runs of an issue's session are known to have used. NULL: not known, as of sessions that are older than this.
ALTER TABLE issues ADD COLUMN session_cost_usd REAL;
ALTER TABLE issues ADD COLUMN session_input_tokens INTEGER;
ALTER TABLE issues ADD COLUMN session_output_tokens INTEGER;

-- Until now, what an agent did not report was stored as 0. A run with a session that used no tokens reported none; of a cost
-- of 0, only opencode's is one.
UPDATE runs SET cost_usd = NULL
    WHERE cost_usd = 0 AND session IS NOT NULL AND (agent <> 'opencode' OR input_tokens + output_tokens = 0);
UPDATE runs SET input_tokens = NULL, output_tokens = NULL
    WHERE input_tokens = 0 AND output_tokens = 0 AND session IS NOT NULL;
