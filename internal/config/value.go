package config

import (
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

const hidden = "***"

// Secret is a value that must not be seen: every way of printing, logging or
// marshaling it gives "***", or nothing if it is empty.
type Secret string

// Reveal returns the secret itself.
func (s Secret) Reveal() string { return string(s) }

// String returns "***", or "" for an empty secret.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return hidden
}

// Format implements fmt.Formatter. Without it %#v and mistaken verbs such as %d
// would bypass String. (%p bypasses Format too; go vet refuses it.)
func (s Secret) Format(f fmt.State, _ rune) { io.WriteString(f, s.String()) }

// MarshalText implements encoding.TextMarshaler and gives what String gives.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// LogValue implements slog.LogValuer and gives what String gives.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// URL is an http or https URL whose user info and query may hold credentials:
// every way of printing, logging or marshaling it hides them.
type URL string

// Reveal returns the whole URL.
func (u URL) Reveal() string { return string(u) }

// String returns the URL with user info and query replaced by "***" and without
// its fragment.
func (u URL) String() string {
	if u == "" {
		return ""
	}
	p, err := url.Parse(string(u))
	// An @ further on means that a password with an unescaped slash may have been
	// taken for host and path.
	if err != nil || strings.Contains(p.Path+p.RawQuery+p.Fragment, "@") {
		return hidden
	}
	var b strings.Builder
	b.WriteString(p.Scheme + "://")
	if p.User != nil {
		b.WriteString(hidden + "@")
	}
	b.WriteString(p.Host + p.EscapedPath())
	if p.RawQuery != "" {
		b.WriteString("?" + hidden)
	}
	return b.String()
}

// Format implements fmt.Formatter, for the same reason as Secret's.
func (u URL) Format(f fmt.State, _ rune) { io.WriteString(f, u.String()) }

// MarshalText implements encoding.TextMarshaler and gives what String gives.
func (u URL) MarshalText() ([]byte, error) { return []byte(u.String()), nil }

// LogValue implements slog.LogValuer and gives what String gives.
func (u URL) LogValue() slog.Value { return slog.StringValue(u.String()) }

// secrets returns what in the URL may be a credential, as it may appear elsewhere.
func (u URL) secrets() []string {
	p, err := url.Parse(string(u))
	if err != nil {
		return nil
	}
	var all []string
	if password, ok := p.User.Password(); ok {
		all = append(all, password)
	}
	for _, values := range p.Query() {
		all = append(all, values...)
	}
	return all
}

func (u URL) valid() bool {
	p, err := url.Parse(string(u))
	if err != nil || p.Scheme != "http" && p.Scheme != "https" || p.Hostname() == "" {
		return false
	}
	if p.Port() == "" {
		return true
	}
	port, err := strconv.ParseUint(p.Port(), 10, 16)
	return err == nil && port > 0
}

// private tells whether nobody else can read what is sent to it.
func (u URL) private() bool {
	p, err := url.Parse(string(u))
	return err == nil && (p.Scheme == "https" || isLoopback(strings.ToLower(p.Hostname())))
}

// isLinkLocal tells whether it leads to an address such as that of a cloud's metadata
// service, where nobody means to send events.
func (u URL) isLinkLocal() bool {
	p, err := url.Parse(string(u))
	if err != nil {
		return false
	}
	addr, err := netip.ParseAddr(p.Hostname())
	return err == nil && addr.Unmap().IsLinkLocalUnicast()
}

// Headers are names and values of HTTP headers. Values may be credentials: every way of
// printing, logging or marshaling them shows the names only.
type Headers map[string]string

// EnvDecode reads pairs as OTEL_EXPORTER_OTLP_HEADERS has them
// (https://opentelemetry.io/docs/specs/otel/protocol/exporter/). It implements the
// decoder interface of go-envconfig.
func (h *Headers) EnvDecode(text string) error {
	if text == "" {
		return nil
	}
	all := make(Headers)
	for pair := range strings.SplitSeq(text, ",") {
		name, value, ok := strings.Cut(pair, "=")
		name = strings.TrimSpace(name)
		value, err := url.PathUnescape(strings.TrimSpace(value))
		if !ok || err != nil || !isToken(name) || strings.ContainsAny(value, "\r\n\x00") {
			return strconv.ErrSyntax
		}
		all[name] = value
	}
	*h = all
	return nil
}

// isToken tells whether name may be that of a header (RFC 9110, section 5.6.2).
func isToken(name string) bool {
	for _, b := range []byte(name) {
		if b <= ' ' || b > '~' || strings.IndexByte(`"(),/:;<=>?@[\]{}`, b) >= 0 {
			return false
		}
	}
	return name != ""
}

// String returns the names with hidden values.
func (h Headers) String() string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(h)) {
		all = append(all, name+"="+hidden)
	}
	return strings.Join(all, ",")
}

// Format implements fmt.Formatter, for the same reason as Secret's.
func (h Headers) Format(f fmt.State, _ rune) { io.WriteString(f, h.String()) }

// MarshalText implements encoding.TextMarshaler and gives what String gives.
func (h Headers) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// LogValue implements slog.LogValuer and gives what String gives.
func (h Headers) LogValue() slog.Value { return slog.StringValue(h.String()) }

// Bytes is a size in bytes.
type Bytes int64

// EnvDecode reads a whole number of bytes, or of the unit that follows it: KiB,
// MiB or GiB. It implements the decoder interface of go-envconfig.
func (b *Bytes) EnvDecode(text string) error {
	shift := 0
	for i, unit := range []string{"KiB", "MiB", "GiB"} {
		if number, ok := strings.CutSuffix(text, unit); ok {
			text, shift = strings.TrimRight(number, " "), 10*(i+1)
			break
		}
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return err
	}
	if n < 0 || n > math.MaxInt64>>shift {
		return strconv.ErrRange
	}
	*b = Bytes(n << shift)
	return nil
}
