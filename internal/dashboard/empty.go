package dashboard

import (
	h "github.com/kon-rad/openclaw-trace/internal/dashboard/html"
	"github.com/kon-rad/openclaw-trace/internal/view"
)

// There are four reasons for an empty page, and each asks for something else: nothing
// was ever received, it was quiet, the filter takes everything away, the content was
// not kept.

// never tells whether nothing was ever received. Readings of the host are our own.
func never(e view.Extent) bool {
	e.LastReading = nil
	return e == view.Extent{}
}

// neverReceived says how to send the first call.
func (r *request) neverReceived() h.Node {
	base := "http://" + r.Host
	auth := ""
	if r.d.opts.LogIn != nil {
		auth = ` -H "Authorization: Bearer $OCT_AUTH_TOKEN"`
	}
	return h.Div(h.Class("empty"), h.ID("empty"), h.Data("live", ""),
		h.H2(h.Text("Waiting for the first call")),
		h.P(h.Text("Nothing was received yet. Paste this into a terminal on this machine to see one arrive:")),
		h.Pre(h.Class("paste"), h.Text("curl"+auth+" "+base+"/v1/traces -H 'Content-Type: application/json' \\\n"+
			`  -d '{"provider":"anthropic","model":"claude-opus-5","input_text":"Is anybody there?","output_text":"Yes.","prompt_tokens":12,"completion_tokens":3,"latency_ms":840}'`)),
		h.P(h.Text("An agent or a program with OpenTelemetry needs only this in its environment:")),
		h.Pre(h.Class("paste"), h.Text("OTEL_EXPORTER_OTLP_ENDPOINT="+base+"\nOTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf"+r.otlpAuth())),
		h.P(h.Class("note"), h.Text("This page notices by itself when something arrives.")))
}

func (r *request) otlpAuth() string {
	if r.d.opts.LogIn == nil {
		return ""
	}
	return "\nOTEL_EXPORTER_OTLP_HEADERS=\"Authorization=Bearer $OCT_AUTH_TOKEN\""
}

// noCalls says why a list of calls is empty.
func (r *request) noCalls(e view.Extent) h.Node {
	return r.noRows("calls", e.LastCall, e)
}

// noRows says why a list is empty whose newest row, of all there are, is of last.
func (r *request) noRows(what string, last *int64, e view.Extent) h.Node {
	switch {
	case never(e):
		return r.neverReceived()
	case r.filter.Narrow():
		return h.Div(h.Class("empty"), h.H2(h.Text("The filter leaves nothing")),
			h.P(h.Text("There are no "+what+" like this in this time.")),
			h.P(h.A(h.Href(link(r.URL.EscapedPath(), r.times())), h.Text("Without the filter"))))
	case last == nil:
		return h.Div(h.Class("empty"), h.H2(h.Text("No "+what+" yet")), h.P(h.Text("Other things were received, but no "+what+" so far.")))
	}
	return r.quiet(what, *last)
}

// quiet says that there is nothing in this time, but was before.
func (r *request) quiet(what string, last int64) h.Node {
	wide := r.times()
	wide.Since, wide.Until = all, view.Instant{}
	return h.Div(h.Class("empty"), h.H2(h.Text("Quiet")),
		h.P(h.Text("There are no "+what+" in this time. The last before now was "), r.ago(last), h.Text(", at "), r.moment(last), h.Text(".")),
		h.P(h.A(h.Href(link(r.URL.EscapedPath(), wide)), h.Text("Show everything that is stored"))))
}
