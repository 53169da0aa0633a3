package api

import (
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/kon-rad/openclaw-trace/internal/writer"
)

// Content types of requests.
const (
	protobufType = "application/x-protobuf"
	ndjsonType   = "application/x-ndjson"
)

const (
	largeBody = 1 << 20   // bytes from which on a body waits for its turn
	smallSum  = 6 << 20   // bytes of all other bodies in memory together
	firstRead = 16 << 10  // bytes of room to begin with
	keptRead  = 128 << 10 // bytes of a buffer worth keeping for the next request
)

// intake bounds the bodies in memory. Bodies up to largeBody share smallSum; of the
// larger ones there is one at a time.
type intake struct {
	limit int64 // of one body, decompressed
	large chan struct{}

	mu   *sync.Mutex
	free *int64
}

func newIntake(limit int64) intake {
	free := int64(smallSum)
	return intake{limit: limit, large: make(chan struct{}, 1), mu: new(sync.Mutex), free: &free}
}

func (in *intake) take(n int64) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	if *in.free < n {
		return false
	}
	*in.free -= n
	return true
}

func (in *intake) give(n int64) {
	in.mu.Lock()
	*in.free += n
	in.mu.Unlock()
}

// body is a request's decompressed body with its share of the intake.
type body struct {
	in    *intake
	bytes []byte
	taken int64 // of smallSum
	large bool
	lent  bool // something else may still read bytes

	waited time.Duration // for its turn
}

var buffers sync.Pool // of *[]byte, each of at most keptRead

// free gives the memory back. Nothing may alias bytes any more, unless lent is set.
func (b *body) free() {
	if b.large {
		<-b.in.large
	}
	b.in.give(b.taken)
	if !b.lent && cap(b.bytes) > 0 && cap(b.bytes) <= keptRead {
		buf := b.bytes[:0]
		buffers.Put(&buf)
	}
}

// grow makes room for n bytes in all.
func (b *body) grow(n int64) error {
	if n > largeBody && !b.large {
		since := time.Now()
		timeout := time.NewTimer(writer.MaxWait)
		defer timeout.Stop()
		select {
		case b.in.large <- struct{}{}:
			b.large, b.waited = true, time.Since(since)
			b.in.give(b.taken)
			b.taken = 0
		case <-timeout.C:
			return errUnavailable("another large request is being taken; try again", nil)
		}
	}
	if !b.large {
		if more := n - b.taken; more > 0 {
			if !b.in.take(more) {
				return errUnavailable("too many requests are being taken; try again", nil)
			}
			b.taken = n
		}
	}
	if int64(cap(b.bytes)) < n {
		bytes := make([]byte, len(b.bytes), n)
		copy(bytes, b.bytes)
		b.bytes = bytes
	}
	return nil
}

// room is how much of bytes is accounted for: a kept buffer may be larger.
func (b *body) room() int64 {
	if b.large {
		return int64(cap(b.bytes))
	}
	return min(int64(cap(b.bytes)), b.taken)
}

// read takes r's body. The caller must free it.
func (in *intake) read(r *http.Request) (_ *body, err error) {
	src := io.Reader(r.Body)
	length, known := in.limit+1, false // at most
	switch encoding := strings.ToLower(r.Header.Get("Content-Encoding")); encoding {
	case "", "identity":
		if r.ContentLength > in.limit {
			return nil, in.tooLarge()
		}
		if r.ContentLength >= 0 {
			length, known = r.ContentLength+1, true // one more, to see the end without growing
		}
	case "gzip":
		zip, err := unzip(r.Body)
		if err != nil {
			return nil, readError(err)
		}
		defer func() {
			_ = zip.Reset(strings.NewReader(emptyGzip)) // lets go of the request
			zippers.Put(zip)
		}()
		src = zip
	default:
		return nil, &httpError{status: http.StatusUnsupportedMediaType, message: "this Content-Encoding is not supported; send gzip or none"}
	}

	b := &body{in: in}
	defer func() {
		if err != nil {
			b.free()
		}
	}()
	if buf, ok := buffers.Get().(*[]byte); ok {
		b.bytes = *buf
	}
	// Room is taken as bytes arrive: what a sender announces costs it nothing.
	if err := b.grow(min(firstRead, length)); err != nil {
		return nil, err
	}
	for {
		full := b.room()
		if len(b.bytes) == int(full) {
			room := 2 * full
			switch {
			case known && full < length && length > largeBody:
				room = length // its turn comes first, and then there is one of it
			case known && full < length:
				room = min(8*full, length) // fewer copies, and an eighth of it has arrived
			case full < length:
				room = min(room, length)
			}
			if err := b.grow(room); err != nil {
				return nil, err
			}
			full = b.room()
		}
		n, err := src.Read(b.bytes[len(b.bytes):full])
		b.bytes = b.bytes[:len(b.bytes)+n]
		if int64(len(b.bytes)) > in.limit {
			return nil, in.tooLarge()
		}
		if err == io.EOF {
			return b, nil
		}
		if err != nil {
			return nil, readError(err)
		}
	}
}

func (in *intake) tooLarge() error {
	return &httpError{status: http.StatusRequestEntityTooLarge, message: fmt.Sprintf("the body is larger than %d bytes (OCT_MAX_BODY_BYTES, counted after decompression); send smaller batches", in.limit)}
}

// emptyGzip gets through to the decompressor, which Reset alone leaves with its source.
const emptyGzip = "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff\x03\x00\x00\x00\x00\x00\x00\x00\x00\x00"

var zippers sync.Pool // of *gzip.Reader

func unzip(r io.Reader) (*gzip.Reader, error) {
	if z, ok := zippers.Get().(*gzip.Reader); ok {
		return z, z.Reset(r)
	}
	return gzip.NewReader(r)
}

func readError(err error) error {
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return &httpError{status: http.StatusRequestTimeout, message: "the body did not arrive in time; try again"}
	case errors.Is(err, gzip.ErrHeader), errors.Is(err, gzip.ErrChecksum):
		return errBadRequest("the body is not valid gzip")
	}
	return &httpError{status: http.StatusBadRequest, message: "the body ended early or is not encoded as its headers say", cause: err}
}

// mediaType returns the request's content type without parameters, in lower case.
func mediaType(r *http.Request) (string, bool) {
	header := r.Header.Get("Content-Type")
	switch header {
	case jsonType, protobufType: // nearly always
		return header, true
	}
	kind, _, err := mime.ParseMediaType(header)
	return kind, err == nil
}

// accept returns the request's content type if it is one of kinds.
func accept(r *http.Request, kinds ...string) (string, error) {
	kind, _ := mediaType(r)
	for _, k := range kinds {
		if k == kind {
			return kind, nil
		}
	}
	return "", &httpError{status: http.StatusUnsupportedMediaType, message: "this Content-Type is not supported here; send " + strings.Join(kinds, " or ")}
}
