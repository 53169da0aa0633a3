package genai

// field is what an attribute means, whatever its emitter calls it.
type field uint8

// The fields. Those up to lastColumn become a column of their own.
const (
	unknown field = iota

	provider
	requestModel
	operation
	inputTokens  // all input, cached included
	outputTokens // all output, reasoning included
	cacheRead
	cacheWrite
	reasoning
	ttftMS
	session
	agent
	cost // USD, as the emitter reports it
	input
	output
	lastColumn

	responseModel
	uncachedInput // input without cached tokens
	ttftSeconds
	errorType
	errorCategory
	failureKind
	outcome
	errorText
	toolDefinitions
	openclawOutput // OpenClaw's own form of the answer, with cost and error detail
	duplicate      // says once more what another attribute says
	fields
)

// dialect lists for each field the attributes that carry it, the most telling first.
// Sources: OpenTelemetry's GenAI conventions from v1.28 on, and what OpenClaw
// 2026.4 and 2026.9 were seen to send.
var dialect = []struct {
	field field
	keys  []string
}{
	{provider, []string{"gen_ai.provider.name", "gen_ai.system", "openclaw.provider"}},
	{requestModel, []string{"gen_ai.request.model", "openclaw.model"}},
	{responseModel, []string{"gen_ai.response.model"}},
	{operation, []string{"gen_ai.operation.name"}},
	{inputTokens, []string{"gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens", "openclaw.model_call.usage.prompt_tokens"}},
	{uncachedInput, []string{"openclaw.model_call.usage.input_tokens"}},
	{outputTokens, []string{"gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens", "openclaw.model_call.usage.output_tokens"}},
	{cacheRead, []string{"gen_ai.usage.cache_read.input_tokens", "openclaw.model_call.usage.cache_read_input_tokens"}},
	{cacheWrite, []string{"gen_ai.usage.cache_write.input_tokens", "gen_ai.usage.cache_creation.input_tokens", "openclaw.model_call.usage.cache_creation_input_tokens"}},
	{reasoning, []string{"gen_ai.usage.reasoning.output_tokens", "openclaw.model_call.usage.reasoning_output_tokens"}},
	{ttftMS, []string{"openclaw.model_call.time_to_first_byte_ms"}},
	{ttftSeconds, []string{"gen_ai.response.time_to_first_chunk"}},
	{session, []string{"gen_ai.conversation.id", "session.id"}},
	{agent, []string{"gen_ai.agent.name", "openclaw.agent", "gen_ai.agent.id"}},
	{cost, []string{"gen_ai.usage.cost"}},

	{errorType, []string{"error.type"}},
	{errorCategory, []string{"openclaw.errorCategory"}},
	{failureKind, []string{"openclaw.failureKind"}},
	{outcome, []string{"openclaw.outcome"}},
	{errorText, []string{"openclaw.error"}},

	{input, []string{"gen_ai.input.messages", "openclaw.content.input_messages", "input.value", "gen_ai.prompt"}},
	{output, []string{"gen_ai.output.messages", "output.value", "gen_ai.completion"}},
	{openclawOutput, []string{"openclaw.content.output_messages"}},
	{toolDefinitions, []string{"gen_ai.tool.definitions", "openclaw.content.tool_definitions"}},
	{duplicate, []string{"input.mime_type", "output.mime_type", "openclaw.content.tool_input", "openclaw.content.tool_output", "openclaw.model_call.usage.total_tokens"}},
}

// inference holds the operations that are one request to a model.
var inference = map[string]bool{
	"chat":             true,
	"text_completion":  true,
	"generate_content": true,
	"embeddings":       true,
}

// wrappers are spans that carry an inference operation, and the tokens of the calls
// inside them once more, without being one.
var wrappers = map[string]bool{
	"openclaw.model.usage": true,
	"openclaw.run":         true,
	"openclaw.harness.run": true,
}

const (
	callSpan   = "openclaw.model.call"
	callPrefix = "openclaw.model_call."
)

// modelEvents are OpenClaw's log events about a call to a model that went wrong.
var modelEvents = map[string]bool{
	"embedded_run_agent_end":             true,
	"embedded_run_failover_decision":     true,
	"model_fallback_decision":            true,
	"model_fallback_chain_stopped":       true,
	"auth_profile_failure_state_updated": true,
}

// resourceKeys are the resource attributes kept with each row: what tells one
// emitter from another. The rest describes its process.
var resourceKeys = map[string]bool{
	"service.name":        true,
	"service.version":     true,
	"service.instance.id": true,
	"host.name":           true,
}

// meaning is what an attribute key stands for; a lower rank wins.
type meaning struct {
	field field
	rank  uint8
}

var meanings = func() map[string]meaning {
	m := make(map[string]meaning)
	for _, d := range dialect {
		for rank, key := range d.keys {
			m[key] = meaning{d.field, uint8(rank)}
		}
	}
	return m
}()
