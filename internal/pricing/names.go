package pricing

import "strings"

// tableNames gives the names of providers those of the table. First come the values of
// OpenTelemetry's gen_ai.provider.name, then what emitters say otherwise. A provider
// that is not here has its own name there, or none.
var tableNames = map[string]string{
	"aws.bedrock":        "aws",
	"azure.ai.inference": "azure",
	"azure.ai.openai":    "azure",
	"gcp.gemini":         "google",
	"gcp.gen_ai":         "google",
	"gcp.vertex_ai":      "google",
	"mistral_ai":         "mistral",
	"moonshot_ai":        "moonshotai",
	"x_ai":               "x-ai",

	"amazon-bedrock":          "aws",
	"anthropic-vertex":        "google",
	"azure-openai":            "azure",
	"azure-openai-responses":  "azure",
	"bedrock":                 "aws",
	"bigmodel":                "zhipuai",
	"claude-cli":              "anthropic",
	"cloudflare-workers-ai":   "cloudflare",
	"copilot":                 "github-copilot",
	"fireworks-ai":            "fireworks",
	"fireworks_ai":            "fireworks",
	"gemini":                  "google",
	"google-gemini-cli":       "google",
	"google-generative-ai":    "google",
	"google-vertex":           "google",
	"mistralai":               "mistral",
	"moonshot":                "moonshotai",
	"openai-codex":            "openai",
	"openai-responses":        "openai",
	"together-ai":             "together",
	"together_ai":             "together",
	"togetherai":              "together",
	"vertex":                  "google",
	"vertex_ai":               "google",
	"voyage":                  "voyageai",
	"xai":                     "x-ai",
	"z-ai":                    "zai",
	"z.ai":                    "zai",
	"zhipu":                   "zhipuai",
	"google.vertex.anthropic": "google",
}

// local are programs that run a model on the owner's machine. It costs power, and no
// list has the price.
var local = map[string]bool{
	"ollama": true, "lmstudio": true, "lm-studio": true, "lm_studio": true, "llama.cpp": true, "llama-cpp": true, "llamacpp": true,
	"llama-server": true, "llamafile": true, "vllm": true, "sglang": true, "mlx": true, "mlx-lm": true, "localai": true, "local": true,
	"jan": true, "gpt4all": true, "koboldcpp": true, "text-generation-webui": true, "oobabooga": true, "tgi": true, "exllama": true,
	"tabbyapi": true, "docker-model-runner": true, "localhost": true, "ramalama": true, "lemonade": true,
}

// gateways sell other vendors' models, or hand calls on to them, at the vendors' prices.
var gateways = map[string]bool{
	"openrouter": true, "vercel": true, "vercel-ai-gateway": true, "litellm": true, "cloudflare-ai-gateway": true, "portkey": true,
	"helicone": true, "requesty": true, "kilocode": true, "opencode": true, "opencode-zen": true, "github-copilot": true,
	"langdb": true, "bifrost": true, "kong": true, "truefoundry": true,
}

// families are the vendors whose models are known by their names, whoever sells them.
// Weights that anybody may run are priced by name behind a gateway only: of somebody's
// own server it is not known whether it charges.
var families = []struct {
	names    string // patterns
	provider string // whose price it is
	open     bool   // the weights are published
}{
	{"claude*", "anthropic", false},
	{"gpt-oss*", "openai", true},
	{"gpt-* chatgpt-* o1* o3* o4* codex-* text-embedding-3-* text-embedding-ada-*", "openai", false},
	{"gemini-*", "google", false},
	{"grok-*", "x-ai", false},
	{"sonar*", "perplexity", false},
	{"voyage-*", "voyageai", false},
	{"command-*", "cohere", true},
	{"deepseek-*", "deepseek", true},
	{"mistral-* ministral-* codestral* devstral* magistral* pixtral* voxtral* open-mistral-* open-mixtral-*", "mistral", true},
	{"kimi-* moonshot-*", "moonshotai", true},
	{"minimax-*", "minimax", true},
	{"glm-*", "zai", true},
}

// free is how OpenRouter marks what costs nothing. Of other gateways' models of that
// name it is not known.
const free = ":free"

var nothing = []period{{from: always, tiers: []tier{{}}}}

// resolve finds the price of a model; both names are in lower case. A provider's own
// entries go first, then guesses by the name alone. An entry without a price ends the
// search: what a provider includes in a subscription is not to be priced like a call.
func (t *Table) resolve(provider, name string) entry {
	if name == "" {
		return entry{}
	}
	id, known := tableNames[provider]
	if !known {
		id = provider
	}
	if id == "huggingface" { // its router takes the host as a suffix
		if model, host, ok := strings.Cut(name, ":"); ok {
			id, name = "huggingface_"+host, model
		}
	}
	sure := []string{name}
	if first, rest, ok := strings.Cut(name, "/"); ok && rest != "" && (first == provider || first == id || tableNames[first] == id) {
		sure = append(sure, rest)
	}
	for _, name := range sure {
		if e, ok := find(t.own[id], name, nil); ok {
			return e
		}
	}
	if local[provider] || local[provider[:max(0, strings.IndexAny(provider, "-_:./ "))]] { // ollama-2
		return entry{}
	}
	if strings.HasSuffix(name, free) {
		if id != "openrouter" {
			return entry{}
		}
		return entry{&model{id: name, name: "openrouter/" + name, periods: nothing}, Rule}
	}
	all := t.base().providers
	if p := all[id]; p != nil {
		names := append(sure, tail(name))
		for _, name := range names {
			if e, ok := find(p, name, all); ok {
				return e
			}
		}
		for _, name := range names {
			if e, ok := guess(p, name, all); ok {
				return e
			}
		}
	}
	return t.family(id, name)
}

// family prices a model by its name, whoever sells it.
func (t *Table) family(seller, name string) entry {
	base := bare(name)
	for _, f := range families {
		if !matches(f.names, base) {
			continue
		}
		if f.open && (!gateways[seller] || strings.Contains(base, ":")) {
			break // a tag like :70b, or a file somewhere
		}
		p := t.base().providers[f.provider]
		if e, ok := find(p, base, nil); ok {
			return entry{e.model, Inferred}
		}
		if e, ok := guess(p, base, nil); ok {
			return e
		}
		break
	}
	return entry{}
}

// find looks a name up as it is, and with its date written as the others do.
func find(p *provider, name string, all map[string]*provider) (entry, bool) {
	if p == nil {
		return entry{}, false
	}
	for i := range p.models {
		if m := &p.models[i]; m.id == name {
			return entry{m, Exact}, true
		}
	}
	for i := range p.models {
		if m := &p.models[i]; matches(m.patterns, name) {
			return entry{m, Rule}, true
		}
	}
	for _, f := range p.fallback {
		if e, ok := find(all[f], name, nil); ok {
			return entry{e.model, Rule}, true
		}
	}
	if dated := hyphenated(name); dated != name {
		return find(p, dated, all)
	}
	return entry{}, false
}

// guess looks a name up with one thing after the other cut off its end: what follows
// @, : or [, the version of an API, a date, "latest".
func guess(p *provider, name string, all map[string]*provider) (entry, bool) {
	for {
		cut := shorten(name)
		if cut == name || cut == "" {
			return entry{}, false
		}
		if e, ok := find(p, cut, all); ok {
			return entry{e.model, Inferred}, true
		}
		name = cut
	}
}

// suffixes are patterns of what says which edition of a model it is, and not which
// model, with the number of bytes that are to be cut.
var suffixes = []struct {
	pattern string
	length  int
}{
	{"*-latest", 7}, {"*-####-##-##", 11}, {"*-########", 9}, {"*-v#", 3},
}

func shorten(name string) string {
	if i := strings.LastIndexAny(name, "@:["); i >= 0 {
		return name[:i]
	}
	for _, s := range suffixes {
		if glob(s.pattern, name) {
			return name[:len(name)-s.length]
		}
	}
	return name
}

// hyphenated writes a date 20260131 inside a name as 2026-01-31.
func hyphenated(name string) string {
	for i := 0; i+9 <= len(name); i++ {
		if glob("-20######", name[i:i+9]) && (i+9 == len(name) || name[i+9] == '-' || name[i+9] == ':') {
			return name[:i+5] + "-" + name[i+5:i+7] + "-" + name[i+7:]
		}
	}
	return name
}

// tail cuts the path off a name: models/, accounts/…/, the vendor's.
func tail(name string) string { return name[strings.LastIndexByte(name, '/')+1:] }

// bare cuts off a path, and the region and the vendor that Bedrock writes before a dot.
func bare(name string) string {
	name = tail(name)
	if i := strings.Index(name, "claude"); i > 0 {
		return name[i:]
	}
	for _, vendor := range [...]string{"openai.", "mistral.", "deepseek.", "moonshotai.", "minimax."} {
		if i := strings.Index(name, vendor); i == 0 || i > 0 && name[i-1] == '.' {
			return name[i+len(vendor):]
		}
	}
	return name
}
