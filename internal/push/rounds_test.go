package push_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kon-rad/openclaw-trace/internal/push"
)

// An endpoint may have a query, as one with a key has: the paths of OTLP go before it.
func TestOTLPEndpointWithQuery(t *testing.T) {
	for endpoint, want := range map[string]string{
		"http://remote.test/in?key=a%2Fb": "/in/v1/traces?key=a%2Fb",
		"http://remote.test?key=x":        "/v1/traces?key=x",
		"http://remote.test/a%2Fb/":       "/a%2Fb/v1/traces?",
	} {
		synctest.Test(t, func(t *testing.T) {
			x := newWorld(t, func(o *push.Options) { o.Format, o.Endpoint = "otlp", endpoint })
			defer x.close()
			x.calls(0, 1)
			if r, err := x.p.Now(t.Context()); err != nil || r.Delivered != 1 {
				t.Errorf("%+v, %v", r, err)
			}
			for _, s := range x.batches() {
				if got := s.url.EscapedPath() + "?" + s.url.RawQuery; got != want {
					t.Errorf("%s: sent to %s, want %s", endpoint, got, want)
				}
			}
		})
	}
}

// A remote that says something else with each answer, such as the id of the request, is
// no news each time.
func TestLogsOnChangeOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		x := newWorld(t, func(o *push.Options) { o.Log = slog.New(slog.NewTextHandler(&log, nil)) })
		n := 0
		x.answers(func(w http.ResponseWriter, _ *sent) {
			n++
			w.WriteHeader(503)
			fmt.Fprintf(w, "busy, request %x", n*7919)
		})
		x.calls(0, 1)
		time.Sleep(2 * time.Hour)
		x.answers(status(502))
		time.Sleep(time.Hour)
		x.answers(nil)
		time.Sleep(6 * time.Minute)
		x.close()
		if lines := strings.Count(log.String(), "\n"); lines != 3 || n < 20 {
			t.Errorf("%d lines for %d attempts:\n%.2000s", lines, n, log.String())
		}
	})
}

// The sequence counts what JSON receivers took: a time with the other format is no gap.
func TestSequenceAcrossFormats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newWorld(t)
		for i, format := range []string{"json", "otlp", "json"} {
			x.stop(t.Context())
			x.open(func(o *push.Options) { o.Format = format })
			x.calls(i, i+1)
			if r, err := x.p.Now(t.Context()); err != nil || r.Delivered != 1 {
				t.Errorf("%+v, %v", r, err)
			}
		}
		var sequence []int64
		for _, s := range x.batches() {
			if s.batch.Sequence > 0 {
				sequence = append(sequence, s.batch.Sequence)
			}
		}
		if len(sequence) != 2 || sequence[0] != 1 || sequence[1] != 2 {
			t.Errorf("sequence %v", sequence)
		}
		x.close()
	})
}

// Once nothing waits any more, deleted as it was, a full batch is sent at once again.
func TestFullBatchAfterFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newWorld(t, func(o *push.Options) { o.Interval = time.Hour })
		defer x.close()
		x.answers(status(400))
		x.calls(0, 20) // so many in a row that the remote rejects everything
		time.Sleep(10 * time.Minute)
		if s := x.p.Status(); x.w.Books().Pending() != 0 || !s.Refused {
			t.Errorf("%+v", s)
		}
		x.answers(nil)
		x.calls(20, 520)
		time.Sleep(10 * time.Second)
		if n := x.w.Books().Pending(); n != 0 {
			t.Errorf("%d events wait", n)
		}
	})
}

// While an attempt is under way there is no next one.
func TestNextAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newWorld(t)
		defer x.close()
		time.Sleep(2 * time.Second)
		if s := x.p.Status(); s.NextAttempt <= time.Now().UnixMilli() {
			t.Errorf("at rest %+v", s)
		}
		x.answers(func(http.ResponseWriter, *sent) {
			if s := x.p.Status(); s.NextAttempt != 0 {
				t.Errorf("under way %+v", s)
			}
		})
		x.calls(0, 1)
		if _, err := x.p.Now(t.Context()); err != nil {
			t.Fatal(err)
		}
		if s := x.p.Status(); s.NextAttempt <= time.Now().UnixMilli() {
			t.Errorf("afterwards %+v", s)
		}
	})
}
