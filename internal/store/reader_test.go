package store_test

import (
	"context"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kon-rad/openclaw-trace/db"
	"github.com/kon-rad/openclaw-trace/internal/store"
)

// A Reader that began while nobody had the database open sees what a sidecar writes that
// is started meanwhile, and is in nobody's way.
func TestReaderSeesWhoComesLater(t *testing.T) {
	path := filepath.Join(t.TempDir(), "trace.db")
	if _, err := store.OpenReader(t.Context(), path); err == nil || !strings.Contains(err.Error(), "is not there") {
		t.Fatalf("a reader of nothing: %v", err)
	}
	if _, err := store.MigrateUp(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	r, err := store.OpenReader(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	calls := func() (last int64) {
		t.Helper()
		err := r.Read(t.Context(), func(q *db.Queries) error {
			ids, err := q.NewestIDs(t.Context())
			last = ids.LLMTrace
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return last
	}
	if n := calls(); n != 0 {
		t.Fatalf("newest call %d before there is one", n)
	}
	st, err := store.Open(t.Context(), store.Options{Path: path, Synchronous: "normal", Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
	if err != nil {
		t.Fatal(err)
	}
	err = st.Tx(func(q *db.Queries) error {
		_, err := q.InsertLLMTrace(context.Background(), db.InsertLLMTraceParams{TraceID: "0b0b9e4e-5c0f-4a8e-9d2e-0123456789ab", CreatedAt: 1, Provider: "p", Model: "m", Status: "ok"})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if n := calls(); n != 1 {
		t.Errorf("newest call %d, want 1", n)
	}
	if err := r.QuickCheck(t.Context()); err != nil {
		t.Error(err)
	}
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	if n := calls(); n != 1 {
		t.Errorf("newest call %d when nobody writes any more, want 1", n)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
}
