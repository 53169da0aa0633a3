package api

import (
	"cmp"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/kon-rad/openclaw-trace/internal/metrics"
)

// getMetrics answers from memory, as health does.
func (s *Server) getMetrics(r *http.Request) (response, error) {
	h := s.health()
	f := &metrics.Figures{
		Now: time.Now(), Version: s.opts.Version, Status: h.Status, Reasons: len(h.Reasons), Ready: s.notReady() == "",
		Requests: s.requests.list(),
	}
	if session := cmp.Or(s.session.Load(), s.last.Load()); session != nil {
		f.Writer, f.Parts = session.Writer, session.Parts
	}
	res := response{status: http.StatusOK, contentType: metrics.TextType}
	open := wantsOpenMetrics(r.Header.Values("Accept"))
	if open {
		res.contentType = metrics.OpenMetricsType
	}
	res.body = metrics.Write(f, open)
	return res, nil
}

// wantsOpenMetrics tells whether OpenMetrics 1.0.0 is asked for, and not less than text.
func wantsOpenMetrics(accept []string) bool {
	var open, text float64
	for _, part := range strings.Split(strings.Join(accept, ","), ",") {
		kind, params, err := mime.ParseMediaType(part)
		if err != nil {
			continue
		}
		q := 1.0
		if v, ok := params["q"]; ok {
			if q, err = strconv.ParseFloat(v, 64); err != nil {
				continue
			}
		}
		version := params["version"]
		switch {
		case kind == "application/openmetrics-text" && (version == "" || version == "1.0.0"):
			open = max(open, q)
		case kind == "text/plain" && (version == "" || version == "0.0.4"):
			text = max(text, q)
		}
	}
	return open > 0 && open >= text
}

// tally counts requests by what they were answered.
type tally struct {
	mu sync.Mutex
	n  map[answered]int64
}

type answered struct {
	method, path string
	status       int
}

func (t *tally) add(r route, status int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.n[answered{r.method, r.path, status}]++
}

func (t *tally) list() []*metrics.Requests {
	t.mu.Lock()
	list := make([]*metrics.Requests, 0, len(t.n))
	for a, n := range t.n {
		list = append(list, &metrics.Requests{Method: a.method, Path: a.path, Status: a.status, N: n})
	}
	t.mu.Unlock()
	slices.SortFunc(list, func(a, b *metrics.Requests) int {
		return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Method, b.Method), cmp.Compare(a.Status, b.Status))
	})
	return list
}
