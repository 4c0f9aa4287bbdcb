-- The discussion in which the answer of a task is written: issue, or pull_request/<number>. NULL: the task is no question.
ALTER TABLE tasks ADD COLUMN answer_on TEXT;
-- The open question of the agent: <run>/<number of its comment>.
ALTER TABLE issues ADD COLUMN watch_question TEXT;
