package store

import (
	"context"
	"database/sql"
)

// conn is the writing connection as generated code sees it (db.DBTX): each
// statement that changes rows is parsed at its first use and kept, since parsing
// costs more than running it. A transaction belongs to the connection, so what runs
// here while one is open is part of it.
type conn struct {
	*sql.Conn
	stmts map[string]*sql.Stmt // by text; there are as many as generated methods
}

func (c *conn) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	stmt := c.stmts[query]
	if stmt == nil {
		var err error
		if stmt, err = c.PrepareContext(ctx, query); err != nil {
			return nil, err
		}
		c.stmts[query] = stmt
	}
	return stmt.ExecContext(ctx, args...)
}

// reader is a reading connection as generated code sees it. What runs on it ends with
// ctx, whatever context it was given.
type reader struct {
	*sql.Conn
	ctx context.Context
}

func (r *reader) QueryContext(_ context.Context, query string, args ...any) (*sql.Rows, error) {
	return r.Conn.QueryContext(r.ctx, query, args...)
}

func (r *reader) QueryRowContext(_ context.Context, query string, args ...any) *sql.Row {
	return r.Conn.QueryRowContext(r.ctx, query, args...)
}

func (c *conn) Close() error {
	for _, stmt := range c.stmts {
		_ = stmt.Close() // the connection's own error says more
	}
	return c.Conn.Close()
}
