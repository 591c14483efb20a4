// Package web embeds what the server serves without reading a disk: the console, and the pages of the API description.
package web

import "embed"

// Docs is the folder of /docs: its page, the files that the page loads, and openapi.yaml. docs/generate.sh makes the
// generated files.
//
//go:embed docs/index.html docs/docs.css docs/docs.js docs/openapi.yaml
//go:embed docs/redoc.standalone.js docs/redoc.standalone.js.LICENSE.txt docs/LICENSE.redoc
var Docs embed.FS

// Console is the folder of the console: its page, and the files that the page loads. console/generate.sh builds it from
// console/src.
//
//go:embed console/dist
var Console embed.FS
