package demo_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"math"
	"path/filepath"
	"testing"
	"time"

	"github.com/kon-rad/openclaw-trace/db"
	"github.com/kon-rad/openclaw-trace/internal/demo"
	"github.com/kon-rad/openclaw-trace/internal/store"
	"github.com/kon-rad/openclaw-trace/internal/writer"
)

func open(t *testing.T) (*store.Store, *writer.Writer) {
	t.Helper()
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	st, err := store.Open(t.Context(), store.Options{Path: filepath.Join(t.TempDir(), "trace.db"), Synchronous: "normal", Log: log})
	if err != nil {
		t.Fatal(err)
	}
	w, err := writer.New(st, writer.Options{MaxTextBytes: 16384, MaxQueueBytes: 64 << 20, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(w.Close(context.Background()), st.Close()); err != nil {
			t.Error(err)
		}
	})
	return st, w
}

func TestFill(t *testing.T) {
	st, w := open(t)
	now := time.Now()
	if err := demo.Fill(t.Context(), w, now); err != nil {
		t.Fatal(err)
	}
	books := w.Books()
	if books.Duplicates+books.Refused+books.Repaired+books.Masked > 0 {
		t.Errorf("books %+v", books)
	}
	if err := demo.Fill(t.Context(), w, now); err != nil || w.Books().Received != books.Received {
		t.Errorf("a second time: %v, books %+v", err, w.Books())
	}
	var calls []db.LLMTrace
	err := st.Read(t.Context(), func(q *db.Queries) (err error) {
		calls, err = q.ListPendingCalls(t.Context(), db.ListPendingCallsParams{Upto: math.MaxInt64, Lim: 10_000})
		return err
	})
	if err != nil || len(calls) < 200 {
		t.Fatalf("%d calls, %v", len(calls), err)
	}
	for _, c := range calls {
		var metadata struct {
			Demo bool `json:"openclaw_trace.demo"`
		}
		if err := json.Unmarshal([]byte(*c.Metadata), &metadata); err != nil || !metadata.Demo {
			t.Fatalf("%s is not marked: %s", c.TraceID, *c.Metadata)
		}
		if !json.Valid([]byte(*c.InputText)) || c.OutputText != nil && !json.Valid([]byte(*c.OutputText)) {
			t.Fatalf("%s: messages are no JSON", c.TraceID)
		}
		if (c.Status == "ok") != (c.ErrorType == nil) || (c.CostUSD == nil) != (c.CostSource == nil) {
			t.Errorf("%s: %s %v, cost %v from %v", c.TraceID, c.Status, c.ErrorType, c.CostUSD, c.CostSource)
		}
	}
	last := calls[len(calls)-1]
	if age := now.Sub(time.UnixMilli(last.CreatedAt)); last.Status != "error" || age < 0 || age > 15*time.Minute {
		t.Errorf("the last call is %s, %v ago", last.Status, age)
	}
}

func TestRefusesRealData(t *testing.T) {
	_, w := open(t)
	if _, err := w.Submit(&writer.Batch{Calls: []db.InsertLLMTraceParams{{Provider: "p", Model: "m", Status: "ok"}}}); err != nil {
		t.Fatal(err)
	}
	if err := demo.Fill(t.Context(), w, time.Now()); !errors.Is(err, demo.ErrNotDemo) || w.Books().Received != 1 {
		t.Errorf("%v, books %+v", err, w.Books())
	}
}
