package dashboard

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"net/http"
	"path"
	"strings"
)

//go:embed static
var files embed.FS

// static are the files of the pages. Their names carry a hash of what is in them, so
// that a browser may keep them for ever and still has the right ones.
type static struct {
	paths map[string]string // by the name of the file
	files map[string]*staticFile
}

type staticFile struct {
	contentType  string
	plain, small []byte // as it is, and compressed
}

var contentTypes = map[string]string{
	".css": "text/css; charset=utf-8",
	".js":  "text/javascript; charset=utf-8",
	".svg": "image/svg+xml",
}

func newStatic() static {
	s := static{make(map[string]string), make(map[string]*staticFile)}
	entries, err := files.ReadDir("static")
	if err != nil {
		panic(err) // they are in the binary
	}
	for _, e := range entries {
		plain, err := files.ReadFile("static/" + e.Name())
		if err != nil {
			panic(err)
		}
		ext := path.Ext(e.Name())
		sum := sha256.Sum256(plain)
		url := "/static/" + strings.TrimSuffix(e.Name(), ext) + "." + hex.EncodeToString(sum[:6]) + ext
		var small bytes.Buffer
		z, _ := gzip.NewWriterLevel(&small, gzip.BestCompression) // a level that exists
		_, _ = z.Write(plain)                                     // a Buffer takes everything
		_ = z.Close()
		s.paths[e.Name()] = url
		s.files[url] = &staticFile{contentTypes[ext], plain, small.Bytes()}
	}
	return s
}

// path returns the URL of a file.
func (s static) path(name string) string { return s.paths[name] }

func (s static) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f := s.files[r.URL.Path]
	if f == nil {
		http.NotFound(w, r) // perhaps of another version: its pages are gone too
		return
	}
	h := w.Header()
	h.Set("Content-Type", f.contentType)
	h.Set("Cache-Control", "public, max-age=31536000, immutable")
	h.Add("Vary", "Accept-Encoding")
	body := f.plain
	if acceptsGzip(r) {
		h.Set("Content-Encoding", "gzip")
		body = f.small
	}
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(body) // a client that has gone will ask again
}
