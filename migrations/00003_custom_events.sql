-- Events that an agent reports in its own words.

-- +goose Up
CREATE TABLE custom_events (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    trace_id   TEXT    NOT NULL UNIQUE,
    created_at INTEGER NOT NULL,                     -- when it happened
    name       TEXT    NOT NULL,                     -- the sender's word for what happened
    session_id TEXT,
    metadata   TEXT,                                 -- JSON object: all else that was said
    synced     INTEGER NOT NULL DEFAULT 0,
    pushed_at  INTEGER
) STRICT;
-- What is still to be delivered, oldest first.
CREATE INDEX idx_events_synced ON custom_events (synced, created_at);
-- Events of a time range.
CREATE INDEX idx_events_created ON custom_events (created_at);

-- +goose Down
-- The ledger outlives the table, so it has to say where the undelivered rows went.
INSERT INTO ledger (kind, outcome, reason, n)
SELECT 'custom_event', 'dropped', 'migrated down', COUNT(*) FROM custom_events WHERE synced = 0 HAVING COUNT(*) > 0
ON CONFLICT (kind, outcome, reason) DO UPDATE SET n = n + excluded.n;
DROP TABLE custom_events;
