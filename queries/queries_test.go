// Package queries_test runs every query on a database that has all migrations. sqlc
// checks names and types, but not that SQLite can bind what sqlc generated, nor how
// it finds the rows.
package queries_test

import (
	"context"
	"database/sql"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kon-rad/openclaw-trace/db"
	"github.com/kon-rad/openclaw-trace/internal/store"
)

// plans says how SQLite finds the rows of each query that looks for some. A new
// query needs a line here, with the index it was written for.
var plans = map[string][]string{
	"FindLLMTrace":     {"SEARCH llm_traces USING INDEX sqlite_autoindex_llm_traces_1 (trace_id=?)"},
	"FindErrorEvent":   {"SEARCH error_events USING INDEX sqlite_autoindex_error_events_1 (trace_id=?)"},
	"FindSpan":         {"SEARCH spans USING INDEX sqlite_autoindex_spans_1 (trace_id=?)"},
	"FindCustomEvent":  {"SEARCH custom_events USING INDEX sqlite_autoindex_custom_events_1 (trace_id=?)"},
	"FindSystemMetric": {"SEARCH system_metrics USING INDEX sqlite_autoindex_system_metrics_1 (trace_id=?)"},
	"ListCallsAfter":   {"SEARCH llm_traces USING INTEGER PRIMARY KEY (rowid>?)"},
	"LastIDs": {
		"SCAN CONSTANT ROW",
		"SCALAR SUBQUERY 1", "SEARCH c", // the end of the table
		"SCALAR SUBQUERY 2", "SEARCH e",
		"SCALAR SUBQUERY 3", "SEARCH s",
		"SCALAR SUBQUERY 4", "SEARCH v",
		"SCALAR SUBQUERY 5", "SEARCH m",
	},
	"FirstIDs": {
		"SCAN CONSTANT ROW",
		"SCALAR SUBQUERY 1", "SEARCH c", // the start of the table
		"SCALAR SUBQUERY 2", "SEARCH e",
		"SCALAR SUBQUERY 3", "SEARCH s",
		"SCALAR SUBQUERY 4", "SEARCH v",
	},
	"ListUsageNames":   {"SEARCH usage USING PRIMARY KEY (granularity=? AND start_at>?)", "USE TEMP B-TREE FOR DISTINCT"},
	"ListCallsToPrice": {"SEARCH llm_traces USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)"},
	"SetCost":          {"SEARCH llm_traces USING INTEGER PRIMARY KEY (rowid=?)"},
	"AdjustUsage": {
		"SEARCH usage USING PRIMARY KEY (granularity=? AND start_at=? AND provider=? AND model=? AND agent=? AND status=?)",
	},
	"AdjustSession": {"SEARCH sessions USING PRIMARY KEY (session_id=?)"},
	"CopySession":   {"SEARCH s USING PRIMARY KEY (session_id=?)"},
	"DeleteSession": {"SEARCH sessions USING PRIMARY KEY (session_id=?)"},
	"GetCallTexts":  {"SEARCH llm_traces USING INTEGER PRIMARY KEY (rowid=?)"},
	"SetCallTexts":  {"SEARCH llm_traces USING INTEGER PRIMARY KEY (rowid=?)"},
	"GetErrorTexts": {"SEARCH error_events USING INTEGER PRIMARY KEY (rowid=?)"},
	"SetErrorTexts": {"SEARCH error_events USING INTEGER PRIMARY KEY (rowid=?)"},
	"GetSpanTexts":  {"SEARCH spans USING INTEGER PRIMARY KEY (rowid=?)"},
	"SetSpanTexts":  {"SEARCH spans USING INTEGER PRIMARY KEY (rowid=?)"},
	"GetEventTexts": {"SEARCH custom_events USING INTEGER PRIMARY KEY (rowid=?)"},
	"SetEventTexts": {"SEARCH custom_events USING INTEGER PRIMARY KEY (rowid=?)"},

	"ListPendingErrors":   {"SEARCH error_events USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)"},
	"FirstPendingError":   {"SEARCH error_events USING COVERING INDEX idx_errors_synced (synced=?)"},
	"MarkError":           {"SEARCH error_events USING INTEGER PRIMARY KEY (rowid=?)"},
	"GiveUpError":         {"SEARCH error_events USING INTEGER PRIMARY KEY (rowid=?)"},
	"RetryError":          {"SEARCH error_events USING INDEX sqlite_autoindex_error_events_1 (trace_id=?)"},
	"DropError":           {"SEARCH error_events USING INDEX sqlite_autoindex_error_events_1 (trace_id=?)"},
	"ListPendingCalls":    {"SEARCH llm_traces USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)"},
	"FirstPendingCall":    {"SEARCH llm_traces USING COVERING INDEX idx_llm_synced (synced=?)"},
	"MarkCall":            {"SEARCH llm_traces USING INTEGER PRIMARY KEY (rowid=?)"},
	"GiveUpCall":          {"SEARCH llm_traces USING INTEGER PRIMARY KEY (rowid=?)"},
	"RetryCall":           {"SEARCH llm_traces USING INDEX sqlite_autoindex_llm_traces_1 (trace_id=?)"},
	"DropCall":            {"SEARCH llm_traces USING INDEX sqlite_autoindex_llm_traces_1 (trace_id=?)"},
	"ListPendingSpans":    {"SEARCH spans USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)"},
	"FirstPendingSpan":    {"SEARCH spans USING COVERING INDEX idx_spans_synced (synced=?)"},
	"MarkSpan":            {"SEARCH spans USING INTEGER PRIMARY KEY (rowid=?)"},
	"GiveUpSpan":          {"SEARCH spans USING INTEGER PRIMARY KEY (rowid=?)"},
	"RetrySpan":           {"SEARCH spans USING INDEX sqlite_autoindex_spans_1 (trace_id=?)"},
	"DropSpan":            {"SEARCH spans USING INDEX sqlite_autoindex_spans_1 (trace_id=?)"},
	"ListPendingEvents":   {"SEARCH custom_events USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)"},
	"FirstPendingEvent":   {"SEARCH custom_events USING COVERING INDEX idx_events_synced (synced=?)"},
	"MarkEvent":           {"SEARCH custom_events USING INTEGER PRIMARY KEY (rowid=?)"},
	"GiveUpEvent":         {"SEARCH custom_events USING INTEGER PRIMARY KEY (rowid=?)"},
	"RetryEvent":          {"SEARCH custom_events USING INDEX sqlite_autoindex_custom_events_1 (trace_id=?)"},
	"DropEvent":           {"SEARCH custom_events USING INDEX sqlite_autoindex_custom_events_1 (trace_id=?)"},
	"ListPendingReadings": {"SEARCH system_metrics USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)"},
	"FirstPendingReading": {"SEARCH system_metrics USING COVERING INDEX idx_metrics_synced (synced=?)"},
	"MarkReading":         {"SEARCH system_metrics USING INTEGER PRIMARY KEY (rowid=?)"},
	"GiveUpReading":       {"SEARCH system_metrics USING INTEGER PRIMARY KEY (rowid=?)"},
	"RetryReading":        {"SEARCH system_metrics USING INDEX sqlite_autoindex_system_metrics_1 (trace_id=?)"},
	"DropReading":         {"SEARCH system_metrics USING INDEX sqlite_autoindex_system_metrics_1 (trace_id=?)"},
	"OldestPending": {
		"SCAN CONSTANT ROW",
		"SCALAR SUBQUERY 1", "SEARCH x0 USING COVERING INDEX idx_errors_synced (synced=?)",
		"SCALAR SUBQUERY 2", "SEARCH x1 USING COVERING INDEX idx_llm_synced (synced=?)",
		"SCALAR SUBQUERY 3", "SEARCH x2 USING COVERING INDEX idx_spans_synced (synced=?)",
		"SCALAR SUBQUERY 4", "SEARCH x3 USING COVERING INDEX idx_events_synced (synced=?)",
		"SCALAR SUBQUERY 5", "SEARCH x4 USING COVERING INDEX idx_metrics_synced (synced=?)",
	},
	"PushMeta": {
		"SCAN CONSTANT ROW",
		"SCALAR SUBQUERY 1", "SEARCH i USING PRIMARY KEY (key=?)",
		"SCALAR SUBQUERY 2", "SEARCH s USING PRIMARY KEY (key=?)",
	},
	"TrimPushLog":      {"SEARCH push_log USING INTEGER PRIMARY KEY (rowid<?)", "SCALAR SUBQUERY 1", "SEARCH l"},
	"ListQuarantine":   {"SEARCH quarantine USING INTEGER PRIMARY KEY (rowid>?)"},
	"DeleteQuarantine": {"SEARCH quarantine USING INTEGER PRIMARY KEY (rowid=?)"},
	"TrimQuarantine":   {"SEARCH quarantine USING INTEGER PRIMARY KEY (rowid<?)", "SCALAR SUBQUERY 1", "SCAN q"},

	"DeleteCalls": {
		"SEARCH llm_traces USING INTEGER PRIMARY KEY (rowid=?)",
		"LIST SUBQUERY 1",
		"SEARCH x USING COVERING INDEX idx_llm_synced (synced=? AND created_at<?)",
	},
	"DeleteErrors": {
		"SEARCH error_events USING INTEGER PRIMARY KEY (rowid=?)",
		"LIST SUBQUERY 1",
		"SEARCH x USING COVERING INDEX idx_errors_synced (synced=? AND created_at<?)",
	},
	"DeleteSpans": {
		"SEARCH spans USING INTEGER PRIMARY KEY (rowid=?)",
		"LIST SUBQUERY 1",
		"SEARCH x USING COVERING INDEX idx_spans_synced (synced=? AND created_at<?)",
	},
	"DeleteEvents": {
		"SEARCH custom_events USING INTEGER PRIMARY KEY (rowid=?)",
		"LIST SUBQUERY 1",
		"SEARCH x USING COVERING INDEX idx_events_synced (synced=? AND created_at<?)",
	},
	"DeleteReadings": {
		"SEARCH system_metrics USING INTEGER PRIMARY KEY (rowid=?)",
		"LIST SUBQUERY 1",
		"SEARCH x USING COVERING INDEX idx_metrics_synced (synced=? AND created_at<?)",
	},
	"AnyQuarantined": {
		"SCAN CONSTANT ROW",
		"SCALAR SUBQUERY 1",
		"SEARCH quarantine USING COVERING INDEX sqlite_autoindex_quarantine_1 (kind=?)",
	},
	"ForgetCalls": {
		"SEARCH quarantine USING COVERING INDEX sqlite_autoindex_quarantine_1 (kind=? AND event_id=?)",
		"LIST SUBQUERY 1",
		"SEARCH x USING INDEX idx_llm_synced (synced=? AND created_at<?)",
	},
	"ForgetErrors": {
		"SEARCH quarantine USING COVERING INDEX sqlite_autoindex_quarantine_1 (kind=? AND event_id=?)",
		"LIST SUBQUERY 1",
		"SEARCH x USING INDEX idx_errors_synced (synced=? AND created_at<?)",
	},
	"ForgetSpans": {
		"SEARCH quarantine USING COVERING INDEX sqlite_autoindex_quarantine_1 (kind=? AND event_id=?)",
		"LIST SUBQUERY 1",
		"SEARCH x USING INDEX idx_spans_synced (synced=? AND created_at<?)",
	},
	"ForgetEvents": {
		"SEARCH quarantine USING COVERING INDEX sqlite_autoindex_quarantine_1 (kind=? AND event_id=?)",
		"LIST SUBQUERY 1",
		"SEARCH x USING INDEX idx_events_synced (synced=? AND created_at<?)",
	},
	"ForgetReadings": {
		"SEARCH quarantine USING COVERING INDEX sqlite_autoindex_quarantine_1 (kind=? AND event_id=?)",
		"LIST SUBQUERY 1",
		"SEARCH x USING INDEX idx_metrics_synced (synced=? AND created_at<?)",
	},
	"OldestOf": {
		"SCAN CONSTANT ROW",
		"SCALAR SUBQUERY 1",
		"SEARCH x0 USING COVERING INDEX idx_errors_synced (synced=?)",
		"SCALAR SUBQUERY 2",
		"SEARCH x1 USING COVERING INDEX idx_llm_synced (synced=?)",
		"SCALAR SUBQUERY 3",
		"SEARCH x2 USING COVERING INDEX idx_spans_synced (synced=?)",
		"SCALAR SUBQUERY 4",
		"SEARCH x3 USING COVERING INDEX idx_events_synced (synced=?)",
		"SCALAR SUBQUERY 5",
		"SEARCH x4 USING COVERING INDEX idx_metrics_synced (synced=?)",
	},
	"NewestRow": {
		"SCAN CONSTANT ROW",
		"SCALAR SUBQUERY 1",
		"SEARCH x0 USING COVERING INDEX idx_errors_created",
		"SCALAR SUBQUERY 2",
		"SEARCH x1 USING COVERING INDEX idx_llm_created",
		"SCALAR SUBQUERY 3",
		"SEARCH x2 USING COVERING INDEX idx_spans_created",
		"SCALAR SUBQUERY 4",
		"SEARCH x3 USING COVERING INDEX idx_events_created",
		"SCALAR SUBQUERY 5",
		"SEARCH x4 USING COVERING INDEX idx_metrics_created",
	},
	"LastRowIDs": {
		"SCAN CONSTANT ROW",
		"SCALAR SUBQUERY 1",
		"SEARCH x0",
		"SCALAR SUBQUERY 2",
		"SEARCH x1",
		"SCALAR SUBQUERY 3",
		"SEARCH x2",
		"SCALAR SUBQUERY 4",
		"SEARCH x3",
		"SCALAR SUBQUERY 5",
		"SEARCH x4",
	},
	"GetJanitor":  {"SEARCH meta USING PRIMARY KEY (key=?)"},
	"ListTexts":   {"SEARCH llm_traces USING INDEX idx_llm_synced (synced=? AND created_at>?)"},
	"DropTexts":   {"SEARCH llm_traces USING INTEGER PRIMARY KEY (rowid=?)"},
	"CallFromEnd": {"SCAN newest"},
	"DeleteUsage": {
		"SEARCH usage USING PRIMARY KEY (granularity=? AND start_at=?)",
		"SCALAR SUBQUERY 1",
		"SEARCH u USING PRIMARY KEY (granularity=? AND start_at<?)",
	},
	"DeleteLatency": {
		"SEARCH latency USING PRIMARY KEY (granularity=? AND start_at=?)",
		"SCALAR SUBQUERY 1",
		"SEARCH l USING PRIMARY KEY (granularity=? AND start_at<?)",
	},
	"DeleteOldSessions": {
		"SEARCH sessions USING PRIMARY KEY (session_id=?)",
		"LIST SUBQUERY 1",
		"SEARCH s USING COVERING INDEX idx_sessions_last (last_at<?)",
	},
	"SessionFromEnd":     {"SCAN newest USING COVERING INDEX idx_sessions_last"},
	"DeleteOldAttempts":  {"SCAN push_log"},
	"DeleteOldPositions": {"SCAN log_positions"},
	"CountOld": {
		"SCAN CONSTANT ROW",
		"SCALAR SUBQUERY 1",
		"SEARCH x0 USING COVERING INDEX idx_errors_synced (synced=? AND created_at<?)",
		"SCALAR SUBQUERY 2",
		"SEARCH x1 USING COVERING INDEX idx_llm_synced (synced=? AND created_at<?)",
		"SCALAR SUBQUERY 3",
		"SEARCH x2 USING COVERING INDEX idx_spans_synced (synced=? AND created_at<?)",
		"SCALAR SUBQUERY 4",
		"SEARCH x3 USING COVERING INDEX idx_events_synced (synced=? AND created_at<?)",
		"SCALAR SUBQUERY 5",
		"SEARCH x4 USING COVERING INDEX idx_metrics_synced (synced=? AND created_at<?)",
	},
	"FindCall":          {"SEARCH llm_traces USING INDEX sqlite_autoindex_llm_traces_1 (trace_id=?)"},
	"ListSessionCalls":  {"SEARCH llm_traces USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)"},
	"ListSessionSpans":  {"SEARCH spans USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)"},
	"ListSessionEvents": {"SEARCH custom_events USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)"},
	"DeleteCall":        {"SEARCH llm_traces USING INTEGER PRIMARY KEY (rowid=?)"},
	"DeleteSpan":        {"SEARCH spans USING INTEGER PRIMARY KEY (rowid=?)"},
	"DeleteEvent":       {"SEARCH custom_events USING INTEGER PRIMARY KEY (rowid=?)"},
	"ForgetQuarantined": {"SEARCH quarantine USING INDEX sqlite_autoindex_quarantine_1 (kind=? AND event_id=?)"},
	"AnySession": {
		"SCAN CONSTANT ROW",
		"SCALAR SUBQUERY 1",
		"SEARCH sessions USING PRIMARY KEY (session_id=?)",
	},
	"EraseSession": {"SEARCH sessions USING PRIMARY KEY (session_id=?)"},

	"CallWindow": {"SEARCH llm_traces USING COVERING INDEX idx_llm_created (created_at>? AND created_at<?)"},
	"CountCallsUpTo": {
		"CO-ROUTINE some",
		"SEARCH c USING COVERING INDEX idx_llm_created (created_at>? AND created_at<?)",
		"SCAN some",
	},
	"ErrorWindow": {"SEARCH error_events USING COVERING INDEX idx_errors_created (created_at>? AND created_at<?)"},
	"EventWindow": {"SEARCH custom_events USING COVERING INDEX idx_events_created (created_at>? AND created_at<?)"},
	"FirstAndLast": {
		"SCAN CONSTANT ROW",
		"SCALAR SUBQUERY 1",
		"SEARCH c0 USING COVERING INDEX idx_llm_created",
		"SCALAR SUBQUERY 2",
		"SEARCH c1 USING COVERING INDEX idx_llm_created",
		"SCALAR SUBQUERY 3",
		"SEARCH e USING COVERING INDEX idx_errors_created",
		"SCALAR SUBQUERY 4",
		"SEARCH v USING COVERING INDEX idx_events_created",
		"SCALAR SUBQUERY 5",
		"SEARCH s USING COVERING INDEX idx_spans_created",
		"SCALAR SUBQUERY 6",
		"SEARCH r USING COVERING INDEX idx_metrics_created",
	},
	"FailedWindow": {"SEARCH llm_traces USING INDEX idx_llm_failed (created_at>? AND created_at<?)"},
	"FirstUsage": {
		"CO-ROUTINE f", "COMPOUND QUERY", "LEFT-MOST SUBQUERY", "SEARCH u USING PRIMARY KEY (granularity=?)",
		"UNION ALL", "SEARCH c USING COVERING INDEX idx_llm_created", "SEARCH f",
	},
	"GetSession":          {"SEARCH sessions USING PRIMARY KEY (session_id=?)"},
	"ListArrivedCalls":    {"SEARCH llm_traces USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)"},
	"ListArrivedErrors":   {"SEARCH error_events USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)"},
	"ListArrivedEvents":   {"SEARCH custom_events USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)"},
	"ListArrivedReadings": {"SEARCH system_metrics USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)"},
	"ListArrivedSpans":    {"SEARCH spans USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)"},
	"ListCalls":           {"SEARCH llm_traces USING INDEX idx_llm_created (created_at>? AND created_at<?)"},
	"ListCallsByPrefix":   {"SEARCH llm_traces USING INDEX sqlite_autoindex_llm_traces_1 (trace_id>? AND trace_id<?)"},
	"ListDearSessions":    {"SEARCH sessions USING INDEX idx_sessions_last (last_at>?)", "USE TEMP B-TREE FOR ORDER BY"},
	"ListErrorEntries":    {"SEARCH error_events USING INDEX idx_errors_created (created_at>? AND created_at<?)"},
	"ListErrorsByPrefix":  {"SEARCH error_events USING INDEX sqlite_autoindex_error_events_1 (trace_id>? AND trace_id<?)"},
	"ListEventEntries":    {"SEARCH custom_events USING INDEX idx_events_created (created_at>? AND created_at<?)"},
	"ListEventsByPrefix":  {"SEARCH custom_events USING INDEX sqlite_autoindex_custom_events_1 (trace_id>? AND trace_id<?)"},
	"ListFailedCalls":     {"SEARCH llm_traces USING INDEX idx_llm_failed (created_at>? AND created_at<?)"},
	"ListFailures":        {"SEARCH llm_traces USING INDEX idx_llm_failed (created_at>? AND created_at<?)"},
	"ListLatencies":       {"SEARCH llm_traces USING INDEX idx_llm_created (created_at>? AND created_at<?)"},
	"ListNewerCalls":      {"SEARCH llm_traces USING INDEX idx_llm_created (created_at>? AND created_at<?)"},
	"ListPushes":          {"SEARCH push_log USING INTEGER PRIMARY KEY (rowid<?)"},
	"ListQuarantined":     {"SEARCH quarantine USING INTEGER PRIMARY KEY (rowid<?)"},
	"ListReadings":        {"SEARCH system_metrics USING INDEX idx_metrics_created (created_at>? AND created_at<?)"},
	"ListSessions":        {"SEARCH sessions USING INDEX idx_sessions_last (last_at>? AND last_at<?)"},
	"ListSpanEntries":     {"SEARCH spans USING INDEX idx_spans_created (created_at>? AND created_at<?)"},
	"ListSpansByPrefix":   {"SEARCH spans USING INDEX sqlite_autoindex_spans_1 (trace_id>? AND trace_id<?)"},
	"ListTraceCalls":      {"SEARCH llm_traces USING INDEX idx_llm_created (created_at>? AND created_at<?)"},
	"ListTraceSpans":      {"SEARCH spans USING INDEX idx_spans_created (created_at>? AND created_at<?)"},
	"NewerWindow":         {"SEARCH llm_traces USING COVERING INDEX idx_llm_created (created_at>?)"},
	"NewestIDs": {
		"SCAN CONSTANT ROW",
		"SCALAR SUBQUERY 1",
		"SEARCH c",
		"SCALAR SUBQUERY 2",
		"SEARCH e",
		"SCALAR SUBQUERY 3",
		"SEARCH s",
		"SCALAR SUBQUERY 4",
		"SEARCH v",
		"SCALAR SUBQUERY 5",
		"SEARCH m",
	},
	"NextReading":             {"SEARCH system_metrics USING INDEX idx_metrics_created (created_at>? AND created_at<?)"},
	"SpanWindow":              {"SEARCH spans USING COVERING INDEX idx_spans_created (created_at>? AND created_at<?)"},
	"ReadArrivedSessionCalls": {"SEARCH llm_traces USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)"},
	"ReadSessionCalls":        {"SEARCH llm_traces USING INDEX idx_llm_created (created_at>? AND created_at<?)"},
	"LastCallID":              {"SEARCH llm_traces"},
	"ListHistograms": {
		"COMPOUND QUERY",
		"LEFT-MOST SUBQUERY",
		"SEARCH d USING PRIMARY KEY (granularity=? AND start_at>? AND start_at<?)",
		"UNION ALL",
		"SEARCH h USING PRIMARY KEY (granularity=? AND start_at>? AND start_at<?)",
		"UNION ALL",
		"SEARCH g USING PRIMARY KEY (granularity=? AND start_at>? AND start_at<?)",
	},
	"SumReadings": {"SEARCH system_metrics USING INDEX idx_metrics_created (created_at>? AND created_at<?)", "USE TEMP B-TREE FOR GROUP BY"},
	"SumSession": {
		"COMPOUND QUERY",
		"LEFT-MOST SUBQUERY",
		"SEARCH s USING PRIMARY KEY (session_id=?)",
		"UNION ALL",
		"SEARCH c USING INTEGER PRIMARY KEY (rowid>?)",
		"SCALAR SUBQUERY 2",
		"SEARCH m USING PRIMARY KEY (key=?)",
	},
	"SumSessionSince": {"SEARCH llm_traces USING INDEX idx_llm_created (created_at>?)"},
	"SumUsage": {
		"CO-ROUTINE u",
		"COMPOUND QUERY",
		"LEFT-MOST SUBQUERY",
		"SEARCH d USING PRIMARY KEY (granularity=? AND start_at>? AND start_at<?)",
		"UNION ALL",
		"SEARCH h USING PRIMARY KEY (granularity=? AND start_at>? AND start_at<?)",
		"UNION ALL",
		"SEARCH g USING PRIMARY KEY (granularity=? AND start_at>? AND start_at<?)",
		"UNION ALL",
		"SEARCH a USING INDEX idx_llm_created (created_at>? AND created_at<?)",
		"UNION ALL",
		"SEARCH b USING INDEX idx_llm_created (created_at>? AND created_at<?)",
		"UNION ALL",
		"SEARCH c USING INTEGER PRIMARY KEY (rowid>?)",
		"SCALAR SUBQUERY 6",
		"SEARCH m USING PRIMARY KEY (key=?)",
		"SCAN u",
		"USE TEMP B-TREE FOR GROUP BY",
	},
	"SumUsageParts": {
		"CO-ROUTINE u",
		"COMPOUND QUERY",
		"LEFT-MOST SUBQUERY",
		"SEARCH d USING PRIMARY KEY (granularity=? AND start_at>? AND start_at<?)",
		"UNION ALL",
		"SEARCH h USING PRIMARY KEY (granularity=? AND start_at>? AND start_at<?)",
		"UNION ALL",
		"SEARCH g USING PRIMARY KEY (granularity=? AND start_at>? AND start_at<?)",
		"UNION ALL",
		"SEARCH a USING INDEX idx_llm_created (created_at>? AND created_at<?)",
		"UNION ALL",
		"SEARCH b USING INDEX idx_llm_created (created_at>? AND created_at<?)",
		"UNION ALL",
		"SEARCH c USING INTEGER PRIMARY KEY (rowid>?)",
		"SCALAR SUBQUERY 6",
		"SEARCH m USING PRIMARY KEY (key=?)",
		"SCAN u",
		"USE TEMP B-TREE FOR GROUP BY",
	},
	"SampleMemory": {
		"CO-ROUTINE part", "SETUP", "SCAN CONSTANT ROW", "RECURSIVE STEP", "SCAN part",
		"SCAN part",
		"SEARCH m USING INTEGER PRIMARY KEY (rowid=?)",
		"CORRELATED SCALAR SUBQUERY 3",
		"SEARCH x USING COVERING INDEX idx_metrics_created (created_at>? AND created_at<?)",
	},
	"AgentMeta": {
		"SCAN CONSTANT ROW",
		"SCALAR SUBQUERY 1", "SEARCH i USING PRIMARY KEY (key=?)",
		"SCALAR SUBQUERY 2", "SEARCH a USING PRIMARY KEY (key=?)",
	},
	"NewestCall":         {"SEARCH llm_traces USING INTEGER PRIMARY KEY (rowid=?)", "SCALAR SUBQUERY 1", "SEARCH c"},
	"ListCallsBefore":    {"SEARCH llm_traces USING INDEX idx_llm_created (created_at<?)"},
	"ListReadingsBefore": {"SEARCH system_metrics USING INDEX idx_metrics_created (created_at<?)"},

	"GetDemo":           {"SEARCH meta USING PRIMARY KEY (key=?)"},
	"ListLogPositions":  {"SCAN log_positions", "USE TEMP B-TREE FOR ORDER BY"},
	"DeleteLogPosition": {"SEARCH log_positions USING PRIMARY KEY (device=? AND inode=?)"},
	"ListLogTwins":      {"SEARCH error_events USING INDEX idx_errors_created (created_at>? AND created_at<?)"},

	"GetMeta":    {"SEARCH meta USING PRIMARY KEY (key=?)"},
	"ListLedger": {"SCAN ledger"},
}

// small tables do not grow with the events, so that they may be read whole. Of those
// that another step of the plan makes, that step says what is read.
var small = []string{
	"CONSTANT", "ledger", "meta", "push_log", "log_positions", "u", "part", "some",
	"q",      // quarantine
	"newest", // of a table, from its end; LIMIT and OFFSET end it
}

func TestPlans(t *testing.T) {
	conn := migrated(t)
	all := statements(t)
	for name, text := range all {
		verb, _, _ := strings.Cut(comment.ReplaceAllString(text, ""), " ")
		if verb == "INSERT" {
			continue
		}
		got := explain(t, conn, text)
		if diff := cmp.Diff(plans[name], got); diff != "" {
			t.Errorf("%s finds its rows in another way than plans says (-plans +SQLite):\n%s", name, diff)
		}
		for _, step := range got {
			if table, ok := strings.CutPrefix(step, "SCAN "); ok && !slices.Contains(small, strings.Fields(table)[0]) {
				t.Errorf("%s reads a table from end to end that grows with the events: %s", name, step)
			}
		}
	}
	for name := range plans {
		if all[name] == "" {
			t.Errorf("plans has %s, which is no query any more", name)
		}
	}
}

// An upsert and a row's identity rest on an index too, which SQLite demands itself.
// What it does not demand is that every parameter arrives: sqlc drops some in silence.
func TestParametersArrive(t *testing.T) {
	named := regexp.MustCompile(`(?:@|sqlc\.n?arg\('?)(\w+)`)
	placeholder := regexp.MustCompile(`\?\d+`)
	generated := statements(t)
	for name, text := range sources(t) {
		want, got := make(map[string]bool), make(map[string]bool)
		for _, m := range named.FindAllStringSubmatch(comment.ReplaceAllString(text, ""), -1) {
			want[m[1]] = true
		}
		for _, p := range placeholder.FindAllString(generated[name], -1) {
			got[p] = true
		}
		if len(got) != len(want) {
			t.Errorf("%s has the parameters %v, and its generated text has %d", name, slices.Sorted(maps.Keys(want)), len(got))
		}
		if strings.Contains(comment.ReplaceAllString(generated[name], ""), "@") {
			t.Errorf("%s: sqlc left a parameter as it was:\n%s", name, generated[name])
		}
	}
}

// Each generated method runs, with the smallest arguments that the schema allows.
func TestMethodsRun(t *testing.T) {
	st, err := store.Open(t.Context(), store.Options{
		Path: filepath.Join(t.TempDir(), "trace.db"), Synchronous: "normal",
		Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	}()
	queries := sources(t)
	called := make(map[string]bool)
	rollback := errors.New("rollback")
	err = st.Tx(func(q *db.Queries) error {
		v := reflect.ValueOf(q)
		for i := range v.NumMethod() {
			name := v.Type().Method(i).Name
			if name == "WithTx" {
				continue
			}
			single, isBulk := strings.CutSuffix(name, "Rows")
			if isBulk {
				name = single
			}
			if queries[name] == "" {
				t.Errorf("db.Queries has the method %s, for which there is no query: run make generate", v.Type().Method(i).Name)
			}
			called[name] = true
			method := v.Method(i)
			args := []reflect.Value{reflect.ValueOf(context.Background())}
			for j := 1; j < method.Type().NumIn(); j++ {
				args = append(args, argument(method.Type().In(j)))
			}
			results := method.Call(args)
			err, _ := results[len(results)-1].Interface().(error)
			if err != nil && !errors.Is(err, sql.ErrNoRows) {
				t.Errorf("%s: %v", v.Type().Method(i).Name, err)
			}
		}
		return rollback
	})
	if err != rollback {
		t.Error(err)
	}
	for name := range queries {
		if !called[name] {
			t.Errorf("%s has no method in db: run make generate", name)
		}
	}
}

// argument returns a value of a parameter's type that breaks no CHECK.
func argument(typ reflect.Type) reflect.Value {
	if typ.Kind() == reflect.Pointer && typ.Elem().Kind() == reflect.Array { // rows of a bulk insert
		rows := reflect.New(typ.Elem())
		for i := range rows.Elem().Len() {
			rows.Elem().Index(i).Set(argument(typ.Elem().Elem()))
		}
		return rows
	}
	v := reflect.New(typ).Elem()
	if typ.Kind() == reflect.Struct {
		for name, s := range map[string]string{"Status": "ok", "Severity": "error", "Granularity": "hour"} {
			if f := v.FieldByName(name); f.IsValid() && f.Kind() == reflect.String {
				f.SetString(s)
			}
		}
	}
	return v
}

// migrated returns a database with all migrations, as any other program would open it.
func migrated(t *testing.T) *sql.DB {
	t.Helper()
	path := filepath.Join(t.TempDir(), "trace.db")
	if _, err := store.MigrateUp(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	conn, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

var comment = regexp.MustCompile(`--[^\n]*\n\s*`)

// sources returns the queries as they are written, by name.
func sources(t *testing.T) map[string]string {
	t.Helper()
	paths, err := filepath.Glob("*.sql")
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string]string)
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range strings.Split("\n"+string(text), "\n-- name: ")[1:] {
			name, sql, _ := strings.Cut(part, " ")
			all[name] = "-- " + sql
		}
	}
	if len(all) == 0 {
		t.Fatal("there are no queries")
	}
	return all
}

// statements returns the queries as sqlc generated them, by name: what runs.
func statements(t *testing.T) map[string]string {
	t.Helper()
	paths, err := filepath.Glob("../db/*.sql.go")
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string]string)
	for _, path := range paths {
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
				text, err := strconv.Unquote(lit.Value)
				if err != nil {
					t.Fatal(err)
				}
				if named, ok := strings.CutPrefix(text, "-- name: "); ok {
					name, _, _ := strings.Cut(named, " ")
					all[name] = text
				}
			}
			return true
		})
	}
	return all
}

// explain returns the steps of a query's plan.
func explain(t *testing.T, conn *sql.DB, text string) []string {
	t.Helper()
	params := make(map[string]bool)
	for _, p := range regexp.MustCompile(`\?\d+`).FindAllString(text, -1) {
		params[p] = true
	}
	rows, err := conn.QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+text, make([]any, len(params))...)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	defer rows.Close()
	var steps []string
	for rows.Next() {
		var id, parent, unused int
		var step string
		if err := rows.Scan(&id, &parent, &unused, &step); err != nil {
			t.Fatal(err)
		}
		steps = append(steps, step)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return steps
}
