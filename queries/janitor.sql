-- Called by internal/janitor: deleting in jobs of the writer, looking on connections
-- that cannot write.

-- The oldest rows of a table that are delivered (synced = 1) or not; of the calls, those
-- up to an id, so that the newest can be spared.

-- name: DeleteCalls :execrows
DELETE FROM llm_traces WHERE id IN (
    SELECT x.id FROM llm_traces AS x
    WHERE x.synced = @synced AND x.created_at < @before AND x.id <= @upto ORDER BY x.created_at LIMIT @lim);

-- name: DeleteErrors :execrows
DELETE FROM error_events WHERE id IN (
    SELECT x.id FROM error_events AS x
    WHERE x.synced = @synced AND x.created_at < @before ORDER BY x.created_at LIMIT @lim);

-- name: DeleteSpans :execrows
DELETE FROM spans WHERE id IN (
    SELECT x.id FROM spans AS x
    WHERE x.synced = @synced AND x.created_at < @before ORDER BY x.created_at LIMIT @lim);

-- name: DeleteEvents :execrows
DELETE FROM custom_events WHERE id IN (
    SELECT x.id FROM custom_events AS x
    WHERE x.synced = @synced AND x.created_at < @before ORDER BY x.created_at LIMIT @lim);

-- name: DeleteReadings :execrows
DELETE FROM system_metrics WHERE id IN (
    SELECT x.id FROM system_metrics AS x
    WHERE x.synced = @synced AND x.created_at < @before ORDER BY x.created_at LIMIT @lim);

-- A row that was given up takes its line in the quarantine with it: these are the rows
-- that the statements above delete with synced = 1.

-- name: AnyQuarantined :one
SELECT EXISTS (SELECT 1 FROM quarantine WHERE kind = @kind);

-- name: ForgetCalls :exec
DELETE FROM quarantine WHERE kind = 'llm_trace' AND event_id IN (
    SELECT x.trace_id FROM llm_traces AS x
    WHERE x.synced = 1 AND x.created_at < @before AND x.id <= @upto ORDER BY x.created_at LIMIT @lim);

-- name: ForgetErrors :exec
DELETE FROM quarantine WHERE kind = 'error_event' AND event_id IN (
    SELECT x.trace_id FROM error_events AS x
    WHERE x.synced = 1 AND x.created_at < @before ORDER BY x.created_at LIMIT @lim);

-- name: ForgetSpans :exec
DELETE FROM quarantine WHERE kind = 'span' AND event_id IN (
    SELECT x.trace_id FROM spans AS x
    WHERE x.synced = 1 AND x.created_at < @before ORDER BY x.created_at LIMIT @lim);

-- name: ForgetEvents :exec
DELETE FROM quarantine WHERE kind = 'custom_event' AND event_id IN (
    SELECT x.trace_id FROM custom_events AS x
    WHERE x.synced = 1 AND x.created_at < @before ORDER BY x.created_at LIMIT @lim);

-- name: ForgetReadings :exec
DELETE FROM quarantine WHERE kind = 'system_metric' AND event_id IN (
    SELECT x.trace_id FROM system_metrics AS x
    WHERE x.synced = 1 AND x.created_at < @before ORDER BY x.created_at LIMIT @lim);

-- When the oldest row of each table happened that is delivered, or that is not; the
-- largest integer if there is none.

-- name: OldestOf :one
SELECT
    CAST(COALESCE((SELECT x0.created_at FROM error_events AS x0 WHERE x0.synced = @synced ORDER BY x0.created_at LIMIT 1), 9223372036854775807) AS INTEGER) AS error_event,
    CAST(COALESCE((SELECT x1.created_at FROM llm_traces AS x1 WHERE x1.synced = @synced ORDER BY x1.created_at LIMIT 1), 9223372036854775807) AS INTEGER) AS llm_trace,
    CAST(COALESCE((SELECT x2.created_at FROM spans AS x2 WHERE x2.synced = @synced ORDER BY x2.created_at LIMIT 1), 9223372036854775807) AS INTEGER) AS span,
    CAST(COALESCE((SELECT x3.created_at FROM custom_events AS x3 WHERE x3.synced = @synced ORDER BY x3.created_at LIMIT 1), 9223372036854775807) AS INTEGER) AS custom_event,
    CAST(COALESCE((SELECT x4.created_at FROM system_metrics AS x4 WHERE x4.synced = @synced ORDER BY x4.created_at LIMIT 1), 9223372036854775807) AS INTEGER) AS system_metric;

-- When the newest row happened, 0 if there is none.

-- name: NewestRow :one
SELECT CAST(MAX(
    COALESCE((SELECT MAX(x0.created_at) FROM error_events AS x0), 0),
    COALESCE((SELECT MAX(x1.created_at) FROM llm_traces AS x1), 0),
    COALESCE((SELECT MAX(x2.created_at) FROM spans AS x2), 0),
    COALESCE((SELECT MAX(x3.created_at) FROM custom_events AS x3), 0),
    COALESCE((SELECT MAX(x4.created_at) FROM system_metrics AS x4), 0)) AS INTEGER);

-- What the janitor remembers from one process to the next.

-- name: GetJanitor :one
SELECT value FROM meta WHERE key = 'janitor';

-- name: SetJanitor :exec
INSERT INTO meta (key, value) VALUES ('janitor', CAST(@state AS TEXT))
ON CONFLICT (key) DO UPDATE SET value = excluded.value;

-- The oldest calls that are not delivered, after the last one looked at, with the size
-- of their texts, which is known without reading them.

-- name: ListTexts :many
SELECT id, created_at,
    CAST(COALESCE(octet_length(input_text), 0) + COALESCE(octet_length(output_text), 0) AS INTEGER) AS bytes
FROM llm_traces WHERE synced = 0 AND created_at >= @at AND (created_at > @at OR id > @id) AND id <= @upto
ORDER BY created_at, id LIMIT @lim;

-- name: DropTexts :execrows
UPDATE llm_traces SET input_text = NULL, output_text = NULL,
    metadata = CASE WHEN metadata IS NULL OR json_valid(metadata)
        THEN json_set(COALESCE(metadata, '{}'), '$."openclaw_trace.content_dropped"', CAST(@reason AS TEXT)) ELSE metadata END
WHERE id = @id;

-- The id of the call that has as many newer ones above it.

-- name: CallFromEnd :one
SELECT newest.id FROM llm_traces AS newest ORDER BY newest.id DESC LIMIT 1 OFFSET @newer;

-- What is small. A day or an hour has a bounded number of rows.

-- name: DeleteUsage :execrows
DELETE FROM usage WHERE usage.granularity = @granularity AND usage.start_at = (
    SELECT u.start_at FROM usage AS u WHERE u.granularity = @granularity AND u.start_at < @before ORDER BY u.start_at LIMIT 1);

-- name: DeleteLatency :execrows
DELETE FROM latency WHERE latency.granularity = @granularity AND latency.start_at = (
    SELECT l.start_at FROM latency AS l WHERE l.granularity = @granularity AND l.start_at < @before ORDER BY l.start_at LIMIT 1);

-- name: DeleteOldSessions :execrows
DELETE FROM sessions WHERE session_id IN (
    SELECT s.session_id FROM sessions AS s WHERE s.last_at < @before ORDER BY s.last_at LIMIT @lim);

-- name: SessionFromEnd :one
SELECT newest.last_at FROM sessions AS newest ORDER BY newest.last_at DESC LIMIT 1 OFFSET @newer;

-- name: DeleteOldAttempts :execrows
DELETE FROM push_log WHERE created_at < @before;

-- name: DeleteOldPositions :execrows
DELETE FROM log_positions WHERE updated_at < @before;

-- How many rows age would delete.

-- name: CountOld :one
SELECT
    CAST((SELECT COUNT(*) FROM error_events AS x0 WHERE x0.synced = @synced AND x0.created_at < @before) AS INTEGER) AS error_event,
    CAST((SELECT COUNT(*) FROM llm_traces AS x1 WHERE x1.synced = @synced AND x1.created_at < @before) AS INTEGER) AS llm_trace,
    CAST((SELECT COUNT(*) FROM spans AS x2 WHERE x2.synced = @synced AND x2.created_at < @before) AS INTEGER) AS span,
    CAST((SELECT COUNT(*) FROM custom_events AS x3 WHERE x3.synced = @synced AND x3.created_at < @before) AS INTEGER) AS custom_event,
    CAST((SELECT COUNT(*) FROM system_metrics AS x4 WHERE x4.synced = @synced AND x4.created_at < @before) AS INTEGER) AS system_metric;

-- One call, or what belongs to a session, by hand. There is no index on session_id, so
-- a table is gone through by ranges of ids.

-- name: FindCall :one
SELECT id, synced FROM llm_traces WHERE trace_id = @trace_id;

-- name: LastRowIDs :one
SELECT
    CAST((SELECT COALESCE(MAX(x0.id), 0) FROM error_events AS x0) AS INTEGER) AS error_event,
    CAST((SELECT COALESCE(MAX(x1.id), 0) FROM llm_traces AS x1) AS INTEGER) AS llm_trace,
    CAST((SELECT COALESCE(MAX(x2.id), 0) FROM spans AS x2) AS INTEGER) AS span,
    CAST((SELECT COALESCE(MAX(x3.id), 0) FROM custom_events AS x3) AS INTEGER) AS custom_event,
    CAST((SELECT COALESCE(MAX(x4.id), 0) FROM system_metrics AS x4) AS INTEGER) AS system_metric;

-- name: ListSessionCalls :many
SELECT id, synced FROM llm_traces WHERE id > @after AND id <= @upto AND session_id = CAST(@session_id AS TEXT) ORDER BY id;

-- name: ListSessionSpans :many
SELECT id, synced FROM spans WHERE id > @after AND id <= @upto AND session_id = CAST(@session_id AS TEXT) ORDER BY id;

-- name: ListSessionEvents :many
SELECT id, synced FROM custom_events WHERE id > @after AND id <= @upto AND session_id = CAST(@session_id AS TEXT) ORDER BY id;

-- name: DeleteCall :many
DELETE FROM llm_traces WHERE id = @id RETURNING trace_id, synced;

-- name: DeleteSpan :many
DELETE FROM spans WHERE id = @id RETURNING trace_id, synced;

-- name: DeleteEvent :many
DELETE FROM custom_events WHERE id = @id RETURNING trace_id, synced;

-- name: ForgetQuarantined :exec
DELETE FROM quarantine WHERE kind = @kind AND event_id = @event_id;

-- name: AnySession :one
SELECT EXISTS (SELECT 1 FROM sessions WHERE session_id = @session_id);

-- name: EraseSession :exec
DELETE FROM sessions WHERE session_id = @session_id;
