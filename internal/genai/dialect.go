package genai

import "strings"

// DialectVersion is raised with every change of this file that changes rows.
const DialectVersion = 2

// field is what an attribute means, whatever its emitter calls it.
type field uint8

// The fields. Those up to lastColumn become a column of their own.
const (
	unknown field = iota

	provider
	requestModel
	operation
	inputTokens
	outputTokens
	totalTokens
	cacheRead
	cacheWrite
	reasoning
	ttftMS
	session
	agent
	cost
	input
	output
	lastColumn

	responseModel
	uncachedInput
	cacheWrite1h
	ttftSeconds
	firstTokenAt
	inputCost
	outputCost
	costDetails
	providerMetadata
	usageDetails
	inputDetails
	outputDetails
	instructions
	toolCalls
	errorType
	errorCategory
	failureKind
	outcome
	errorText
	toolDefinitions
	openclawOutput
	duplicate
	fields
)

// dialect lists for each field the attributes that carry it, the most telling first:
// of several on one span the first wins. A key that ends in * stands for the many
// that a list of messages is spread over. docs/dialects.md is made from this table,
// and names the emitters and the versions that it was made from.
var dialect = []struct {
	field field
	what  string
	keys  []string
}{
	{provider, "`provider`, in the conventions' spelling", []string{
		"gen_ai.provider.name", "gen_ai.system", "openclaw.provider", "llm.provider", "llm.system", "ai.model.provider",
		"aisdk.model.provider", "gen_ai.model.provider"}},
	{requestModel, "`model`", []string{
		"gen_ai.request.model", "llm.request.model_name", "ai.model.id", "aisdk.model.id", "openclaw.model", "llm.model_name",
		"embedding.model_name", "gen_ai.request_model", "langfuse.observation.model.name"}},
	{responseModel, "the model that answered: `model` if no model was asked for, else `metadata`", []string{
		"gen_ai.response.model", "llm.response.model_name", "ai.response.model", "llm.response.model", "gen_ai.response_model"}},
	{operation, "`operation`, in the conventions' spelling", []string{
		// The first two know better where others write the third for them.
		"ai.operationId", "langsmith.span.kind", "gen_ai.operation.name", "llm.request.type", "openinference.span.kind",
		"traceloop.span.kind", "langfuse.observation.type", "lmnr.span.type"}},

	{inputTokens, "`prompt_tokens`: all input, cached included", []string{
		"gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens", "llm.token_count.prompt", "llm.usage.prompt_tokens",
		"ai.usage.inputTokens", "ai.usage.promptTokens", "ai.usage.tokens", "openclaw.model_call.usage.prompt_tokens"}},
	{uncachedInput, "input without cached tokens: those are added for `prompt_tokens`", []string{
		"openclaw.model_call.usage.input_tokens", "ai.usage.inputTokenDetails.noCacheTokens"}},
	{outputTokens, "`completion_tokens`: all output, reasoning included", []string{
		"gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens", "llm.token_count.completion", "llm.usage.completion_tokens",
		"ai.usage.outputTokens", "ai.usage.completionTokens", "openclaw.model_call.usage.output_tokens"}},
	{totalTokens, "`total_tokens`, and what tells whether the others include each other", []string{
		"gen_ai.usage.total_tokens", "llm.usage.total_tokens", "llm.token_count.total", "ai.usage.totalTokens",
		"openclaw.model_call.usage.total_tokens"}},
	{cacheRead, "`cache_read_tokens`", []string{
		"gen_ai.usage.cache_read.input_tokens", "gen_ai.usage.cache_read_input_tokens", "gen_ai.usage.input_tokens.cached",
		"gen_ai.usage.details.cache_read_tokens", "gen_ai.usage.details.cache_read_input_tokens", "gen_ai.usage.cache_read_tokens", "gen_ai.usage.prompt_tokens_details.cached_tokens",
		"llm.token_count.prompt_details.cache_read", "llm.token_count.prompt_details.cache_input",
		"ai.usage.inputTokenDetails.cacheReadTokens", "ai.usage.cachedInputTokens",
		"openclaw.model_call.usage.cache_read_input_tokens"}},
	{cacheWrite, "`cache_write_tokens`", []string{
		"gen_ai.usage.cache_write.input_tokens", "gen_ai.usage.cache_creation.input_tokens", "gen_ai.usage.cache_creation_input_tokens",
		"gen_ai.usage.input_tokens.cache_write", "gen_ai.usage.details.cache_write_tokens", "gen_ai.usage.details.cache_creation_input_tokens", "gen_ai.usage.cache_write_tokens",
		"gen_ai.usage.prompt_tokens_details.cache_creation_tokens",
		"llm.token_count.prompt_details.cache_write", "ai.usage.inputTokenDetails.cacheWriteTokens",
		"openclaw.model_call.usage.cache_creation_input_tokens"}},
	{cacheWrite1h, "of `cache_write_tokens` those kept for an hour, which cost more: `metadata`", []string{
		"gen_ai.usage.cache_creation.input_tokens.ephemeral_1h"}},
	{reasoning, "`reasoning_tokens`", []string{
		"gen_ai.usage.reasoning.output_tokens", "gen_ai.usage.reasoning_tokens", "gen_ai.usage.details.reasoning_tokens",
		"gen_ai.usage.output_tokens.reasoning", "gen_ai.usage.completion_tokens_details.reasoning_tokens", "llm.usage.reasoning_tokens", "llm.token_count.completion_details.reasoning",
		"ai.usage.outputTokenDetails.reasoningTokens", "ai.usage.reasoningTokens",
		"openclaw.model_call.usage.reasoning_output_tokens"}},
	{providerMetadata, "what the provider itself reported (JSON): cached tokens of Anthropic and Bedrock", []string{
		"ai.response.providerMetadata"}},
	{usageDetails, "tokens by kind (JSON), each without the others", []string{"langfuse.observation.usage_details"}},
	{inputDetails, "tokens of the input by kind (JSON)", []string{"gen_ai.usage.input_token_details"}},
	{outputDetails, "tokens of the output by kind (JSON)", []string{"gen_ai.usage.output_token_details"}},

	{cost, "`cost_usd`, in USD", []string{
		"gen_ai.usage.cost", "llm.cost.total", "gen_ai.usage.total_cost", "gen_ai.cost.total_cost", "operation.cost"}},
	{inputCost, "a part of `cost_usd`", []string{"gen_ai.usage.input_cost"}},
	{outputCost, "a part of `cost_usd`", []string{"gen_ai.usage.output_cost"}},
	{costDetails, "`cost_usd`, as the member total (JSON)", []string{"langfuse.observation.cost_details"}},

	{ttftMS, "`ttft_ms`, from milliseconds", []string{
		"openclaw.model_call.time_to_first_byte_ms", "ai.response.msToFirstChunk", "ai.stream.msToFirstChunk"}},
	{firstTokenAt, "`ttft_ms`, from a point in time (JSON)", []string{"langfuse.observation.completion_start_time"}},
	{ttftSeconds, "`ttft_ms`, from seconds", []string{
		"gen_ai.response.time_to_first_chunk", "gen_ai.client.operation.time_to_first_chunk", "gen_ai.response.time_to_first_token",
		"gen_ai.server.time_to_first_token"}},
	{session, "`session_id`", []string{
		"gen_ai.conversation.id", "session.id", "langfuse.session.id", "traceloop.association.properties.session_id",
		"ai.telemetry.metadata.sessionId", "lmnr.association.properties.session_id", "langsmith.metadata.session_id",
		"langsmith.metadata.thread_id"}},
	{agent, "`agent`", []string{"gen_ai.agent.name", "openclaw.agent", "agent.name", "gen_ai.agent.id"}},

	{errorType, "`error_type`", []string{"error.type"}},
	{errorCategory, "`error_type`, if nothing tells more", []string{"openclaw.errorCategory"}},
	{failureKind, "`error_type` and `status`", []string{"openclaw.failureKind"}},
	{outcome, "`status`, if timed_out", []string{"openclaw.outcome"}},
	{errorText, "`error_message`", []string{"openclaw.error"}},

	{input, "`input_text`", []string{
		"gen_ai.input.messages", "openclaw.content.input_messages", "gen_ai.prompt.*", "llm.input_messages.*", "ai.prompt.messages",
		"traceloop.entity.input", "langfuse.observation.input", "lmnr.span.input", "mlflow.spanInputs", "gen_ai.request.messages", "input.value", "gen_ai.prompt", "ai.prompt"}},
	{instructions, "`input_text`, as its first message", []string{"gen_ai.system_instructions"}},
	{output, "`output_text`", []string{
		"gen_ai.output.messages", "gen_ai.completion.*", "llm.output_messages.*", "ai.response.text", "ai.response.object",
		"traceloop.entity.output", "langfuse.observation.output", "lmnr.span.output", "mlflow.spanOutputs", "gen_ai.response.text", "output.value", "gen_ai.completion"}},
	{toolCalls, "`output_text`, the calls of tools in it", []string{"ai.response.toolCalls"}},
	{openclawOutput, "OpenClaw's own form of the answer: `output_text` if there is no other; `cost_usd` and the detail of an error", []string{
		"openclaw.content.output_messages"}},
	{toolDefinitions, "only its hash and size are kept", []string{
		"gen_ai.tool.definitions", "openclaw.content.tool_definitions", "ai.prompt.tools"}},
	{duplicate, "not kept: it says once more what another attribute says", []string{
		"input.mime_type", "output.mime_type", "openclaw.content.tool_input", "openclaw.content.tool_output"}},
}

// providers gives the spellings of emitters the one that OpenTelemetry's
// gen_ai.provider.name has. They are compared in lower case, and again without the name
// of an API, which the AI SDK appends ("openai.chat").
var providers = map[string]string{
	"openai":                 "openai",
	"openai-codex":           "openai",
	"openai-responses":       "openai",
	"anthropic":              "anthropic",
	"aws.bedrock":            "aws.bedrock",
	"aws":                    "aws.bedrock",
	"bedrock":                "aws.bedrock",
	"bedrock-mantle":         "aws.bedrock",
	"bedrock.anthropic":      "aws.bedrock",
	"amazon":                 "aws.bedrock",
	"amazon-bedrock":         "aws.bedrock",
	"amazon_bedrock":         "aws.bedrock",
	"anthropic-aws":          "aws.bedrock",
	"azure.ai.inference":     "azure.ai.inference",
	"az.ai.inference":        "azure.ai.inference",
	"azure.deepseek":         "azure.ai.inference",
	"azure.ai.openai":        "azure.ai.openai",
	"az.ai.openai":           "azure.ai.openai",
	"azure":                  "azure.ai.openai",
	"azure-openai":           "azure.ai.openai",
	"azure_openai":           "azure.ai.openai",
	"azure-openai-responses": "azure.ai.openai",
	"cohere":                 "cohere",
	"deepseek":               "deepseek",
	"gcp.gemini":             "gcp.gemini",
	"gemini":                 "gcp.gemini",
	"google":                 "gcp.gemini",
	"google-gla":             "gcp.gemini",
	"google.generative-ai":   "gcp.gemini",
	"google_genai":           "gcp.gemini",
	"google-gemini-cli":      "gcp.gemini",
	"google-antigravity":     "gcp.gemini",
	"gcp.gen_ai":             "gcp.gen_ai",
	"gcp.vertex_ai":          "gcp.vertex_ai",
	"vertex_ai":              "gcp.vertex_ai",
	"vertexai":               "gcp.vertex_ai",
	"google-vertex":          "gcp.vertex_ai",
	"google.vertex":          "gcp.vertex_ai",
	"google_vertexai":        "gcp.vertex_ai",
	"vertex.anthropic":       "gcp.vertex_ai",
	"anthropic-vertex":       "gcp.vertex_ai",
	"groq":                   "groq",
	"ibm.watsonx.ai":         "ibm.watsonx.ai",
	"watsonx":                "ibm.watsonx.ai",
	"mistral_ai":             "mistral_ai",
	"mistral":                "mistral_ai",
	"mistralai":              "mistral_ai",
	"moonshot_ai":            "moonshot_ai",
	"moonshot":               "moonshot_ai",
	"moonshotai":             "moonshot_ai",
	"perplexity":             "perplexity",
	"x_ai":                   "x_ai",
	"xai":                    "x_ai",

	// Not among the conventions' values.
	"fireworks":    "fireworks",
	"huggingface":  "huggingface",
	"hugging_face": "huggingface",
	"ollama":       "ollama",
	"openrouter":   "openrouter",
	"replicate":    "replicate",
	"together":     "together",
	"togetherai":   "together",
	"together_ai":  "together",
}

// apis are the endings by which the AI SDK tells a provider's APIs apart.
var apis = map[string]bool{
	"chat": true, "completion": true, "completions": true, "messages": true, "responses": true,
	"embedding": true, "textembedding": true, "embeddings": true, "image": true, "speech": true, "transcription": true,
}

// ProviderKey is the metadata member for a provider's name as it was sent, where that is
// not how it is stored.
const ProviderKey = "openclaw_trace.provider"

// Provider returns the conventions' spelling of a provider's name, and otherwise the
// name as it is.
func Provider(name string) string {
	for {
		if standard := providers[strings.ToLower(name)]; standard != "" {
			return standard
		}
		dot := strings.LastIndexByte(name, '.')
		if dot <= 0 || !apis[strings.ToLower(name[dot+1:])] {
			return name
		}
		name = name[:dot]
	}
}

// operations gives the emitters' names of what a span does, in lower case, the
// conventions' ones.
var operations = map[string]string{
	"ai.generatetext.dogenerate":   "chat",
	"ai.streamtext.dostream":       "chat",
	"ai.generateobject.dogenerate": "chat",
	"ai.streamobject.dostream":     "chat",
	"ai.embed.doembed":             "embeddings",
	"ai.embedmany.doembed":         "embeddings",
	"ai.toolcall":                  "execute_tool",
	"chat":                         "chat",
	"text_completion":              "text_completion",
	"generate_content":             "generate_content",
	"embeddings":                   "embeddings",
	"llm":                          "chat",
	"generation":                   "chat",
	"completion":                   "text_completion",
	"embedding":                    "embeddings",
	"tool":                         "execute_tool",
	"agent":                        "invoke_agent",
	"workflow":                     "invoke_workflow",
	"retriever":                    "retrieval",
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

// exclusive are scopes whose input tokens do not include cached ones, and nothing else
// tells: all versions, or those up to one; of all providers, or of one.
var exclusive = []struct{ scope, upTo, provider string }{
	{"@traceloop/instrumentation-anthropic", "0.27", ""},
	{"openlit.otel.tracing", "", "anthropic"},
}

const (
	callSpan   = "openclaw.model.call"
	callPrefix = "openclaw.model_call."
)

// modelEvents are log events about a call to a model that went wrong.
var modelEvents = map[string]bool{
	"embedded_run_agent_end":             true,
	"embedded_run_failover_decision":     true,
	"model_fallback_decision":            true,
	"model_fallback_chain_stopped":       true,
	"auth_profile_failure_state_updated": true,
	"gen_ai.client.operation.exception":  true,
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

// pattern is what keys stand for that begin with prefix and a digit.
type pattern struct {
	prefix string
	meaning
}

var meanings, patterns = func() (exact map[string]meaning, prefixes []pattern) {
	exact = make(map[string]meaning)
	for _, d := range dialect {
		for rank, key := range d.keys {
			m := meaning{d.field, uint8(rank)}
			if isPattern(key) {
				prefixes = append(prefixes, pattern{strings.TrimSuffix(key, "*"), m})
			} else {
				exact[key] = m
			}
		}
	}
	return exact, prefixes
}()

func isPattern(key string) bool { return strings.HasSuffix(key, ".*") }

// meaningOf returns what key stands for.
func meaningOf(key string) (meaning, bool) {
	if m, ok := meanings[key]; ok {
		return m, true
	}
	for i := range patterns {
		p := &patterns[i]
		if n := len(p.prefix); len(key) > n && '0' <= key[n] && key[n] <= '9' && key[:n] == p.prefix {
			return p.meaning, true
		}
	}
	return meaning{}, false
}
