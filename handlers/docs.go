package handlers

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"net/http"
	"path"
	"strconv"
	"strings"
	"sync"

	"github.com/go-chi/chi/v5"

	"github.com/duckwire/duckwire/web"
)

// docsPolicy lets the page load what this server has, and nothing else. The reader makes its styles as it runs.
const docsPolicy = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// docsTypes are the files of /docs that are served, and their media types.
var docsTypes = map[string]string{
	"index.html":          "text/html; charset=utf-8",
	"docs.css":            "text/css; charset=utf-8",
	"docs.js":             "text/javascript; charset=utf-8",
	"redoc.standalone.js": "text/javascript; charset=utf-8",
	"LICENSE.redoc":       "text/plain; charset=utf-8",

	"redoc.standalone.js.LICENSE.txt": "text/plain; charset=utf-8", // of what is bundled with the reader, which names this file
	"openapi.yaml":                    "application/yaml",
}

// docsPage answers GET /docs, docsAsset what the page loads, and description GET /openapi.yaml. None needs a token.
func (s *server) docsPage(w http.ResponseWriter, r *http.Request) error {
	w.Header().Set("Content-Security-Policy", docsPolicy)
	return serveDocs(w, r, "index.html")
}

func (s *server) docsAsset(w http.ResponseWriter, r *http.Request) error {
	return serveDocs(w, r, chi.URLParam(r, "asset"))
}

func (s *server) description(w http.ResponseWriter, r *http.Request) error {
	return serveDocs(w, r, "openapi.yaml")
}

// docsFile is an embedded file as it is sent.
type docsFile struct {
	plain, gzipped []byte
	etag           string // weak: the same for both
}

// docsFiles are compressed when they are first asked for, and kept.
var docsFiles sync.Map // of *docsFile, by name

func serveDocs(w http.ResponseWriter, r *http.Request, name string) error {
	media, ok := docsTypes[name]
	if !ok {
		return errNoRoute
	}
	file, err := openDocs(name)
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", media)
	h.Set("Cache-Control", "no-cache") // ask again, and mostly be told 304
	h.Set("ETag", file.etag)
	h.Set("Vary", "Accept-Encoding")
	if hasETag(r.Header.Get("If-None-Match"), file.etag) {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	body := file.plain
	if acceptsGzip(r.Header.Get("Accept-Encoding")) {
		h.Set("Content-Encoding", "gzip")
		body = file.gzipped
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	limitWrite(w)
	_, _ = w.Write(body) // the client has gone: there is nobody to tell
	return nil
}

// hasETag reports whether an If-None-Match names the tag, compared weakly (RFC 9110 §13.1.2).
func hasETag(header, etag string) bool {
	for tag := range strings.SplitSeq(header, ",") {
		if tag = strings.TrimSpace(tag); tag == "*" || strings.TrimPrefix(tag, "W/") == strings.TrimPrefix(etag, "W/") {
			return true
		}
	}
	return false
}

// acceptsGzip reports whether an Accept-Encoding names gzip, and not only to refuse it (RFC 9110 §12.5.3).
func acceptsGzip(header string) bool {
	for coding := range strings.SplitSeq(header, ",") {
		name, weight, _ := strings.Cut(coding, ";")
		if !strings.EqualFold(strings.TrimSpace(name), "gzip") {
			continue
		}
		_, q, weighted := strings.Cut(weight, "=")
		value, err := strconv.ParseFloat(strings.TrimSpace(q), 64)
		return !weighted || err == nil && value > 0
	}
	return false
}

func openDocs(name string) (*docsFile, error) {
	if f, ok := docsFiles.Load(name); ok {
		return f.(*docsFile), nil
	}
	plain, err := fs.ReadFile(web.Docs, path.Join("docs", name))
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	zip := gzip.NewWriter(&b)
	_, _ = zip.Write(plain) // into memory
	_ = zip.Close()
	sum := sha256.Sum256(plain)
	f, _ := docsFiles.LoadOrStore(name, &docsFile{plain: plain, gzipped: b.Bytes(), etag: `W/"` + hex.EncodeToString(sum[:8]) + `"`})
	return f.(*docsFile), nil
}
