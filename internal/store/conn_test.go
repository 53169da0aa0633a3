package store_test

import (
	"context"
	"database/sql"
	"errors"
	"testing"
)

// A reader that keeps its statements finds what one finds that parses them anew: also
// when a statement is run again before it was read to its end, or was not read to it.
func TestReaderKeepsStatements(t *testing.T) {
	st := open(t, newPath(t))
	defer closeStore(t, st)
	const text = "SELECT value FROM json_each(?) ORDER BY 1"
	err := st.ReadSQL(t.Context(), func(ctx context.Context, c *sql.Conn) error {
		for range 3 {
			outer, err := c.QueryContext(ctx, text, "[1, 2, 3]")
			if err != nil {
				return err
			}
			var n, sum int
			for outer.Next() {
				if err := outer.Scan(&n); err != nil {
					return err
				}
				sum = 10*sum + n
				// Two rows of three, and the rest is left.
				inner, err := c.QueryContext(ctx, text, "[7, 8, 9]")
				if err != nil {
					return err
				}
				for range 2 {
					if !inner.Next() || inner.Scan(&n) != nil {
						t.Error("a row is missing")
					}
					sum = 10*sum + n
				}
				if err := inner.Close(); err != nil {
					return err
				}
			}
			if err := errors.Join(outer.Err(), outer.Close()); err != nil {
				return err
			}
			if sum != 178_278_378 {
				t.Errorf("read %d", sum)
			}
		}
		var none int
		if err := c.QueryRowContext(ctx, text, "[]").Scan(&none); !errors.Is(err, sql.ErrNoRows) {
			t.Errorf("of an empty list: %v", err)
		}
		if err := c.QueryRowContext(ctx, text, "no JSON").Scan(&none); err == nil {
			t.Error("an error of the statement is lost")
		}
		return c.QueryRowContext(ctx, text, "[4]").Scan(&none)
	})
	if err != nil {
		t.Error(err)
	}
}

// Statements that are kept hold no lock and no state of the database.
func TestKeptStatementsSeeWhatIsNew(t *testing.T) {
	st := open(t, newPath(t))
	defer closeStore(t, st)
	for want := range 4 {
		err := st.ReadSQL(t.Context(), func(ctx context.Context, c *sql.Conn) error {
			var n int
			err := c.QueryRowContext(ctx, "SELECT COALESCE(SUM(n), 0) FROM ledger").Scan(&n)
			if n != want {
				t.Errorf("%d, want %d", n, want)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := count(st, "seen", 1); err != nil {
			t.Fatal(err)
		}
	}
}
