package genai_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kon-rad/openclaw-trace/db"
	"github.com/kon-rad/openclaw-trace/internal/genai"
	"github.com/kon-rad/openclaw-trace/internal/otlp"
)

// truth is what testdata/openclaw/truth.json says of one captured body.
type truth struct {
	Calls []struct {
		Provider, Model, Span, Status string
		LatencyMS                     *int64 `json:"latency_ms"`
		TtftMS                        *int64 `json:"ttft_ms"`
		Prompt, Completion            *int64
		CacheRead                     *int64 `json:"cache_read"`
		CacheWrite                    *int64 `json:"cache_write"`
	}
	Spans       map[string]int
	Records     int
	WarnOrWorse int `json:"warn_or_worse"`
}

func captured(t *testing.T, name string) []byte {
	t.Helper()
	body, err := os.ReadFile(filepath.Join("testdata/openclaw", name))
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// The bodies that a real OpenClaw sent come out as truth.json says, call by call.
func TestOpenClaw(t *testing.T) {
	var truths map[string]truth
	if err := json.Unmarshal(captured(t, "truth.json"), &truths); err != nil {
		t.Fatal(err)
	}
	for name, want := range truths {
		t.Run(name, func(t *testing.T) {
			if strings.HasSuffix(name, "-logs.pb") {
				m, err := genai.Logs(captured(t, name), otlp.Protobuf, 16384)
				if err != nil {
					t.Fatal(err)
				}
				if len(m.Batch.Errors) != want.WarnOrWorse || m.Rejected != 0 {
					t.Errorf("%d error events and %d rejected, want %d and 0", len(m.Batch.Errors), m.Rejected, want.WarnOrWorse)
				}
				return
			}
			m, err := genai.Traces(captured(t, name), otlp.Protobuf, 16384)
			if err != nil {
				t.Fatal(err)
			}
			got := truth{Spans: make(map[string]int)}
			for _, c := range m.Batch.Calls {
				name, named := metadataOf(t, c.Metadata)["span.name"].(string)
				if !named {
					name = *c.Operation + " " + c.Model
				}
				got.Spans[name]++
				got.Calls = append(got.Calls, struct {
					Provider, Model, Span, Status string
					LatencyMS                     *int64 `json:"latency_ms"`
					TtftMS                        *int64 `json:"ttft_ms"`
					Prompt, Completion            *int64
					CacheRead                     *int64 `json:"cache_read"`
					CacheWrite                    *int64 `json:"cache_write"`
				}{
					c.Provider, c.Model, name, c.Status, c.LatencyMS, c.TtftMS,
					c.PromptTokens, c.CompletionTokens, c.CacheReadTokens, c.CacheWriteTokens,
				})
			}
			for _, s := range m.Batch.Spans {
				got.Spans[s.Name]++
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func metadataOf(t *testing.T, m *string) map[string]any {
	t.Helper()
	got := make(map[string]any)
	if m != nil {
		if err := json.Unmarshal([]byte(*m), &got); err != nil {
			t.Fatalf("metadata is no JSON object: %v\n%s", err, *m)
		}
	}
	return got
}

// With content captured, texts, cost and the provider's own words are there.
func TestOpenClawContent(t *testing.T) {
	call := func(name string) db.InsertLLMTraceParams {
		m, err := genai.Traces(captured(t, name), otlp.Protobuf, 16384)
		if err != nil {
			t.Fatal(err)
		}
		return m.Batch.Calls[0]
	}

	ok := call("926-plain-2-traces.pb")
	if !strings.Contains(*ok.InputText, "SCENARIO:plain") || !strings.Contains(*ok.OutputText, "The answer is 42.") {
		t.Errorf("texts: %q, %q", *ok.InputText, *ok.OutputText)
	}
	if ok.CostUSD == nil || *ok.CostUSD != 0.002195 || *ok.CostSource != "reported" {
		t.Errorf("cost %v", ok.CostUSD)
	}
	meta := metadataOf(t, ok.Metadata)
	for key := range meta {
		if strings.Contains(key, "content.") || strings.HasPrefix(key, "gen_ai.tool.definitions") {
			t.Errorf("%s is stored twice", key)
		}
	}
	if meta["openclaw_trace.tool_definitions_bytes"] == nil || meta["service.name"] == nil {
		t.Errorf("metadata: %v", meta)
	}

	limited := call("926-err429-1-traces.pb")
	if limited.Status != "error" || *limited.ErrorType != "rate_limit_exceeded" || !strings.HasPrefix(*limited.ErrorMessage, "429 Rate limit reached") {
		t.Errorf("%s %s %s", limited.Status, *limited.ErrorType, *limited.ErrorMessage)
	}
	if limited.CostUSD != nil || limited.CostSource != nil || limited.OutputText != nil {
		t.Errorf("a failed call has cost %v, output %v", limited.CostUSD, limited.OutputText)
	}
	unauthorized := call("926-err401-1-traces.pb")
	t.Log(*unauthorized.ErrorType, *unauthorized.ErrorMessage)
	late := call("926b-timeout-3-traces.pb")
	if late.Status != "timeout" || *late.ErrorType != "timeout" {
		t.Errorf("%s %s", late.Status, *late.ErrorType)
	}
}
