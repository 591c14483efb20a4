package handlers

import (
	"net/http"
	"path"
	"strings"

	"github.com/go-chi/chi/v5"

	"github.com/duckwire/duckwire/web"
)

// docsPolicy allows the page to load files of this server only. The reader adds styles at run time.
const docsPolicy = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; " +
	"img-src 'self' data:; connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'none'; " +
	"frame-ancestors 'none'"

// docsTypes maps the files served below /docs to their media types.
var docsTypes = map[string]string{
	"index.html":          "text/html; charset=utf-8",
	"docs.css":            "text/css; charset=utf-8",
	"docs.js":             "text/javascript; charset=utf-8",
	"redoc.standalone.js": "text/javascript; charset=utf-8",
	"LICENSE.redoc":       "text/plain; charset=utf-8",

	// Licences of libraries that are bundled with the reader, which links to this file.
	"redoc.standalone.js.LICENSE.txt": "text/plain; charset=utf-8",

	"openapi.yaml": "application/yaml",
}

// docsPage answers GET /docs, docsAsset its files, and description GET /openapi.yaml. They need no token.
func (s *server) docsPage(w http.ResponseWriter, r *http.Request) error {
	if path, _, _ := strings.Cut(r.RequestURI, "?"); strings.HasSuffix(path, "/") {
		w.Header().Set("Location", "../docs") // the page's URLs are relative
		w.WriteHeader(http.StatusTemporaryRedirect)
		return nil
	}
	w.Header().Set("Content-Security-Policy", docsPolicy)
	return serveDocs(w, r, "index.html")
}

func (s *server) docsAsset(w http.ResponseWriter, r *http.Request) error {
	return serveDocs(w, r, chi.URLParam(r, "asset"))
}

func (s *server) description(w http.ResponseWriter, r *http.Request) error {
	return serveDocs(w, r, "openapi.yaml")
}

func serveDocs(w http.ResponseWriter, r *http.Request, name string) error {
	media, ok := docsTypes[name]
	if !ok {
		return errNoRoute
	}
	return serveEmbedded(w, r, web.Docs, path.Join("docs", name), media)
}
