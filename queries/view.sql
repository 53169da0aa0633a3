-- Called by internal/view, on connections that cannot write.
--
-- Lists are read backwards in time, behind the row (at, id) and down to the time
-- low. A filter that is empty or 0 lets everything through; a text is searched for as
-- it is (text, in lower case) and as it stands in JSON (quoted, '' if that is the same).

-- Where a window of so many rows ends.

-- name: CallWindow :one
SELECT created_at FROM llm_traces WHERE created_at <= @at AND (created_at < @at OR id < @id) AND created_at >= @low
ORDER BY created_at DESC, id DESC LIMIT 1 OFFSET @n;

-- name: FailedWindow :one
SELECT created_at FROM llm_traces
WHERE status <> 'ok' AND created_at <= @at AND (created_at < @at OR id < @id) AND created_at >= @low
ORDER BY created_at DESC, id DESC LIMIT 1 OFFSET @n;

-- name: ErrorWindow :one
SELECT created_at FROM error_events WHERE created_at <= @at AND (created_at < @at OR id < @id) AND created_at >= @low
ORDER BY created_at DESC, id DESC LIMIT 1 OFFSET @n;

-- name: EventWindow :one
SELECT created_at FROM custom_events WHERE created_at <= @at AND (created_at < @at OR id < @id) AND created_at >= @low
ORDER BY created_at DESC, id DESC LIMIT 1 OFFSET @n;

-- name: SpanWindow :one
SELECT created_at FROM spans WHERE created_at <= @at AND (created_at < @at OR id < @id) AND created_at >= @low
ORDER BY created_at DESC, id DESC LIMIT 1 OFFSET @n;

-- Calls.

-- name: ListCalls :many
SELECT id, trace_id, created_at, provider, model,
    prompt_tokens, completion_tokens, total_tokens, cost_usd, latency_ms, status, error_type,
    session_id, agent, operation, cache_read_tokens, cache_write_tokens, reasoning_tokens, ttft_ms, cost_source,
    CAST(COALESCE(substr(error_message, 1, 300), '') AS TEXT) AS error_head,
    CAST(COALESCE(substr(input_text, 1, 200), '') AS TEXT) AS input_head,
    CAST(COALESCE(substr(input_text, -800), '') AS TEXT) AS input_tail,
    CAST(COALESCE(substr(output_text, 1, 800), '') AS TEXT) AS output_head
FROM llm_traces
WHERE created_at <= @at AND (created_at < @at OR id < @id) AND created_at >= @low
    AND (CAST(@provider AS TEXT) = '' OR provider = @provider)
    AND (CAST(@model AS TEXT) = '' OR model = @model)
    AND (CAST(@status AS TEXT) = '' OR status = @status)
    AND (CAST(@agent AS TEXT) = '' OR agent = @agent)
    AND (CAST(@session AS TEXT) = '' OR session_id = @session)
    AND (CAST(@operation AS TEXT) = '' OR operation = @operation)
    AND (CAST(@min_latency AS INTEGER) = 0 OR latency_ms >= @min_latency)
    AND (CAST(@min_cost AS REAL) = 0 OR cost_usd >= @min_cost)
    AND (CAST(@text AS TEXT) = ''
        OR instr(trace_id, @text) > 0 OR instr(lower(provider), @text) > 0 OR instr(lower(model), @text) > 0
        OR instr(lower(session_id), @text) > 0 OR instr(lower(agent), @text) > 0 OR instr(lower(error_type), @text) > 0
        OR instr(lower(error_message), @text) > 0 OR instr(lower(input_text), @text) > 0
        OR instr(lower(output_text), @text) > 0 OR instr(lower(metadata), @text) > 0
        OR (CAST(@quoted AS TEXT) <> '' AND (instr(lower(input_text), @quoted) > 0
            OR instr(lower(output_text), @quoted) > 0 OR instr(lower(metadata), @quoted) > 0)))
ORDER BY created_at DESC, id DESC LIMIT @lim;

-- name: ListFailedCalls :many
SELECT id, trace_id, created_at, provider, model,
    prompt_tokens, completion_tokens, total_tokens, cost_usd, latency_ms, status, error_type,
    session_id, agent, operation, cache_read_tokens, cache_write_tokens, reasoning_tokens, ttft_ms, cost_source,
    CAST(COALESCE(substr(error_message, 1, 300), '') AS TEXT) AS error_head,
    CAST(COALESCE(substr(input_text, 1, 200), '') AS TEXT) AS input_head,
    CAST(COALESCE(substr(input_text, -800), '') AS TEXT) AS input_tail,
    CAST(COALESCE(substr(output_text, 1, 800), '') AS TEXT) AS output_head
FROM llm_traces
WHERE status <> 'ok' AND created_at <= @at AND (created_at < @at OR id < @id) AND created_at >= @low
    AND (CAST(@provider AS TEXT) = '' OR provider = @provider)
    AND (CAST(@model AS TEXT) = '' OR model = @model)
    AND (CAST(@status AS TEXT) = '' OR status = @status)
    AND (CAST(@agent AS TEXT) = '' OR agent = @agent)
    AND (CAST(@session AS TEXT) = '' OR session_id = @session)
    AND (CAST(@operation AS TEXT) = '' OR operation = @operation)
    AND (CAST(@min_latency AS INTEGER) = 0 OR latency_ms >= @min_latency)
    AND (CAST(@min_cost AS REAL) = 0 OR cost_usd >= @min_cost)
    AND (CAST(@text AS TEXT) = ''
        OR instr(trace_id, @text) > 0 OR instr(lower(provider), @text) > 0 OR instr(lower(model), @text) > 0
        OR instr(lower(session_id), @text) > 0 OR instr(lower(agent), @text) > 0 OR instr(lower(error_type), @text) > 0
        OR instr(lower(error_message), @text) > 0 OR instr(lower(input_text), @text) > 0
        OR instr(lower(output_text), @text) > 0 OR instr(lower(metadata), @text) > 0
        OR (CAST(@quoted AS TEXT) <> '' AND (instr(lower(input_text), @quoted) > 0
            OR instr(lower(output_text), @quoted) > 0 OR instr(lower(metadata), @quoted) > 0)))
ORDER BY created_at DESC, id DESC LIMIT @lim;

-- The calls next after one, oldest first.

-- name: ListNewerCalls :many
SELECT id, trace_id, created_at FROM llm_traces
WHERE created_at >= @at AND (created_at > @at OR id > @id) AND created_at < @high
    AND (CAST(@provider AS TEXT) = '' OR provider = @provider)
    AND (CAST(@model AS TEXT) = '' OR model = @model)
    AND (CAST(@status AS TEXT) = '' OR status = @status OR (@status = 'failed' AND status <> 'ok'))
    AND (CAST(@agent AS TEXT) = '' OR agent = @agent)
    AND (CAST(@session AS TEXT) = '' OR session_id = @session)
    AND (CAST(@operation AS TEXT) = '' OR operation = @operation)
    AND (CAST(@min_latency AS INTEGER) = 0 OR latency_ms >= @min_latency)
    AND (CAST(@min_cost AS REAL) = 0 OR cost_usd >= @min_cost)
    AND (CAST(@text AS TEXT) = ''
        OR instr(trace_id, @text) > 0 OR instr(lower(provider), @text) > 0 OR instr(lower(model), @text) > 0
        OR instr(lower(session_id), @text) > 0 OR instr(lower(agent), @text) > 0 OR instr(lower(error_type), @text) > 0
        OR instr(lower(error_message), @text) > 0 OR instr(lower(input_text), @text) > 0
        OR instr(lower(output_text), @text) > 0 OR instr(lower(metadata), @text) > 0
        OR (CAST(@quoted AS TEXT) <> '' AND (instr(lower(input_text), @quoted) > 0
            OR instr(lower(output_text), @quoted) > 0 OR instr(lower(metadata), @quoted) > 0)))
ORDER BY created_at, id LIMIT @lim;

-- name: NewerWindow :one
SELECT created_at FROM llm_traces WHERE created_at >= @at AND (created_at > @at OR id > @id)
ORDER BY created_at, id LIMIT 1 OFFSET @n;

-- name: ListCallsByPrefix :many
SELECT id, trace_id, created_at, provider, model, input_text, output_text,
    prompt_tokens, completion_tokens, total_tokens, cost_usd, latency_ms, status, error_type, metadata, synced, pushed_at,
    session_id, agent, operation, otel_trace_id, otel_span_id, otel_parent_span_id,
    cache_read_tokens, cache_write_tokens, reasoning_tokens, ttft_ms, error_message, cost_source
FROM llm_traces WHERE trace_id >= @prefix AND trace_id < @after LIMIT 2;

-- The parts of an OpenTelemetry trace, which are near each other in time.

-- name: ListTraceCalls :many
SELECT id, trace_id, created_at, model, operation, latency_ms, status, cost_usd, total_tokens, otel_span_id, otel_parent_span_id
FROM llm_traces WHERE created_at >= @low AND created_at <= @high AND otel_trace_id = @otel_trace_id
ORDER BY created_at, id LIMIT @lim;

-- name: ListTraceSpans :many
SELECT id, trace_id, created_at, name, operation, duration_ms, status, otel_span_id, otel_parent_span_id
FROM spans WHERE created_at >= @low AND created_at <= @high AND otel_trace_id = @otel_trace_id
ORDER BY created_at, id LIMIT @lim;

-- Entries that are no calls.

-- name: ListErrorEntries :many
SELECT id, trace_id, created_at, error_type, severity, CAST(substr(message, 1, 300) AS TEXT) AS head
FROM error_events
WHERE created_at <= @at AND (created_at < @at OR id < @id) AND created_at >= @low
    AND (CAST(@severity AS TEXT) = '' OR CAST(@severity AS TEXT) = 'warning' OR severity = 'critical' OR severity = @severity)
    AND (CAST(@name AS TEXT) = '' OR error_type = @name)
    AND (CAST(@text AS TEXT) = ''
        OR instr(trace_id, @text) > 0 OR instr(lower(error_type), @text) > 0 OR instr(lower(message), @text) > 0
        OR instr(lower(stack_trace), @text) > 0 OR instr(lower(metadata), @text) > 0
        OR (CAST(@quoted AS TEXT) <> '' AND instr(lower(metadata), @quoted) > 0))
ORDER BY created_at DESC, id DESC LIMIT @lim;

-- name: ListEventEntries :many
SELECT id, trace_id, created_at, name, session_id,
    CAST(COALESCE(substr(metadata, 1, 300), '') AS TEXT) AS head
FROM custom_events
WHERE created_at <= @at AND (created_at < @at OR id < @id) AND created_at >= @low
    AND (CAST(@name AS TEXT) = '' OR name = @name)
    AND (CAST(@session AS TEXT) = '' OR session_id = @session)
    AND (CAST(@text AS TEXT) = ''
        OR instr(trace_id, @text) > 0 OR instr(lower(name), @text) > 0 OR instr(lower(session_id), @text) > 0
        OR instr(lower(metadata), @text) > 0
        OR (CAST(@quoted AS TEXT) <> '' AND instr(lower(metadata), @quoted) > 0))
ORDER BY created_at DESC, id DESC LIMIT @lim;

-- name: ListSpanEntries :many
SELECT id, trace_id, created_at, name, session_id, agent, duration_ms, status,
    CAST(COALESCE(substr(error_message, 1, 300), '') AS TEXT) AS head
FROM spans
WHERE created_at <= @at AND (created_at < @at OR id < @id) AND created_at >= @low
    AND (CAST(@severity AS TEXT) = '' OR (status <> 'ok' AND @severity <> 'critical'))
    AND (CAST(@name AS TEXT) = '' OR name = @name)
    AND (CAST(@session AS TEXT) = '' OR session_id = @session)
    AND (CAST(@agent AS TEXT) = '' OR agent = @agent)
    AND (CAST(@text AS TEXT) = ''
        OR instr(trace_id, @text) > 0 OR instr(lower(name), @text) > 0 OR instr(lower(session_id), @text) > 0
        OR instr(lower(agent), @text) > 0 OR instr(otel_trace_id, @text) > 0
        OR instr(lower(error_message), @text) > 0 OR instr(lower(metadata), @text) > 0
        OR (CAST(@quoted AS TEXT) <> '' AND instr(lower(metadata), @quoted) > 0))
ORDER BY created_at DESC, id DESC LIMIT @lim;

-- name: ListFailures :many
SELECT id, trace_id, created_at, provider, model, latency_ms, session_id, agent, CAST(COALESCE(error_type, status) AS TEXT) AS name,
    CAST(COALESCE(substr(error_message, 1, 300), '') AS TEXT) AS head
FROM llm_traces
WHERE status <> 'ok' AND created_at <= @at AND (created_at < @at OR id < @id) AND created_at >= @low
    AND (CAST(@provider AS TEXT) = '' OR provider = @provider)
    AND (CAST(@model AS TEXT) = '' OR model = @model)
    AND (CAST(@agent AS TEXT) = '' OR agent = @agent)
    AND (CAST(@session AS TEXT) = '' OR session_id = @session)
    AND (CAST(@name AS TEXT) = '' OR COALESCE(error_type, status) = @name)
    AND (CAST(@text AS TEXT) = ''
        OR instr(trace_id, @text) > 0 OR instr(lower(provider), @text) > 0 OR instr(lower(model), @text) > 0
        OR instr(lower(session_id), @text) > 0 OR instr(lower(agent), @text) > 0 OR instr(lower(error_type), @text) > 0
        OR instr(lower(error_message), @text) > 0 OR instr(lower(metadata), @text) > 0
        OR (CAST(@quoted AS TEXT) <> '' AND instr(lower(metadata), @quoted) > 0))
ORDER BY created_at DESC, id DESC LIMIT @lim;

-- name: ListErrorsByPrefix :many
SELECT id, trace_id, created_at, error_type, message, stack_trace, severity, metadata, synced, pushed_at
FROM error_events WHERE trace_id >= @prefix AND trace_id < @after LIMIT 2;

-- name: ListEventsByPrefix :many
SELECT id, trace_id, created_at, name, session_id, metadata, synced, pushed_at
FROM custom_events WHERE trace_id >= @prefix AND trace_id < @after LIMIT 2;

-- name: ListSpansByPrefix :many
SELECT id, trace_id, created_at, name, operation, session_id, agent,
    otel_trace_id, otel_span_id, otel_parent_span_id, duration_ms, status, error_message, metadata, synced, pushed_at
FROM spans WHERE trace_id >= @prefix AND trace_id < @after LIMIT 2;

-- Sessions.

-- name: GetSession :one
SELECT session_id, agent, first_at, last_at, calls, failed, prompt_tokens, completion_tokens, cost_nano_usd, unmetered, unpriced
FROM sessions WHERE session_id = @session_id;

-- name: ListSessions :many
SELECT session_id, agent, first_at, last_at, calls, failed, prompt_tokens, completion_tokens, cost_nano_usd, unmetered, unpriced
FROM sessions
WHERE last_at <= @at AND (last_at < @at OR session_id < @id) AND last_at >= @low
    AND (CAST(@agent AS TEXT) = '' OR agent = @agent)
    AND (CAST(@text AS TEXT) = '' OR instr(lower(session_id), @text) > 0 OR instr(lower(agent), @text) > 0)
ORDER BY last_at DESC, session_id DESC LIMIT @lim;

-- name: ListDearSessions :many
-- Those that lie in the time range whole, or those that reach out of it.
SELECT session_id, agent, first_at, last_at, calls, failed, prompt_tokens, completion_tokens, cost_nano_usd, unmetered, unpriced
FROM sessions
WHERE last_at >= @low AND first_at < @high AND (first_at >= @low AND last_at < @high) = CAST(@inside AS INTEGER)
    AND (CAST(@agent AS TEXT) = '' OR agent = @agent)
    AND (CAST(@text AS TEXT) = '' OR instr(lower(session_id), @text) > 0 OR instr(lower(agent), @text) > 0)
ORDER BY cost_nano_usd DESC, last_at DESC LIMIT @lim;

-- What the calls of sessions used: those of a time range up to an id, and those that came
-- between two ids. They are one text, since rows take longer to hand over than to read:
-- of each call some numbers, and the session behind its length in bytes.

-- name: ReadSessionCalls :one
SELECT CAST(COALESCE(group_concat(created_at || ' '
    || ((status <> 'ok') + 2 * (prompt_tokens IS NULL AND completion_tokens IS NULL AND total_tokens IS NULL) + 4 * (cost_usd IS NULL)) || ' '
    || COALESCE(prompt_tokens, 0) || ' ' || COALESCE(completion_tokens, 0) || ' ' || COALESCE(CAST(round(cost_usd * 1e9) AS INTEGER), 0) || ' '
    || octet_length(session_id) || ' ' || session_id, ''), '') AS TEXT) AS calls
FROM llm_traces WHERE created_at >= @low AND created_at < @high AND id <= @upto AND session_id IS NOT NULL;

-- name: ReadArrivedSessionCalls :one
SELECT CAST(COALESCE(group_concat(created_at || ' '
    || ((status <> 'ok') + 2 * (prompt_tokens IS NULL AND completion_tokens IS NULL AND total_tokens IS NULL) + 4 * (cost_usd IS NULL)) || ' '
    || COALESCE(prompt_tokens, 0) || ' ' || COALESCE(completion_tokens, 0) || ' ' || COALESCE(CAST(round(cost_usd * 1e9) AS INTEGER), 0) || ' '
    || octet_length(session_id) || ' ' || session_id, ''), '') AS TEXT) AS calls
FROM llm_traces WHERE id > @after AND id <= @upto AND session_id IS NOT NULL;

-- name: LastCallID :one
SELECT CAST(COALESCE(MAX(id), 0) AS INTEGER) AS id FROM llm_traces;

-- Sums, exact at any moment: whole days and hours from usage, what is left over at
-- both ends from the calls, and the calls of the last second, which usage does not
-- hold yet. One statement, since between two of them a second may be written down.

-- name: SumUsage :many
SELECT CAST((u.at - CAST(@origin AS INTEGER)) / CAST(@width AS INTEGER) AS INTEGER) AS bucket, u.provider, u.model, u.agent, u.status,
    CAST(SUM(u.calls) AS INTEGER) AS calls,
    CAST(SUM(u.prompt_tokens) AS INTEGER) AS prompt_tokens,
    CAST(SUM(u.completion_tokens) AS INTEGER) AS completion_tokens,
    CAST(SUM(u.cache_read_tokens) AS INTEGER) AS cache_read_tokens,
    CAST(SUM(u.cache_write_tokens) AS INTEGER) AS cache_write_tokens,
    CAST(SUM(u.reasoning_tokens) AS INTEGER) AS reasoning_tokens,
    CAST(SUM(u.cost_nano_usd) AS INTEGER) AS cost_nano_usd,
    CAST(SUM(u.unmetered) AS INTEGER) AS unmetered,
    CAST(SUM(u.unpriced) AS INTEGER) AS unpriced
FROM (
    SELECT d.start_at AS at, d.provider, d.model, d.agent, d.status, d.calls, d.prompt_tokens, d.completion_tokens,
        d.cache_read_tokens, d.cache_write_tokens, d.reasoning_tokens, d.cost_nano_usd, d.unmetered, d.unpriced
    FROM usage AS d WHERE d.granularity = 'day' AND d.start_at >= @first_day AND d.start_at < @end_day
    UNION ALL
    SELECT h.start_at, h.provider, h.model, h.agent, h.status, h.calls, h.prompt_tokens, h.completion_tokens,
        h.cache_read_tokens, h.cache_write_tokens, h.reasoning_tokens, h.cost_nano_usd, h.unmetered, h.unpriced
    FROM usage AS h WHERE h.granularity = 'hour' AND h.start_at >= @first_hour AND h.start_at < @first_day
    UNION ALL
    SELECT g.start_at, g.provider, g.model, g.agent, g.status, g.calls, g.prompt_tokens, g.completion_tokens,
        g.cache_read_tokens, g.cache_write_tokens, g.reasoning_tokens, g.cost_nano_usd, g.unmetered, g.unpriced
    FROM usage AS g WHERE g.granularity = 'hour' AND g.start_at >= @end_day AND g.start_at < @end_hour
    UNION ALL
    SELECT a.created_at, a.provider, a.model, COALESCE(a.agent, ''), a.status, 1, COALESCE(a.prompt_tokens, 0), COALESCE(a.completion_tokens, 0),
        COALESCE(a.cache_read_tokens, 0), COALESCE(a.cache_write_tokens, 0), COALESCE(a.reasoning_tokens, 0),
        COALESCE(CAST(round(a.cost_usd * 1e9) AS INTEGER), 0),
        a.prompt_tokens IS NULL AND a.completion_tokens IS NULL AND a.total_tokens IS NULL, a.cost_usd IS NULL
    FROM llm_traces AS a WHERE a.created_at >= @low AND a.created_at < @first_hour
    UNION ALL
    SELECT b.created_at, b.provider, b.model, COALESCE(b.agent, ''), b.status, 1, COALESCE(b.prompt_tokens, 0), COALESCE(b.completion_tokens, 0),
        COALESCE(b.cache_read_tokens, 0), COALESCE(b.cache_write_tokens, 0), COALESCE(b.reasoning_tokens, 0),
        COALESCE(CAST(round(b.cost_usd * 1e9) AS INTEGER), 0),
        b.prompt_tokens IS NULL AND b.completion_tokens IS NULL AND b.total_tokens IS NULL, b.cost_usd IS NULL
    FROM llm_traces AS b WHERE b.created_at >= @end_hour AND b.created_at < @high
    UNION ALL
    SELECT c.created_at, c.provider, c.model, COALESCE(c.agent, ''), c.status, 1, COALESCE(c.prompt_tokens, 0), COALESCE(c.completion_tokens, 0),
        COALESCE(c.cache_read_tokens, 0), COALESCE(c.cache_write_tokens, 0), COALESCE(c.reasoning_tokens, 0),
        COALESCE(CAST(round(c.cost_usd * 1e9) AS INTEGER), 0),
        c.prompt_tokens IS NULL AND c.completion_tokens IS NULL AND c.total_tokens IS NULL, c.cost_usd IS NULL
    FROM llm_traces AS c
    WHERE c.id > COALESCE((SELECT CAST(m.value AS INTEGER) FROM meta AS m WHERE m.key = 'summarized'), 0)
        AND +c.created_at >= @first_hour AND +c.created_at < @end_hour
) AS u
WHERE (CAST(@provider AS TEXT) = '' OR u.provider = @provider)
    AND (CAST(@model AS TEXT) = '' OR u.model = @model)
    AND (CAST(@agent AS TEXT) = '' OR u.agent = @agent)
    AND (CAST(@status AS TEXT) = '' OR u.status = @status OR (@status = 'failed' AND u.status <> 'ok'))
GROUP BY 1, 2, 3, 4, 5;

-- name: SumUsageParts :many
-- By time alone, which takes half as long. It repeats what SumUsage reads, since SumUsage
-- with its names left empty makes a page of the dashboard take 1 ms more of 9.
SELECT CAST((u.at - CAST(@origin AS INTEGER)) / CAST(@width AS INTEGER) AS INTEGER) AS bucket,
    CAST(SUM(u.calls) AS INTEGER) AS calls,
    CAST(SUM(CASE WHEN u.status <> 'ok' THEN u.calls ELSE 0 END) AS INTEGER) AS failed,
    CAST(SUM(u.prompt_tokens) AS INTEGER) AS prompt_tokens,
    CAST(SUM(u.completion_tokens) AS INTEGER) AS completion_tokens,
    CAST(SUM(u.cache_read_tokens) AS INTEGER) AS cache_read_tokens,
    CAST(SUM(u.cache_write_tokens) AS INTEGER) AS cache_write_tokens,
    CAST(SUM(u.reasoning_tokens) AS INTEGER) AS reasoning_tokens,
    CAST(SUM(u.cost_nano_usd) AS INTEGER) AS cost_nano_usd,
    CAST(SUM(u.unmetered) AS INTEGER) AS unmetered,
    CAST(SUM(u.unpriced) AS INTEGER) AS unpriced
FROM (
    SELECT d.start_at AS at, d.provider, d.model, d.agent, d.status, d.calls, d.prompt_tokens, d.completion_tokens,
        d.cache_read_tokens, d.cache_write_tokens, d.reasoning_tokens, d.cost_nano_usd, d.unmetered, d.unpriced
    FROM usage AS d WHERE d.granularity = 'day' AND d.start_at >= @first_day AND d.start_at < @end_day
    UNION ALL
    SELECT h.start_at, h.provider, h.model, h.agent, h.status, h.calls, h.prompt_tokens, h.completion_tokens,
        h.cache_read_tokens, h.cache_write_tokens, h.reasoning_tokens, h.cost_nano_usd, h.unmetered, h.unpriced
    FROM usage AS h WHERE h.granularity = 'hour' AND h.start_at >= @first_hour AND h.start_at < @first_day
    UNION ALL
    SELECT g.start_at, g.provider, g.model, g.agent, g.status, g.calls, g.prompt_tokens, g.completion_tokens,
        g.cache_read_tokens, g.cache_write_tokens, g.reasoning_tokens, g.cost_nano_usd, g.unmetered, g.unpriced
    FROM usage AS g WHERE g.granularity = 'hour' AND g.start_at >= @end_day AND g.start_at < @end_hour
    UNION ALL
    SELECT a.created_at, a.provider, a.model, COALESCE(a.agent, ''), a.status, 1, COALESCE(a.prompt_tokens, 0), COALESCE(a.completion_tokens, 0),
        COALESCE(a.cache_read_tokens, 0), COALESCE(a.cache_write_tokens, 0), COALESCE(a.reasoning_tokens, 0),
        COALESCE(CAST(round(a.cost_usd * 1e9) AS INTEGER), 0),
        a.prompt_tokens IS NULL AND a.completion_tokens IS NULL AND a.total_tokens IS NULL, a.cost_usd IS NULL
    FROM llm_traces AS a WHERE a.created_at >= @low AND a.created_at < @first_hour
    UNION ALL
    SELECT b.created_at, b.provider, b.model, COALESCE(b.agent, ''), b.status, 1, COALESCE(b.prompt_tokens, 0), COALESCE(b.completion_tokens, 0),
        COALESCE(b.cache_read_tokens, 0), COALESCE(b.cache_write_tokens, 0), COALESCE(b.reasoning_tokens, 0),
        COALESCE(CAST(round(b.cost_usd * 1e9) AS INTEGER), 0),
        b.prompt_tokens IS NULL AND b.completion_tokens IS NULL AND b.total_tokens IS NULL, b.cost_usd IS NULL
    FROM llm_traces AS b WHERE b.created_at >= @end_hour AND b.created_at < @high
    UNION ALL
    SELECT c.created_at, c.provider, c.model, COALESCE(c.agent, ''), c.status, 1, COALESCE(c.prompt_tokens, 0), COALESCE(c.completion_tokens, 0),
        COALESCE(c.cache_read_tokens, 0), COALESCE(c.cache_write_tokens, 0), COALESCE(c.reasoning_tokens, 0),
        COALESCE(CAST(round(c.cost_usd * 1e9) AS INTEGER), 0),
        c.prompt_tokens IS NULL AND c.completion_tokens IS NULL AND c.total_tokens IS NULL, c.cost_usd IS NULL
    FROM llm_traces AS c
    WHERE c.id > COALESCE((SELECT CAST(m.value AS INTEGER) FROM meta AS m WHERE m.key = 'summarized'), 0)
        AND +c.created_at >= @first_hour AND +c.created_at < @end_hour
) AS u
WHERE (CAST(@provider AS TEXT) = '' OR u.provider = @provider)
    AND (CAST(@model AS TEXT) = '' OR u.model = @model)
    AND (CAST(@agent AS TEXT) = '' OR u.agent = @agent)
    AND (CAST(@status AS TEXT) = '' OR u.status = @status OR (@status = 'failed' AND u.status <> 'ok'))
GROUP BY 1;

-- name: CountCallsUpTo :one
SELECT COUNT(*) FROM (SELECT c.id FROM llm_traces AS c WHERE c.created_at >= @low AND c.created_at < @high LIMIT @lim) AS some;

-- name: SumSession :many
-- A session that began after the moment: its row, and the calls of the last second.
SELECT s.calls, s.failed, s.prompt_tokens, s.completion_tokens, s.cost_nano_usd, s.unmetered, s.unpriced
FROM sessions AS s WHERE s.session_id = @session
UNION ALL
SELECT CAST(COUNT(*) AS INTEGER), CAST(COALESCE(SUM(c.status <> 'ok'), 0) AS INTEGER),
    CAST(COALESCE(SUM(c.prompt_tokens), 0) AS INTEGER),
    CAST(COALESCE(SUM(c.completion_tokens), 0) AS INTEGER),
    CAST(COALESCE(SUM(CAST(round(c.cost_usd * 1e9) AS INTEGER)), 0) AS INTEGER),
    CAST(COALESCE(SUM(c.prompt_tokens IS NULL AND c.completion_tokens IS NULL AND c.total_tokens IS NULL), 0) AS INTEGER),
    CAST(COALESCE(SUM(c.cost_usd IS NULL), 0) AS INTEGER)
FROM llm_traces AS c
WHERE c.id > COALESCE((SELECT CAST(m.value AS INTEGER) FROM meta AS m WHERE m.key = 'summarized'), 0)
    AND c.session_id = @session AND +c.created_at >= @low;

-- name: SumSessionSince :one
-- One that began before it, or the part of it that is of an agent.
SELECT CAST(COUNT(*) AS INTEGER) AS calls, CAST(COALESCE(SUM(status <> 'ok'), 0) AS INTEGER) AS failed,
    CAST(COALESCE(SUM(prompt_tokens), 0) AS INTEGER) AS prompt_tokens,
    CAST(COALESCE(SUM(completion_tokens), 0) AS INTEGER) AS completion_tokens,
    CAST(COALESCE(SUM(CAST(round(cost_usd * 1e9) AS INTEGER)), 0) AS INTEGER) AS cost_nano_usd,
    CAST(COALESCE(SUM(prompt_tokens IS NULL AND completion_tokens IS NULL AND total_tokens IS NULL), 0) AS INTEGER) AS unmetered,
    CAST(COALESCE(SUM(cost_usd IS NULL), 0) AS INTEGER) AS unpriced
FROM llm_traces WHERE created_at >= @low AND session_id = @session AND (CAST(@agent AS TEXT) = '' OR agent = @agent);

-- name: ListLatencies :many
-- Of few calls.
SELECT created_at, CAST(COALESCE(latency_ms, -1) AS INTEGER) AS latency_ms FROM llm_traces
WHERE created_at >= @low AND created_at < @high
    AND (CAST(@provider AS TEXT) = '' OR provider = @provider)
    AND (CAST(@model AS TEXT) = '' OR model = @model)
    AND (CAST(@agent AS TEXT) = '' OR agent = @agent)
    AND (CAST(@status AS TEXT) = '' OR status = @status OR (@status = 'failed' AND status <> 'ok'));

-- name: ListHistograms :many
-- Of each day or hour one line of buckets and how many calls they have, since a row for
-- each takes longer to read than all the rest.
SELECT d.start_at, CAST(group_concat(d.bucket || ' ' || d.n, ' ') AS TEXT) AS histogram
FROM latency AS d WHERE d.granularity = 'day' AND d.start_at >= @first_day AND d.start_at < @end_day
    AND (CAST(@provider AS TEXT) = '' OR d.provider = @provider) AND (CAST(@model AS TEXT) = '' OR d.model = @model)
GROUP BY d.start_at
UNION ALL
SELECT h.start_at, CAST(group_concat(h.bucket || ' ' || h.n, ' ') AS TEXT) AS histogram
FROM latency AS h WHERE h.granularity = 'hour' AND h.start_at >= @first_hour AND h.start_at < @first_day
    AND (CAST(@provider AS TEXT) = '' OR h.provider = @provider) AND (CAST(@model AS TEXT) = '' OR h.model = @model)
GROUP BY h.start_at
UNION ALL
SELECT g.start_at, CAST(group_concat(g.bucket || ' ' || g.n, ' ') AS TEXT) AS histogram
FROM latency AS g WHERE g.granularity = 'hour' AND g.start_at >= @end_day AND g.start_at < @end_hour
    AND (CAST(@provider AS TEXT) = '' OR g.provider = @provider) AND (CAST(@model AS TEXT) = '' OR g.model = @model)
GROUP BY g.start_at;

-- name: FirstUsage :one
-- The calls of the last second are not in usage yet.
SELECT CAST(COALESCE(MIN(f.at), 0) AS INTEGER) AS start_at FROM (
    SELECT MIN(u.start_at) AS at FROM usage AS u WHERE u.granularity = 'day'
    UNION ALL
    SELECT MIN(c.created_at) FROM llm_traces AS c
) AS f;

-- What there is at all. 0 is nothing.

-- name: FirstAndLast :one
SELECT
    CAST(COALESCE((SELECT MIN(c0.created_at) FROM llm_traces AS c0), 0) AS INTEGER) AS first_call,
    CAST(COALESCE((SELECT MAX(c1.created_at) FROM llm_traces AS c1), 0) AS INTEGER) AS last_call,
    CAST(COALESCE((SELECT MAX(e.created_at) FROM error_events AS e), 0) AS INTEGER) AS last_error,
    CAST(COALESCE((SELECT MAX(v.created_at) FROM custom_events AS v), 0) AS INTEGER) AS last_event,
    CAST(COALESCE((SELECT MAX(s.created_at) FROM spans AS s), 0) AS INTEGER) AS last_span,
    CAST(COALESCE((SELECT MAX(r.created_at) FROM system_metrics AS r), 0) AS INTEGER) AS last_reading;

-- The newest id of each table, for those who wait for more.

-- name: NewestIDs :one
SELECT
    CAST((SELECT COALESCE(MAX(c.id), 0) FROM llm_traces AS c) AS INTEGER) AS llm_trace,
    CAST((SELECT COALESCE(MAX(e.id), 0) FROM error_events AS e) AS INTEGER) AS error_event,
    CAST((SELECT COALESCE(MAX(s.id), 0) FROM spans AS s) AS INTEGER) AS span,
    CAST((SELECT COALESCE(MAX(v.id), 0) FROM custom_events AS v) AS INTEGER) AS custom_event,
    CAST((SELECT COALESCE(MAX(m.id), 0) FROM system_metrics AS m) AS INTEGER) AS system_metric;

-- Host.

-- name: SumReadings :many
SELECT CAST((created_at - CAST(@low AS INTEGER)) / CAST(@width AS INTEGER) AS INTEGER) AS bucket,
    CAST(COUNT(*) AS INTEGER) AS n,
    COUNT(cpu_pct) AS cpu_n,
    CAST(COALESCE(MIN(cpu_pct), 0) AS REAL) AS cpu_min, CAST(COALESCE(AVG(cpu_pct), 0) AS REAL) AS cpu_avg, CAST(COALESCE(MAX(cpu_pct), 0) AS REAL) AS cpu_max,
    COUNT(mem_rss_bytes) AS rss_n,
    CAST(COALESCE(MIN(mem_rss_bytes), 0) AS REAL) AS rss_min, CAST(COALESCE(AVG(mem_rss_bytes), 0) AS REAL) AS rss_avg, CAST(COALESCE(MAX(mem_rss_bytes), 0) AS REAL) AS rss_max,
    COUNT(mem_total - mem_available) AS used_n,
    CAST(COALESCE(MIN(mem_total - mem_available), 0) AS REAL) AS used_min, CAST(COALESCE(AVG(mem_total - mem_available), 0) AS REAL) AS used_avg, CAST(COALESCE(MAX(mem_total - mem_available), 0) AS REAL) AS used_max,
    COUNT(mem_available) AS avail_n,
    CAST(COALESCE(MIN(mem_available), 0) AS REAL) AS avail_min, CAST(COALESCE(AVG(mem_available), 0) AS REAL) AS avail_avg, CAST(COALESCE(MAX(mem_available), 0) AS REAL) AS avail_max,
    COUNT(disk_used_bytes) AS disk_n,
    CAST(COALESCE(MIN(disk_used_bytes), 0) AS REAL) AS disk_min, CAST(COALESCE(AVG(disk_used_bytes), 0) AS REAL) AS disk_avg, CAST(COALESCE(MAX(disk_used_bytes), 0) AS REAL) AS disk_max,
    COUNT(disk_free_bytes) AS free_n,
    CAST(COALESCE(MIN(disk_free_bytes), 0) AS REAL) AS free_min, CAST(COALESCE(AVG(disk_free_bytes), 0) AS REAL) AS free_avg, CAST(COALESCE(MAX(disk_free_bytes), 0) AS REAL) AS free_max
FROM system_metrics WHERE created_at >= @low AND created_at < @high
GROUP BY 1 ORDER BY 1;

-- name: SampleMemory :many
-- The memory in use at the last reading of each part of a range.
WITH RECURSIVE part AS (SELECT 0 AS n UNION ALL SELECT n + 1 FROM part WHERE n + 1 < CAST(@parts AS INTEGER))
SELECT CAST(part.n AS INTEGER) AS part, CAST(m.mem_total - m.mem_available AS INTEGER) AS used
FROM part JOIN system_metrics AS m ON m.id = (
    SELECT x.id FROM system_metrics AS x
    WHERE x.created_at >= CAST(@low AS INTEGER) + part.n * CAST(@width AS INTEGER)
        AND x.created_at < CAST(@low AS INTEGER) + (part.n + 1) * CAST(@width AS INTEGER)
    ORDER BY x.created_at DESC LIMIT 1)
WHERE m.mem_total IS NOT NULL AND m.mem_available IS NOT NULL;

-- name: ListReadings :many
SELECT id, trace_id, created_at, cpu_pct, mem_rss_bytes, mem_available, mem_total,
    disk_used_bytes, disk_total_bytes, disk_free_bytes, metadata, synced, pushed_at
FROM system_metrics
WHERE created_at <= @at AND (created_at < @at OR id < @id) AND created_at >= @low
ORDER BY created_at DESC, id DESC LIMIT @lim;

-- name: NextReading :many
SELECT id, trace_id, created_at, cpu_pct, mem_rss_bytes, mem_available, mem_total,
    disk_used_bytes, disk_total_bytes, disk_free_bytes, metadata, synced, pushed_at
FROM system_metrics WHERE created_at >= @at AND created_at <= @high ORDER BY created_at, id LIMIT 1;

-- Delivery.

-- name: ListPushes :many
SELECT id, created_at, status, events_pushed, error_message, duration_ms
FROM push_log WHERE id < @id ORDER BY id DESC LIMIT @lim;

-- name: ListQuarantined :many
SELECT id, kind, event_id, created_at, reason FROM quarantine WHERE id < @id ORDER BY id DESC LIMIT @lim;

-- What arrived between two ids, for those who watch.

-- name: ListArrivedCalls :many
SELECT id, trace_id, created_at, provider, model,
    prompt_tokens, completion_tokens, total_tokens, cost_usd, latency_ms, status, error_type,
    session_id, agent, operation, cache_read_tokens, cache_write_tokens, reasoning_tokens, ttft_ms, cost_source,
    CAST(COALESCE(substr(error_message, 1, 300), '') AS TEXT) AS error_head,
    CAST(COALESCE(substr(input_text, 1, 200), '') AS TEXT) AS input_head,
    CAST(COALESCE(substr(input_text, -800), '') AS TEXT) AS input_tail,
    CAST(COALESCE(substr(output_text, 1, 800), '') AS TEXT) AS output_head
FROM llm_traces
WHERE id > @after AND id <= @upto
    AND (CAST(@provider AS TEXT) = '' OR provider = @provider)
    AND (CAST(@model AS TEXT) = '' OR model = @model)
    AND (CAST(@status AS TEXT) = '' OR status = @status OR (@status = 'failed' AND status <> 'ok'))
    AND (CAST(@agent AS TEXT) = '' OR agent = @agent)
    AND (CAST(@session AS TEXT) = '' OR session_id = @session)
    AND (CAST(@operation AS TEXT) = '' OR operation = @operation)
    AND (CAST(@min_latency AS INTEGER) = 0 OR latency_ms >= @min_latency)
    AND (CAST(@min_cost AS REAL) = 0 OR cost_usd >= @min_cost)
    AND (CAST(@text AS TEXT) = ''
        OR instr(trace_id, @text) > 0 OR instr(lower(provider), @text) > 0 OR instr(lower(model), @text) > 0
        OR instr(lower(session_id), @text) > 0 OR instr(lower(agent), @text) > 0 OR instr(lower(error_type), @text) > 0
        OR instr(lower(error_message), @text) > 0 OR instr(lower(input_text), @text) > 0
        OR instr(lower(output_text), @text) > 0 OR instr(lower(metadata), @text) > 0
        OR (CAST(@quoted AS TEXT) <> '' AND (instr(lower(input_text), @quoted) > 0
            OR instr(lower(output_text), @quoted) > 0 OR instr(lower(metadata), @quoted) > 0)))
ORDER BY id LIMIT @lim;

-- name: ListArrivedErrors :many
SELECT id, trace_id, created_at, error_type, severity, CAST(substr(message, 1, 300) AS TEXT) AS head
FROM error_events
WHERE id > @after AND id <= @upto
    AND (CAST(@severity AS TEXT) = '' OR CAST(@severity AS TEXT) = 'warning' OR severity = 'critical' OR severity = @severity)
    AND (CAST(@name AS TEXT) = '' OR error_type = @name)
    AND (CAST(@text AS TEXT) = ''
        OR instr(trace_id, @text) > 0 OR instr(lower(error_type), @text) > 0 OR instr(lower(message), @text) > 0
        OR instr(lower(stack_trace), @text) > 0 OR instr(lower(metadata), @text) > 0
        OR (CAST(@quoted AS TEXT) <> '' AND instr(lower(metadata), @quoted) > 0))
ORDER BY id LIMIT @lim;

-- name: ListArrivedEvents :many
SELECT id, trace_id, created_at, name, session_id,
    CAST(COALESCE(substr(metadata, 1, 300), '') AS TEXT) AS head
FROM custom_events
WHERE id > @after AND id <= @upto
    AND (CAST(@name AS TEXT) = '' OR name = @name)
    AND (CAST(@session AS TEXT) = '' OR session_id = @session)
    AND (CAST(@text AS TEXT) = ''
        OR instr(trace_id, @text) > 0 OR instr(lower(name), @text) > 0 OR instr(lower(session_id), @text) > 0
        OR instr(lower(metadata), @text) > 0
        OR (CAST(@quoted AS TEXT) <> '' AND instr(lower(metadata), @quoted) > 0))
ORDER BY id LIMIT @lim;

-- name: ListArrivedSpans :many
SELECT id, trace_id, created_at, name, session_id, agent, duration_ms, status,
    CAST(COALESCE(substr(error_message, 1, 300), '') AS TEXT) AS head
FROM spans
WHERE id > @after AND id <= @upto
    AND (CAST(@severity AS TEXT) = '' OR (status <> 'ok' AND @severity <> 'critical'))
    AND (CAST(@name AS TEXT) = '' OR name = @name)
    AND (CAST(@session AS TEXT) = '' OR session_id = @session)
    AND (CAST(@agent AS TEXT) = '' OR agent = @agent)
    AND (CAST(@text AS TEXT) = ''
        OR instr(trace_id, @text) > 0 OR instr(lower(name), @text) > 0 OR instr(lower(session_id), @text) > 0
        OR instr(lower(agent), @text) > 0 OR instr(otel_trace_id, @text) > 0
        OR instr(lower(error_message), @text) > 0 OR instr(lower(metadata), @text) > 0
        OR (CAST(@quoted AS TEXT) <> '' AND instr(lower(metadata), @quoted) > 0))
ORDER BY id LIMIT @lim;

-- name: ListArrivedReadings :many
SELECT id, trace_id, created_at, cpu_pct, mem_rss_bytes, mem_available, mem_total,
    disk_used_bytes, disk_total_bytes, disk_free_bytes, metadata, synced, pushed_at
FROM system_metrics WHERE id > @after AND id <= @upto ORDER BY id LIMIT @lim;
