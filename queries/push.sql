-- Called by internal/push: reading on connections that cannot write, marking in jobs of
-- the writer.

-- The next rows to be delivered of each table in order of arrival, which is that of the
-- ids, whatever the clock said: after the last one read, and not so far on that many
-- which do not wait would be read with them.

-- name: ListPendingErrors :many
SELECT id, trace_id, created_at, error_type, message, stack_trace, severity, metadata, synced, pushed_at
FROM error_events WHERE id > @after AND id <= @upto AND +synced = 0 ORDER BY id LIMIT @lim;

-- name: ListPendingCalls :many
SELECT id, trace_id, created_at, provider, model, input_text, output_text,
    prompt_tokens, completion_tokens, total_tokens, cost_usd, latency_ms, status, error_type, metadata, synced, pushed_at,
    session_id, agent, operation, otel_trace_id, otel_span_id, otel_parent_span_id,
    cache_read_tokens, cache_write_tokens, reasoning_tokens, ttft_ms, error_message, cost_source
FROM llm_traces WHERE id > @after AND id <= @upto AND +synced = 0 ORDER BY id LIMIT @lim;

-- name: ListPendingSpans :many
SELECT id, trace_id, created_at, name, operation, session_id, agent,
    otel_trace_id, otel_span_id, otel_parent_span_id, duration_ms, status, error_message, metadata, synced, pushed_at
FROM spans WHERE id > @after AND id <= @upto AND +synced = 0 ORDER BY id LIMIT @lim;

-- name: ListPendingEvents :many
SELECT id, trace_id, created_at, name, session_id, metadata, synced, pushed_at
FROM custom_events WHERE id > @after AND id <= @upto AND +synced = 0 ORDER BY id LIMIT @lim;

-- name: ListPendingReadings :many
SELECT id, trace_id, created_at, cpu_pct, mem_rss_bytes, mem_available, mem_total,
    disk_used_bytes, disk_total_bytes, disk_free_bytes, metadata, synced, pushed_at
FROM system_metrics WHERE id > @after AND id <= @upto AND +synced = 0 ORDER BY id LIMIT @lim;

-- The id of the first row that waits after another, 0 if there is none. It reads the
-- index entries of all that wait, and no row.

-- name: FirstPendingError :one
SELECT CAST(COALESCE(MIN(+id), 0) AS INTEGER) FROM error_events WHERE synced = 0 AND +id > @after;

-- name: FirstPendingCall :one
SELECT CAST(COALESCE(MIN(+id), 0) AS INTEGER) FROM llm_traces WHERE synced = 0 AND +id > @after;

-- name: FirstPendingSpan :one
SELECT CAST(COALESCE(MIN(+id), 0) AS INTEGER) FROM spans WHERE synced = 0 AND +id > @after;

-- name: FirstPendingEvent :one
SELECT CAST(COALESCE(MIN(+id), 0) AS INTEGER) FROM custom_events WHERE synced = 0 AND +id > @after;

-- name: FirstPendingReading :one
SELECT CAST(COALESCE(MIN(+id), 0) AS INTEGER) FROM system_metrics WHERE synced = 0 AND +id > @after;

-- When the oldest row that waits happened, for each table; the largest integer if none waits.

-- name: OldestPending :one
SELECT
    CAST(COALESCE((SELECT x0.created_at FROM error_events AS x0 WHERE x0.synced = 0 ORDER BY x0.created_at LIMIT 1), 9223372036854775807) AS INTEGER) AS error_event,
    CAST(COALESCE((SELECT x1.created_at FROM llm_traces AS x1 WHERE x1.synced = 0 ORDER BY x1.created_at LIMIT 1), 9223372036854775807) AS INTEGER) AS llm_trace,
    CAST(COALESCE((SELECT x2.created_at FROM spans AS x2 WHERE x2.synced = 0 ORDER BY x2.created_at LIMIT 1), 9223372036854775807) AS INTEGER) AS span,
    CAST(COALESCE((SELECT x3.created_at FROM custom_events AS x3 WHERE x3.synced = 0 ORDER BY x3.created_at LIMIT 1), 9223372036854775807) AS INTEGER) AS custom_event,
    CAST(COALESCE((SELECT x4.created_at FROM system_metrics AS x4 WHERE x4.synced = 0 ORDER BY x4.created_at LIMIT 1), 9223372036854775807) AS INTEGER) AS system_metric;

-- A remote has it. + keeps SQLite from reading all that waits: the id is enough.

-- name: MarkError :execrows
UPDATE error_events SET synced = 1, pushed_at = @at WHERE id = @id AND +synced = 0;

-- name: MarkCall :execrows
UPDATE llm_traces SET synced = 1, pushed_at = @at WHERE id = @id AND +synced = 0;

-- name: MarkSpan :execrows
UPDATE spans SET synced = 1, pushed_at = @at WHERE id = @id AND +synced = 0;

-- name: MarkEvent :execrows
UPDATE custom_events SET synced = 1, pushed_at = @at WHERE id = @id AND +synced = 0;

-- name: MarkReading :execrows
UPDATE system_metrics SET synced = 1, pushed_at = @at WHERE id = @id AND +synced = 0;

-- A remote will never take it: no delivery, and no pushed_at.

-- name: GiveUpError :execrows
UPDATE error_events SET synced = 1 WHERE id = @id AND +synced = 0;

-- name: GiveUpCall :execrows
UPDATE llm_traces SET synced = 1 WHERE id = @id AND +synced = 0;

-- name: GiveUpSpan :execrows
UPDATE spans SET synced = 1 WHERE id = @id AND +synced = 0;

-- name: GiveUpEvent :execrows
UPDATE custom_events SET synced = 1 WHERE id = @id AND +synced = 0;

-- name: GiveUpReading :execrows
UPDATE system_metrics SET synced = 1 WHERE id = @id AND +synced = 0;

-- name: AddQuarantine :exec
INSERT INTO quarantine (kind, event_id, created_at, reason) VALUES (@kind, @event_id, @created_at, @reason)
ON CONFLICT (kind, event_id) DO UPDATE SET created_at = excluded.created_at, reason = excluded.reason;

-- name: TrimQuarantine :exec
-- The rows stay; they are only not listed any more.
DELETE FROM quarantine WHERE id <= (SELECT q.id FROM quarantine AS q ORDER BY q.id DESC LIMIT 1 OFFSET @keep);

-- name: ListQuarantine :many
SELECT id, kind, event_id, created_at, reason FROM quarantine WHERE id > @after ORDER BY id LIMIT @lim;


-- name: DeleteQuarantine :exec
DELETE FROM quarantine WHERE id = @id;

-- What was given up is to be delivered after all, or to go.

-- name: RetryError :execrows
UPDATE error_events SET synced = 0 WHERE trace_id = @trace_id AND synced = 1 AND pushed_at IS NULL;

-- name: DropError :execrows
DELETE FROM error_events WHERE trace_id = @trace_id AND synced = 1 AND pushed_at IS NULL;

-- name: RetryCall :execrows
UPDATE llm_traces SET synced = 0 WHERE trace_id = @trace_id AND synced = 1 AND pushed_at IS NULL;

-- name: DropCall :execrows
DELETE FROM llm_traces WHERE trace_id = @trace_id AND synced = 1 AND pushed_at IS NULL;

-- name: RetrySpan :execrows
UPDATE spans SET synced = 0 WHERE trace_id = @trace_id AND synced = 1 AND pushed_at IS NULL;

-- name: DropSpan :execrows
DELETE FROM spans WHERE trace_id = @trace_id AND synced = 1 AND pushed_at IS NULL;

-- name: RetryEvent :execrows
UPDATE custom_events SET synced = 0 WHERE trace_id = @trace_id AND synced = 1 AND pushed_at IS NULL;

-- name: DropEvent :execrows
DELETE FROM custom_events WHERE trace_id = @trace_id AND synced = 1 AND pushed_at IS NULL;

-- name: RetryReading :execrows
UPDATE system_metrics SET synced = 0 WHERE trace_id = @trace_id AND synced = 1 AND pushed_at IS NULL;

-- name: DropReading :execrows
DELETE FROM system_metrics WHERE trace_id = @trace_id AND synced = 1 AND pushed_at IS NULL;

-- name: AddPushLog :exec
INSERT INTO push_log (created_at, status, events_pushed, error_message, duration_ms)
VALUES (@created_at, @status, @events_pushed, @error_message, @duration_ms);

-- name: TrimPushLog :exec
DELETE FROM push_log WHERE id <= (SELECT MAX(l.id) FROM push_log AS l) - @keep;

-- name: PushMeta :one
-- Who we are for a remote, and how many batches it has taken.
SELECT
    CAST(COALESCE((SELECT i.value FROM meta AS i WHERE i.key = 'instance'), '') AS TEXT) AS instance,
    CAST(COALESCE((SELECT s.value FROM meta AS s WHERE s.key = 'sequence'), '0') AS INTEGER) AS sequence;

-- name: SetSequence :exec
INSERT INTO meta (key, value) VALUES ('sequence', CAST(@sequence AS TEXT))
ON CONFLICT (key) DO UPDATE SET value = excluded.value;
