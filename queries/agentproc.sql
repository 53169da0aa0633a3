-- Called by internal/agentproc.

-- The database's identity, and what the watcher knew of the agent when it last wrote it
-- down; empty if never.

-- name: AgentMeta :one
SELECT
    CAST(COALESCE((SELECT i.value FROM meta AS i WHERE i.key = 'instance'), '') AS TEXT) AS instance,
    CAST(COALESCE((SELECT a.value FROM meta AS a WHERE a.key = 'agent'), '') AS TEXT) AS agent;

-- name: SetAgentMeta :exec
INSERT INTO meta (key, value) VALUES ('agent', @value)
ON CONFLICT (key) DO UPDATE SET value = excluded.value;

-- The call that was stored last, whenever it happened.

-- name: NewestCall :one
SELECT id, trace_id FROM llm_traces WHERE id = (SELECT MAX(c.id) FROM llm_traces AS c);

-- What happened last before a time, the newest first: evidence.

-- name: ListCallsBefore :many
SELECT trace_id FROM llm_traces
WHERE created_at <= @at ORDER BY created_at DESC, id DESC LIMIT @lim;

-- name: ListReadingsBefore :many
SELECT created_at, cpu_pct, mem_rss_bytes, mem_available, disk_free_bytes FROM system_metrics
WHERE created_at <= @at ORDER BY created_at DESC, id DESC LIMIT @lim;
