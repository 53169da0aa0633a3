// Generate makes prices.txt from the npm package that publishes the prices,
// @pydantic/genai-prices, as `npm pack` leaves it:
//
//	generate -date 2026-01-31 -o prices.txt pydantic-genai-prices-1.2.3.tgz
//
// The same package and date make the same bytes. What a line means is said where it is
// read, in decode.go of the package pricing.
//
// Of the package it takes the literal of JavaScript that all its data is in: providers,
// their models, the rules by which names match, prices per token with their history,
// tiers and times of day, and prices per request. It leaves out descriptions and prices
// of sounds, images, pages and searches. Whatever it does not understand ends it: a price that is
// silently missing is found by nobody.
package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/kon-rad/openclaw-trace/internal/pricing/json5"
)

func main() {
	date := flag.String("date", "", "the day of the package's release, as 2026-01-31")
	out := flag.String("o", "prices.txt", "the file to write")
	flag.Parse()
	if flag.NArg() != 1 {
		fmt.Fprintln(os.Stderr, "generate: the package is expected as the one argument")
		os.Exit(2)
	}
	if err := run(flag.Arg(0), *date, *out); err != nil {
		fmt.Fprintln(os.Stderr, "generate:", err)
		os.Exit(1)
	}
}

func run(archive, date, out string) error {
	f, err := os.Open(archive)
	if err != nil {
		return err
	}
	defer f.Close()
	files, err := unpack(f)
	if err != nil {
		return fmt.Errorf("%s: %w", archive, err)
	}
	text, rounded, err := generate(files, date)
	if err != nil {
		return fmt.Errorf("%s: %w", archive, err)
	}
	for _, what := range rounded {
		fmt.Println("rounded to nine decimals:", what)
	}
	return os.WriteFile(out, text, 0o644)
}

// maxFile bounds a file of the package; the largest has less than a megabyte.
const maxFile = 32 << 20

// The files of the package that matter.
const (
	manifest = "package/package.json"
	licence  = "package/LICENSE"
	data     = "package/dist/index.js"
)

func unpack(r io.Reader) (map[string][]byte, error) {
	z, err := gzip.NewReader(r)
	if err != nil {
		return nil, err
	}
	files := make(map[string][]byte)
	for t := tar.NewReader(z); ; {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		switch h.Name {
		case manifest, licence, data:
			if files[h.Name], err = io.ReadAll(io.LimitReader(t, maxFile)); err != nil {
				return nil, err
			}
		}
	}
	for _, name := range []string{manifest, licence, data} {
		if files[name] == nil {
			return nil, fmt.Errorf("it has no %s", name)
		}
	}
	return files, nil
}

// literal finds the providers: an array that a variable begins with.
var literal = regexp.MustCompile(`(?:const|let|var|,) *[\w$]+ = (\[\s*\{\s*id:)`)

// generate returns the table, and the prices that it could not write exactly.
func generate(files map[string][]byte, date string) (text []byte, rounded []string, err error) {
	if _, err := time.Parse(time.DateOnly, date); err != nil {
		return nil, nil, fmt.Errorf("the date %q is not like 2026-01-31", date)
	}
	about, err := json5.Parse(files[manifest])
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", manifest, err)
	}
	at := literal.FindSubmatchIndex(files[data])
	if at == nil {
		return nil, nil, fmt.Errorf("%s: there is no list of providers", data)
	}
	providers, err := json5.Prefix(files[data][at[2]:])
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", data, err)
	}

	var b bytes.Buffer
	b.WriteString("# Prices of language models, in USD per 1,000,000 tokens.\n# Made by `make prices`: changes by hand are lost. How to read a line: decode.go.\n#\n# The prices come from a package with this licence:\n#\n")
	var copyright string
	for line := range strings.Lines(string(files[licence])) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "Copyright") {
			copyright = line
		}
		b.WriteString(strings.TrimSpace("# "+line) + "\n")
	}
	fmt.Fprintf(&b, "\nsource: %s %s\ndate: %s\nlicence: %s, %s\n", member(about, "name"), member(about, "version"), date, member(about, "license"), copyright)

	e := &encoder{out: &b}
	e.providers(providers)
	return b.Bytes(), e.rounded, errors.Join(e.errs...)
}

func member(v json5.Value, name string) string {
	if m, ok := v.Get(name); ok {
		return m.Text
	}
	return ""
}
