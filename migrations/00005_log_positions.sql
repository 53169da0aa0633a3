-- How far the agent's log was read.

-- +goose Up
-- One row for a file that is followed. Names do not tell files apart, since logs are
-- renamed, and numbers alone do not either, since file systems give them to the next
-- file; so a file is its number and its beginning. A position is stored in the
-- transaction of the rows made from the lines before it: after a crash no line is
-- missing and none comes twice.
CREATE TABLE log_positions (
    device     INTEGER NOT NULL, -- st_dev and st_ino, as signed numbers
    inode      INTEGER NOT NULL,
    path       TEXT    NOT NULL, -- where it was seen last
    head_bytes INTEGER NOT NULL, -- how much of the file's beginning head is of
    head       TEXT    NOT NULL, -- its SHA-256, in hex
    position   INTEGER NOT NULL, -- bytes before it are done with
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (device, inode)
) STRICT, WITHOUT ROWID;

-- +goose Down
DROP TABLE log_positions;
