package hub_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/storage/memory"
)

// nodes are hubs that share their topics.
func nodes(t *testing.T, n int, store hub.TopicStore, limits hub.Limits) []*hub.Hub {
	all := make([]*hub.Hub, n)
	for i := range all {
		all[i] = hub.New(hub.Options{Topics: store, Limits: limits})
		t.Cleanup(all[i].Close)
	}
	return all
}

// numbersOf reads n events of a reader, and returns what they carry.
func numbersOf(t *testing.T, r *hub.TopicReader, wake *hub.Wake, n int) (got []string) {
	t.Helper()
	for len(got) < n {
		items, reset := r.Read(nil)
		if reset != nil {
			got = append(got, "reset "+string(reset.Reason))
		}
		for i := range items {
			got = append(got, string(items[i].Event.Payload()))
			if items[i].To > 0 {
				var envelope struct{ Position string }
				if err := json.Unmarshal(items[i].Event.Data, &envelope); err != nil || envelope.Position != (hub.Position{Epoch: r.Epoch(), Offset: items[i].To}).String() {
					t.Errorf("%s stands at %d of %s", items[i].Event.Data, items[i].To, r.Epoch())
				}
			}
		}
		if len(items) == 0 && reset == nil {
			<-wake.C
		}
	}
	return got
}

func publish(t *testing.T, h *hub.Hub, topic string, in ...hub.EventInput) []hub.Published {
	t.Helper()
	out, err := h.Publish(topic, "sender", in)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func number(n int) hub.EventInput {
	return hub.EventInput{Event: "n", Payload: json.RawMessage(fmt.Sprint(n))}
}

// What is published on one node is read on all, from any place that another node gave.
func TestTopicsOfSeveralNodes(t *testing.T) {
	all := nodes(t, 3, memory.NewTopics(), hub.Limits{})
	wakeA, wakeB := hub.NewWake(), hub.NewWake()
	a, _, err := all[0].Subscribe("t", hub.Position{Now: true}, wakeA)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	out := publish(t, all[1], "t", number(0), hub.EventInput{ID: "one", Event: "n", Payload: json.RawMessage("1")}, number(2))
	again := publish(t, all[2], "t", hub.EventInput{ID: "one", Event: "n", Payload: json.RawMessage("1")}, number(3))
	if again[0].Position != out[1].Position || again[0].ID != "one" {
		t.Errorf("an id is known on one node only: %+v, %+v", out[1], again[0])
	}
	if got := fmt.Sprint(numbersOf(t, a, wakeA, 4)); got != "[0 1 2 3]" {
		t.Error(got)
	}
	from, err := hub.ParsePosition(out[1].Position)
	if err != nil {
		t.Fatal(err)
	}
	b, reset, err := all[2].Subscribe("t", from, wakeB)
	if err != nil || reset != nil {
		t.Fatal(reset, err)
	}
	defer b.Close()
	publish(t, all[0], "t", hub.EventInput{Event: "cursor", Payload: json.RawMessage("4"), Ephemeral: true}, number(5))
	if got := fmt.Sprint(numbersOf(t, b, wakeB, 4)); got != "[2 3 5 4]" {
		t.Error(got)
	}
	late, _, err := all[1].Subscribe("t", hub.Position{Now: true}, wakeB)
	if err != nil {
		t.Fatal(err)
	}
	defer late.Close()
	if got := fmt.Sprint(numbersOf(t, late, wakeB, 1)); got != "[4]" {
		t.Errorf("what is current does not come to a late one: %s", got)
	}
}

// What comes the moment a topic has come from the store is not lost between the two.
func TestHeardWhileTheLoadingEnds(t *testing.T) {
	all := nodes(t, 2, memory.NewTopics(), hub.Limits{Topics: 10_000})
	for n := range 3000 {
		topic, wake := fmt.Sprint("t", n), hub.NewWake()
		r, _, err := all[0].Subscribe(topic, hub.Position{}, wake)
		if err != nil {
			t.Fatal(err)
		}
		publish(t, all[1], topic, hub.EventInput{Event: "cursor", Payload: json.RawMessage("1"), Ephemeral: true})
		if got := fmt.Sprint(numbersOf(t, r, wake, 1)); got != "[1]" {
			t.Fatal(got)
		}
		r.Close()
	}
}
