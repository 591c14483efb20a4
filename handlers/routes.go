package handlers

import (
	"net/http"
	"strings"

	"github.com/go-chi/chi/v5"
	chimiddleware "github.com/go-chi/chi/v5/middleware"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/middleware"
	"github.com/duckwire/duckwire/middleware/auth"
)

// router returns the routes of all paths.
func (s *server) router() chi.Router {
	r := chi.NewRouter()
	s.useMiddleware(r)
	paths := new(knownPaths)
	r.NotFound(s.noSuchPath(paths))
	r.MethodNotAllowed(s.methodNotAllowed(r, paths))
	s.routePublic(r)
	s.routeSockets(r)
	r.Group(func(r chi.Router) {
		r.Use(auth.Authenticate(s.Verifier, s.auth, s.WriteError))
		s.routeAPI(r)
	})
	paths.readFrom(r)
	return r
}

// useMiddleware adds what all paths share.
func (s *server) useMiddleware(r chi.Router) {
	r.Use(middleware.ResetAborted, middleware.RequestID)
	if s.Trace != nil {
		r.Use(s.Trace)
	}
	r.Use(
		s.answered.Count,
		middleware.AccessLog(s.logger, "/healthz", "/readyz", "/metrics",
			"POST /v1/streams/{id}/append", "POST /v1/topics/{topic}/events", "POST /v1/users/{user}/messages",
			"GET /v1/workers/{kind}/jobs", "GET /socket/longpoll", "POST /socket/longpoll", "POST /socket/sse"),
		middleware.Recover(s.logger, s.WriteError),
		middleware.SecurityHeaders,
		middleware.FreshWriteDeadline,
		middleware.SteadyBody(s.BodyTimeout),
		middleware.CORS(middleware.CORSOptions{
			AllowedOrigins: s.AllowedOrigins,
			AllowHeaders: []string{
				"Range", "If-Range", "Stream-Closed", "X-Request-Id", "X-Phoenix-AuthToken", "X-Phoenix-Longpoll-Token",
			},
			ExposeHeaders: []string{
				"Duckwire-Status", "Duckwire-Watchers", "Duckwire-Cancelled", "Producer-Epoch", "Producer-Seq",
				"Producer-Expected-Seq", "Producer-Received-Seq", "Stream-Closed", "Preference-Applied", "Accept-Ranges",
			},
		}),
		chimiddleware.GetHead, // handlers that wait or change something ask isHead
	)
}

// routePublic adds paths that need no token.
func (s *server) routePublic(r chi.Router) {
	r.Get("/healthz", s.healthz)
	r.Get("/readyz", s.handle(s.readyz))
	if s.OpenMetrics {
		r.Get("/metrics", s.openMetrics)
	}
	r.Get("/", s.handle(s.console))
	r.Get("/console/{asset}", s.handle(s.consoleAsset))
	r.Get("/docs", s.handle(s.docsPage))
	r.Get("/docs/{asset}", s.handle(s.docsAsset))
	r.Get("/openapi.yaml", s.handle(s.description))
}

// routeSockets adds the sockets. They authenticate themselves, because their credentials are in other places.
func (s *server) routeSockets(r chi.Router) {
	r.Get("/socket/websocket", s.webSocket)
	r.Get("/socket/longpoll", s.longPoll)
	r.Post("/socket/longpoll", s.longPoll)
	r.Get("/socket/sse", s.handle(s.sseSocket))
	r.Post("/socket/sse", s.handle(s.sseSocketPost))
}

// routeAPI adds paths that need a token.
func (s *server) routeAPI(r chi.Router) {
	s.routeForwards(r)

	r.Post("/v1/chat/completions", s.handle(s.complete(completionPath{kind: hub.ChatCompletion})))
	r.Post("/v1/completions", s.handle(s.complete(completionPath{kind: hub.TextCompletion})))
	r.Post("/v1/fim/completions", s.handle(s.complete(completionPath{kind: hub.TextCompletion, fim: true})))
	r.Get("/v1/models", s.handle(s.listModels))
	r.Get("/v1/models/{model}", s.handle(s.getModel))

	r.Get("/v1/overview", s.handle(s.overview))
	if !s.OpenMetrics {
		r.Get("/metrics", s.handle(s.getMetrics))
	}
	r.Get("/debug/pprof/{profile}", s.handle(s.getProfile))

	r.Get("/v1/streams", s.handle(s.listStreams))
	r.Post("/v1/streams", s.handle(s.createStream))
	r.Get("/v1/streams/{id}", s.handle(s.getStream))
	r.Delete("/v1/streams/{id}", s.handle(s.cancelStream))
	r.Post("/v1/streams/{id}/append", s.handle(s.appendStream))
	r.Put("/v1/streams/{id}/append", s.handle(s.appendStream)) // for curl -T

	r.Post("/v1/analyses", s.handle(s.startAnalysis))
	r.Get("/v1/workers/{kind}/jobs", s.handle(s.takeJobs))
	r.Post("/v1/workers/{kind}/jobs/{job}/refuse", s.handle(s.refuseJob))

	r.Post("/v1/topics/{topic}/events", s.handle(s.publishEvents))
	r.Get("/v1/topics/{topic}/events", s.handle(s.getEvents))
	r.Get("/v1/topics/{topic}/presence", s.handle(s.getPresence))
	r.Get("/v1/events", s.handle(s.manyEvents))
	r.Post("/api/broadcast", s.handle(s.broadcast))
	r.Post("/api/broadcast/{topic}/events/{event}", s.handle(s.broadcastOne))

	r.Post("/v1/users/{user}/messages", s.handle(s.enqueueMessages))
	r.Get("/v1/users/{user}/messages", s.handle(s.getMessages))
	r.Post("/v1/users/{user}/messages/ack", s.handle(s.ackMessages))
	r.Post("/v1/users/{user}/disconnect", s.handle(s.disconnectUser))

	r.Post("/v1/revocations", s.handle(s.revoke))
	r.Get("/v1/revocations", s.handle(s.listRevocations))
	r.Delete("/v1/revocations", s.handle(s.liftRevocation))
}

// handlerFunc is a handler that returns an error before it has written anything.
type handlerFunc func(w http.ResponseWriter, r *http.Request) error

// handle returns an http.HandlerFunc that answers with the error of h, if there is one.
func (s *server) handle(h handlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if err := h(w, r); err != nil {
			s.WriteError(w, r, err)
		}
	}
}

// routedPath returns the path that the router compares with its routes.
func routedPath(r *http.Request) string {
	if r.URL.RawPath != "" {
		return r.URL.RawPath
	}
	return r.URL.Path
}

// methodNotAllowed answers 405 with the methods of the path (RFC 9110 §15.5.6). The router also calls it for methods
// that it does not know, whatever the path.
func (s *server) methodNotAllowed(routes chi.Routes, paths *knownPaths) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var allow []string
		for _, m := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodDelete} {
			if routes.Match(chi.NewRouteContext(), m, routedPath(r)) {
				allow = append(allow, m)
				if m == http.MethodGet {
					allow = append(allow, http.MethodHead)
				}
			}
		}
		if allow == nil {
			s.noSuchPath(paths)(w, r)
			return
		}
		w.Header().Set("Allow", strings.Join(allow, ", "))
		s.WriteError(w, r, errMethod)
	}
}
