package handlers

import (
	"net/http"
	"path"
	"strings"

	"github.com/go-chi/chi/v5"

	"github.com/duckwire/duckwire/web"
)

// consolePolicy allows the console to load files of this server and to connect to it. Its editor adds styles at run
// time; its icon is a data: image.
const consolePolicy = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; " +
	"img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// consoleTypes maps the file extensions of the console to media types.
var consoleTypes = map[string]string{
	".js":  "text/javascript; charset=utf-8",
	".css": "text/css; charset=utf-8",
	".txt": "text/plain; charset=utf-8",
}

// console answers GET / with the console's page. The page needs no token; its requests do.
func (s *server) console(w http.ResponseWriter, r *http.Request) error {
	w.Header().Set("Content-Security-Policy", consolePolicy)
	w.Header().Set("Referrer-Policy", "no-referrer") // its URL may contain a token until the page removes it
	return serveConsole(w, r, "index.html", "text/html; charset=utf-8")
}

// consoleAsset answers with a file of the console. Names that begin with "part-" contain a content hash, so these files
// can be cached forever.
func (s *server) consoleAsset(w http.ResponseWriter, r *http.Request) error {
	name := chi.URLParam(r, "asset")
	media, ok := consoleTypes[path.Ext(name)]
	if !ok {
		return errNoRoute
	}
	if strings.HasPrefix(name, "part-") {
		w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	return serveConsole(w, r, name, media)
}

func serveConsole(w http.ResponseWriter, r *http.Request, name, media string) error {
	return serveEmbedded(w, r, web.Console, path.Join("console/dist", name), media)
}
