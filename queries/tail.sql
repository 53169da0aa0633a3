-- Called by internal/tail. Positions are set by internal/writer, with the rows.

-- name: ListLogPositions :many
SELECT device, inode, path, head_bytes, head, position, updated_at FROM log_positions
ORDER BY updated_at DESC LIMIT @lim;

-- name: DeleteLogPosition :exec
DELETE FROM log_positions WHERE device = @device AND inode = @inode;

-- Events that a line of the log may be, which came another way: its time is a little
-- later there.
-- name: ListLogTwins :many
SELECT id, message, metadata FROM error_events
WHERE created_at >= @since AND created_at < @until AND severity = @severity
ORDER BY created_at LIMIT @lim;
