package doctor

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"strings"
	"time"
)

// doUnbuffer is the advice about proxies that buffer a stream.
const doUnbuffer = "have the proxy pass text/event-stream on as it comes: nginx proxy_buffering off, or no " +
	"proxy_ignore_headers X-Accel-Buffering; lighttpd server.stream-response-body = 1; mitmproxy " +
	"stream_large_bodies; virus scanners: an exemption.\nUntil then clients must use long-poll"

// eventStream checks whether events arrive without delay: hello immediately, an event soon after it is published, and
// heartbeats on time. It reports whether they do.
func (e *examination) eventStream(ctx context.Context) bool {
	const check = "event stream"
	began := time.Now()
	s, err := e.open(ctx, url.Values{"hb": {"1"}})
	if err == nil {
		defer s.close()
		_, err = s.await(e.Patience, isHello)
	}
	switch {
	case errors.Is(err, errTimeout):
		e.explainBuffering(ctx, check)
		return false
	case err != nil:
		e.Broken(check, "see the proxy's log, and the server's", "%v", err)
		return false
	}
	hello := time.Since(began)
	if s.resp.Uncompressed { // net/http sends Accept-Encoding: gzip, as browsers do
		e.Warn(check, "have the proxy not compress text/event-stream",
			"a proxy compresses it, which may hold small events back")
	}
	if !e.delivery(ctx, s, check) || !e.beats(s, check) {
		return false
	}
	e.Fine(check, "it is not held back: hello after %s", hello.Round(time.Millisecond))
	return true
}

// delivery measures how long a newly published event takes to arrive.
func (e *examination) delivery(ctx context.Context, s *stream, check string) bool {
	const name = "doctor_live"
	began := time.Now()
	if _, err := e.publish(ctx, name); err != nil {
		e.Broken(check, "see the proxy's log, and the server's", "an event cannot be published: %v", err)
		return false
	}
	published := time.Since(began)
	event, err := s.await(e.Patience, named(name))
	switch late := event.at.Sub(began) - published; {
	case errors.Is(err, errTimeout):
		e.Broken(check, doUnbuffer, "hello comes through, and later events are held back")
		return false
	case err != nil:
		e.Broken(check, "see the proxy's log, and the server's", "before an event came: %v", err)
		return false
	case late > e.Patience/20:
		e.Warn(check, "HAProxy: option http-no-delay; others: less buffering",
			"an event comes %s after the answer to who published it", late.Round(time.Millisecond))
	}
	return true
}

// beats checks three heartbeats, one per second.
func (e *examination) beats(s *stream, check string) bool {
	var at []time.Time
	for range 3 {
		beat, err := s.await(time.Second+e.Patience, isBeat)
		if err != nil {
			e.Broken(check, doUnbuffer, "heartbeats, one a second, do not come through: %v", err)
			return false
		}
		at = append(at, beat.at)
	}
	if arrivedTogether(at, clump) {
		e.Warn(check, doUnbuffer,
			"heartbeats that are sent a second apart come in clumps: something on the way holds back what is small")
	}
	return true
}

// arrivedTogether reports whether two heartbeats that were sent a second apart arrived within clump.
func arrivedTogether(at []time.Time, clump time.Duration) bool {
	for i := 1; i < len(at); i++ {
		if at[i].Sub(at[i-1]) < clump {
			return true
		}
	}
	return false
}

// explainBuffering determines whether a proxy buffers the stream until a buffer is full, or until the stream's end.
func (e *examination) explainBuffering(ctx context.Context, check string) {
	const padding = "65536"
	if s, err := e.open(ctx, url.Values{"hb": {"1"}, "pad": {padding}}); err == nil {
		_, err = s.await(e.Patience, isHello)
		s.close()
		if err == nil {
			e.Warn(check,
				"have the proxy or virus scanner pass text/event-stream on as it comes; until then clients must ask "+
					"for ?pad="+padding,
				"a proxy holds it back until a buffer is full: with %s bytes of padding ahead it comes", padding)
			return
		}
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	ask := *e
	own := *e.Remote
	ask.Remote, own.Patience = &own, askTimeout
	s, err := ask.open(ctx, url.Values{"hb": {"1"}, "max": {"2"}})
	if err == nil {
		_, err = s.await(askTimeout, isHello)
		s.close()
	}
	if err == nil {
		e.Broken(check, doUnbuffer, "a proxy holds it back until it ends%s", via(s))
		return
	}
	e.Broken(check, doUnbuffer, "nothing comes through, not even of a stream that ends after 2s: %v", err)
}

// via returns the proxies' names from Via and Server.
func via(s *stream) string {
	names := slices.Concat(s.resp.Header.Values("Via"), s.resp.Header.Values("Server"))
	if len(names) == 0 {
		return ""
	}
	return " (the answer names " + strings.Join(names, ", ") + ")"
}
