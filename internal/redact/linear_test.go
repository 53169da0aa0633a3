package redact_test

import (
	"strings"
	"testing"

	"github.com/kon-rad/openclaw-trace/internal/redact"
)

// adversarial are texts that begin something at every place and finish nothing.
var adversarial = []string{
	"eyJ", "eyJ-", "eyJ.", "eyJaaaaaaaaaa.", "eyJaaaaaaaaaa.eyJ-", ":", "=", "-", "-----BEGIN", "-----BEGIN PRIVATE KEY-----", "-----BEGIN PRIVATE KEY-----\nA ",
	"sk-", "sk-a1", "sk-ant-", "://", "a://a:", "a://", "password=", "password:", "password: ", "secret:-", "password=\"", "password='",
	"password: '", "password=${", "password=<", "\"password\":", "\"password\":[\"", "\"password\":[\"x\",", "password=[", "cookie: ", "cookie: a ", "cookie=\"",
	"authorization: ", "authorization: bearer ", "authorization:bearer", "authorization: digest ", "bearer ", "&sig=", "?sig=?", "--token ", "--token", "@", "a@", "a@a.", "a@a",
	"4111 ", "4111", "4 ", "4-", "\\", "\\\\", "\"", "\\\"", "password\\\\\\", "\\password=\\", "password=\\", "hooks.slack.com/services/", "https://hooks.slack.com/services/", "https://hooks.slack.com\\/services\\/",
	"MTIzNDU2Nzg5MDEyMzQ1Njc4.", "12345678:", "s.", "SK", "[masked:", "password=[masked:", "password   ", "password \t", "密", "\n", "x=\n", "password\n", "*", "password**:**",
	"AKIA", "ghp_", "glpat-", "key-", "tskey-", "dp.pt.", "password: aaaaaaaaaaaaaaaaaaaaaaaaaaaaa:", "token=$token", "pwd=/a/b", "pwd=/", "secret=a(", "secret: a(", "secret: \\", "secret=\\\\", "\"secret\":  ",
	"curl -u a:", "-u a:", "curl -u 'a:", "curl -u \"a:b", "\"value\":", "\"token\",\"value\":", "\"token\":{\"value\":", "{\"stringValue\":", "1//0", "1//0a", "https://a1", "a:token:", "a:token:b", "pass:", "pass:'", "pass=1", "(\"token: \" ", "'token: '",
	"password:\"is ", "password='a a ", "sk-A1b-", "sb_secret_", "jina_",
}

// Whatever the text, each byte is read a bounded number of times.
func TestLinear(t *testing.T) {
	t.Parallel()
	m := redact.New(redact.Options{Emails: true, Cards: true})
	for _, part := range adversarial {
		for _, end := range []string{"", "\"", "'", "\n", " x"} {
			const size = 1 << 18
			s := strings.Repeat(part, size/len(part)) + end
			small := m.Work(s[:len(s)/8])
			if work := m.Work(s); work > 120*len(s) || work > 10*small+100_000 {
				t.Errorf("%q repeated to %d bytes: %d bytes were read, %d for an eighth of it", part, len(s), work, small)
			}
		}
	}
}

func TestLinearInPairs(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("a few seconds")
	}
	m := redact.New(redact.Options{Emails: true, Cards: true})
	for _, a := range adversarial {
		for _, b := range adversarial {
			const size = 1 << 12
			s := strings.Repeat(a+b, size/len(a+b))
			small := m.Work(s[:len(s)/8])
			if work := m.Work(s); work > 10*small+60_000 {
				t.Errorf("%q repeated to %d bytes: %d bytes were read, %d for an eighth of it", a+b, len(s), work, small)
			}
			s = strings.Repeat(a, size/len(a)) + strings.Repeat(b, size/len(b))
			if work := m.Work(s); work > 300*len(s) {
				t.Errorf("%q, then %q: %d bytes were read of %d", a, b, work, len(s))
			}
		}
	}
}
