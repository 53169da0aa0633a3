-- Events that a remote will never take.

-- +goose Up
-- One row for an event that was refused for good, alone in its batch. It names the row
-- and does not copy it: the row has synced = 1 and no pushed_at. Only the newest ten
-- thousand are listed.
CREATE TABLE quarantine (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    kind       TEXT    NOT NULL, -- as in ledger
    event_id   TEXT    NOT NULL, -- trace_id of the row in the kind's table
    created_at INTEGER NOT NULL, -- when it was given up
    reason     TEXT    NOT NULL, -- what the remote said
    UNIQUE (kind, event_id)
) STRICT;

-- +goose Down
DROP TABLE quarantine;
