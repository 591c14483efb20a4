package socket

import (
	"errors"
	"net/http"
	"time"

	"github.com/duckwire/duckwire/handlers/writers"
	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/jsonw"
	"github.com/duckwire/duckwire/hub/log"
)

// The statuses in the JSON of a long-poll. Clients ignore the HTTP status. In the answer to a GET, clients understand
// no others.
const (
	pollOK        = `200`
	pollNoContent = `204`
	pollInvalid   = `400`
	pollForbidden = `403`
	pollOpened    = `410`
	pollTooLarge  = `413`
	pollReconnect = `500` // connect anew; after a 410, clients up to 1.8.1 would believe that they are still joined
)

// pollState is a session's state for long-poll. Session.reading guards it.
type pollState struct {
	count  uint64 // number of answers with messages
	answer []byte // the last answer, until a poll with its token confirms it
}

// The headers that carry tokens.
const (
	headerPollToken = "X-Phoenix-Longpoll-Token"
	headerAuthToken = "X-Phoenix-AuthToken"
)

// LongPoll serves the long-poll transport (openapi.yaml: pollSocket, pushSocket; Phoenix's
// lib/phoenix/transports/long_poll.ex), GET and POST. The HTTP status is always 200, because clients read the status in
// the JSON.
func (s *Server) LongPoll(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	r, name, count, ours := s.pollToken(r)
	var answer []byte
	switch {
	case r.Method == http.MethodPost:
		answer = s.pollPost(r, name, ours)
	case ours:
		answer = s.poll(r, name, count)
	default:
		answer = s.pollOpen(r)
	}
	// A lost answer is repeated.
	_, _ = writers.Steady(w, http.NewResponseController(w), s.WriteTimeout).Write(answer)
}

// pollToken removes the session's token from the request and parses it. It is in its header, or else the last "token"
// of the query. A "token" of the query that this server did not make belongs to the application and stays.
func (s *Server) pollToken(r *http.Request) (rest *http.Request, name string, count uint64, ok bool) {
	if h := r.Header.Get(headerPollToken); h != "" {
		name, count, ok = s.tokens.parse(h)
		return r, name, count, ok
	}
	q := r.URL.Query()
	values := q["token"]
	if len(values) == 0 {
		return r, "", 0, false
	}
	if name, count, ok = s.tokens.parse(values[len(values)-1]); !ok {
		return r, "", 0, false
	}
	if q["token"] = values[:len(values)-1]; len(values) == 1 {
		q.Del("token")
	}
	clean, u := *r, *r.URL
	u.RawQuery = q.Encode()
	clean.URL, clean.Form = &u, nil
	return &clean, name, count, true
}

// PollToken returns the session token of a long-poll request without checking it; "" if there is none.
func PollToken(r *http.Request) string {
	if h := r.Header.Get(headerPollToken); h != "" {
		return h
	}
	if values := r.URL.Query()["token"]; len(values) > 0 {
		return values[len(values)-1]
	}
	return ""
}

// Knows reports whether this server made a session token.
func (s *Server) Knows(token string) bool {
	_, _, ok := s.tokens.parse(token)
	return ok
}

// pollOpen opens a session.
func (s *Server) pollOpen(r *http.Request) []byte {
	h, err := s.connect(r, r.Header.Get(headerAuthToken))
	if err != nil {
		return pollError(err)
	}
	ses, err := s.openSession(r, h, hub.ViaLongPoll, s.PollLife)
	if err != nil {
		s.Hub.CountLimit(err)
		return pollError(err)
	}
	return ses.appendAnswer(nil, pollOpened, 0, nil)
}

// pollError encodes the refusal of a client. A temporary error must not get the status of a permanent one.
func pollError(err error) []byte {
	if errors.Is(err, errs.ErrClosed) || errors.Is(err, errs.ErrUnavailable) || errors.Is(err, errs.ErrLimited) {
		return []byte(`{"status":` + pollReconnect + `}`)
	}
	return []byte(`{"status":` + pollForbidden + `}`)
}

// poll answers a GET of a session as soon as there are messages.
func (s *Server) poll(r *http.Request, name string, count uint64) []byte {
	ses := s.session(name)
	if ses == nil {
		return pollError(errs.ErrClosed)
	}
	if !ses.belongs(r, r.Header.Get(headerAuthToken)) {
		return pollError(errs.ErrForbidden)
	}
	wake := log.NewWake()
	if !ses.attach(wake) {
		return pollError(errs.ErrClosed)
	}
	defer ses.detach(wake)
	window := time.NewTimer(s.PollWindow)
	defer window.Stop()
	for {
		if answer, ok := ses.answer(wake, count); ok {
			ses.sends(len(answer))
			return answer
		}
		select {
		case <-wake.C:
		case <-window.C:
			return ses.appendAnswer(nil, pollNoContent, count, nil)
		case <-r.Context().Done():
			return nil
		}
	}
}

// answer returns the answer to the request of wake, which has confirmed count answers; ok is false if there is nothing
// to send yet.
func (ses *session) answer(wake *log.Wake, count uint64) (answer []byte, ok bool) {
	ses.reading.Lock()
	defer ses.reading.Unlock()
	switch {
	case ses.isOver():
		return pollError(errs.ErrClosed), true
	case !ses.isReader(wake): // a newer poll has replaced this one, and gets the messages
		return ses.appendAnswer(nil, pollNoContent, count, nil), true
	case ses.poll.answer != nil && count < ses.poll.count: // the last answer was lost
		return ses.poll.answer, true
	}
	ses.poll.answer = nil
	ok = ses.collectAnswer()
	return ses.poll.answer, ok
}

// collectAnswer takes the socket's frames into an answer, which is stored until it is confirmed.
func (ses *session) collectAnswer() bool {
	p := borrowPull()
	defer p.giveBack()
	var messages []byte
	for more := true; more && len(messages) < 4*pullBytes; {
		more = ses.socket.next(p)
		for _, f := range p.frames {
			if len(messages) > 0 {
				messages = append(messages, ',')
			}
			messages = jsonw.AppendString(messages, f.payload())
		}
	}
	if len(messages) == 0 {
		return false
	}
	ses.poll.count++
	ses.poll.answer = ses.appendAnswer(make([]byte, 0, len(messages)+128), pollOK, ses.poll.count, messages)
	return true
}

// appendAnswer appends {"status","token","messages"}. count is the number of answers that the token confirms. An answer
// without messages confirms no more than its poll did, because a newer poll may have received messages. messages are
// JSON strings, separated by commas.
func (ses *session) appendAnswer(dst []byte, status string, count uint64, messages []byte) []byte {
	dst = append(append(dst, `{"status":`...), status...)
	dst = append(dst, `,"token":"`...)
	dst = append(dst, ses.server.tokens.make(ses.socket.id, count)...)
	dst = append(dst, `","messages":[`...)
	dst = append(dst, messages...)
	return append(dst, `]}`...)
}

// pollPost receives a client's messages. Replies and pushes are sent with the next GET.
func (s *Server) pollPost(r *http.Request, name string, ours bool) []byte {
	var ses *session
	if ours {
		ses = s.session(name)
	}
	if ses == nil {
		return []byte(`{"status":` + pollOpened + `}`)
	}
	if !ses.belongs(r, r.Header.Get(headerAuthToken)) {
		return pollError(errs.ErrForbidden)
	}
	err := ses.receive(r)
	switch {
	case err == nil:
		return []byte(`{"status":` + pollOK + `}`)
	case errors.Is(err, errs.ErrTooLarge):
		return []byte(`{"status":` + pollTooLarge + `}`)
	case errors.Is(err, errs.ErrInvalid): // the same body would be invalid again
		return []byte(`{"status":` + pollInvalid + `}`)
	}
	return []byte(`{"status":` + pollReconnect + `}`)
}
