package handlers

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"net/http"
	"strconv"
	"strings"
	"sync"
)

// embeddedFile is a file of package web as it is served.
type embeddedFile struct {
	plain, gzipped []byte
	etag           string // weak, because both encodings share it
}

// embeddedFiles caches files. A file is compressed at its first request.
var embeddedFiles sync.Map // *embeddedFile by path

// serveEmbedded answers with a file of package web. It returns errNoRoute if there is none.
func serveEmbedded(w http.ResponseWriter, r *http.Request, files fs.FS, name, media string) error {
	file, err := openEmbedded(files, name)
	if errors.Is(err, fs.ErrNotExist) {
		return errNoRoute
	}
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", media)
	if h.Get("Cache-Control") == "" {
		h.Set("Cache-Control", "no-cache") // revalidate each time, usually answered by 304
	}
	h.Set("ETag", file.etag)
	h.Add("Vary", "Accept-Encoding") // CORS may have added Origin
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
	_, _ = steady(w).Write(body) // fails only if the client is gone
	return nil
}

// hasETag reports whether an If-None-Match contains the tag, by weak comparison (RFC 9110 §13.1.2).
func hasETag(header, etag string) bool {
	for tag := range strings.SplitSeq(header, ",") {
		if tag = strings.TrimSpace(tag); tag == "*" || strings.TrimPrefix(tag, "W/") == strings.TrimPrefix(etag, "W/") {
			return true
		}
	}
	return false
}

// acceptsGzip reports whether an Accept-Encoding accepts gzip (RFC 9110 §12.5.3).
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

func openEmbedded(files fs.FS, name string) (*embeddedFile, error) {
	if f, ok := embeddedFiles.Load(name); ok {
		return f.(*embeddedFile), nil
	}
	plain, err := fs.ReadFile(files, name)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	zip := gzip.NewWriter(&b)
	_, _ = zip.Write(plain) // writes to memory do not fail
	_ = zip.Close()
	sum := sha256.Sum256(plain)
	etag := `W/"` + hex.EncodeToString(sum[:8]) + `"`
	f, _ := embeddedFiles.LoadOrStore(name, &embeddedFile{plain: plain, gzipped: b.Bytes(), etag: etag})
	return f.(*embeddedFile), nil
}
