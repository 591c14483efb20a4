// Package web holds what the server serves from within itself: the console, and the reader of its API description. It reads nothing from disk.
package web

import "embed"

// Docs is the folder of /docs: its page, what that loads, and openapi.yaml. docs/generate.sh makes what is not written by hand.
//
//go:embed docs/index.html docs/docs.css docs/docs.js docs/redoc.standalone.js docs/redoc.standalone.js.LICENSE.txt docs/LICENSE.redoc docs/openapi.yaml
var Docs embed.FS

// Console is the folder of the console: its page, and what that loads. console/generate.sh makes it from console/src.
//
//go:embed console/dist
var Console embed.FS
