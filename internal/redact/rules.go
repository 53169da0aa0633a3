package redact

import "slices"

// Rule describes a kind of secret.
type Rule struct {
	ID     string `json:"id"`     // stands in the mask
	What   string `json:"what"`   // one line for people
	Source string `json:"source"` // the page that the form was taken from
	Choice bool   `json:"choice"` // masked only if Options say so

	shapes []shape
}

// Rules returns all rules in the order in which they are tried.
func Rules() []Rule { return slices.Clone(rules) }

// shape is a form that tokens of a vendor have: a prefix and a number of characters
// of one class after it. Where the vendor promises no length, least is what no
// ordinary identifier reaches.
type shape struct {
	prefix string
	class  class
	least  int
	exact  bool // not longer than least
	signs  int  // how many of digits, capitals and small letters there must be; random asks for more
}

// random asks for all signs, in an order that names do not have: see mixed.
const random = 4

// Rules that are not found by prefix.
const (
	jwtRule        = "jwt"
	googleOAuth    = "google_oauth"
	telegramRule   = "telegram_token"
	discordRule    = "discord_token"
	discordWebhook = "discord_webhook"
	slackWebhook   = "slack_webhook"
	privateKeyRule = "private_key"
	bearerRule     = "bearer"
	basicRule      = "basic_auth"
	authRule       = "authorization"
	cookieRule     = "cookie"
	urlRule        = "url_password"
	sasRule        = "azure_sas"
	namedRule      = "named_secret"
	ownRule        = "own_secret"
	emailRule      = "email"
	cardRule       = "card_number"
)

// rules are written from the vendors' pages. Where a page shows a key without
// promising its form, the prefix is the vendor's and the length a lower bound below
// that of the keys it shows. Public halves are not masked: pk-lf-, pk_live_.
var rules = []Rule{
	{ID: "anthropic_key", What: "Anthropic API, admin or OAuth key", Source: "https://docs.claude.com/en/api/admin-api/apikeys/get-api-key",
		shapes: []shape{{"sk-ant-", urlChar, 32, false, 2}}},
	{ID: "openrouter_key", What: "OpenRouter API key", Source: "https://openrouter.ai/docs/api-reference/authentication",
		shapes: []shape{{"sk-or-v1-", hexChar, 32, false, 2}}},
	{ID: "langfuse_key", What: "Langfuse secret key", Source: "https://langfuse.com/docs/api-and-data-platform/features/public-api",
		shapes: []shape{{"sk-lf-", urlChar, 30, false, 2}}},
	{ID: "deepseek_key", What: "DeepSeek API key", Source: "https://api-docs.deepseek.com/",
		shapes: []shape{{"sk-", hexChar, 32, true, 2}}},
	{ID: "openai_key", What: "OpenAI API key, and what other vendors form like one", Source: "https://platform.openai.com/docs/api-reference/authentication",
		shapes: []shape{
			{"sk-proj-", urlChar, 32, false, 2}, {"sk-svcacct-", urlChar, 32, false, 2}, {"sk-admin-", urlChar, 32, false, 2},
			{"sk-", alnumChar, 20, false, 2}, {"sk-", urlChar, 40, false, 3}, {"sk-", urlChar, 20, false, random},
		}},
	{ID: "google_api_key", What: "Google API key", Source: "https://docs.cloud.google.com/docs/authentication/api-keys",
		shapes: []shape{{"AIza", urlChar, 35, true, 2}}},
	{ID: googleOAuth, What: "Google OAuth access token, refresh token or client secret", Source: "https://docs.cloud.google.com/docs/authentication/token-types",
		shapes: []shape{{"ya29.", urlChar, 20, false, 2}, {"GOCSPX-", urlChar, 24, false, 2}}},
	{ID: "groq_key", What: "Groq API key", Source: "https://console.groq.com/docs/quickstart",
		shapes: []shape{{"gsk_", alnumChar, 32, false, 2}}},
	{ID: "xai_key", What: "xAI API key", Source: "https://docs.x.ai/docs/tutorial",
		shapes: []shape{{"xai-", alnumChar, 40, false, 2}}},
	{ID: "tavily_key", What: "Tavily API key", Source: "https://docs.tavily.com/documentation/quickstart",
		shapes: []shape{{"tvly-", urlChar, 20, false, 2}}},
	{ID: "nvidia_key", What: "NVIDIA API key", Source: "https://docs.nvidia.com/nim/",
		shapes: []shape{{"nvapi-", urlChar, 40, false, 2}}},
	{ID: "cerebras_key", What: "Cerebras API key", Source: "https://inference-docs.cerebras.ai/quickstart",
		shapes: []shape{{"csk-", alnumChar, 32, false, 2}}},
	{ID: "supabase_token", What: "Supabase access token or secret key", Source: "https://supabase.com/docs/guides/getting-started/api-keys",
		shapes: []shape{{"sbp_", hexChar, 32, false, 2}, {"sb_secret_", urlChar, 24, false, random}}},
	{ID: "jina_key", What: "Jina AI API key", Source: "https://jina.ai/reader/",
		shapes: []shape{{"jina_", urlChar, 40, false, random}}},
	{ID: "sandbox_key", What: "E2B API key", Source: "https://e2b.dev/docs/api-key",
		shapes: []shape{{"e2b_", hexChar, 32, false, 2}}},
	{ID: "grafana_token", What: "Grafana service account token", Source: "https://grafana.com/docs/grafana/latest/administration/service-accounts/",
		shapes: []shape{{"glsa_", wordChar, 32, false, 2}}},
	{ID: "postman_key", What: "Postman API key", Source: "https://learning.postman.com/docs/developer/postman-api/authentication/",
		shapes: []shape{{"PMAK-", urlChar, 40, false, 2}}},
	{ID: "perplexity_key", What: "Perplexity API key", Source: "https://docs.perplexity.ai/guides/api-key-management",
		shapes: []shape{{"pplx-", alnumChar, 40, false, 2}}},
	{ID: "huggingface_token", What: "Hugging Face user or organization token", Source: "https://huggingface.co/docs/hub/security-tokens",
		shapes: []shape{{"hf_", alnumChar, 30, false, 2}, {"api_org_", alnumChar, 30, false, 2}}},
	{ID: "replicate_token", What: "Replicate API token", Source: "https://replicate.com/docs/reference/http",
		shapes: []shape{{"r8_", alnumChar, 30, false, 2}}},
	{ID: "fireworks_key", What: "Fireworks AI API key", Source: "https://docs.fireworks.ai/api-reference/introduction",
		shapes: []shape{{"fw_", alnumChar, 20, false, 2}}},
	{ID: "langsmith_key", What: "LangSmith personal or service key", Source: "https://docs.langchain.com/langsmith/create-account-api-key",
		shapes: []shape{{"lsv2_pt_", wordChar, 32, false, 2}, {"lsv2_sk_", wordChar, 32, false, 2}}},
	{ID: "github_token", What: "GitHub token: personal, OAuth, app or refresh", Source: "https://github.blog/changelog/2021-03-31-authentication-token-format-updates-are-generally-available",
		shapes: []shape{
			{"ghp_", wordChar, 36, false, 2}, {"gho_", wordChar, 36, false, 2}, {"ghu_", dottedChar, 36, false, 2},
			{"ghs_", dottedChar, 36, false, 2}, {"ghr_", wordChar, 36, false, 2}, {"github_pat_", wordChar, 60, false, 2},
		}},
	{ID: "gitlab_token", What: "GitLab token of any kind", Source: "https://docs.gitlab.com/security/tokens/#token-prefixes",
		shapes: []shape{
			{"glpat-", dottedChar, 20, false, 2}, {"gldt-", dottedChar, 20, false, 2}, {"glrt-", dottedChar, 20, false, 2},
			{"glrtr-", dottedChar, 20, false, 2}, {"glcbt-", dottedChar, 20, false, 2}, {"glptt-", dottedChar, 20, false, 2},
			{"glft-", dottedChar, 20, false, 2}, {"glimt-", dottedChar, 20, false, 2}, {"glagent-", dottedChar, 20, false, 2},
			{"gloas-", dottedChar, 20, false, 2}, {"glsoat-", dottedChar, 20, false, 2}, {"glffct-", dottedChar, 20, false, 2},
			{"glwt-", dottedChar, 20, false, 2},
		}},
	{ID: "slack_token", What: "Slack bot, user, app, configuration or session token", Source: "https://docs.slack.dev/authentication/tokens",
		shapes: []shape{
			{"xoxb-", dottedChar, 20, false, 2}, {"xoxp-", dottedChar, 20, false, 2}, {"xoxa-", dottedChar, 20, false, 2},
			{"xoxr-", dottedChar, 20, false, 2}, {"xoxs-", dottedChar, 20, false, 2}, {"xoxc-", dottedChar, 20, false, 2},
			{"xoxd-", dottedChar, 20, false, 2}, {"xoxe-", dottedChar, 20, false, 2}, {"xoxe.", dottedChar, 20, false, 2},
			{"xapp-", dottedChar, 20, false, 2},
		}},
	{ID: slackWebhook, What: "path of a Slack incoming webhook", Source: "https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks"},
	{ID: discordRule, What: "Discord bot token", Source: "https://discord.com/developers/docs/reference#authentication"},
	{ID: discordWebhook, What: "path of a Discord webhook", Source: "https://discord.com/developers/docs/resources/webhook"},
	{ID: telegramRule, What: "Telegram bot token", Source: "https://core.telegram.org/bots/api#authorizing-your-bot"},
	{ID: "stripe_key", What: "Stripe secret, restricted or webhook signing key", Source: "https://docs.stripe.com/keys",
		shapes: []shape{
			{"sk_live_", alnumChar, 16, false, 2}, {"rk_live_", alnumChar, 16, false, 2},
			{"sk_test_", alnumChar, 16, false, 2}, {"rk_test_", alnumChar, 16, false, 2}, {"whsec_", base64Char, 24, false, 2},
		}},
	{ID: "twilio_key", What: "Twilio API key SID", Source: "https://www.twilio.com/docs/iam/api-keys",
		shapes: []shape{{"SK", hexChar, 32, true, 2}}},
	{ID: "sendgrid_key", What: "SendGrid API key", Source: "https://www.twilio.com/docs/sendgrid/ui/account-and-settings/api-keys",
		shapes: []shape{{"SG.", dottedChar, 50, false, 2}}},
	{ID: "mailgun_key", What: "Mailgun API key", Source: "https://documentation.mailgun.com/docs/mailgun/user-manual/api-key-mgmt",
		shapes: []shape{{"key-", hexChar, 32, true, 2}}},
	{ID: "npm_token", What: "npm access token", Source: "https://docs.npmjs.com/about-access-tokens",
		shapes: []shape{{"npm_", alnumChar, 36, false, 2}}},
	{ID: "pypi_token", What: "PyPI API token", Source: "https://pypi.org/help/#apitoken",
		shapes: []shape{{"pypi-AgEI", urlChar, 40, false, 2}, {"pypi-AgEN", urlChar, 40, false, 2}}},
	{ID: "docker_token", What: "Docker access token", Source: "https://docs.docker.com/security/access-tokens/",
		shapes: []shape{{"dckr_pat_", urlChar, 20, false, 2}, {"dckr_oat_", urlChar, 20, false, 2}}},
	{ID: "digitalocean_token", What: "DigitalOcean token: personal, OAuth or refresh", Source: "https://docs.digitalocean.com/reference/api/create-personal-access-token/",
		shapes: []shape{{"dop_v1_", hexChar, 64, true, 2}, {"doo_v1_", hexChar, 64, true, 2}, {"dor_v1_", hexChar, 64, true, 2}}},
	{ID: "vault_token", What: "HashiCorp Vault token", Source: "https://developer.hashicorp.com/vault/docs/concepts/tokens",
		shapes: []shape{
			{"hvs.", urlChar, 24, false, 2}, {"hvb.", urlChar, 24, false, 2}, {"hvr.", urlChar, 24, false, 2},
			{"s.", alnumChar, 24, true, 3},
		}},
	{ID: "databricks_token", What: "Databricks personal access token", Source: "https://docs.databricks.com/aws/en/dev-tools/auth/pat",
		shapes: []shape{{"dapi", hexChar, 32, true, 2}}},
	{ID: "notion_token", What: "Notion integration token", Source: "https://developers.notion.com/reference/authentication",
		shapes: []shape{{"ntn_", alnumChar, 40, false, 2}, {"secret_", alnumChar, 43, true, 2}}},
	{ID: "linear_key", What: "Linear API key or OAuth token", Source: "https://linear.app/developers/graphql",
		shapes: []shape{{"lin_api_", alnumChar, 32, false, 2}, {"lin_oauth_", alnumChar, 32, false, 2}}},
	{ID: "figma_token", What: "Figma personal access token", Source: "https://developers.figma.com/docs/rest-api/authentication/",
		shapes: []shape{{"figd_", urlChar, 32, false, 2}}},
	{ID: "tailscale_key", What: "Tailscale key of any kind", Source: "https://tailscale.com/docs/reference/key-prefixes",
		shapes: []shape{{"tskey-", urlChar, 20, false, 2}}},
	{ID: "shopify_token", What: "Shopify access token or app secret", Source: "https://shopify.dev/changelog/length-of-the-shopify-access-token-is-increasing",
		shapes: []shape{{"shpat_", hexChar, 32, true, 2}, {"shpca_", hexChar, 32, true, 2}, {"shppa_", hexChar, 32, true, 2}, {"shpss_", hexChar, 32, true, 2}}},
	{ID: "atlassian_token", What: "Atlassian API token", Source: "https://support.atlassian.com/atlassian-account/docs/manage-api-tokens-for-your-atlassian-account/",
		shapes: []shape{{"ATATT3", base64Char, 60, false, 2}, {"ATCTT3", base64Char, 60, false, 2}}},
	{ID: "doppler_token", What: "Doppler token of any kind", Source: "https://docs.doppler.com/reference/api",
		shapes: []shape{
			{"dp.pt.", alnumChar, 40, false, 2}, {"dp.ct.", alnumChar, 40, false, 2}, {"dp.sa.", alnumChar, 40, false, 2},
			{"dp.st.", dottedChar, 40, false, 2}, {"dp.scim.", alnumChar, 40, false, 2}, {"dp.audit.", alnumChar, 40, false, 2},
		}},
	{ID: "age_key", What: "age secret key", Source: "https://age-encryption.org/v1",
		shapes: []shape{{"AGE-SECRET-KEY-1", capitalChar, 58, true, 2}}},
	{ID: "aws_access_key", What: "AWS access key id", Source: "https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html",
		shapes: []shape{{"AKIA", capitalChar, 16, true, 1}, {"ASIA", capitalChar, 16, true, 1}, {"ABIA", capitalChar, 16, true, 1}, {"ACCA", capitalChar, 16, true, 1}}},
	{ID: jwtRule, What: "JSON Web Token, its signature cut off or not", Source: "https://www.rfc-editor.org/rfc/rfc7519"},
	{ID: privateKeyRule, What: "private key block: PEM, OpenSSH, PGP", Source: "https://www.rfc-editor.org/rfc/rfc7468"},
	{ID: bearerRule, What: "bearer token", Source: "https://www.rfc-editor.org/rfc/rfc6750#section-2.1"},
	{ID: basicRule, What: "user and password of basic authentication", Source: "https://www.rfc-editor.org/rfc/rfc7617"},
	{ID: authRule, What: "credentials of another scheme in an Authorization header", Source: "https://www.rfc-editor.org/rfc/rfc9110#section-11.4"},
	{ID: cookieRule, What: "cookies", Source: "https://www.rfc-editor.org/rfc/rfc6265"},
	{ID: urlRule, What: "password in a URL", Source: "https://www.rfc-editor.org/rfc/rfc3986#section-3.2.1"},
	{ID: sasRule, What: "signature of an Azure shared access URL", Source: "https://learn.microsoft.com/en-us/azure/storage/common/storage-sas-overview"},
	{ID: namedRule, What: "value of a field, variable or flag named like a secret", Source: "https://cheatsheetseries.owasp.org/cheatsheets/Logging_Cheat_Sheet.html#data-to-exclude"},
	{ID: ownRule, What: "one of our own configured secrets, by exact value", Source: "https://cheatsheetseries.owasp.org/cheatsheets/Logging_Cheat_Sheet.html#data-to-exclude"},
	{ID: emailRule, What: "email address", Source: "https://www.rfc-editor.org/rfc/rfc5321#section-4.1.2", Choice: true},
	{ID: cardRule, What: "payment card number", Source: "https://www.iso.org/standard/70484.html", Choice: true},
}

// class is a set of characters.
type class uint16

const (
	alnumChar   class = 1 << iota // A-Z a-z 0-9
	wordChar                      // and _
	urlChar                       // and - : base64 as URLs have it
	dottedChar                    // and .
	base64Char                    // alphanumeric and + / = _ -
	hexChar                       // 0-9 a-f
	capitalChar                   // A-Z 0-9
	separator                     // - _ . : a secret may begin after it

	tokenChar = dottedChar
)

var classes = func() (t [256]class) {
	add := func(chars string, c class) {
		for i := range len(chars) {
			t[chars[i]] |= c
		}
	}
	const digits, small, capitals = "0123456789", "abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	add(digits+small+capitals, alnumChar|wordChar|urlChar|dottedChar|base64Char)
	add("_", wordChar|urlChar|dottedChar|base64Char|separator)
	add("-", urlChar|dottedChar|base64Char|separator)
	add(".", dottedChar|separator)
	add("+/=", base64Char)
	add(digits+"abcdef", hexChar)
	add(digits+capitals, capitalChar)
	return t
}()

// prefixed is a shape and the rule it belongs to.
type prefixed struct {
	shape
	rule string
}

// byFirst holds the shapes by the first character of their prefix, in the order of
// the rules: the first that fits is the one.
var byFirst = func() (t [128][]prefixed) {
	for _, r := range rules {
		for _, sh := range r.shapes {
			t[sh.prefix[0]] = append(t[sh.prefix[0]], prefixed{sh, r.ID})
		}
	}
	return t
}()
