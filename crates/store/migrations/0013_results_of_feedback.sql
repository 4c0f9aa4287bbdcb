-- The latest head at which every command in verify passed. Heads that were pushed before are judged by their failures alone.
ALTER TABLE issues ADD COLUMN watch_verified TEXT;
UPDATE issues SET watch_verified = pushed_sha WHERE watch IS NOT NULL;
-- Remarks that settled turns have answered: their IDs with spaces between them.
ALTER TABLE feedback ADD COLUMN answered TEXT NOT NULL DEFAULT '';
UPDATE feedback SET answered = fingerprint WHERE state = 'settled' AND kind IN ('review', 'bot_review');
