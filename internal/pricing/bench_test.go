package pricing_test

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/kon-rad/openclaw-trace/internal/pricing"
)

func BenchmarkCost(b *testing.B) {
	usage := pricing.Usage{10000, 6000, 2000, 500, 1200, 100}
	f := func(name, provider, model string) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			table := pricing.Embedded()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if _, ok := table.Cost(provider, model, 1.79e12, usage); !ok {
						b.Error("no price")
					}
				}
			})
		})
	}
	f("exact", "openai", "gpt-5")
	f("rule", "anthropic", "claude-sonnet-4-5-20250929")
	f("inferred", "my-proxy", "us.anthropic.claude-sonnet-4-5-20250929-v1:0")
	b.Run("never seen before", func(b *testing.B) {
		table, i := pricing.Embedded(), 0
		for b.Loop() {
			i++
			table.Cost("openrouter", fmt.Sprintf("vendor/model-%d", i), 1.79e12, usage)
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	b.ReportAllocs()
	var kept *pricing.Table
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for b.Loop() {
		var err error
		if kept, err = pricing.Decode(); err != nil {
			b.Fatal(err)
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	b.ReportMetric(float64(after.HeapAlloc)-float64(before.HeapAlloc), "B-kept")
	runtime.KeepAlive(kept)
}
