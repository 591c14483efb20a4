package handlers

import "github.com/go-chi/chi/v5"

// Routes returns the table of paths, for tests that hold openapi.yaml to it.
func Routes(o Options) chi.Routes { return newServer(o).router() }
