package handlers

import (
	"net/http"
	"path"
	"strings"

	"github.com/go-chi/chi/v5"

	"github.com/duckwire/duckwire/web"
)

// consolePolicy lets the console load what this server has, and talk to it. Its editor makes styles as it runs; the icon is an image of the page's own.
const consolePolicy = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// consoleTypes are the media types of the console's files, by the ends of their names.
var consoleTypes = map[string]string{".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".txt": "text/plain; charset=utf-8"}

// console answers GET /: the page of the console. It needs no token; what it does needs one.
func (s *server) console(w http.ResponseWriter, r *http.Request) error {
	w.Header().Set("Content-Security-Policy", consolePolicy)
	w.Header().Set("Referrer-Policy", "no-referrer") // its address may hold a token, until the page has taken it out
	return serveConsole(w, r, "index.html", "text/html; charset=utf-8")
}

// consoleAsset answers what the page loads. Parts have a hash of what is in them in their names, and stay for ever.
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
