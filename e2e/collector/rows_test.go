package main_test

import (
	"database/sql"
	"fmt"
	"slices"
	"testing"

	_ "modernc.org/sqlite"
)

// rows are a table's, by column. Texts, numbers and NULL are string, int64 or float64,
// and nil.
type rows []map[string]any

// stored is what a stopped sidecar has left in its file.
type stored struct {
	calls, spans, errors rows
	ledger               rows
}

// read reads the file as anybody may. Row ids, which follow the order of arrival, are
// left out.
func read(t testing.TB, path string) stored {
	t.Helper()
	db := openFile(t, path)
	defer db.Close()
	s := stored{
		calls:  query(t, db, "SELECT * FROM llm_traces ORDER BY trace_id"),
		spans:  query(t, db, "SELECT * FROM spans ORDER BY trace_id"),
		errors: query(t, db, "SELECT * FROM error_events ORDER BY trace_id"),
		ledger: query(t, db, "SELECT * FROM ledger ORDER BY kind, outcome, reason"),
	}
	for kind, n := range map[string]int{"llm_trace": len(s.calls), "span": len(s.spans), "error_event": len(s.errors)} {
		if received := s.counted(kind, "received"); received != n {
			t.Errorf("the ledger says that %d of %s were received, the table has %d", received, kind, n)
		}
	}
	return s
}

// arrive waits until the books of a running sidecar have all of k. A collector that is
// stopped before that gives up what it would have sent again.
func (k *known) arrive(t testing.TB, path string) {
	t.Helper()
	db := openFile(t, path)
	defer db.Close()
	eventually(t, fmt.Sprintf("%d events, %d records below WARN and %d data points arrive", k.rows(), k.quiet, k.points), func() bool {
		s := stored{ledger: query(t, db, "SELECT * FROM ledger")}
		rows := s.counted("llm_trace", "received") + s.counted("span", "received") + s.counted("error_event", "received")
		return rows >= k.rows() && s.counted("log", "ignored") >= k.quiet && s.counted("metric", "ignored") >= k.points
	})
}

func openFile(t testing.TB, path string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path+"?mode=ro&_pragma=busy_timeout(10000)")
	if err != nil {
		t.Fatal(err)
	}
	return db
}

func query(t testing.TB, db *sql.DB, text string) (all rows) {
	t.Helper()
	result, err := db.QueryContext(t.Context(), text)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	defer result.Close()
	columns, err := result.Columns()
	if err != nil {
		t.Fatal(err)
	}
	for result.Next() {
		values, to := make([]any, len(columns)), make([]any, len(columns))
		for i := range values {
			to[i] = &values[i]
		}
		if err := result.Scan(to...); err != nil {
			t.Fatal(err)
		}
		row := make(map[string]any)
		for i, name := range columns {
			if name != "id" {
				row[name] = values[i]
			}
		}
		all = append(all, row)
	}
	if err := result.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

// counted is how many events of a kind the ledger has with an outcome, whatever the
// reason.
func (s stored) counted(kind, outcome string) (n int) {
	for _, line := range s.ledger {
		if line["kind"] == kind && line["outcome"] == outcome {
			n += int(line["n"].(int64))
		}
	}
	return n
}

// column returns the texts in a column, sorted.
func (r rows) column(name string) []string {
	texts := make([]string, len(r))
	for i, row := range r {
		texts[i], _ = row[name].(string)
	}
	slices.Sort(texts)
	return texts
}

// with returns the one row that has the value in the column.
func (r rows) with(t testing.TB, column string, value any) map[string]any {
	t.Helper()
	i := slices.IndexFunc(r, func(row map[string]any) bool { return row[column] == value })
	if i < 0 {
		t.Fatalf("no row has %s = %v", column, value)
	}
	return r[i]
}
