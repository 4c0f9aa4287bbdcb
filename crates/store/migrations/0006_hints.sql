-- What the user can type next, apart from the reason. Older reasons contain it.
ALTER TABLE tasks ADD COLUMN hint TEXT;
ALTER TABLE runs ADD COLUMN hint TEXT;
