-- What a call belongs to, what surrounds it, the books, and the summaries.
--
-- Columns named otel_… hold ids in lower-case hex as OpenTelemetry writes them.
-- They are not indexed: random keys cost more than the insert itself, and a span
-- is found through the time of its neighbours.

-- +goose Up
ALTER TABLE llm_traces ADD COLUMN session_id TEXT;
ALTER TABLE llm_traces ADD COLUMN agent TEXT;
ALTER TABLE llm_traces ADD COLUMN operation TEXT;             -- gen_ai.operation.name
ALTER TABLE llm_traces ADD COLUMN otel_trace_id TEXT;
ALTER TABLE llm_traces ADD COLUMN otel_span_id TEXT;
ALTER TABLE llm_traces ADD COLUMN otel_parent_span_id TEXT;
ALTER TABLE llm_traces ADD COLUMN cache_read_tokens INTEGER;  -- part of prompt_tokens
ALTER TABLE llm_traces ADD COLUMN cache_write_tokens INTEGER; -- part of prompt_tokens
ALTER TABLE llm_traces ADD COLUMN reasoning_tokens INTEGER;   -- part of completion_tokens
ALTER TABLE llm_traces ADD COLUMN ttft_ms INTEGER;            -- time to the first token
ALTER TABLE llm_traces ADD COLUMN error_message TEXT;
ALTER TABLE llm_traces ADD COLUMN cost_source TEXT;           -- 'reported', 'computed:<table version>', NULL with an unknown cost

-- Newest calls, and calls of a time range. A session's calls are found here too,
-- between its first_at and last_at: an index on (session_id, created_at) costs an
-- insert half as much again when sessions are many and short.
CREATE INDEX idx_llm_created ON llm_traces (created_at);
-- The calls that failed, without reading those that did not.
CREATE INDEX idx_llm_failed ON llm_traces (created_at) WHERE status <> 'ok';
-- Errors and readings of a time range.
CREATE INDEX idx_errors_created ON error_events (created_at);
CREATE INDEX idx_metrics_created ON system_metrics (created_at);

-- Spans that are not LLM calls: agent runs, tool calls, messages.
CREATE TABLE spans (
    id                  INTEGER PRIMARY KEY AUTOINCREMENT,
    trace_id            TEXT    NOT NULL UNIQUE,
    created_at          INTEGER NOT NULL,
    name                TEXT    NOT NULL,
    operation           TEXT,
    session_id          TEXT,
    agent               TEXT,
    otel_trace_id       TEXT    NOT NULL,
    otel_span_id        TEXT    NOT NULL,
    otel_parent_span_id TEXT,
    duration_ms         INTEGER,
    status              TEXT    NOT NULL DEFAULT 'ok' CHECK (status IN ('ok', 'error', 'timeout')),
    error_message       TEXT,
    metadata            TEXT,
    synced              INTEGER NOT NULL DEFAULT 0,
    pushed_at           INTEGER
) STRICT;
CREATE INDEX idx_spans_synced ON spans (synced, created_at);
CREATE INDEX idx_spans_created ON spans (created_at);

-- The books: how many events of a kind came to which outcome, kept in the
-- transaction that makes it so. For each data table's kind, at every commit:
--   received = pending + delivered + quarantined + dropped + expired
-- where pending is not written down but follows. Outcomes outside that equation:
-- duplicate (sent again), refused (never stored), ignored (understood, not kept),
-- repaired (stored with a value replaced).
CREATE TABLE ledger (
    kind    TEXT    NOT NULL,
    outcome TEXT    NOT NULL,
    reason  TEXT    NOT NULL DEFAULT '',
    n       INTEGER NOT NULL,
    PRIMARY KEY (kind, outcome, reason)
) STRICT, WITHOUT ROWID;

-- Sums per hour and per day (UTC) of the calls that started in it, written once a
-- second: meta's "summarized" is the last call they include. Money is in
-- nano-USD so that sums are exact. unmetered counts calls without token counts,
-- unpriced those without a cost: a sum is never shown without them.
CREATE TABLE usage (
    granularity        TEXT    NOT NULL CHECK (granularity IN ('hour', 'day')),
    start_at           INTEGER NOT NULL,
    provider           TEXT    NOT NULL,
    model              TEXT    NOT NULL,
    agent              TEXT    NOT NULL DEFAULT '',
    status             TEXT    NOT NULL,
    calls              INTEGER NOT NULL,
    prompt_tokens      INTEGER NOT NULL,
    completion_tokens  INTEGER NOT NULL,
    cache_read_tokens  INTEGER NOT NULL,
    cache_write_tokens INTEGER NOT NULL,
    reasoning_tokens   INTEGER NOT NULL,
    cost_nano_usd      INTEGER NOT NULL,
    unmetered          INTEGER NOT NULL,
    unpriced           INTEGER NOT NULL,
    PRIMARY KEY (granularity, start_at, provider, model, agent, status)
) STRICT, WITHOUT ROWID;

-- Histogram of latency_ms over the same hours and days. Bucket b holds latencies
-- from 2^(b/4) up to 2^((b+1)/4) ms, four to an octave; bucket 0 also holds 0.
CREATE TABLE latency (
    granularity TEXT    NOT NULL CHECK (granularity IN ('hour', 'day')),
    start_at    INTEGER NOT NULL,
    provider    TEXT    NOT NULL,
    model       TEXT    NOT NULL,
    bucket      INTEGER NOT NULL,
    n           INTEGER NOT NULL,
    PRIMARY KEY (granularity, start_at, provider, model, bucket)
) STRICT, WITHOUT ROWID;

-- One row per session that the emitter named.
CREATE TABLE sessions (
    session_id        TEXT    PRIMARY KEY,
    agent             TEXT,
    first_at          INTEGER NOT NULL,
    last_at           INTEGER NOT NULL,
    calls             INTEGER NOT NULL,
    failed            INTEGER NOT NULL,
    prompt_tokens     INTEGER NOT NULL,
    completion_tokens INTEGER NOT NULL,
    cost_nano_usd     INTEGER NOT NULL,
    unmetered         INTEGER NOT NULL,
    unpriced          INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
-- Sessions by their last call.
CREATE INDEX idx_sessions_last ON sessions (last_at);

-- Facts about this database: instance (its identity for a remote, made once),
-- sequence (of batches sent), synced_at (when all commits were last synced to disk),
-- summarized (the id of the last call in usage and latency).
CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- +goose Down
DROP TABLE meta;
DROP TABLE sessions;
DROP TABLE latency;
DROP TABLE usage;
DROP TABLE ledger;
DROP TABLE spans;
DROP INDEX idx_metrics_created;
DROP INDEX idx_errors_created;
DROP INDEX idx_llm_failed;
DROP INDEX idx_llm_created;
ALTER TABLE llm_traces DROP COLUMN cost_source;
ALTER TABLE llm_traces DROP COLUMN error_message;
ALTER TABLE llm_traces DROP COLUMN ttft_ms;
ALTER TABLE llm_traces DROP COLUMN reasoning_tokens;
ALTER TABLE llm_traces DROP COLUMN cache_write_tokens;
ALTER TABLE llm_traces DROP COLUMN cache_read_tokens;
ALTER TABLE llm_traces DROP COLUMN otel_parent_span_id;
ALTER TABLE llm_traces DROP COLUMN otel_span_id;
ALTER TABLE llm_traces DROP COLUMN otel_trace_id;
ALTER TABLE llm_traces DROP COLUMN operation;
ALTER TABLE llm_traces DROP COLUMN agent;
ALTER TABLE llm_traces DROP COLUMN session_id;
