package redact_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/kon-rad/openclaw-trace/internal/redact"
)

func report(b *testing.B, m *redact.Masker, s string) {
	b.Helper()
	b.ReportAllocs()
	b.SetBytes(int64(len(s)))
	for b.Loop() {
		m.Mask(s, nil)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/1000/float64(b.N)/(float64(len(s))/1024), "µs/KiB")
}

var words = strings.Fields(`the agent reads a file and answers with what it found there; its authors explained,
in a longer comment, why the configuration is loaded twice: once for defaults and once for the user's own
settings - which may override them. Nevertheless "unconditionally" is a word that documentation should avoid.
Internationalization, 24 of 31 tests passed (see section 4.2), and the remaining ones are well-known.`)

func prose(n int) string {
	r := rand.New(rand.NewPCG(1, 2))
	var b strings.Builder
	for b.Len() < n {
		b.WriteString(words[r.IntN(len(words))])
		if r.IntN(14) == 0 {
			b.WriteByte('\n')
		} else {
			b.WriteByte(' ')
		}
	}
	return b.String()[:n]
}

func messages(n int) string {
	var list []any
	for size := 0; size < n; size += 700 {
		list = append(list,
			map[string]any{"role": "user", "content": []any{map[string]any{"type": "text", "text": prose(400)}}},
			map[string]any{"role": "assistant", "parts": []any{map[string]any{"type": "tool_call", "id": "call_01HZX3", "name": "read_file",
				"arguments": map[string]any{"path": "/home/jo/src/main.go", "max_tokens": 4096, "limit": 20}}}})
	}
	b, _ := json.Marshal(list)
	return string(b)
}

const code = `func (s *Store) Open(ctx context.Context, path string) (*Conn, error) {
	c, err := s.pool.Get(ctx, path, Options{ReadOnly: true, MaxTokens: 4096})
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	for i := 0; i < len(c.pages) && c.pages[i] != nil; i++ {
		total += c.pages[i].size // counted once, see https://example.com/docs
	}
	return c, nil
}
`

func random(n int) string {
	const chars = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	r := rand.New(rand.NewPCG(3, 4))
	b := make([]byte, n)
	for i := range b {
		b[i] = chars[r.IntN(64)]
	}
	return string(b)
}

func BenchmarkProse(b *testing.B) {
	text := prose(64 << 10)
	b.Run("default", func(b *testing.B) { report(b, redact.New(redact.Options{}), text) })
	b.Run("secrets", func(b *testing.B) {
		report(b, redact.New(redact.Options{Secrets: []string{"one-of-our-secrets", "another of our secrets", "Zm9vYmFyYmF6"}}), text)
	})
	b.Run("all", func(b *testing.B) {
		report(b, redact.New(redact.Options{Emails: true, Cards: true, Secrets: []string{"one-of-our-secrets", "another of our secrets"}}), text)
	})
}

func BenchmarkJSON(b *testing.B) {
	text := messages(64 << 10)
	nested, _ := json.Marshal(text)
	b.Run("messages", func(b *testing.B) { report(b, redact.New(redact.Options{}), text) })
	b.Run("nested", func(b *testing.B) { report(b, redact.New(redact.Options{}), string(nested)) })
	b.Run("short", func(b *testing.B) { report(b, redact.New(redact.Options{}), text[:200]) })
}

func BenchmarkCode(b *testing.B) {
	report(b, redact.New(redact.Options{}), strings.Repeat(code, 100))
}

func BenchmarkBase64(b *testing.B) {
	report(b, redact.New(redact.Options{}), "data:image/png;base64,"+random(64<<10))
}

func BenchmarkChinese(b *testing.B) {
	report(b, redact.New(redact.Options{}), strings.Repeat("密钥不应写入磁盘,因此先掩码再保存。", 1000))
}

// BenchmarkAdversarial takes as long per byte for long texts as for short ones.
func BenchmarkAdversarial(b *testing.B) {
	for _, part := range adversarial {
		for _, size := range []int{64 << 10, 4 << 20} {
			b.Run(fmt.Sprintf("%.12q/%dKiB", part, size>>10), func(b *testing.B) {
				report(b, redact.New(redact.Options{Emails: true, Cards: true}), strings.Repeat(part, size/len(part)))
			})
		}
	}
}
