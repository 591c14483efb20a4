package channels

import (
	"errors"
	"strings"

	"github.com/duckwire/duckwire/handlers/socket"
	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/log"
)

// analysisKind is the kind of an analysis's stream.
const analysisKind = "analysis"

// goOn calls continues for each of the streams that the client followed before its connection was cut, as the position
// in its join says. They must be the client's own: a position is no credential. The client is told of those that are
// gone.
func goOn(c *socket.Channel, continues func(s *hub.Stream, from log.Place) error) error {
	for _, from := range c.Unfinished() {
		s, err := c.Hub().Stream(c.User(), from.Stream)
		if err == nil && s.Owner != c.User() {
			err = errs.ErrNotFound
		}
		if errors.Is(err, errs.ErrNotFound) {
			c.Lost()
			tellLost(c, from.Stream)
			continue
		}
		if err != nil {
			return err // the client joins again, and goes on then
		}
		if err := continues(s, from); err != nil {
			return err
		}
	}
	return nil
}

// tellLost ends a request whose stream is gone, for a client that still waits for its end.
func tellLost(c *socket.Channel, stream string) {
	id, event := "completion_id", "completion_error"
	if strings.HasPrefix(stream, "ana_") {
		id, event = "analysis_id", "analysis_error"
	}
	c.Push(event, map[string]string{
		"id": stream, id: stream, "request_id": stream, "timestamp": now(),
		"error": "the request is not known any longer", "code": "not_found",
	})
}
