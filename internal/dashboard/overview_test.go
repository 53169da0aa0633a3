package dashboard_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"github.com/kon-rad/openclaw-trace/db"
	"github.com/kon-rad/openclaw-trace/internal/writer"
)

// What the overview remembers of sessions is never older than what is stored.
func TestOverviewRemembersNothingUntrue(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	now := time.Now()
	calls := 0
	call := func(session string, ago time.Duration, usd float64) db.InsertLLMTraceParams {
		calls++
		return db.InsertLLMTraceParams{
			TraceID: fmt.Sprintf("00000000-0000-4000-8000-%012x", calls), CreatedAt: now.Add(-ago).UnixMilli(), Provider: "p", Model: "m", Status: "ok",
			SessionID: &session, CostUSD: &usd, CostSource: new("reported"),
		}
	}
	is := func(what string, want ...string) {
		t.Helper()
		for range 2 { // the second time it is remembered
			var got []string
			for _, row := range all(f.page("/"), func(n *html.Node) bool { return n.Data == "tr" }) {
				if cells := strings.Fields(text(row)); len(cells) > 2 && strings.HasPrefix(cells[0], "session-") {
					got = append(got, cells[0]+" "+cells[1]+" "+cells[len(cells)-1])
				}
			}
			if strings.Join(got, ", ") != strings.Join(want, ", ") {
				t.Fatalf("%s: %q, want %q", what, got, want)
			}
		}
	}
	// All of them reach out of the day.
	f.submit(&writer.Batch{Calls: []db.InsertLLMTraceParams{
		call("session-a", 30*time.Hour, 100), call("session-a", 20*time.Hour, 2), call("session-a", time.Minute, 1),
		call("session-b", 40*time.Hour, 1), call("session-b", 5*time.Hour, 7),
	}})
	f.settle()
	is("first", "session-b 1 $7.00", "session-a 2 $3.00")
	late := call("session-a", 10*time.Hour, 8)
	f.submit(&writer.Batch{Calls: []db.InsertLLMTraceParams{late}})
	is("a late call", "session-a 3 $11.00", "session-b 1 $7.00")
	// As for a call that is deleted by hand.
	err := f.session.Writer.Erase(t.Context(), func(tx *writer.Tx) error {
		_, err := tx.DeleteCall(context.Background(), int64(calls))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	is("erased", "session-b 1 $7.00", "session-a 2 $3.00")
	revision := f.session.Writer.Revision()
	other := newFixture(t)
	f.session = other.session
	f.submit(&writer.Batch{Calls: []db.InsertLLMTraceParams{call("session-c", 30*time.Hour, 1), call("session-c", time.Hour, 1)}})
	f.settle()
	for f.session.Writer.Revision() < revision {
		if err := f.session.Writer.Erase(t.Context(), func(*writer.Tx) error { return nil }); err != nil {
			t.Fatal(err)
		}
	}
	is("another database", "session-c 1 $1.00")
}
