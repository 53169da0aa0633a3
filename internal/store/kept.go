package store

import (
	"context"
	"database/sql/driver"
	"errors"
)

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
