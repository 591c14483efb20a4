package doctor

import (
	"context"
	"net/http"
	"net/url"
	"time"
)

// longPoll checks whether a response can be delayed until there is an event. Clients fall back to long-polling if a
// proxy buffers everything else.
func (e *examination) longPoll(ctx context.Context) {
	const check = "long-poll"
	at, err := e.publish(ctx, "doctor_poll")
	if err != nil {
		e.Broken(check, "see the proxy's log, and the server's", "an event cannot be published: %v", err)
		return
	}
	type result struct {
		events []struct{ Event string }
		err    error
	}
	polled := make(chan result, 1)
	go func() {
		var page struct{ Events []struct{ Event string } }
		a, err := e.ask(ctx, http.MethodGet,
			e.events()+"?"+url.Values{"after": {at}, "wait": {"8"}, "format": {"json"}}.Encode(), "")
		if err == nil {
			err = a.decode(&page)
		}
		polled <- result{page.Events, err}
	}()
	select {
	case early := <-polled: // before the event was published
		e.Broken(check, "have the proxy wait for answers for 75s at least, and not keep them (Cache-Control says so)",
			"a question that should wait was answered at once, with %d events: %v", len(early.events), early.err)
		return
	case <-time.After(time.Second):
	}
	if _, err := e.publish(ctx, "doctor_answer"); err != nil {
		e.Broken(check, "see the proxy's log, and the server's", "while a question waits nothing can be published: %v",
			err)
		<-polled
		return
	}
	began := time.Now()
	got := <-polled
	late := time.Since(began)
	switch {
	case got.err != nil:
		e.Broken(check, "see the proxy's log, and the server's: something does not let an answer wait", "%v", got.err)
	case len(got.events) == 0 || got.events[0].Event != "doctor_answer":
		e.Broken(check, "have the proxy keep no answers (Cache-Control says so)",
			"the answer is not what was published: %v", got.events)
	case late > e.Patience:
		e.Warn(check, "see what on the way delays answers", "the answer came %s after the event",
			late.Round(time.Millisecond))
	default:
		e.Fine(check, "the answer waits, and comes %s after the event", late.Round(time.Millisecond))
	}
}
