-- Called by internal/demo.

-- Whether the database holds sample data, and since when.

-- name: GetDemo :one
SELECT value FROM meta WHERE key = 'demo';

-- name: MarkDemo :exec
INSERT INTO meta (key, value) VALUES ('demo', @made_at);
