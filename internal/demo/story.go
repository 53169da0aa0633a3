package demo

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/kon-rad/openclaw-trace/db"
)

// story is what somebody asks and what the agent does about it.
type story struct {
	agent, channel string
	provider       string
	model          string
	ask            string
	steps          []step
	answer         string
	again          []string // what is asked afterwards, each answered at once
	fails          string   // how the last call ends, "" if well
}

// step is a tool that is called on the way.
type step struct{ tool, arguments, result string }

var stories = []story{
	{
		agent: "main", channel: "telegram", provider: "anthropic", model: "claude-sonnet-4-5",
		ask: "Which of my invoices from October are still open?",
		steps: []step{
			{"exec", `{"command":"ls invoices/2026-10"}`, "0412-hofmann.pdf\n0413-lindqvist.pdf\n0414-ferreira.pdf\n0415-okafor.pdf"},
			{"read", `{"path":"invoices/paid.csv"}`, "number,paid_on\n0412,2026-10-28\n0414,2026-11-03"},
		},
		answer: "Two are open: 0413 (Lindqvist, 1,240.00 EUR, due since 14 November) and 0415 (Okafor, 380.00 EUR, due on 30 November).",
		again:  []string{"Write Lindqvist a friendly reminder.", "A bit shorter, please."},
	},
	{
		agent: "main", channel: "telegram", provider: "anthropic", model: "claude-haiku-4-5",
		ask:    "Remind me at six to water the tomatoes",
		steps:  []step{{"cron", `{"at":"18:00","text":"Water the tomatoes"}`, `{"id":"r-81","next":"18:00"}`}},
		answer: "Done. I will remind you at 18:00.",
	},
	{
		agent: "research", channel: "discord", provider: "openai", model: "gpt-5",
		ask: "Compare the three heat pumps in the attached offers. Which one is cheapest over ten years at 0.28 EUR/kWh?",
		steps: []step{
			{"read", `{"path":"offers/aurel.pdf"}`, "Aurel A7, 7 kW, SCOP 4.6, 11,900 EUR, service 180 EUR a year"},
			{"read", `{"path":"offers/borealis.pdf"}`, "Borealis 8 Plus, 8 kW, SCOP 5.1, 14,300 EUR, service 150 EUR a year"},
			{"read", `{"path":"offers/cirrus.pdf"}`, "Cirrus Eco, 7.5 kW, SCOP 4.2, 9,800 EUR, service 210 EUR a year"},
			{"exec", `{"command":"python3 cost.py --kwh 18000 --price 0.28"}`, "aurel 24656.5\nborealis 25682.4\ncirrus 23900.0"},
		},
		answer: "Over ten years the Cirrus Eco is cheapest at about 23,900 EUR, the Aurel A7 follows at 24,660 EUR. From 0.37 EUR/kWh on the order turns round.",
	},
	{
		agent: "main", channel: "web", provider: "google", model: "gemini-2.5-flash",
		ask:    "Was ist heute Abend in Freiburg los? Bitte nur Konzerte.",
		steps:  []step{{"web_search", `{"query":"Konzerte Freiburg heute"}`, `{"error":"search quota of this minute is used up"}`}},
		answer: "Die Suche ist gerade nicht erreichbar. Ich versuche es in einer Minute noch einmal.",
		again:  []string{"Und jetzt?"},
	},
	{
		agent: "research", channel: "discord", provider: "openrouter", model: "qwen/qwen3-coder-next",
		ask: "Why does the nightly build fail since Tuesday?",
		steps: []step{
			{"exec", `{"command":"git log --oneline -5"}`, "c1f0e2d bump toolchain\n9a77d10 parser: accept tabs\n4410b8e docs"},
			{"exec", `{"command":"make test 2>&1 | tail -3"}`, "--- FAIL: TestTabs (0.00s)\n    parser_test.go:88: got 3 columns, want 2\nFAIL"},
		},
		answer: "Commit 9a77d10 counts a tab as one column; TestTabs expects the width of eight. I can send a patch.",
	},
	{
		agent: "main", channel: "telegram", provider: "anthropic", model: "claude-sonnet-4-5",
		ask:   "Summarise the minutes of the board and put the tasks into my list",
		steps: []step{{"read", `{"path":"minutes/2026-11.md"}`, strings.Repeat("The board discussed the roof, the new heating and the summer party. ", 60)}},
		fails: "429",
	},
	{
		agent: "research", channel: "discord", provider: "openai", model: "gpt-5-mini",
		ask:   "Translate the whole manual into Portuguese",
		steps: []step{{"read", `{"path":"manual.txt"}`, strings.Repeat("Before first use, rinse the tank twice with clear water. ", 80)}},
		fails: "timeout",
	},
}

// job is what the scheduler asks at an hour.
func job(hour int) story {
	return story{
		agent: "cron", channel: "scheduler", provider: "anthropic", model: "claude-haiku-4-5",
		ask:    fmt.Sprintf("[cron %02d:00] Look through new mail. Tell me only what cannot wait.", hour),
		steps:  []step{{"mail", `{"unread":true}`, `{"messages":[{"from":"notify@parcel.example","subject":"Your parcel arrives today"}]}`}},
		answer: "Nothing that cannot wait.",
	}
}

// lastStory is the one that ends the demo.
var lastStory = story{
	agent: "main", channel: "telegram", provider: "anthropic", model: "claude-sonnet-4-5",
	ask: "Please sort the photos of the summer by place and make an album of each",
	steps: []step{
		{"exec", `{"command":"ls photos | wc -l"}`, "4182"},
		{"exec", `{"command":"python3 cluster.py photos"}`, "Killed"},
	},
	fails: "overloaded",
}

var failures = map[string]struct{ status, kind, message string }{
	"429":        {"error", "rate_limit_exceeded", "429 This request would exceed your organization's rate limit of 40,000 input tokens per minute"},
	"timeout":    {"timeout", "timeout", "the provider sent nothing for 120 s"},
	"overloaded": {"error", "overloaded_error", "529 The model is overloaded; try again later"},
}

// usdPerToken of the models, input and output. What an emitter would report; the one that
// is missing reports none.
var usdPerToken = map[string][2]float64{
	"claude-sonnet-4-5": {3e-6, 15e-6}, "claude-haiku-4-5": {1e-6, 5e-6},
	"gpt-5": {1.25e-6, 10e-6}, "gpt-5-mini": {0.25e-6, 2e-6}, "gemini-2.5-flash": {0.3e-6, 2.5e-6},
}

// part and message are as messages are stored.
type part struct {
	Type      string          `json:"type"`
	Content   string          `json:"content,omitempty"`
	ID        string          `json:"id,omitempty"`
	Name      string          `json:"name,omitempty"`
	Arguments json.RawMessage `json:"arguments,omitempty"`
	Response  string          `json:"response,omitempty"`
}

type message struct {
	Role   string `json:"role"`
	Parts  []part `json:"parts"`
	Finish string `json:"finish_reason,omitempty"`
}

func texts(role, text string) message {
	return message{Role: role, Parts: []part{{Type: "text", Content: text}}}
}

// converse has a story happen: a turn for what is asked first and one for each question after it.
func (l *life) converse(at time.Time, s story, number int) {
	session := fmt.Sprintf("agent:%s:%s:demo-%03d", s.agent, s.channel, number)
	history := []message{texts("system", "You are a helpful assistant with tools. Keep answers short."), texts("user", s.ask)}
	at = l.turn(at, s, session, &history, s.steps, s.answer, s.fails)
	for i, ask := range s.again {
		if s.fails != "" {
			break
		}
		history = append(history, texts("user", ask))
		answer := "Of course. " + strings.Repeat("Dear Ms Lindqvist, may I remind you of invoice 0413? ", 3-min(i, 2))
		at = l.turn(at.Add(l.minutes(1, 4)), s, session, &history, nil, answer, "")
	}
}

// turn is one run of the agent: calls, with tools between them. It returns when it ended.
func (l *life) turn(at time.Time, s story, session string, history *[]message, steps []step, answer, fails string) time.Time {
	trace, run := l.hex(16), l.hex(8)
	began := at
	at = at.Add(time.Duration(20+l.random.IntN(60)) * time.Millisecond)
	for _, st := range steps {
		id := "call_" + l.hex(6)
		reply := message{Role: "assistant", Finish: "tool_use", Parts: []part{{Type: "tool_call", ID: id, Name: st.tool, Arguments: json.RawMessage(st.arguments)}}}
		at = l.call(at, s, session, trace, run, *history, reply, "")
		took := time.Duration(30+l.random.IntN(900)) * time.Millisecond
		l.span(at, took, "openclaw.tool.execution", "execute_tool", s, session, trace, run,
			fmt.Sprintf(`{"openclaw_trace.demo":true,"gen_ai.tool.name":%q,"gen_ai.tool.call.id":%q,"gen_ai.tool.call.arguments":%q}`, st.tool, id, st.arguments))
		at = at.Add(took + 5*time.Millisecond)
		*history = append(*history, reply, message{Role: "tool", Parts: []part{{Type: "tool_call_response", ID: id, Response: st.result}}})
	}
	reply := message{Role: "assistant", Finish: "stop", Parts: []part{{Type: "text", Content: answer}}}
	at = l.call(at, s, session, trace, run, *history, reply, fails)
	*history = append(*history, reply)
	l.spanOf(run, began, at.Sub(began), "openclaw.run", "invoke_agent", s, session, trace, "",
		fmt.Sprintf(`{"openclaw_trace.demo":true,"openclaw.channel":%q,"openclaw.trigger":"user"}`, s.channel))
	return at
}

// call stores one call of the model and returns when it ended.
func (l *life) call(at time.Time, s story, session, trace, run string, history []message, reply message, fails string) time.Time {
	input, _ := json.Marshal(history)           // of our own types
	output, _ := json.Marshal([]message{reply}) // likewise
	prompt := int64(9_000 + len(input)/4)       // with the definitions of tools
	cached := prompt * int64(60+l.random.IntN(35)) / 100
	completion := int64(20 + len(output)/4)
	ttft := int64(250 + l.random.IntN(900))
	took := ttft + completion*int64(8+l.random.IntN(14))
	c := db.InsertLLMTraceParams{
		TraceID: l.id(), CreatedAt: at.UnixMilli(), Provider: s.provider, Model: s.model, Operation: new("chat"),
		SessionID: &session, Agent: &s.agent, Status: "ok", InputText: new(string(input)),
		OTELTraceID: &trace, OTELSpanID: new(l.hex(8)), OTELParentSpanID: &run,
		Metadata: new(fmt.Sprintf(`{"openclaw_trace.demo":true,"openclaw.channel":%q,"gen_ai.response.id":"msg_%s"}`, s.channel, l.hex(10))),
	}
	if fails != "" {
		f := failures[fails]
		c.Status, c.ErrorType, c.ErrorMessage = f.status, &f.kind, &f.message
		if took = ttft; fails == "timeout" {
			took = 120_000
		}
	} else {
		c.OutputText, c.TtftMS = new(string(output)), &ttft
		c.PromptTokens, c.CompletionTokens, c.CacheReadTokens = &prompt, &completion, &cached
		if price, ok := usdPerToken[s.model]; ok {
			usd := (float64(prompt-cached)+float64(cached)/10)*price[0] + float64(completion)*price[1]
			c.CostUSD, c.CostSource = &usd, new("reported")
		}
	}
	c.LatencyMS = &took
	b := l.batch()
	b.Calls = append(b.Calls, c)
	return at.Add(time.Duration(took) * time.Millisecond)
}

func (l *life) span(at time.Time, took time.Duration, name, operation string, s story, session, trace, parent, metadata string) {
	l.spanOf(l.hex(8), at, took, name, operation, s, session, trace, parent, metadata)
}

func (l *life) spanOf(id string, at time.Time, took time.Duration, name, operation string, s story, session, trace, parent, metadata string) {
	row := db.InsertSpanParams{
		TraceID: l.id(), CreatedAt: at.UnixMilli(), Name: name, Operation: &operation, SessionID: &session, Agent: &s.agent,
		OTELTraceID: trace, OTELSpanID: id, DurationMS: new(took.Milliseconds()), Status: "ok", Metadata: &metadata,
	}
	if parent != "" {
		row.OTELParentSpanID = &parent
	}
	b := l.batch()
	b.Spans = append(b.Spans, row)
}
