-- The record: LLM calls, errors, host readings, and what was pushed.
--
-- Every timestamp is in Unix milliseconds, UTC. trace_id is a row's identity for
-- the outside: a lower-case UUID of 36 characters, sent by the client or made
-- here; for OTLP it is derived from the span (or log record), so that a retried
-- export finds its row again. Unknown is NULL, never 0. synced is 1 once the row
-- needs no more delivery; pushed_at is when a remote took it.

-- +goose Up
CREATE TABLE llm_traces (
    id                INTEGER PRIMARY KEY AUTOINCREMENT,
    trace_id          TEXT    NOT NULL UNIQUE,
    created_at        INTEGER NOT NULL,              -- start of the call
    provider          TEXT    NOT NULL,
    model             TEXT    NOT NULL,
    input_text        TEXT,                          -- plain text, or a JSON array of messages
    output_text       TEXT,
    prompt_tokens     INTEGER,                       -- cached tokens included
    completion_tokens INTEGER,                       -- reasoning tokens included
    total_tokens      INTEGER,
    cost_usd          REAL,                          -- NULL is unknown, 0 is free
    latency_ms        INTEGER,
    status            TEXT    NOT NULL DEFAULT 'ok' CHECK (status IN ('ok', 'error', 'timeout')),
    error_type        TEXT,
    metadata          TEXT,                          -- JSON object
    synced            INTEGER NOT NULL DEFAULT 0,
    pushed_at         INTEGER
) STRICT;

CREATE TABLE error_events (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    trace_id    TEXT    NOT NULL UNIQUE,
    created_at  INTEGER NOT NULL,
    error_type  TEXT    NOT NULL,                    -- 'llm_error', 'crash', 'system_error', 'log', …
    message     TEXT    NOT NULL,
    stack_trace TEXT,
    severity    TEXT    NOT NULL DEFAULT 'error' CHECK (severity IN ('warning', 'error', 'critical')),
    metadata    TEXT,
    synced      INTEGER NOT NULL DEFAULT 0,
    pushed_at   INTEGER
) STRICT;

CREATE TABLE system_metrics (
    id               INTEGER PRIMARY KEY AUTOINCREMENT,
    trace_id         TEXT    NOT NULL UNIQUE,
    created_at       INTEGER NOT NULL,
    cpu_pct          REAL,
    mem_rss_bytes    INTEGER,
    mem_available    INTEGER,
    mem_total        INTEGER,
    disk_used_bytes  INTEGER,
    disk_total_bytes INTEGER,
    disk_free_bytes  INTEGER,
    metadata         TEXT,
    synced           INTEGER NOT NULL DEFAULT 0,
    pushed_at        INTEGER
) STRICT;

CREATE TABLE push_log (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    created_at    INTEGER NOT NULL,
    status        TEXT    NOT NULL CHECK (status IN ('ok', 'error')),
    events_pushed INTEGER NOT NULL DEFAULT 0,
    error_message TEXT,
    duration_ms   INTEGER
) STRICT;

-- What is still to be delivered, oldest first.
CREATE INDEX idx_llm_synced ON llm_traces (synced, created_at);
CREATE INDEX idx_errors_synced ON error_events (synced, created_at);
CREATE INDEX idx_metrics_synced ON system_metrics (synced, created_at);

-- +goose Down
DROP TABLE push_log;
DROP TABLE system_metrics;
DROP TABLE error_events;
DROP TABLE llm_traces;
