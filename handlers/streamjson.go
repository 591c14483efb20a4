package handlers

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/log"
	"github.com/duckwire/duckwire/middleware/auth"
)

// streamView is a stream as JSON (openapi.yaml: Stream).
type streamView struct {
	ID           string          `json:"id"`
	Kind         string          `json:"kind"`
	Topic        *string         `json:"topic"`
	Owner        string          `json:"owner"`
	Status       hub.Status      `json:"status"`
	Text         *string         `json:"text,omitempty"`
	At           int             `json:"at"`
	Bytes        int             `json:"bytes"`
	Position     string          `json:"position"`
	FinishReason *string         `json:"finish_reason"`
	Usage        json.RawMessage `json:"usage"`
	Watchers     int             `json:"watchers"`
	Timings      timingsView     `json:"timings"`
	Account      accountView     `json:"account"`
	Error        *hub.EndError   `json:"error"`
	Keep         any             `json:"keep"`
	Reset        *resetView      `json:"reset,omitempty"`
	Events       []eventView     `json:"events,omitempty"`
}

// timingsView has times as text, and durations since the stream's creation in milliseconds.
type timingsView struct {
	Created    string  `json:"created"`
	Started    *string `json:"started"`
	FirstToken *string `json:"first_token"`
	Ended      *string `json:"ended"`
	ToFirst    *int64  `json:"first_token_ms"`
	Total      *int64  `json:"duration_ms"`
}

type accountView struct {
	Made      int     `json:"tokens_made"`
	Delivered int     `json:"tokens_delivered"`
	Unwatched int     `json:"tokens_unwatched"`
	EndedBy   *string `json:"ended_by"`
}

type resetView struct {
	Reason    log.ResetReason `json:"reason"`
	Requested string          `json:"requested"`
	From      string          `json:"from"`
}

func viewReset(r *log.Reset) *resetView {
	if r == nil {
		return nil
	}
	return &resetView{r.Reason, r.Requested, r.From.String()}
}

// eventView is a structured entry that is not part of the text.
type eventView struct {
	Event    string          `json:"event"`
	Position string          `json:"position"`
	At       int             `json:"at"`
	Data     json.RawMessage `json:"data"`
}

// maxWait is the maximum of ?wait=, in seconds. Proxies often close longer requests.
const maxWait = 60

// streamJSON answers with the stream's state. With ?after= the text begins after that position. With ?wait= it waits
// until there is more text or the stream ends.
func (s *server) streamJSON(w http.ResponseWriter, r *http.Request, stream *hub.Stream) error {
	q := r.URL.Query()
	p, err := resumePosition(r, log.Position{})
	if err != nil {
		return err
	}
	wait, err := intParam(q, "wait", 0, 0, maxWait)
	if err != nil {
		return err
	}
	if resumeFrom(r).text == "" {
		_ = stream.Refresh() // on an error, the state that this node has is used
	}
	if err := stream.CatchUp(p); err != nil {
		return err
	}
	wake := log.NewWake()
	defer s.hub.OnDrain(wake)()
	reader, reset := stream.Watch(p, wake)
	defer reader.Close()
	start := reader.Start()
	if reset == nil {
		if err := s.awaitStream(r, stream, start, wake, time.Duration(wait)*time.Second); err != nil {
			return err
		}
	}
	view := viewStream(stream, reader)
	if reset != nil {
		view.Reset = viewReset(reset)
	}
	writeJSON(w, http.StatusOK, view)
	return nil
}

// awaitStream returns when the stream has entries after the position, has ended, or the wait is over.
func (s *server) awaitStream(
	r *http.Request, stream *hub.Stream, after log.Position, wake *log.Wake, wait time.Duration,
) error {
	if wait <= 0 {
		return nil
	}
	probe := stream.WatchUncounted(after, wake) // not counted as delivery; the answer is
	defer probe.Close()
	return s.await(r, wake, wait, func() bool {
		items, _ := probe.ReadUpTo(nil, 1)
		return len(items) > 0 || stream.Status().Ended()
	})
}

// viewStream encodes a stream from the reader's position on. It reads the reader to the stream's tail, so that text,
// events and position are consistent.
func viewStream(stream *hub.Stream, reader *log.Reader) *streamView {
	sum := stream.Summary()
	st, items, reset := stream.Snapshot(reader)
	sum.State = st
	v := viewSummary(&sum)
	v.Reset = viewReset(reset)
	v.Text = ptr(string(st.Text))
	v.Events = eventViews(items, stream.Epoch())
	v.Watchers-- // without this request
	return v
}

// viewStreamNow encodes the stream's current state, without text and events.
func viewStreamNow(stream *hub.Stream) *streamView {
	sum := stream.Summary()
	return viewSummary(&sum)
}

// viewSummary encodes a stream without text and events.
func viewSummary(sum *hub.StreamSummary) *streamView {
	st := &sum.State
	v := &streamView{
		ID: sum.ID, Kind: sum.Kind, Owner: sum.Owner, Usage: json.RawMessage("null"), Keep: keepView(sum.Idle),
	}
	if sum.Topic != "" {
		v.Topic = &sum.Topic
	}
	v.Status, v.At, v.Bytes, v.Position, v.Watchers = st.Status, st.At, st.Bytes, st.Position.String(), st.Watchers
	if e := st.Ending; e.Status != "" {
		v.FinishReason, v.Error = textOrNil(e.FinishReason), e.Error
		if len(e.Usage) > 0 {
			v.Usage = e.Usage
		}
	}
	v.Timings = viewTimings(&st.Timings)
	v.Account = accountView{st.Account.Made, st.Account.Delivered, st.Account.Unwatched, textOrNil(st.Account.EndedBy)}
	return v
}

func eventViews(items []log.Item, epoch string) []eventView {
	var views []eventView
	for i := range items {
		ev := items[i].Event
		if ev == nil || ev.Kind == log.OpenEvent || ev.Kind == log.AskedEvent || ev.Kind == log.EndEvent {
			continue
		}
		at := log.Position{Epoch: epoch, Offset: items[i].To}
		views = append(views, eventView{ev.Name, at.String(), items[i].At, json.RawMessage(ev.Data)})
	}
	return views
}

func keepView(k hub.IdlePolicy) any {
	if k.CancelAfter > 0 {
		return map[string]float64{"cancel_after": k.CancelAfter.Round(time.Millisecond).Seconds()} // 1 ns means at once
	}
	return "finish"
}

func viewTimings(t *hub.Timings) timingsView {
	v := timingsView{
		Created: wireTime(t.Created), Started: timeOrNil(t.Started),
		FirstToken: timeOrNil(t.FirstToken), Ended: timeOrNil(t.Ended),
	}
	if !t.FirstToken.IsZero() {
		v.ToFirst = ptr(t.FirstToken.Sub(t.Created).Milliseconds())
	}
	if !t.Ended.IsZero() {
		v.Total = ptr(t.Ended.Sub(t.Created).Milliseconds())
	}
	return v
}

func timeOrNil(t time.Time) *string {
	if t.IsZero() {
		return nil
	}
	return ptr(wireTime(t))
}

func ptr[T any](v T) *T { return &v }

func textOrNil(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// listStreams answers GET /v1/streams with the caller's streams, or all streams for an admin, newest first, without
// texts.
func (s *server) listStreams(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	limit, err := intParam(q, "limit", 100, 1, 1000)
	if err != nil {
		return err
	}
	status := hub.Status(q.Get("status"))
	if !knownStatus(status) {
		return errs.Invalid("?status",
			"must be one of queued, running, done, failed, cancelled, superseded, interrupted; got %q", clip(string(status)))
	}
	id := auth.IdentityFrom(r.Context())
	list := s.hub.ListStreams(hub.StreamQuery{Owner: id.User, All: id.Caps.Admin(), Status: status, Limit: limit})
	views := make([]*streamView, len(list))
	for i := range list {
		views[i] = viewSummary(&list[i])
	}
	writeJSON(w, http.StatusOK, map[string]any{"streams": views})
	return nil
}

func knownStatus(s hub.Status) bool {
	switch s {
	case "", hub.StatusQueued, hub.StatusRunning, hub.StatusDone, hub.StatusFailed, hub.StatusCancelled,
		hub.StatusSuperseded, hub.StatusInterrupted:
		return true
	}
	return false
}
