package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
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

// sqliteConn is what database/sql asks of a connection, all of which SQLite's has.
type sqliteConn interface {
	driver.Conn
	driver.ConnBeginTx
	driver.ConnPrepareContext
	driver.ExecerContext
	driver.Pinger
	driver.QueryerContext
	driver.SessionResetter
	driver.Validator
}

// kept is a connection that keeps the statements that it has parsed, which takes as long
// as many of them run. The driver is where that can be known to be safe: a statement that
// is still being read is not run a second time.
type kept struct {
	sqliteConn
	stmts map[string]*keptStmt // by text
}

type keptStmt struct {
	driver.StmtQueryContext
	close   func() error
	reading bool
}

// maxKept is more than there are queries.
const maxKept = 100

// QueryContext implements driver.QueryerContext.
func (k *kept) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	s := k.stmts[query]
	if s == nil && len(k.stmts) < maxKept {
		stmt, err := k.PrepareContext(ctx, query)
		if err != nil {
			return nil, err
		}
		s = &keptStmt{StmtQueryContext: stmt.(driver.StmtQueryContext), close: stmt.Close}
		k.stmts[query] = s
	}
	if s == nil || s.reading {
		return k.sqliteConn.QueryContext(ctx, query, args)
	}
	rows, err := s.QueryContext(ctx, args)
	if err != nil {
		return nil, err
	}
	s.reading = true
	return &keptRows{rows, s}, nil
}

// Close implements driver.Conn.
func (k *kept) Close() error {
	var errs []error
	for _, s := range k.stmts {
		errs = append(errs, s.close())
	}
	return errors.Join(append(errs, k.sqliteConn.Close())...)
}

type keptRows struct {
	driver.Rows
	stmt *keptStmt
}

func (r *keptRows) Close() error {
	r.stmt.reading = false
	return r.Rows.Close()
}
