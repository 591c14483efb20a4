module github.com/duckwire/duckwire/handlers/interop/matrix/goreaders

go 1.26.0

require (
	github.com/nshafer/phx v0.2.0
	github.com/r3labs/sse/v2 v2.10.0
	github.com/tmaxmax/go-sse v0.12.0
	gopkg.in/cenkalti/backoff.v1 v1.1.0
)

require (
	github.com/gorilla/websocket v1.5.0 // indirect
	golang.org/x/net v0.0.0-20191116160921-f9c825593386 // indirect
)
