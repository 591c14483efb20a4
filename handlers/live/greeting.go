package live

import (
	"net/http"
	"time"

	"github.com/duckwire/duckwire/handlers/sse"
	"github.com/duckwire/duckwire/hub/log"
)

// The media types of long responses.
const (
	MediaSSE    = "text/event-stream"
	MediaNDJSON = "application/x-ndjson"
	MediaText   = "text/plain"
)

// greeting encodes the beginning of a response: padding if it was requested, hello, and the reset if there is one.
func greeting(media string, o Options, hello sse.Greeting, reset *log.Reset) []byte {
	hello.Now, hello.Heartbeat = time.Now(), o.Heartbeat
	var b []byte
	if media == MediaSSE {
		if o.Pad > 0 {
			b = sse.AppendPad(b, o.Pad)
		}
		b = sse.AppendHello(b, &hello)
		if reset != nil {
			b = appendResetBlock(b, reset)
		}
		return b
	}
	b = append(b, `{"event":"hello",`...)
	b = append(hello.AppendJSON(b), "}\n"...)
	if reset != nil {
		b = appendResetLine(b, reset)
	}
	return b
}

// Start sends the header of a long response. It forbids caches and proxies to store, transform or buffer the response.
func Start(w http.ResponseWriter, media string) {
	h := w.Header()
	switch media {
	case MediaSSE:
		h.Set("Content-Type", sse.ContentType)
	case MediaText:
		h.Set("Content-Type", "text/plain; charset=utf-8")
	default:
		h.Set("Content-Type", media)
	}
	h.Set("Cache-Control", "private, no-cache, no-store, no-transform")
	h.Set("X-Accel-Buffering", "no")
	w.WriteHeader(http.StatusOK)
}
