package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/kon-rad/openclaw-trace/internal/metrics"
)

// health is the answer of GET /health.
type health struct {
	Status        string   `json:"status"` // ok | degraded | error
	Reasons       []string `json:"reasons"`
	UptimeSeconds int64    `json:"uptime_seconds"`
	Version       string   `json:"version"`

	DBStatus     string `json:"db_status"` // ok | error
	DBSizeBytes  int64  `json:"db_size_bytes"`
	WALSizeBytes int64  `json:"wal_size_bytes"`

	QueueDepth     int   `json:"queue_depth"`     // batches that wait to be stored
	EventsReceived int64 `json:"events_received"` // stored ever
	EventsDropped  int64 `json:"events_dropped"`  // refused or deleted undelivered, ever

	LastPushTime      *int64 `json:"last_push_time"`   // of the last attempt, Unix ms
	LastPushStatus    string `json:"last_push_status"` // disabled | never | ok | error
	LastPushSuccess   *int64 `json:"last_push_success"`
	LastPushError     string `json:"last_push_error"`
	NextPushTime      *int64 `json:"next_push_time"`
	UnsyncedCount     int64  `json:"unsynced_count"`
	OldestUnsyncedAge *int64 `json:"oldest_unsynced_age_ms"`

	Agent    *agent    `json:"agent"`     // null if its process is not watched
	AgentLog *agentLog `json:"agent_log"` // null if its log is not followed

	Ledger          ledger           `json:"ledger"`
	DroppedByReason map[string]int64 `json:"dropped_by_reason"`

	Janitor *janitor `json:"janitor"` // null if nothing is ever deleted
}

// agent is what is known of the agent's process. Times are Unix ms.
type agent struct {
	Found     bool   `json:"found"`
	PID       int    `json:"pid"` // 0 if it is not running
	StartedAt *int64 `json:"started_at"`
	Restarts  int    `json:"restarts"` // seen since the start of the process
	CrashLoop bool   `json:"crash_loop"`
	Silent    bool   `json:"silent"`
	Note      string `json:"note"` // why it is not seen
}

// agentLog says how the following of the agent's log goes since the start of the process.
type agentLog struct {
	Path        string `json:"path"` // of the file that was written last
	BehindBytes int64  `json:"behind_bytes"`
	Lines       int64  `json:"lines"`
	Events      int64  `json:"events"`  // made of lines
	Refused     int64  `json:"refused"` // of floods
	LastLineAt  *int64 `json:"last_line_at"`
}

// janitor is what was deleted since the start of the process.
type janitor struct {
	LastRunTime  *int64           `json:"last_run_time"` // Unix ms
	Deleted      map[string]int64 `json:"deleted"`       // rows, by reason
	TextsDropped int64            `json:"texts_dropped"` // calls that lost their texts
	OverBytes    int64            `json:"over_bytes"`    // by how much the database is too large, or the volume too full
	Waiting      string           `json:"waiting"`       // why nothing is deleted by age, or ""
}

// ledger balances: received = pending + delivered + quarantined + dropped + expired.
type ledger struct {
	Received    int64 `json:"received"`
	Pending     int64 `json:"pending"`
	Delivered   int64 `json:"delivered"`
	Quarantined int64 `json:"quarantined"`
	Dropped     int64 `json:"dropped"`
	Expired     int64 `json:"expired"`
}

// getHealth answers from memory, so that it answers when the disk does not.
func (s *Server) getHealth(*http.Request) (response, error) {
	body, err := json.Marshal(s.health())
	if err != nil {
		return response{}, err
	}
	return response{status: http.StatusOK, contentType: jsonType, body: append(body, '\n')}, nil
}

// Reasons returns why health is not ok, in plain words.
func (s *Server) Reasons() []string { return s.health().Reasons }

func (s *Server) health() health {
	h := health{
		Status: "ok", Reasons: []string{}, Version: s.opts.Version,
		UptimeSeconds: int64(time.Since(s.started) / time.Second),
		DBStatus:      "ok", LastPushStatus: "disabled", DroppedByReason: map[string]int64{},
	}
	if s.opts.PushEnabled {
		h.LastPushStatus = "never"
	}
	session := s.session.Load()
	if session == nil {
		session = s.last.Load()
	}
	if session != nil {
		w := session.Writer
		h.DBSizeBytes, h.WALSizeBytes = w.Sizes()
		h.QueueDepth = w.Depth()
		books := w.Books()
		h.EventsReceived = books.Received
		h.EventsDropped = books.Refused + books.Dropped
		h.UnsyncedCount = books.Pending()
		h.Ledger = ledger{
			books.Received, books.Pending(), books.Delivered, books.Quarantined, books.Dropped, books.Expired,
		}
		if books.DroppedByReason != nil {
			h.DroppedByReason = books.DroppedByReason
		}
		for _, notice := range append([]string{session.Notice, w.Notice(), s.delivery(&h, session)}, h.parts(&session.Parts)...) {
			if notice != "" {
				h.Status = "degraded"
				h.Reasons = append(h.Reasons, notice)
			}
		}
	}
	if fault := s.fault(); fault != "" {
		h.Status, h.DBStatus = "error", "error"
		h.Reasons = append(h.Reasons, fault)
	}
	return h
}

// delivery adds how forwarding goes, and returns why somebody should look at it, or "".
func (s *Server) delivery(h *health, session *Session) string {
	if session.Delivery == nil {
		return ""
	}
	d := session.Delivery.Status()
	h.LastPushTime, h.LastPushSuccess, h.NextPushTime = known(d.LastAttempt), known(d.LastSuccess), known(d.NextAttempt)
	h.LastPushError = d.LastError
	switch {
	case d.LastAttempt == 0:
	case d.LastError == "":
		h.LastPushStatus = "ok"
	default:
		h.LastPushStatus = "error"
	}
	var age time.Duration
	if d.Oldest > 0 {
		age = time.Since(time.UnixMilli(d.Oldest))
		h.OldestUnsyncedAge = known(age.Milliseconds())
	}
	switch {
	case d.Refused:
		return "the remote refuses events until a setting is changed, there or here; all are kept: " + d.LastError
	case d.Failures > 0 && age > 3*s.opts.PushInterval:
		return fmt.Sprintf("the oldest event waits for delivery since %s; the last error: %s", age.Round(time.Second), d.LastError)
	}
	return ""
}

// parts adds how the other parts go, and returns why somebody should look at them, of
// which "" is nothing.
func (h *health) parts(p *metrics.Parts) (notices []string) {
	if p.Janitor != nil {
		j := p.Janitor()
		h.Janitor = &janitor{known(j.LastRun), j.Deleted, j.Texts, j.OverBytes, j.Doubt}
		notices = append(notices, j.Reason)
	}
	if p.Host != nil {
		notices = append(notices, p.Host().Reason)
	}
	if p.Log != nil {
		l := p.Log()
		h.AgentLog = &agentLog{l.Path, l.Behind, l.Lines, l.Events, l.Refused, known(l.LastLineAt)}
		notices = append(notices, l.Reason)
	}
	if p.Agent != nil {
		a := p.Agent()
		h.Agent = &agent{a.Running, a.PID, known(a.StartedAt), a.Restarts, a.CrashLoop, a.Silent, a.Note}
	}
	return notices
}

// known returns a time, or nil for none.
func known(ms int64) *int64 {
	if ms == 0 {
		return nil
	}
	return &ms
}

// fault returns why events cannot be stored at the moment, or "".
func (s *Server) fault() string {
	session := s.session.Load()
	if session == nil {
		return *s.problem.Load()
	}
	return session.Writer.Fault()
}

// notReady returns why events should not be sent here at the moment, or "".
func (s *Server) notReady() string {
	select {
	case <-s.stopped:
		return "stopping"
	default:
		return s.fault()
	}
}

// getReady answers 200 when events can be stored. A remote that does not answer is
// no reason to send none here.
func (s *Server) getReady(*http.Request) (response, error) {
	if fault := s.notReady(); fault != "" {
		return response{}, errUnavailable("not ready: "+fault, nil)
	}
	return response{status: http.StatusOK, contentType: jsonType, body: []byte(`{"status":"ready"}` + "\n")}, nil
}
