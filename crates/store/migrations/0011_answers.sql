-- The discussion in which the answer of a task is written: issue, or pull_request/<number>. NULL: the task is no question.
ALTER TABLE tasks ADD COLUMN answer_on TEXT;
