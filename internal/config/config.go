// Package config turns the environment into the program's settings.
//
// Config declares each setting once. Its struct tags hold the variable's name
// and default (env), what it means (help) and what it takes (accepts, oneof,
// min, max); decoding, fault texts, --help, the table in the README and the
// start-up log are all made from them. To add a setting, add a field, and a
// check in validate if tags cannot express the rule. A Secret needs a second
// field for its _FILE variable.
//
// Load reports every fault at once, by the name of the variable, so that one
// start is enough to mend them all. It reads the files named by _FILE variables
// and touches nothing else.
package config

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"net/netip"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/sethvargo/go-envconfig"
)

// Config holds the resolved settings. One made by Load is valid and is not
// changed afterwards. Printing, logging or marshaling it shows no secret.
type Config struct {
	// Host is in lower case, an IP address in its canonical form without
	// brackets. ListenHosts says what to bind.
	Host string `env:"OCT_HOST, default=localhost" accepts:"localhost, *, an IP address or a host name, without scheme and port" help:"Address to listen on: localhost stands for 127.0.0.1 and ::1, * for every interface. Anything but a loopback address needs OCT_AUTH_TOKEN."`

	Port int `env:"OCT_PORT, default=9090" min:"1" max:"65535" help:"TCP port of the HTTP server."`

	OTLPPort int `env:"OCT_OTLP_PORT, default=4318" min:"0" max:"65535" help:"Second TCP port of the same server, where OTLP/HTTP exporters send by default; 0 turns it off. It may not equal OCT_PORT. If it is busy and was not set by hand, the program warns and goes on without it."`

	// OTLPPortSet tells whether OCT_OTLP_PORT was given, if only as its default.
	OTLPPortSet bool

	// AllowedHosts are spelled as Host is.
	AllowedHosts []string `env:"OCT_ALLOWED_HOSTS" accepts:"host names or IP addresses without scheme and port, separated by commas" help:"Names, besides localhost and the loopback addresses, that requests may carry in their Host header."`

	AuthToken Secret `env:"OCT_AUTH_TOKEN" accepts:"at least 8 printable ASCII characters without spaces" help:"Token that requests must carry. While it is unset no token is asked for, and only loopback addresses can be listened on."`

	// AuthTokenFile is where AuthToken was read from, if not from its variable.
	AuthTokenFile string `env:"OCT_AUTH_TOKEN_FILE" accepts:"the path of a readable, non-empty file of at most 64 KiB" help:"File that holds OCT_AUTH_TOKEN, instead of that variable; a newline at its end is ignored."`

	DBPath string `env:"OCT_DB_PATH, default=/data/openclaw-trace.db" accepts:"the path of a file" help:"The SQLite database, created when it does not exist."`

	Synchronous string `env:"OCT_SYNCHRONOUS, default=normal" oneof:"normal full" help:"How commits reach the disk: with normal a power cut may cost the last second, with full it costs nothing but each commit takes longer. A crash of the program costs nothing either way."`

	MaxTextBytes Bytes `env:"OCT_MAX_TEXT_BYTES, default=16384" min:"256" help:"Longest input or output text kept of a call; a longer one is shortened."`

	CaptureContent string `env:"OCT_CAPTURE_CONTENT, default=truncated" oneof:"truncated full off" help:"How much of what is said is kept: truncated shortens texts to OCT_MAX_TEXT_BYTES, full keeps them as long as a request may be, off keeps no prompts, answers and arguments of tools, and of an event's other details only numbers and what names something."`

	Redact []string `env:"OCT_REDACT, default=secrets" accepts:"secrets, emails and cards, separated by commas, or off" help:"What is masked before it is stored: keys, tokens, passwords and other secrets unless it is off, e-mail addresses and numbers of payment cards only if they are named."`

	PricesFile string `env:"OCT_PRICES_FILE" accepts:"the path of a readable file of at most 16 MiB" help:"Prices of models, in the form of docs/prices.md or as openclaw.json has them. They go before those that are built in."`

	MaxBodyBytes Bytes `env:"OCT_MAX_BODY_BYTES, default=16777216" min:"1KiB" max:"64MiB" help:"Largest request body taken, measured after decompression."`

	LogLevel slog.Level `env:"OCT_LOG_LEVEL, default=info" oneof:"debug info warn error" help:"Least severe level that is logged."`

	ShutdownTimeout time.Duration `env:"OCT_SHUTDOWN_TIMEOUT, default=8s" min:"1ms" help:"Time that all steps of stopping may take together. Docker kills after 10s unless told otherwise."`

	PushEndpoint URL `env:"OCT_PUSH_ENDPOINT" accepts:"an http or https URL with a host" help:"Where events are forwarded to: the URL itself with the format json, its base with otlp. While it is unset nothing is forwarded. By http only to a loopback address, unless OCT_PUSH_INSECURE is set. Its user info and query are never shown. HTTPS_PROXY, HTTP_PROXY and NO_PROXY are obeyed."`

	PushFormat string `env:"OCT_PUSH_FORMAT, default=json" oneof:"json otlp" help:"How events are forwarded: json is the envelope of docs/push.schema.json, otlp is OTLP over HTTP in protobuf, to /v1/traces, /v1/logs and /v1/metrics below the endpoint."`

	PushInterval time.Duration `env:"OCT_PUSH_INTERVAL, default=5m" min:"100ms" help:"Time between two rounds of forwarding. A round begins earlier when 500 events wait."`

	PushTimeout time.Duration `env:"OCT_PUSH_TIMEOUT, default=30s" min:"100ms" help:"Time that one attempt to forward a batch may take."`

	PushMaxBytes Bytes `env:"OCT_PUSH_MAX_BYTES, default=5242880" min:"4KiB" max:"64MiB" help:"Largest batch that is forwarded, measured before compression; an event that is larger goes alone."`

	PushCompression string `env:"OCT_PUSH_COMPRESSION, default=gzip" oneof:"gzip none" help:"How batches are compressed."`

	PushHeaders Headers `env:"OCT_PUSH_HEADERS" accepts:"name=value pairs separated by commas, values percent-encoded where they hold commas" help:"Headers of forwarded requests, as OTEL_EXPORTER_OTLP_HEADERS has them. Values are never shown."`

	PushToken Secret `env:"OCT_PUSH_TOKEN" accepts:"at least 8 printable ASCII characters without spaces" help:"Token that is sent to the remote as Authorization: Bearer."`

	// PushTokenFile is where PushToken was read from, if not from its variable.
	PushTokenFile string `env:"OCT_PUSH_TOKEN_FILE" accepts:"the path of a readable, non-empty file of at most 64 KiB" help:"File that holds OCT_PUSH_TOKEN, instead of that variable; a newline at its end is ignored."`

	PushCAFile string `env:"OCT_PUSH_CA_FILE" accepts:"the path of a readable file of certificates in PEM form" help:"Certificates of authorities that the remote's may come from, besides those of the system."`

	PushInsecure bool `env:"OCT_PUSH_INSECURE, default=false" accepts:"true or false" help:"Whether events may be forwarded without encryption, by http to an address that is not loopback."`

	AgentID string `env:"OCT_AGENT_ID" accepts:"at most 256 characters" help:"Name of the agent beside which this runs, for the remote."`

	MetricsInterval time.Duration `env:"OCT_METRICS_INTERVAL, default=15s" min:"1s" max:"24h" help:"Time between two readings of the host: processor, memory and disk, those of the container where there is one. The agent's process is looked at as often."`

	AgentProcess string `env:"OCT_AGENT_PROCESS" accepts:"a name or a regular expression" help:"What the agent's process is called, or what its command line matches. While it is unset OpenClaw's gateway is looked for."`

	AgentPIDFile string `env:"OCT_AGENT_PID_FILE" accepts:"the path of a file" help:"File with the process id of the agent, instead of a look through all processes."`

	AgentSilence time.Duration `env:"OCT_AGENT_SILENCE, default=30m" min:"0s" max:"720h" help:"How long an agent that is busy may send no calls, after it has sent some, before that is recorded as an error; 0s is for ever."`

	LogPath string `env:"OCT_LOG_PATH" accepts:"auto, the path of a file, or one with * or YYYY-MM-DD in its name" help:"The agent's log, which is followed: warnings and errors in it become error events. auto finds OpenClaw's. While it is unset no log is followed."`

	LogEvents bool `env:"OCT_LOG_EVENTS, default=false" accepts:"true or false" help:"Whether some lines of the log below a warning are kept as events: channels that connect, changed settings, runs that end."`

	// RetentionDays has an upper limit so that it fits a time.Duration.
	RetentionDays int `env:"OCT_RETENTION_DAYS, default=3" min:"1" max:"36500" help:"Days that events are kept. With OCT_PUSH_ENDPOINT set, those that were not delivered yet are kept as long as OCT_MAX_DB_BYTES allows."`

	MaxDBBytes Bytes `env:"OCT_MAX_DB_BYTES, default=268435456" min:"48MiB" help:"Largest size of the database together with its log. What goes first: delivered events, the oldest first; readings; the texts of the oldest calls, and then the calls; errors last."`

	MinFreeBytes Bytes `env:"OCT_MIN_FREE_BYTES, default=67108864" min:"0" help:"Space that is to stay free on the database's volume. When others take it, events go as with OCT_MAX_DB_BYTES, down to an eighth of that."`

	JanitorInterval time.Duration `env:"OCT_JANITOR_INTERVAL, default=1m" min:"1s" max:"24h" help:"Time between two looks for events to delete."`
}

// Load resolves the settings from environ, which has the form of os.Environ. An
// empty variable counts as unset.
//
// The error, if any, joins all faults, one sentence a line. Each names the
// variable, what was given unless that may be secret, and what is accepted.
// The warnings are sentences too, one for each OCT_ variable that is no setting;
// they are returned with and without an error.
func Load(environ []string) (*Config, []string, error) {
	l := loader{env: make(map[string]string), bad: make(map[string]bool)}
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		if strings.HasPrefix(name, "OCT_") && value != "" {
			l.env[name] = value
		}
	}
	warnings := l.unknown()

	c := new(Config)
	v := reflect.ValueOf(c).Elem()
	for _, f := range fields() {
		l.load(f, v.FieldByIndex(f.Index))
	}
	c.OTLPPortSet = l.env["OCT_OTLP_PORT"] != ""
	if c.Port == c.OTLPPort && !c.OTLPPortSet {
		c.OTLPPort = 0 // OCT_PORT serves OTLP too
	}
	l.validate(c)
	if len(l.faults) > 0 {
		return nil, warnings, errors.Join(l.faults...)
	}
	return c, warnings, nil
}

// Redacts tells whether kind, one of OCT_REDACT's, is masked. Secrets are masked with
// any of the others.
func (c *Config) Redacts(kind string) bool {
	return slices.Contains(c.Redact, kind) || kind == "secrets" && !slices.Contains(c.Redact, "off")
}

// Secrets returns the secrets among the settings, for a mask.
func (c *Config) Secrets() []string {
	var all []string
	v := reflect.ValueOf(c).Elem()
	for _, f := range fields() {
		if s := v.FieldByIndex(f.Index); f.isSecret() && s.String() != "" {
			all = append(all, s.String())
		}
	}
	for _, value := range c.PushHeaders {
		all = append(all, value)
	}
	return append(all, c.PushEndpoint.secrets()...)
}

// MaxText returns how many bytes of a text are kept.
func (c *Config) MaxText() int {
	if c.CaptureContent == "full" {
		return int(c.MaxBodyBytes)
	}
	return int(c.MaxTextBytes)
}

// ListenHosts returns the addresses to bind, ready for net.JoinHostPort. The
// empty one stands for every interface.
func (c *Config) ListenHosts() []string {
	switch c.Host {
	case "localhost":
		return []string{"127.0.0.1", "::1"}
	case "*":
		return []string{""}
	}
	return []string{c.Host}
}

// AnyInterface tells whether every interface is listened on.
func (c *Config) AnyInterface() bool {
	return c.Host == "*" || c.Host == "0.0.0.0" || c.Host == "::"
}

// field is a setting's declaration.
type field struct {
	reflect.StructField
	name, def string
}

func fields() []field {
	var fs []field
	for _, sf := range reflect.VisibleFields(reflect.TypeFor[Config]()) {
		if tag, ok := sf.Tag.Lookup("env"); ok {
			name, opts, _ := strings.Cut(tag, ",")
			_, def, _ := strings.Cut(opts, "default=")
			fs = append(fs, field{sf, name, def})
		}
	}
	return fs
}

func (f field) isSecret() bool { return f.Type == reflect.TypeFor[Secret]() }

// accepts completes the sentence "accepted: ".
func (f field) accepts() string {
	if text := f.Tag.Get("accepts"); text != "" {
		return text
	}
	if words := strings.Fields(f.Tag.Get("oneof")); len(words) > 0 {
		last := len(words) - 1
		return strings.Join(words[:last], ", ") + " or " + words[last]
	}
	limits := "of at least " + f.Tag.Get("min")
	if max := f.Tag.Get("max"); max != "" {
		limits = "from " + f.Tag.Get("min") + " to " + max
	}
	switch f.Type {
	case reflect.TypeFor[Bytes]():
		return "a size " + limits + ", in bytes or with the suffix KiB, MiB or GiB"
	case reflect.TypeFor[time.Duration]():
		return "a duration " + limits + ", such as 30s or 5m"
	}
	return "a whole number " + limits
}

// decode returns the value that text stands for, or the default if it is empty.
// It hands go-envconfig a struct of this field alone, since the library stops at
// its first error and does not name the variable.
func (f field) decode(text string) (reflect.Value, error) {
	env := make(map[string]string)
	if text != "" {
		env[f.name] = text
	}
	one := reflect.New(reflect.StructOf([]reflect.StructField{f.StructField}))
	err := envconfig.ProcessWith(context.Background(), &envconfig.Config{
		Target:   one.Interface(),
		Lookuper: envconfig.MapLookuper(env),
	})
	return one.Elem().Field(0), err
}

// parse is decode, restricted to what accepts promises.
func (f field) parse(text string) (reflect.Value, error) {
	v, err := f.decode(text)
	if err != nil || text == "" {
		return v, err
	}
	if f.Type == reflect.TypeFor[int]() {
		// go-envconfig guesses the base and would read 010 as 8.
		if n, err := strconv.Atoi(text); err != nil || int64(n) != v.Int() {
			return v, strconv.ErrSyntax
		}
	}
	if words := f.Tag.Get("oneof"); words != "" && !slices.Contains(strings.Fields(words), text) {
		return v, strconv.ErrSyntax
	}
	if f.Tag.Get("min") != "" && v.Int() < f.limit("min") || f.Tag.Get("max") != "" && v.Int() > f.limit("max") {
		return v, strconv.ErrRange
	}
	return v, nil
}

// limit returns the number in the tag min or max.
func (f field) limit(tag string) int64 {
	v, err := f.decode(f.Tag.Get(tag))
	if err != nil {
		panic(err)
	}
	return v.Int()
}

type loader struct {
	env    map[string]string // OCT_ variables that are not empty
	faults []error
	bad    map[string]bool // variables with a fault
}

func (l *loader) fault(name, sentence string) {
	l.bad[name] = true
	l.faults = append(l.faults, errors.New(sentence))
}

// reject makes a fault's sentence: the variable, what was found, what it accepts.
func (l *loader) reject(name, found string) {
	for _, f := range fields() {
		if f.name == name {
			l.fault(name, name+" "+found+"; accepted: "+f.accepts()+".")
		}
	}
}

// quoted bounds what a fault repeats of a value.
func quoted(s string) string {
	const most = 100
	if utf8.RuneCountInString(s) > most {
		return fmt.Sprintf("%.*q…", most, s)
	}
	return strconv.Quote(s)
}

func (l *loader) load(f field, dst reflect.Value) {
	if f.isSecret() && !l.readSecret(f.name) {
		return
	}
	text := l.env[f.name]
	v, err := f.parse(text)
	switch {
	case err != nil && f.Type == reflect.TypeFor[Headers]():
		l.reject(f.name, "cannot be used (its value is not shown)")
	case err != nil:
		l.reject(f.name, "is "+quoted(text))
	default:
		dst.Set(v)
	}
}

const maxSecretFile = 64 << 10

// readSecret puts the content of the file named by the _FILE variable, if any,
// in the variable's place. It reports whether there was no fault.
func (l *loader) readSecret(name string) bool {
	fileVar := name + "_FILE"
	path := l.env[fileVar]
	if path == "" {
		return true
	}
	if l.env[name] != "" {
		l.fault(name, name+" and "+fileVar+" are both set; accepted: one of them.")
		return false
	}
	data, err := readAtMost(path, maxSecretFile+1)
	text := strings.TrimRight(string(data), "\r\n")
	var problem string
	switch {
	case err != nil:
		if pe, ok := errors.AsType[*fs.PathError](err); ok {
			err = pe.Err // the path is in the sentence already
		}
		problem = "cannot be read (" + err.Error() + ")"
	case len(data) > maxSecretFile:
		problem = "is too large"
	case text == "":
		problem = "is empty"
	default:
		l.env[name] = text
		return true
	}
	l.bad[name] = true
	l.reject(fileVar, "is "+quoted(path)+", which "+problem)
	return false
}

func readAtMost(path string, n int64) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return io.ReadAll(io.LimitReader(file, n))
}

// validate checks what tags cannot express and brings host names into their
// canonical form. A variable that is known to be wrong causes no second fault.
func (l *loader) validate(c *Config) {
	if c.AuthToken != "" && !validToken(c.AuthToken) {
		found := "cannot be used (its value is not shown)"
		if c.AuthTokenFile != "" {
			found = "in " + quoted(c.AuthTokenFile) + " " + found
		}
		l.reject("OCT_AUTH_TOKEN", found)
	}
	if host, ok := parseHost(c.Host); ok {
		c.Host = host
	} else if c.Host != "*" {
		l.reject("OCT_HOST", "is "+quoted(c.Host))
	}
	if !l.bad["OCT_HOST"] && !l.bad["OCT_AUTH_TOKEN"] && c.AuthToken == "" && !isLoopback(c.Host) {
		l.fault("OCT_HOST", "OCT_HOST is "+quoted(c.Host)+" but OCT_AUTH_TOKEN is not set; "+
			"accepted: localhost, an address in 127.0.0.0/8, ::1, or anything together with a token.")
	}
	if !l.bad["OCT_PORT"] && !l.bad["OCT_OTLP_PORT"] && c.Port == c.OTLPPort {
		l.fault("OCT_OTLP_PORT", "OCT_OTLP_PORT is "+strconv.Itoa(c.Port)+", and so is OCT_PORT; "+
			"accepted: another port, or 0 to do without.")
	}
	for i, name := range c.AllowedHosts {
		if host, ok := parseHost(name); ok {
			c.AllowedHosts[i] = host
		} else {
			l.reject("OCT_ALLOWED_HOSTS", "contains "+quoted(name))
		}
	}
	for i, kind := range c.Redact {
		kind = strings.TrimSpace(kind)
		c.Redact[i] = kind
		if !slices.Contains([]string{"secrets", "emails", "cards", "off"}, kind) || kind == "off" && len(c.Redact) > 1 {
			l.reject("OCT_REDACT", "contains "+quoted(kind))
		}
	}
	switch {
	case c.PushEndpoint == "":
	case !c.PushEndpoint.valid():
		l.reject("OCT_PUSH_ENDPOINT", "cannot be used (its value is not shown)")
	case !c.PushInsecure && c.PushEndpoint.isLinkLocal():
		l.fault("OCT_PUSH_ENDPOINT", "OCT_PUSH_ENDPOINT is "+quoted(c.PushEndpoint.String())+", a link-local address, as metadata services of clouds have; "+
			"accepted: another address, or this together with OCT_PUSH_INSECURE=true.")
	case !c.PushInsecure && !c.PushEndpoint.private():
		l.fault("OCT_PUSH_ENDPOINT", "OCT_PUSH_ENDPOINT is "+quoted(c.PushEndpoint.String())+", which is not encrypted; "+
			"accepted: https, or http to a loopback address, or anything together with OCT_PUSH_INSECURE=true.")
	}
	if c.PushToken != "" && !validToken(c.PushToken) {
		l.reject("OCT_PUSH_TOKEN", "cannot be used (its value is not shown)")
	}
	if _, err := regexp.Compile(c.AgentProcess); err != nil {
		l.reject("OCT_AGENT_PROCESS", "is "+quoted(c.AgentProcess)+", which is no regular expression")
	}
	if len(c.AgentID) > 256 {
		l.reject("OCT_AGENT_ID", "is too long")
	}
}

func validToken(s Secret) bool {
	for _, b := range []byte(s) {
		if b <= ' ' || b > '~' {
			return false
		}
	}
	return len(s) >= 8
}

// parseHost returns the canonical form of an IP address, with or without the
// brackets of an IPv6 one, or of a host name.
func parseHost(s string) (string, bool) {
	if inner, ok := strings.CutPrefix(s, "["); ok {
		inner, ok = strings.CutSuffix(inner, "]")
		addr, err := netip.ParseAddr(inner)
		return addr.String(), ok && err == nil && addr.Is6()
	}
	if addr, err := netip.ParseAddr(s); err == nil {
		return addr.String(), true
	}
	s = strings.ToLower(s)
	var label string
	for label = range strings.SplitSeq(s, ".") {
		// Underscores are not for host names, but container networks use them.
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' ||
			strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			return "", false
		}
	}
	// A name does not end in a number: resolvers take 127.1 for an address.
	return s, len(s) <= 253 && strings.Trim(label, "0123456789") != ""
}

// isLoopback expects a host in canonical form.
func isLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.Unmap().IsLoopback()
}

// unknown returns a warning for each variable that is not a setting. It does not
// show values: a misspelled secret is still a secret.
func (l *loader) unknown() []string {
	var warnings []string
	settings := fields()
	for _, name := range slices.Sorted(maps.Keys(l.env)) {
		if slices.ContainsFunc(settings, func(f field) bool { return f.name == name }) {
			continue
		}
		text := name + " is not a setting of this version and is ignored."
		if i := slices.IndexFunc(settings, func(f field) bool { return oneEdit(name, f.name) }); i >= 0 {
			text += " Did you mean " + settings[i].name + "?"
		}
		warnings = append(warnings, text)
	}
	return warnings
}

// oneEdit tells whether two different strings become equal by inserting,
// deleting or replacing one byte, or by swapping two neighbours.
func oneEdit(a, b string) bool {
	if len(a) > len(b) {
		a, b = b, a
	}
	i := 0
	for i < len(a) && a[i] == b[i] {
		i++
	}
	switch len(b) - len(a) {
	case 0:
		return a[i+1:] == b[i+1:] ||
			i+1 < len(a) && a[i] == b[i+1] && a[i+1] == b[i] && a[i+2:] == b[i+2:]
	case 1:
		return a[i:] == b[i+1:]
	}
	return false
}
