package push_test

import (
	"context"
	"net/http"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kon-rad/openclaw-trace/db"
	"github.com/kon-rad/openclaw-trace/internal/genai"
	"github.com/kon-rad/openclaw-trace/internal/otlp"
	"github.com/kon-rad/openclaw-trace/internal/push"
	"github.com/kon-rad/openclaw-trace/internal/writer"
)

// all is one event of each kind.
func all() *writer.Batch {
	return &writer.Batch{
		Calls:  []db.InsertLLMTraceParams{{TraceID: id(1), Provider: "openai", Model: "gpt-5", Status: "ok"}},
		Errors: []db.InsertErrorEventParams{{TraceID: id(2), ErrorType: "crash", Message: "it broke", Severity: "error"}},
		Spans:  []db.InsertSpanParams{{TraceID: id(3), Name: "run", Status: "ok", OTELTraceID: strings.Repeat("a", 32), OTELSpanID: strings.Repeat("b", 16)}},
		Events: []db.InsertCustomEventParams{{TraceID: id(4), Name: "door"}},
	}
}

func TestDelivers(t *testing.T) {
	for _, code := range []int{200, 201, 202, 204} {
		synctest.Test(t, func(t *testing.T) {
			x := newWorld(t)
			defer x.close()
			x.answers(status(code))
			x.submit(all())
			r, err := x.p.Now(t.Context())
			if err != nil || r != (push.Result{Delivered: 4}) {
				t.Errorf("%d: %+v, %v", code, r, err)
			}
			types := ""
			for i, s := range x.batches() {
				if s.batch.SchemaVersion != 1 || s.batch.Sequence != int64(i+1) || s.batch.BatchID != s.key || s.batch.Instance.Host != "box" || len(s.batch.Instance.ID) != 36 {
					t.Errorf("%d: batch %+v", code, s.batch)
				}
				if s.header.Get("Authorization") != "Bearer the-remotes-token" || s.header.Get("User-Agent") != "openclaw-trace/v1" {
					t.Errorf("%d: header %v", code, s.header)
				}
				for _, e := range s.batch.Events {
					types += e.Type + " "
				}
			}
			if types != "error_event llm_trace span custom_event " {
				t.Errorf("%d: came as %s", code, types)
			}
			if b := x.w.Books(); b.Delivered != 4 || b.Pending() != 0 {
				t.Errorf("%d: books %+v", code, b)
			}
			if s := x.p.Status(); s.LastError != "" || s.LastSuccess == 0 || s.Failures != 0 {
				t.Errorf("%d: status %+v", code, s)
			}
		})
	}
}

// What comes in by OTLP goes out by it with the same identity.
func TestDeliversOTLP(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newWorld(t, func(o *push.Options) { o.Format, o.Endpoint = "otlp", "http://remote.test/" })
		defer x.close()
		x.submit(all())
		x.calls(10, 20)
		if r, err := x.p.Now(t.Context()); err != nil || r.Delivered != 14 || r.Error != "" {
			t.Fatalf("%+v, %v", r, err)
		}
		calls, spans, logs := 0, 0, 0
		for _, s := range x.batches() {
			switch s.path {
			case "/v1/traces":
				m, err := genai.Traces(s.raw, otlp.Protobuf, 16384)
				if err != nil {
					t.Fatal(err)
				}
				calls += len(m.Batch.Calls)
				spans += len(m.Batch.Spans)
				for _, c := range m.Batch.Calls {
					if c.Provider != "openai" || c.Model != "gpt-5" || !strings.Contains(*c.Metadata, `"openclaw_trace.trace_id":"00000000-`) {
						t.Errorf("call %+v, metadata %s", c, *c.Metadata)
					}
				}
			case "/v1/logs":
				m, err := genai.Logs(s.raw, otlp.Protobuf, 16384)
				if err != nil {
					t.Fatal(err)
				}
				logs += len(m.Batch.Errors)
			default:
				t.Errorf("sent to %s", s.path)
			}
		}
		if calls != 11 || spans != 1 || logs != 1 {
			t.Errorf("%d calls, %d spans, %d errors", calls, spans, logs)
		}
	})
}

// A remote that is away for a week gets everything, once, the oldest first.
func TestWeekOffline(t *testing.T) {
	if testing.Short() {
		t.Skip("a week takes minutes under the race detector")
	}
	synctest.Test(t, func(t *testing.T) {
		x := newWorld(t)
		defer x.close()
		x.net.setDown(true)
		const hours = 7 * 24
		for h := range hours {
			x.calls(h, h+1)
			time.Sleep(time.Hour)
		}
		if s := x.p.Status(); s.Failures < hours || s.Failures > hours*40 || s.LastError == "" || s.Oldest == 0 || s.Refused {
			t.Errorf("after a week: %+v", s)
		}
		if n := len(x.batches()); n > 0 {
			t.Errorf("%d batches arrived", n)
		}
		x.net.setDown(false)
		time.Sleep(6 * time.Minute) // the longest backoff, and a tick
		n := 0
		for _, s := range x.batches() {
			for _, e := range s.batch.Events {
				if e.TraceID != id(n) {
					t.Fatalf("event %d is %s", n, e.TraceID)
				}
				n++
			}
		}
		if n != hours || x.w.Books().Pending() != 0 {
			t.Errorf("%d events arrived, %d wait", n, x.w.Books().Pending())
		}
	})
}

// Attempts come further and further apart, as the remote asks, and never less than
// every five minutes.
func TestBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newWorld(t)
		defer x.close()
		x.answers(func(w http.ResponseWriter, _ *sent) {
			w.Header().Set("Retry-After", "40")
			w.WriteHeader(503)
		})
		x.calls(0, 1)
		if r, err := x.p.Now(t.Context()); err != nil || r.Error == "" || r.Pending != 1 {
			t.Errorf("%+v, %v", r, err)
		}
		time.Sleep(10 * time.Minute)
		got := x.batches()
		if len(got) < 10 || len(got) > 16 {
			t.Errorf("%d attempts in ten minutes with Retry-After 40", len(got))
		}
		x.answers(status(500))
		time.Sleep(time.Hour)
		between := len(x.batches()) - len(got)
		if between < 12 || between > 120 {
			t.Errorf("%d attempts in an hour", between)
		}
		var last time.Time
		for _, s := range x.batches() {
			if gap := s.at.Sub(last); !last.IsZero() && gap > 5*time.Minute+2*time.Second {
				t.Errorf("%v between two attempts", gap)
			}
			last = s.at
			if s.key != got[0].key || s.batch.Sequence != 1 {
				t.Errorf("the same event as batch %s, number %d", s.key, s.batch.Sequence)
			}
		}
	})
}

// One event that the remote rejects is found, and takes no other with it.
func TestPoison(t *testing.T) {
	for _, code := range []int{400, 413, 422} {
		synctest.Test(t, func(t *testing.T) {
			x := newWorld(t)
			defer x.close()
			bad := id(777)
			x.answers(func(w http.ResponseWriter, s *sent) {
				for _, e := range s.batch.Events {
					if e.TraceID == bad {
						w.WriteHeader(code)
						w.Write([]byte("no such field"))
						return
					}
				}
			})
			x.calls(0, 2000)
			r, err := x.p.Now(t.Context())
			if err != nil || r.Delivered != 1999 || r.Quarantined != 1 || r.Pending != 0 || r.Error != "" {
				t.Fatalf("%d: %+v, %v", code, r, err)
			}
			if n := len(x.batches()); n > 30 {
				t.Errorf("%d: %d attempts", code, n)
			}
			var list []push.Quarantined
			err = x.st.Read(t.Context(), func(q *db.Queries) error {
				list, err = push.InQuarantine(t.Context(), q)
				return err
			})
			if err != nil || len(list) != 1 || list[0].TraceID != bad || !strings.Contains(list[0].Reason, "no such field") {
				t.Errorf("%d: quarantine %+v, %v", code, list, err)
			}
			if b := x.w.Books(); b.Quarantined != 1 || b.Delivered != 1999 {
				t.Errorf("%d: books %+v", code, b)
			}
			x.check()

			// It is taken after all.
			x.answers(nil)
			if n, err := push.Release(t.Context(), x.w, false, bad); n != 1 || err != nil {
				t.Errorf("%d: released %d, %v", code, n, err)
			}
			x.check()
			if r, err := x.p.Now(t.Context()); err != nil || r.Delivered != 1 {
				t.Errorf("%d: %+v, %v", code, r, err)
			}
			if b := x.w.Books(); b.Quarantined != 0 || b.Delivered != 2000 {
				t.Errorf("%d: books at the end %+v", code, b)
			}
		})
	}
}

// A remote that rejects everything is no reason to give everything up.
func TestRejectsAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newWorld(t)
		defer x.close()
		x.answers(status(400))
		x.calls(0, 1000)
		r, err := x.p.Now(t.Context())
		if err != nil || r.Quarantined != 20 || !strings.Contains(r.Error, "rejects every event") || !x.p.Status().Refused {
			t.Errorf("%+v, %v, %+v", r, err, x.p.Status())
		}
		if n, err := push.Release(t.Context(), x.w, true); n != 20 || err != nil {
			t.Errorf("dropped %d, %v", n, err)
		}
		if b := x.w.Books(); b.Dropped != 20 || b.DroppedByReason["quarantine"] != 20 || b.Pending() != 980 {
			t.Errorf("books %+v", b)
		}
	})
}

// What only a change of settings helps against loses nothing, and is tried now and then.
func TestRefused(t *testing.T) {
	for _, code := range []int{301, 302, 307, 308, 401, 403, 404, 405, 410, 415, 451} {
		synctest.Test(t, func(t *testing.T) {
			x := newWorld(t)
			defer x.close()
			x.answers(func(w http.ResponseWriter, s *sent) {
				if s.path != "/in" {
					t.Errorf("%d: it was followed to %s", code, s.path)
				}
				w.Header().Set("Location", "http://remote.test/elsewhere")
				w.WriteHeader(code)
			})
			x.calls(0, 3)
			time.Sleep(time.Hour)
			n := len(x.batches())
			if s := x.p.Status(); n < 10 || n > 14 || !s.Refused || s.LastError == "" || x.w.Books().Pending() != 3 {
				t.Errorf("%d: %d attempts in an hour, status %+v", code, n, s)
			}
			x.answers(nil)
			time.Sleep(6 * time.Minute)
			if s := x.p.Status(); s.Refused || s.LastError != "" || s.Failures != 0 || x.w.Books().Pending() != 0 {
				t.Errorf("%d: afterwards %+v", code, s)
			}
		})
	}
}

// An answer that is lost costs one batch that comes twice, and the books count it once.
func TestAnswerLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newWorld(t)
		defer x.close()
		lost := 0
		x.answers(func(w http.ResponseWriter, _ *sent) {
			if lost++; lost == 1 {
				panic(http.ErrAbortHandler)
			}
		})
		x.calls(0, 10)
		if r, err := x.p.Now(t.Context()); err != nil || r.Error == "" || r.Pending != 10 {
			t.Errorf("%+v, %v", r, err)
		}
		time.Sleep(10 * time.Second)
		got := x.batches()
		if len(got) != 2 || got[0].key != got[1].key || got[0].batch.Sequence != 1 || got[1].batch.Sequence != 1 {
			t.Fatalf("%d batches", len(got))
		}
		if b := x.w.Books(); b.Delivered != 10 || b.Pending() != 0 {
			t.Errorf("books %+v", b)
		}
	})
}

// A connection that breaks at any byte of a request costs an attempt and nothing else.
func TestCutAnywhere(t *testing.T) {
	for _, n := range []int{1, 10, 100, 200, 300, 400, 500, 1000} {
		synctest.Test(t, func(t *testing.T) {
			x := newWorld(t)
			defer x.close()
			x.net.cutAfter(n)
			x.calls(0, 100)
			if r, err := x.p.Now(t.Context()); err != nil || r.Error == "" || r.Pending != 100 {
				t.Errorf("%d: %+v, %v", n, r, err)
			}
			time.Sleep(5 * time.Second)
			for id, times := range x.arrived() {
				if times != 1 {
					t.Errorf("%d: %s arrived %d times", n, id, times)
				}
			}
			if len(x.arrived()) != 100 || x.w.Books().Delivered != 100 {
				t.Errorf("%d: %d arrived, books %+v", n, len(x.arrived()), x.w.Books())
			}
		})
	}
}

// An event that is deleted while it is on its way is counted once: as what the one that
// came first says.
func TestDeletedOnTheWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newWorld(t)
		defer x.close()
		x.answers(func(http.ResponseWriter, *sent) {
			// As retention will: delete, and count it in the same transaction.
			err := x.w.Do(t.Context(), func(tx *writer.Tx) error {
				if n, err := tx.GiveUpCall(t.Context(), 3); err != nil || n != 1 {
					t.Errorf("given up: %d, %v", n, err)
				}
				n, err := tx.DropCall(t.Context(), id(2))
				tx.Count(writer.Entry{Kind: writer.KindCall, Outcome: writer.Dropped, Reason: "age"}, n)
				return err
			})
			if err != nil {
				t.Error(err)
			}
		})
		x.calls(0, 10)
		if r, err := x.p.Now(t.Context()); err != nil || r.Delivered != 9 {
			t.Errorf("%+v, %v", r, err)
		}
		if b := x.w.Books(); b.Delivered != 9 || b.Dropped != 1 || b.Pending() != 0 {
			t.Errorf("books %+v", b)
		}
	})
}

// A database that is put back from a copy has events that the remote knows, and new ones
// that it does not take for those.
func TestRestoredDatabase(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newWorld(t)
		x.calls(0, 10)
		x.stop(t.Context())
		copied, err := os.ReadFile(x.path)
		if err != nil {
			t.Fatal(err)
		}
		x.open()
		x.calls(10, 20)
		x.stop(t.Context())
		if err := os.WriteFile(x.path, copied, 0o600); err != nil {
			t.Fatal(err)
		}
		x.open()
		x.calls(20, 30)
		if r, err := x.p.Now(t.Context()); err != nil || r.Delivered != 10 {
			t.Errorf("%+v, %v", r, err)
		}
		for n := range 30 {
			if x.arrived()[id(n)] != 1 {
				t.Errorf("event %d arrived %d times", n, x.arrived()[id(n)])
			}
		}
		keys := make(map[string]bool)
		for _, s := range x.batches() {
			keys[s.key] = true
		}
		if len(keys) != 3 {
			t.Errorf("%d batch ids for 3 batches", len(keys))
		}
		x.close()
	})
}

// A page instead of a receipt is no receipt.
func TestHTML(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newWorld(t)
		defer x.close()
		x.answers(func(w http.ResponseWriter, _ *sent) {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			w.Write([]byte("<h1>Log in</h1>"))
		})
		x.calls(0, 1)
		r, _ := x.p.Now(t.Context())
		if r.Delivered != 0 || !strings.Contains(r.Error, "HTML") || x.w.Books().Pending() != 1 {
			t.Errorf("%+v", r)
		}
	})
}

// Errors do not wait behind a backlog.
func TestErrorsFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newWorld(t)
		defer x.close()
		x.net.setDown(true)
		x.calls(0, 3000)
		time.Sleep(time.Minute)
		x.submit(&writer.Batch{Errors: []db.InsertErrorEventParams{{TraceID: id(9999), ErrorType: "crash", Message: "x", Severity: "error"}}})
		x.net.setDown(false)
		if _, err := x.p.Now(t.Context()); err != nil {
			t.Fatal(err)
		}
		if first := x.batches()[0]; len(first.batch.Events) != 1 || first.batch.Events[0].TraceID != id(9999) {
			t.Errorf("first came %+v", first.batch.Events[0])
		}
		if n := len(x.arrived()); n != 3001 {
			t.Errorf("%d events arrived", n)
		}
	})
}

// A full batch does not wait for the interval, a lone event does.
func TestWakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newWorld(t, func(o *push.Options) { o.Interval = time.Hour })
		defer x.close()
		time.Sleep(2 * time.Second) // the round at the start finds nothing
		x.calls(0, 1)
		time.Sleep(10 * time.Minute)
		if n := len(x.batches()); n != 0 {
			t.Errorf("%d batches before the interval", n)
		}
		x.calls(1, 500)
		time.Sleep(2 * time.Second)
		if n := len(x.arrived()); n != 500 {
			t.Errorf("%d events after a full batch", n)
		}
		x.calls(500, 501)
		time.Sleep(66 * time.Minute)
		if n := len(x.arrived()); n != 501 {
			t.Errorf("%d events after the interval", n)
		}
	})
}

// Batches have at most 500 events and so many bytes, but for an event that is larger.
func TestLimits(t *testing.T) {
	for _, format := range []string{"json", "otlp"} {
		synctest.Test(t, func(t *testing.T) {
			x := newWorld(t, func(o *push.Options) { o.MaxBytes, o.Format, o.Compression = 20_000, format, "none" })
			defer x.close()
			b := new(writer.Batch)
			for n, size := range []int{1, 9000, 9000, 9000, 16000, 1, 1} {
				b.Calls = append(b.Calls, db.InsertLLMTraceParams{TraceID: id(n), Provider: "p", Model: "m", Status: "ok",
					InputText: new(strings.Repeat("x", size)), OutputText: new(strings.Repeat("y", size))})
			}
			x.submit(b)
			x.calls(10, 1200)
			if r, err := x.p.Now(t.Context()); err != nil || r.Delivered != 1197 {
				t.Fatalf("%s: %+v, %v", format, r, err)
			}
			large := 0
			for _, s := range x.batches() {
				if len(s.raw) > 21_000 {
					large++
				}
				if len(s.batch.Events) > 500 {
					t.Errorf("%s: a batch of %d events", format, len(s.batch.Events))
				}
			}
			if large != 1 {
				t.Errorf("%s: %d batches above the limit, want that of one large event", format, large)
			}
		})
	}
}

// The end waits for a remote as long as it may and no longer.
func TestCloseWhileRemoteHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newWorld(t)
		hang := make(chan struct{})
		x.answers(func(http.ResponseWriter, *sent) { <-hang })
		x.calls(0, 10)
		time.Sleep(2 * time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		began := time.Now()
		r := x.stop(ctx)
		if d := time.Since(began); d != 3*time.Second || r.Pending != 10 || r.Error == "" {
			t.Errorf("after %v: %+v", d, r)
		}
		close(hang)
		x.server.Close()
	})
}

// The end delivers what waits.
func TestCloseDelivers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newWorld(t)
		time.Sleep(2 * time.Second)
		x.calls(0, 10)
		if r := x.stop(t.Context()); r.Delivered != 10 || r.Pending != 0 || r.Error != "" {
			t.Errorf("%+v", r)
		}
		// The sequence goes on where it was.
		x.open()
		x.calls(10, 11)
		if r, err := x.p.Now(t.Context()); err != nil || r.Delivered != 1 {
			t.Errorf("%+v, %v", r, err)
		}
		got := x.batches()
		if len(got) != 2 || got[1].batch.Sequence != 2 || got[0].batch.Instance.ID != got[1].batch.Instance.ID {
			t.Errorf("%d batches", len(got))
		}
		x.close()
	})
}
