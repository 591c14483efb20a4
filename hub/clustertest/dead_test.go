package clustertest

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/log"
	"github.com/duckwire/duckwire/storage/memory"
)

// findDead exceeds the time until a node is found dead.
const findDead = nodeLease + nodeLease/2

var writer = hub.ProducerRef{ID: "p", Epoch: 1}

// A stream ends for its readers, and its id becomes free, when its node has died and the store has lost it.
func TestStreamIsNowhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, "a", "b")
		c.send(c.stream("a", "s"), writer, "one", nil)
		mirror, err := c.hubs["b"].Stream("ada", "s")
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		c.die("a")
		c.shared.Stop()
		c.shared.StartEmpty()
		select {
		case <-mirror.Done():
		case <-time.After(time.Minute):
			t.Fatal("its readers are not told of its end")
		}
		synctest.Wait() // its node drops it right after
		st := mirror.State()
		if st.Status != hub.StatusInterrupted || string(st.Text) != "one" || st.Ending.Error.Code != "stream_lost" {
			t.Errorf("it ends as %s with %q and %+v", st.Status, st.Text, st.Ending.Error)
		}
		if _, old, err := c.hubs["b"].CreateStream(hub.StreamSpec{ID: "s", Owner: "ada"}); err != nil || old {
			t.Errorf("its id is not free: %t, %v", old, err)
		}
	})
}

// A node that was cut off, and learns that another node has taken its streams, must not answer with its old copies:
// requests wait for the new owner's copy, and fail with ErrUnavailable if it does not come in time. The node stops its
// completions.
func TestStreamsAreLostWhileCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, "a", "b")
		s := c.stream("a", "s")
		c.send(s, writer, "one ", nil)
		req := &hub.CompletionRequest{Kind: hub.TextCompletion, Prompt: "1000"}
		spec := hub.StreamSpec{Kind: "completion", Owner: "ada", Idle: hub.IdlePolicy{CancelAfter: time.Hour}}
		completion, _, err := c.hubs["a"].Complete(req, spec, hub.CompletionMeta{Kind: hub.TextCompletion})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		c.stores["a"].Cut()
		time.Sleep(findDead)
		there, err := c.hubs["b"].Stream("ada", "s")
		if err != nil {
			t.Fatal(err)
		}
		c.send(there, hub.ProducerRef{ID: "p", Epoch: 2}, "two", nil)
		c.set("a", "find stream", memory.Fate{Before: time.Minute})
		c.stores["a"].Mend()
		for !c.stores["a"].LeaseValid() {
			time.Sleep(time.Millisecond)
		}
		if a, err := s.Append(hub.ProducerRef{ID: "p", Epoch: 1, Seq: 1}); err == nil {
			if _, err = a.End(nil); err == nil {
				t.Error("an append is acknowledged that is lost")
			}
		}
		began := time.Now()
		if err := s.Refresh(); !errors.Is(err, errs.ErrUnavailable) {
			t.Errorf("what the other has is not here, and who asks is told %v", err)
		}
		if time.Since(began) > 10*time.Second {
			t.Errorf("who asks waits for %v", time.Since(began))
		}
		comes := c.givenAt("a", "find stream").Add(time.Minute)
		c.set("a", "find stream", memory.Fate{}) // except for the one in progress
		time.Sleep(time.Until(comes) - 3*time.Second)
		began = time.Now()
		if err := s.Refresh(); err != nil || time.Since(began) < time.Second {
			t.Errorf("who asks before it comes is told %v after %v", err, time.Since(began))
		}
		if got := string(s.State().Text); got != "one two" {
			t.Errorf("who has waited is given %q", got)
		}
		time.Sleep(30 * time.Second)
		if n := c.made.running(); n > 0 || completion.Status() != hub.StatusInterrupted {
			t.Errorf("the completion is %s, and %d are being made", completion.Status(), n)
		}
	})
}

// Taking over a dead node's streams is retried after refused commands and lost answers until one node owns them. Until
// then requests for them fail with ErrUnavailable.
func TestTakingOverIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, "a", "b", "c")
		c.send(c.stream("a", "s"), writer, "one ", nil)
		c.send(c.stream("a", "unknown"), writer, "one ", nil)
		c.send(c.stream("a", "ended"), writer, "all", &hub.Ending{Status: hub.StatusDone})
		mirror, err := c.hubs["b"].Stream("ada", "s")
		if err != nil {
			t.Fatal(err)
		}
		reader, _ := mirror.Watch(log.Position{}, log.NewWake())
		defer reader.Close()
		time.Sleep(time.Second)
		refused := memory.Fate{Refused: true}
		for _, node := range []string{"b", "c"} {
			c.set(node, "claim stream", refused)
			c.set(node, "find stream", refused)
		}
		c.die("a")
		time.Sleep(findDead)
		if err := mirror.Refresh(); !errors.Is(err, errs.ErrUnavailable) {
			t.Errorf("nobody has the stream yet, and who asks is told %v", err)
		}
		mirror.Cancel("eve") // which fails: the stream has no owner
		if got := mirror.Status(); got != hub.StatusRunning {
			t.Errorf("nobody has the stream yet, and it is %s", got)
		}
		c.set("c", "find stream", memory.Fate{})
		c.set("b", "claim stream", memory.Fate{Lost: true})
		c.set("b", "find stream", memory.Fate{Lost: true})
		time.Sleep(nodeLease)
		for _, node := range []string{"b", "c"} {
			c.set(node, "claim stream", memory.Fate{})
			c.set(node, "find stream", memory.Fate{})
		}
		time.Sleep(2 * nodeLease)
		for name := range c.hubs {
			c.wants(name, "s", hub.StatusInterrupted, "one ")
			c.wants(name, "unknown", hub.StatusInterrupted, "one ")
			c.wants(name, "ended", hub.StatusDone, "all")
		}
		c.send(mirror, hub.ProducerRef{ID: "p", Epoch: 2}, "two", &hub.Ending{Status: hub.StatusDone})
		time.Sleep(time.Second)
		for name := range c.hubs {
			c.wants(name, "s", hub.StatusDone, "one two")
		}
	})
}
