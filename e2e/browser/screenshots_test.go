package browser_test

import (
	"bytes"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/chromedp/chromedp"
)

// TestScreenshots takes the pictures of the README, of the days that the dashboard's own
// tests make up.
func TestScreenshots(t *testing.T) {
	if !*screenshots {
		t.Skip("-screenshots is not set")
	}
	path, err := filepath.Abs(filepath.Join(t.TempDir(), "demo.db"))
	if err != nil {
		t.Fatal(err)
	}
	demo := exec.Command("go", "test", "-count=1", "-run", "^TestWriteDemo$", "./internal/dashboard", "-args", "-demo", path)
	demo.Dir = root
	if out, err := demo.CombinedOutput(); err != nil {
		t.Fatalf("make the days up: %v\n%s", err, out)
	}
	s := start(t, path, "OCT_RETENTION_DAYS=30", "OCT_METRICS_INTERVAL=1h")
	b := s.tab(t)
	for _, p := range []struct {
		name, path, theme string
		width, height     int64
	}{
		{"overview", "/?since=3d", "light", 1320, 930},
		{"overview-dark", "/?since=3d", "dark", 1320, 930},
		{"call", "", "light", 1320, 1000},
		{"system", "/system", "light", 1320, 840},
	} {
		b.prefer(p.theme)
		b.size(p.width, p.height)
		path := p.path
		if p.name == "call" {
			// One of a turn with tools.
			b.open("/calls?status=ok&q=journalctl")
			for _, path = range js[[]string](b, `[...document.querySelectorAll("#list a.row")].map((a) => a.pathname)`) {
				b.open(path)
				if js[int](b, `document.querySelectorAll(".waterfall tbody tr").length`) > 5 {
					break
				}
			}
		}
		b.open(path)
		shot, err := chromedp.Run(b.ctx, chromedp.CaptureScreenshot())
		if err != nil {
			t.Fatal(err)
		}
		dir := filepath.Join(root, "docs", "screenshots")
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, p.name+".png"), smaller(t, shot), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// smaller returns a picture with at most 256 colours, of which a page has few more.
func smaller(t *testing.T, shot []byte) []byte {
	t.Helper()
	img, err := png.Decode(bytes.NewReader(shot))
	if err != nil {
		t.Fatal(err)
	}
	count := make(map[color.RGBA]int)
	bounds := img.Bounds()
	for y := bounds.Min.Y; y < bounds.Max.Y; y++ {
		for x := bounds.Min.X; x < bounds.Max.X; x++ {
			r, g, b, _ := img.At(x, y).RGBA()
			count[color.RGBA{uint8(r >> 8), uint8(g >> 8), uint8(b >> 8), 255}]++
		}
	}
	var colors []color.RGBA
	for c := range count {
		colors = append(colors, c)
	}
	slices.SortFunc(colors, func(a, b color.RGBA) int {
		if n := count[b] - count[a]; n != 0 {
			return n
		}
		return int(a.R)<<16 + int(a.G)<<8 + int(a.B) - int(b.R)<<16 - int(b.G)<<8 - int(b.B)
	})
	// The most frequent ones, but none that is nearly one of those before.
	var palette color.Palette
	for _, near := range []int{24, 10, 0} {
		for _, c := range colors {
			if len(palette) == 256 {
				break
			}
			if !slices.ContainsFunc(palette, func(p color.Color) bool {
				q := p.(color.RGBA)
				return abs(q.R, c.R)+abs(q.G, c.G)+abs(q.B, c.B) <= near
			}) {
				palette = append(palette, c)
			}
		}
	}
	out := image.NewPaletted(bounds, palette)
	draw.Draw(out, bounds, img, bounds.Min, draw.Src)
	var buf bytes.Buffer
	if err := (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&buf, out); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func abs(a, b uint8) int {
	if a < b {
		a, b = b, a
	}
	return int(a - b)
}
