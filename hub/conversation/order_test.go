package conversation

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/duckwire/duckwire/hub/log"
)

// Events are sent in the order of the topic, and an end only after the last piece of its answer, whatever is followed.
func TestAnswerOrder(t *testing.T) {
	for seed := range uint64(200) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 0))
			var o AnswerOrder
			open, sent := map[string]bool{}, uint64(0)
			name := func(ev *log.Event) string { return ev.Name } // an event is named after the stream that it ends
			send := func(ev *log.Event) {
				if ev.Offset != sent+1 {
					t.Fatalf("event %d is sent after %d", ev.Offset, sent)
				}
				if sent++; open[ev.Name] {
					t.Fatalf("the end of %s is sent before its last piece", ev.Name)
				}
			}
			const streams = 4
			ended := map[string]bool{}
			for at := uint64(1); at <= 30; at++ {
				stream := fmt.Sprint(r.IntN(streams))
				switch r.IntN(4) {
				case 0:
					if got := o.Expect(stream); got == open[stream] {
						t.Fatalf("%s is expected: %v", stream, got)
					}
					open[stream] = true
				case 1:
					delete(open, stream)
					for _, ev := range o.Ended(stream) {
						send(ev)
					}
				}
				ev := &log.Event{Offset: at}
				if r.IntN(3) == 0 && !ended[stream] {
					ev.Name, ended[stream] = stream, true
				}
				if o.Pass(ev, name) {
					send(ev)
				}
			}
			for i := range streams {
				delete(open, fmt.Sprint(i))
				for _, ev := range o.Ended(fmt.Sprint(i)) {
					send(ev)
				}
			}
			if sent != 30 || len(o.buffered) > 0 {
				t.Errorf("%d of 30 events went out, %d are left", sent, len(o.buffered))
			}
			if !o.Pass(&log.Event{}, name) {
				t.Error("an ephemeral event waits")
			}
		})
	}
}
