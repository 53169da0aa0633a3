-- What all migrations make together. Written by go test ./migrations -update.

CREATE TABLE custom_events (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    trace_id TEXT NOT NULL UNIQUE,
    created_at INTEGER NOT NULL,
    name TEXT NOT NULL,
    session_id TEXT,
    metadata TEXT,
    synced INTEGER NOT NULL DEFAULT 0,
    pushed_at INTEGER
) STRICT;
CREATE INDEX idx_events_created ON custom_events (created_at);
CREATE INDEX idx_events_synced ON custom_events (synced, created_at);
CREATE TABLE error_events (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    trace_id TEXT NOT NULL UNIQUE,
    created_at INTEGER NOT NULL,
    error_type TEXT NOT NULL,
    message TEXT NOT NULL,
    stack_trace TEXT,
    severity TEXT NOT NULL DEFAULT 'error' CHECK (severity IN ('warning', 'error', 'critical')),
    metadata TEXT,
    synced INTEGER NOT NULL DEFAULT 0,
    pushed_at INTEGER
) STRICT;
CREATE INDEX idx_errors_created ON error_events (created_at);
CREATE INDEX idx_errors_synced ON error_events (synced, created_at);
CREATE TABLE latency (
    granularity TEXT NOT NULL CHECK (granularity IN ('hour', 'day')),
    start_at INTEGER NOT NULL,
    provider TEXT NOT NULL,
    model TEXT NOT NULL,
    bucket INTEGER NOT NULL,
    n INTEGER NOT NULL,
    PRIMARY KEY (granularity, start_at, provider, model, bucket)
) STRICT, WITHOUT ROWID;
CREATE TABLE ledger (
    kind TEXT NOT NULL,
    outcome TEXT NOT NULL,
    reason TEXT NOT NULL DEFAULT '',
    n INTEGER NOT NULL,
    PRIMARY KEY (kind, outcome, reason)
) STRICT, WITHOUT ROWID;
CREATE TABLE llm_traces (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    trace_id TEXT NOT NULL UNIQUE,
    created_at INTEGER NOT NULL,
    provider TEXT NOT NULL,
    model TEXT NOT NULL,
    input_text TEXT,
    output_text TEXT,
    prompt_tokens INTEGER,
    completion_tokens INTEGER,
    total_tokens INTEGER,
    cost_usd REAL,
    latency_ms INTEGER,
    status TEXT NOT NULL DEFAULT 'ok' CHECK (status IN ('ok', 'error', 'timeout')),
    error_type TEXT,
    metadata TEXT,
    synced INTEGER NOT NULL DEFAULT 0,
    pushed_at INTEGER,
    session_id TEXT,
    agent TEXT,
    operation TEXT,
    otel_trace_id TEXT,
    otel_span_id TEXT,
    otel_parent_span_id TEXT,
    cache_read_tokens INTEGER,
    cache_write_tokens INTEGER,
    reasoning_tokens INTEGER,
    ttft_ms INTEGER,
    error_message TEXT,
    cost_source TEXT
) STRICT;
CREATE INDEX idx_llm_created ON llm_traces (created_at);
CREATE INDEX idx_llm_failed ON llm_traces (created_at) WHERE status <> 'ok';
CREATE INDEX idx_llm_synced ON llm_traces (synced, created_at);
CREATE TABLE log_positions (
    device INTEGER NOT NULL,
    inode INTEGER NOT NULL,
    path TEXT NOT NULL,
    head_bytes INTEGER NOT NULL,
    head TEXT NOT NULL,
    position INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (device, inode)
) STRICT, WITHOUT ROWID;
CREATE TABLE meta (
    key TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE push_log (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    created_at INTEGER NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('ok', 'error')),
    events_pushed INTEGER NOT NULL DEFAULT 0,
    error_message TEXT,
    duration_ms INTEGER
) STRICT;
CREATE TABLE quarantine (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL,
    event_id TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    reason TEXT NOT NULL,
    UNIQUE (kind, event_id)
) STRICT;
CREATE TABLE sessions (
    session_id TEXT PRIMARY KEY,
    agent TEXT,
    first_at INTEGER NOT NULL,
    last_at INTEGER NOT NULL,
    calls INTEGER NOT NULL,
    failed INTEGER NOT NULL,
    prompt_tokens INTEGER NOT NULL,
    completion_tokens INTEGER NOT NULL,
    cost_nano_usd INTEGER NOT NULL,
    unmetered INTEGER NOT NULL,
    unpriced INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX idx_sessions_last ON sessions (last_at);
CREATE TABLE spans (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    trace_id TEXT NOT NULL UNIQUE,
    created_at INTEGER NOT NULL,
    name TEXT NOT NULL,
    operation TEXT,
    session_id TEXT,
    agent TEXT,
    otel_trace_id TEXT NOT NULL,
    otel_span_id TEXT NOT NULL,
    otel_parent_span_id TEXT,
    duration_ms INTEGER,
    status TEXT NOT NULL DEFAULT 'ok' CHECK (status IN ('ok', 'error', 'timeout')),
    error_message TEXT,
    metadata TEXT,
    synced INTEGER NOT NULL DEFAULT 0,
    pushed_at INTEGER
) STRICT;
CREATE INDEX idx_spans_created ON spans (created_at);
CREATE INDEX idx_spans_synced ON spans (synced, created_at);
CREATE TABLE system_metrics (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    trace_id TEXT NOT NULL UNIQUE,
    created_at INTEGER NOT NULL,
    cpu_pct REAL,
    mem_rss_bytes INTEGER,
    mem_available INTEGER,
    mem_total INTEGER,
    disk_used_bytes INTEGER,
    disk_total_bytes INTEGER,
    disk_free_bytes INTEGER,
    metadata TEXT,
    synced INTEGER NOT NULL DEFAULT 0,
    pushed_at INTEGER
) STRICT;
CREATE INDEX idx_metrics_created ON system_metrics (created_at);
CREATE INDEX idx_metrics_synced ON system_metrics (synced, created_at);
CREATE TABLE usage (
    granularity TEXT NOT NULL CHECK (granularity IN ('hour', 'day')),
    start_at INTEGER NOT NULL,
    provider TEXT NOT NULL,
    model TEXT NOT NULL,
    agent TEXT NOT NULL DEFAULT '',
    status TEXT NOT NULL,
    calls INTEGER NOT NULL,
    prompt_tokens INTEGER NOT NULL,
    completion_tokens INTEGER NOT NULL,
    cache_read_tokens INTEGER NOT NULL,
    cache_write_tokens INTEGER NOT NULL,
    reasoning_tokens INTEGER NOT NULL,
    cost_nano_usd INTEGER NOT NULL,
    unmetered INTEGER NOT NULL,
    unpriced INTEGER NOT NULL,
    PRIMARY KEY (granularity, start_at, provider, model, agent, status)
) STRICT, WITHOUT ROWID;
