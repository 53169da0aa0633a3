-- Called by internal/writer, inside its transactions.

-- OR FAIL spares SQLite a statement journal: an error rolls the whole transaction
-- back anyway. A row that is there already is left as it is and not counted.

-- name: InsertLLMTrace :execresult
-- bulk: 8
INSERT OR FAIL INTO llm_traces (
    trace_id, created_at, provider, model, input_text, output_text,
    prompt_tokens, completion_tokens, total_tokens, cost_usd, latency_ms,
    status, error_type, metadata, session_id, agent, operation,
    otel_trace_id, otel_span_id, otel_parent_span_id,
    cache_read_tokens, cache_write_tokens, reasoning_tokens, ttft_ms,
    error_message, cost_source
) VALUES (
    @trace_id, @created_at, @provider, @model, @input_text, @output_text,
    @prompt_tokens, @completion_tokens, @total_tokens, @cost_usd, @latency_ms,
    @status, @error_type, @metadata, @session_id, @agent, @operation,
    @otel_trace_id, @otel_span_id, @otel_parent_span_id,
    @cache_read_tokens, @cache_write_tokens, @reasoning_tokens, @ttft_ms,
    @error_message, @cost_source
) ON CONFLICT (trace_id) DO NOTHING;

-- name: InsertErrorEvent :execresult
INSERT OR FAIL INTO error_events (
    trace_id, created_at, error_type, message, stack_trace, severity, metadata
) VALUES (
    @trace_id, @created_at, @error_type, @message, @stack_trace, @severity, @metadata
) ON CONFLICT (trace_id) DO NOTHING;

-- name: InsertSpan :execresult
-- bulk: 8
INSERT OR FAIL INTO spans (
    trace_id, created_at, name, operation, session_id, agent,
    otel_trace_id, otel_span_id, otel_parent_span_id,
    duration_ms, status, error_message, metadata
) VALUES (
    @trace_id, @created_at, @name, @operation, @session_id, @agent,
    @otel_trace_id, @otel_span_id, @otel_parent_span_id,
    @duration_ms, @status, @error_message, @metadata
) ON CONFLICT (trace_id) DO NOTHING;

-- name: InsertCustomEvent :execresult
INSERT OR FAIL INTO custom_events (
    trace_id, created_at, name, session_id, metadata
) VALUES (
    @trace_id, @created_at, @name, @session_id, @metadata
) ON CONFLICT (trace_id) DO NOTHING;

-- name: InsertSystemMetric :execresult
INSERT OR FAIL INTO system_metrics (
    trace_id, created_at, cpu_pct, mem_rss_bytes, mem_available, mem_total,
    disk_used_bytes, disk_total_bytes, disk_free_bytes, metadata
) VALUES (
    @trace_id, @created_at, @cpu_pct, @mem_rss_bytes, @mem_available, @mem_total,
    @disk_used_bytes, @disk_total_bytes, @disk_free_bytes, @metadata
) ON CONFLICT (trace_id) DO NOTHING;

-- How far a log was read, with the rows made from it.

-- name: SetLogPosition :exec
INSERT INTO log_positions (device, inode, path, head_bytes, head, position, updated_at)
VALUES (@device, @inode, @path, @head_bytes, @head, @position, @updated_at)
ON CONFLICT (device, inode) DO UPDATE SET
    path = excluded.path, head_bytes = excluded.head_bytes, head = excluded.head,
    position = excluded.position, updated_at = excluded.updated_at;

-- The row that kept an identity from being stored again, to tell which of a batch
-- were new (their id is above the last one before it) and whether what was sent
-- again says the same.

-- name: FindLLMTrace :one
SELECT id, provider, model, status, input_text, output_text, prompt_tokens, completion_tokens
FROM llm_traces WHERE trace_id = @trace_id;

-- name: FindErrorEvent :one
SELECT id, error_type, message, severity FROM error_events WHERE trace_id = @trace_id;

-- name: FindSpan :one
SELECT id, name, status, duration_ms FROM spans WHERE trace_id = @trace_id;

-- name: FindCustomEvent :one
SELECT id, name, session_id, metadata FROM custom_events WHERE trace_id = @trace_id;

-- name: FindSystemMetric :one
SELECT id, created_at FROM system_metrics WHERE trace_id = @trace_id;

-- The highest id of each table when a writer starts.

-- name: LastIDs :one
SELECT
    CAST((SELECT COALESCE(MAX(c.id), 0) FROM llm_traces AS c) AS INTEGER) AS llm_trace,
    CAST((SELECT COALESCE(MAX(e.id), 0) FROM error_events AS e) AS INTEGER) AS error_event,
    CAST((SELECT COALESCE(MAX(s.id), 0) FROM spans AS s) AS INTEGER) AS span,
    CAST((SELECT COALESCE(MAX(v.id), 0) FROM custom_events AS v) AS INTEGER) AS custom_event,
    CAST((SELECT COALESCE(MAX(m.id), 0) FROM system_metrics AS m) AS INTEGER) AS system_metric;

-- name: AddLedger :exec
INSERT INTO ledger (kind, outcome, reason, n) VALUES (@kind, @outcome, @reason, @n)
ON CONFLICT (kind, outcome, reason) DO UPDATE SET n = n + excluded.n;

-- name: ListLedger :many
SELECT kind, outcome, reason, n FROM ledger;

-- Calls that the tables usage, latency and sessions do not hold yet.

-- name: ListCallsAfter :many
SELECT id, created_at, provider, model, agent, session_id, status, latency_ms, cost_usd,
    prompt_tokens, completion_tokens, total_tokens, cache_read_tokens, cache_write_tokens, reasoning_tokens
FROM llm_traces WHERE id > @after ORDER BY id LIMIT @lim;

-- name: AddUsage :exec
-- A sum too large for an integer would become REAL, which the column refuses.
INSERT INTO usage (
    granularity, start_at, provider, model, agent, status, calls,
    prompt_tokens, completion_tokens, cache_read_tokens, cache_write_tokens, reasoning_tokens,
    cost_nano_usd, unmetered, unpriced
) VALUES (
    @granularity, @start_at, @provider, @model, @agent, @status, @calls,
    @prompt_tokens, @completion_tokens, @cache_read_tokens, @cache_write_tokens, @reasoning_tokens,
    @cost_nano_usd, @unmetered, @unpriced
) ON CONFLICT (granularity, start_at, provider, model, agent, status) DO UPDATE SET
    calls = calls + excluded.calls,
    prompt_tokens = MIN(prompt_tokens + excluded.prompt_tokens, 9223372036854775807),
    completion_tokens = MIN(completion_tokens + excluded.completion_tokens, 9223372036854775807),
    cache_read_tokens = MIN(cache_read_tokens + excluded.cache_read_tokens, 9223372036854775807),
    cache_write_tokens = MIN(cache_write_tokens + excluded.cache_write_tokens, 9223372036854775807),
    reasoning_tokens = MIN(reasoning_tokens + excluded.reasoning_tokens, 9223372036854775807),
    cost_nano_usd = MIN(cost_nano_usd + excluded.cost_nano_usd, 9223372036854775807),
    unmetered = unmetered + excluded.unmetered,
    unpriced = unpriced + excluded.unpriced;

-- name: AddLatency :exec
INSERT INTO latency (granularity, start_at, provider, model, bucket, n)
VALUES (@granularity, @start_at, @provider, @model, @bucket, @n)
ON CONFLICT (granularity, start_at, provider, model, bucket) DO UPDATE SET n = n + excluded.n;

-- name: AddSession :exec
INSERT INTO sessions (
    session_id, agent, first_at, last_at, calls, failed,
    prompt_tokens, completion_tokens, cost_nano_usd, unmetered, unpriced
) VALUES (
    @session_id, @agent, @first_at, @last_at, @calls, @failed,
    @prompt_tokens, @completion_tokens, @cost_nano_usd, @unmetered, @unpriced
) ON CONFLICT (session_id) DO UPDATE SET
    agent = COALESCE(excluded.agent, agent),
    first_at = MIN(first_at, excluded.first_at),
    last_at = MAX(last_at, excluded.last_at),
    calls = calls + excluded.calls,
    failed = failed + excluded.failed,
    prompt_tokens = MIN(prompt_tokens + excluded.prompt_tokens, 9223372036854775807),
    completion_tokens = MIN(completion_tokens + excluded.completion_tokens, 9223372036854775807),
    cost_nano_usd = MIN(cost_nano_usd + excluded.cost_nano_usd, 9223372036854775807),
    unmetered = unmetered + excluded.unmetered,
    unpriced = unpriced + excluded.unpriced;

-- name: SetMeta :exec
INSERT INTO meta (key, value) VALUES (@key, @value)
ON CONFLICT (key) DO UPDATE SET value = excluded.value;

-- name: GetMeta :one
SELECT value FROM meta WHERE key = @key;

-- name: SetMetaOnce :exec
INSERT INTO meta (key, value) VALUES (@key, @value) ON CONFLICT (key) DO NOTHING;

-- Who called what on a day, to keep the names in usage few.

-- name: ListUsageNames :many
SELECT DISTINCT provider, model, agent FROM usage
WHERE granularity = 'day' AND start_at >= @since LIMIT @lim;

-- Work on what is stored goes through a table by ranges of ids, small ones, since
-- events wait meanwhile.

-- name: FirstIDs :one
SELECT
    CAST((SELECT COALESCE(MIN(c.id), 0) FROM llm_traces AS c) AS INTEGER) AS llm_trace,
    CAST((SELECT COALESCE(MIN(e.id), 0) FROM error_events AS e) AS INTEGER) AS error_event,
    CAST((SELECT COALESCE(MIN(s.id), 0) FROM spans AS s) AS INTEGER) AS span,
    CAST((SELECT COALESCE(MIN(v.id), 0) FROM custom_events AS v) AS INTEGER) AS custom_event;

-- name: ListCallsToPrice :many
SELECT id, created_at, provider, model, agent, session_id, status, operation,
    prompt_tokens, completion_tokens, cache_read_tokens, cache_write_tokens, reasoning_tokens,
    cost_usd, cost_source, metadata
FROM llm_traces WHERE id > @after AND id <= @upto AND (cost_source IS NULL OR cost_source <> 'reported')
ORDER BY id;

-- name: SetCost :exec
UPDATE llm_traces SET cost_usd = @cost_usd, cost_source = @cost_source WHERE id = @id;

-- name: AdjustUsage :execrows
-- A line that does not have what is to be taken from it does not hold the call.
UPDATE usage SET cost_nano_usd = cost_nano_usd + @nano_usd, unpriced = unpriced + @unpriced
WHERE granularity = @granularity AND start_at = @start_at AND provider = @provider AND model = @model
    AND agent = @agent AND status = @status
    AND cost_nano_usd + @nano_usd >= 0 AND unpriced + @unpriced >= 0 AND unpriced + @unpriced <= calls;

-- name: AdjustSession :exec
UPDATE sessions SET cost_nano_usd = MAX(cost_nano_usd + @nano_usd, 0), unpriced = MAX(unpriced + @unpriced, 0)
WHERE session_id = @session_id;

-- A session whose id held a secret.

-- name: CopySession :execrows
INSERT INTO sessions (
    session_id, agent, first_at, last_at, calls, failed,
    prompt_tokens, completion_tokens, cost_nano_usd, unmetered, unpriced
)
SELECT @session_id, s.agent, s.first_at, s.last_at, s.calls, s.failed,
    s.prompt_tokens, s.completion_tokens, s.cost_nano_usd, s.unmetered, s.unpriced
FROM sessions AS s WHERE s.session_id = @old
ON CONFLICT (session_id) DO UPDATE SET
    first_at = MIN(first_at, excluded.first_at),
    last_at = MAX(last_at, excluded.last_at),
    calls = calls + excluded.calls,
    failed = failed + excluded.failed,
    prompt_tokens = MIN(prompt_tokens + excluded.prompt_tokens, 9223372036854775807),
    completion_tokens = MIN(completion_tokens + excluded.completion_tokens, 9223372036854775807),
    cost_nano_usd = MIN(cost_nano_usd + excluded.cost_nano_usd, 9223372036854775807),
    unmetered = unmetered + excluded.unmetered,
    unpriced = unpriced + excluded.unpriced;

-- name: DeleteSession :exec
DELETE FROM sessions WHERE session_id = @session_id;

-- name: GetCallTexts :one
SELECT id, input_text, output_text, error_type, error_message, session_id, operation, metadata
FROM llm_traces WHERE id = @id;

-- name: SetCallTexts :exec
UPDATE llm_traces SET input_text = @input_text, output_text = @output_text, error_type = @error_type,
    error_message = @error_message, session_id = @session_id, operation = @operation, metadata = @metadata
WHERE id = @id;

-- name: GetErrorTexts :one
SELECT id, error_type, message, stack_trace, metadata
FROM error_events WHERE id = @id;

-- name: SetErrorTexts :exec
UPDATE error_events SET error_type = @error_type, message = @message, stack_trace = @stack_trace, metadata = @metadata
WHERE id = @id;

-- name: GetSpanTexts :one
SELECT id, name, operation, session_id, agent, error_message, metadata
FROM spans WHERE id = @id;

-- name: SetSpanTexts :exec
UPDATE spans SET name = @name, operation = @operation, session_id = @session_id, agent = @agent,
    error_message = @error_message, metadata = @metadata
WHERE id = @id;

-- name: GetEventTexts :one
SELECT id, name, session_id, metadata
FROM custom_events WHERE id = @id;

-- name: SetEventTexts :exec
UPDATE custom_events SET name = @name, session_id = @session_id, metadata = @metadata WHERE id = @id;
