package cgroup

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"math"
	"syscall"
)

// read returns the content of a file, which is valid until the next read.
func (g *Group) read(name string) ([]byte, error) { return g.readUpTo(name, maxFile) }

func (g *Group) readUpTo(name string, limit int) ([]byte, error) {
	f, err := g.root.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if g.buf == nil {
		g.buf = make([]byte, 8<<10) // memory.stat has about 2 KiB
	}
	n := 0
	for {
		m, err := f.Read(g.buf[n:])
		n += m
		switch {
		case errors.Is(err, io.EOF):
			return g.buf[:n], nil
		case errors.Is(err, syscall.ENODEV), errors.Is(err, syscall.ESRCH), errors.Is(err, syscall.EOPNOTSUPP):
			// The group or the process ended after the open, or the kernel was started
			// without what the file would tell.
			return nil, fmt.Errorf("read %s: %w (%w)", name, fs.ErrNotExist, err)
		case err != nil:
			return nil, fmt.Errorf("read %s: %w", name, err)
		case n > limit:
			return nil, fmt.Errorf("read %s: it is larger than %d KiB", name, limit>>10)
		case n == len(g.buf):
			g.buf = append(g.buf, make([]byte, len(g.buf))...)
		}
	}
}

// lines yields the lines of data that are not empty, with their numbers.
func lines(data []byte) iter.Seq2[int, []byte] {
	return func(yield func(int, []byte) bool) {
		for n := 1; len(data) > 0; n++ {
			var line []byte
			line, data, _ = bytes.Cut(data, []byte("\n"))
			if len(line) > 0 && !yield(n, line) {
				return
			}
		}
	}
}

func malformed(name string, n int, what string, line []byte) error {
	return fmt.Errorf("%s: line %d %s: %.80q", name, n, what, line)
}

// number reads a decimal number, and whether it is one. What is too large for an int64
// is the largest.
func number(b []byte) (int64, bool) {
	if len(b) == 0 {
		return 0, false
	}
	n := int64(0)
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		if d := int64(c - '0'); n > (math.MaxInt64-d)/10 {
			n = math.MaxInt64
		} else {
			n = n*10 + d
		}
	}
	return n, true
}

// value reads a file of one number. "max" is math.MaxInt64.
func (g *Group) value(name string) (int64, error) {
	data, err := g.read(name)
	if err != nil {
		return 0, err
	}
	data = bytes.TrimSpace(data)
	if string(data) == "max" {
		return math.MaxInt64, nil
	}
	n, ok := number(data)
	if !ok {
		return 0, fmt.Errorf("%s is no number: %.80q", name, data)
	}
	return n, nil
}

// pairs reads a file of lines "key value", as far as want returns where to put the
// value of a key. It returns an error if a value that is wanted is no number; the rest
// is left alone, so that what later kernels add does no harm.
func (g *Group) pairs(name string, want func(key string) *int64) error {
	data, err := g.read(name)
	if err != nil {
		return err
	}
	for i, line := range lines(data) {
		key, value, _ := bytes.Cut(line, []byte(" "))
		to := want(string(key))
		if to == nil {
			continue
		}
		n, ok := number(value)
		if !ok {
			return malformed(name, i, "has no number", line)
		}
		*to = n
	}
	return nil
}

// lowest returns the lowest of the limits that read finds in dirs, and at which of
// them. A limit of math.MaxInt64 is none. A file that is not there sets no limit: the
// controller may not be enabled so far down.
func lowest[T int64 | float64](dirs []string, none T, read func(dir string) (T, error)) (limit T, at int, err error) {
	limit, at = none, -1
	for i, dir := range dirs {
		n, err := read(dir)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return none, -1, err
		}
		if n < limit {
			limit, at = n, i
		}
	}
	return limit, at, nil
}
