package middleware_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/duckwire/duckwire/hub/hubtest"
	"github.com/duckwire/duckwire/middleware"
)

// steady is a server with SteadyBody, over HTTP/1.1 or HTTP/2, whose handler reads bodies.
func steady(t *testing.T, http2 bool, silence time.Duration, handle http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := hubtest.Server(middleware.SteadyBody(silence)(handle))
	s.EnableHTTP2 = http2
	dial := hubtest.Transport(s).DialContext
	if http2 {
		s.StartTLS()
	} else {
		s.Start()
	}
	s.Client().Transport.(*http.Transport).DialContext = dial
	t.Cleanup(s.Close)
	return s
}

func eachHTTP(t *testing.T, f func(t *testing.T, http2 bool)) {
	for name, http2 := range map[string]bool{"HTTP/1.1": false, "HTTP/2": true} {
		t.Run(name, func(t *testing.T) {
			hubtest.OwnClock(t, func(t *testing.T) { f(t, http2) })
		})
	}
}

// put sends a body, and returns the status or the error: over HTTP/1.1 the response may arrive before the body was
// sent.
func put(s *httptest.Server, body io.Reader) (status int, err error) {
	r, err := http.NewRequest(http.MethodPut, s.URL, body)
	must(err)
	resp, err := s.Client().Do(r)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, err
}

func TestSilentBodyFails(t *testing.T) {
	eachHTTP(t, func(t *testing.T, http2 bool) {
		reads := make(chan error, 1)
		s := steady(t, http2, 100*time.Millisecond, func(w http.ResponseWriter, r *http.Request) {
			_, err := io.ReadAll(r.Body)
			reads <- err
			w.WriteHeader(http.StatusRequestTimeout)
		})
		body, hold := io.Pipe()
		defer hold.Close()
		go func() { _, _ = put(s, body) }()
		if _, err := hold.Write([]byte("some of it")); err != nil {
			t.Fatal(err)
		}
		if err := <-reads; !errors.Is(err, middleware.ErrSlowBody) {
			t.Errorf("a body that stops: %v", err)
		}
	})
}

// A body's deadline does not affect what follows it: a long response, and further requests on the connection.
func TestBodyDeadlineEndsWithTheBody(t *testing.T) {
	eachHTTP(t, func(t *testing.T, http2 bool) {
		const silence = 100 * time.Millisecond
		s := steady(t, http2, silence, func(w http.ResponseWriter, r *http.Request) {
			if _, err := io.ReadAll(r.Body); err != nil {
				w.WriteHeader(http.StatusRequestTimeout)
				return
			}
			select {
			case <-time.After(3 * silence): // the answer takes longer than a body may be silent
			case <-r.Context().Done():
				w.WriteHeader(http.StatusInternalServerError)
			}
		})
		for range 2 {
			if status, err := put(s, strings.NewReader(strings.Repeat("x", 100<<10))); status != http.StatusOK ||
				err != nil {
				t.Errorf("%d, %v", status, err)
			}
		}
	})
}

func TestPatientBody(t *testing.T) {
	eachHTTP(t, func(t *testing.T, http2 bool) {
		const silence = 100 * time.Millisecond
		begun := make(chan struct{})
		s := steady(t, http2, silence, func(w http.ResponseWriter, r *http.Request) {
			middleware.Patient(r, time.Hour)
			close(begun)
			if body, err := io.ReadAll(r.Body); err != nil || string(body) != "onetwo" {
				w.WriteHeader(http.StatusRequestTimeout)
			}
		})
		body, upload := io.Pipe()
		go func() {
			_, _ = upload.Write([]byte("one"))
			<-begun
			time.Sleep(3 * silence) // the silence
			_, _ = upload.Write([]byte("two"))
			upload.Close()
		}()
		if status, err := put(s, body); status != http.StatusOK || err != nil {
			t.Errorf("%d, %v", status, err)
		}
	})
}
