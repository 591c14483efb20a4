package clustertest

import (
	"encoding/json"
	"testing"
	"testing/synctest"
	"time"

	"github.com/duckwire/duckwire/storage/memory"
)

// A client has come from a node that has died since, and its new node could not save that yet. A load of the store,
// which still has the dead node's meta, must not replace the pending save by the end of that meta.
func TestUnsavedTakeoverFromADeadNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, "a", "b")
		if _, err := c.hubs["b"].Track("t", "ada", "tab", nil); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		c.set("a", "save presences", memory.Fate{Refused: true})
		if _, err := c.hubs["a"].Track("t", "ada", "tab", json.RawMessage(`{"on":"a"}`)); err != nil {
			t.Fatal(err)
		}
		c.die("b")
		time.Sleep(findDead)
		metas, err := c.stores["a"].Presences("t")
		if err != nil || len(metas) != 1 || metas[0].Node != "b" || metas[0].Generation != 0 {
			t.Fatalf("before the gap the store has %+v, %v", metas, err)
		}
		c.stores["a"].Deafen()
		time.Sleep(time.Second)
		c.stores["a"].Mend()
		time.Sleep(10 * time.Second)
		c.set("a", "save presences", memory.Fate{})
		time.Sleep(10 * time.Second)
		metas, err = c.stores["a"].Presences("t")
		if err != nil || len(metas) != 1 || metas[0].Node != "a" || metas[0].Generation != 1 || metas[0].Gone {
			t.Errorf("the store has %+v, %v", metas, err)
		}
		for _, n := range []string{"a", "c"} {
			if n == "c" {
				c.start(n)
			}
			refs, err := refsOf(c.hubs[n].Presences("t"))
			if err != nil || len(refs) != 1 {
				t.Errorf("on %s there are %v, %v", n, refs, err)
			}
		}
	})
}
