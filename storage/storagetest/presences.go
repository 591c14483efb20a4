package storagetest

import (
	"cmp"
	"encoding/json"
	"reflect"
	"slices"
	"testing"

	"github.com/duckwire/duckwire/hub"
)

// Presences tests the contract of hub.PresenceStore. two returns two nodes' views of one empty store, and registers
// their closing with t.Cleanup.
func Presences(t *testing.T, two func(t testing.TB) (a, b hub.PresenceStore)) {
	a, b := two(t)
	ann := hub.SharedPresence{ID: "1", Node: "a", Key: "ann", Client: "c", Meta: json.RawMessage(`{"s":"é\n"}`), Ref: "r1", Since: 5, Until: 7}
	bob := hub.SharedPresence{ID: "2", Node: "a", Key: "bob", Meta: json.RawMessage(`{}`), Ref: "r2", Since: 6}
	heard, gap := make(chan []hub.SharedPresence, 9), make(chan bool, 9)
	defer b.FollowPresences("room", func(metas []hub.SharedPresence) { heard <- metas }, func() { gap <- true })()
	<-gap
	save := func(s hub.PresenceStore, topic string, metas ...hub.SharedPresence) {
		t.Helper()
		if err := s.SavePresences(topic, metas); err != nil {
			t.Error(err)
		}
	}
	hears := func(want ...hub.SharedPresence) {
		t.Helper()
		if got := <-heard; !reflect.DeepEqual(got, want) {
			t.Errorf("heard %+v, want %+v", got, want)
		}
	}
	has := func(topic string, want ...hub.SharedPresence) {
		t.Helper()
		got, err := a.Presences(topic)
		slices.SortFunc(got, func(x, y hub.SharedPresence) int { return cmp.Compare(x.ID, y.ID) })
		if err != nil || len(got) != len(want) || len(want) > 0 && !reflect.DeepEqual(got, want) {
			t.Errorf("%s has %+v, %v; want %+v", topic, got, err, want)
		}
	}
	has("room")
	save(a, "another", ann)
	save(a, "room", ann, bob)
	hears(ann, bob)
	has("room", ann, bob)

	taken := bob // after another node has taken over a meta, changes by the first node are ignored
	taken.Generation, taken.Node = 1, "b"
	save(b, "room", taken)
	hears(taken)
	left := hub.SharedPresence{ID: "2", Node: "a", Gone: true}
	later := ann
	later.Ref, later.Until = "r3", 0
	save(a, "room", left, later)
	hears(later)
	has("room", later, taken)

	left.ID = "1"
	save(a, "room", left)
	hears(left)
	has("room", taken)
	has("another", ann)

	taken.Gone = true
	save(b, "room", taken)
	hears(taken)
	late := ann
	late.ID = "3"
	save(a, "room", bob, late) // the first owner's save of bob was under way when bob left
	hears(hub.SharedPresence{ID: "2", Generation: 1, Gone: true}, late)
	has("room", late)
	bob.Generation = 2
	save(a, "room", bob)
	hears(bob)
	second := bob // of two owners of one generation, the first one stays
	second.Node = "b"
	save(b, "room", second)
	hears(bob)
	has("room", bob, late)
}
