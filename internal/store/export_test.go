package store

import (
	"context"
	"database/sql"
)

// ReadSQL runs f on a connection that reads.
func (s *Store) ReadSQL(ctx context.Context, f func(context.Context, *sql.Conn) error) error {
	return s.read(ctx, f)
}

// Exec runs SQL on the connection that writes.
func (s *Store) Exec(sql string) error {
	_, err := s.conn.Conn.ExecContext(context.Background(), sql)
	return err
}

// Pragma reads a setting of the connection that writes.
func (s *Store) Pragma(name string) (value int, err error) {
	err = s.conn.QueryRowContext(context.Background(), "PRAGMA "+name).Scan(&value)
	return value, err
}

// ReaderPragma reads a setting of a connection that reads.
func (s *Store) ReaderPragma(name string) (value int, err error) {
	err = s.readers.QueryRowContext(context.Background(), "PRAGMA "+name).Scan(&value)
	return value, err
}
