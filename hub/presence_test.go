package hub_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/log"
)

func track(t testing.TB, h *hub.Hub, key, client, meta string) *hub.Presence {
	t.Helper()
	p, err := h.Track(presenceTopic, key, client, json.RawMessage(meta))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// metas returns the metas of a key.
func metas(t testing.TB, h *hub.Hub, key string) []map[string]any {
	t.Helper()
	return decodePeople(t, h.Presences(presenceTopic))[key].Metas
}

func TestPresenceUpdateIsOneDiff(t *testing.T) {
	h := newHub(t, hub.Options{})
	p := track(t, h, "u1", "", `{"status":"on"}`)
	c := newPresenceClient(t, h, presenceTopic, log.NewWake())
	defer c.reader.Close()
	var ref []string
	for i, step := range []struct {
		meta, want string
	}{
		{
			`{"status":"away"}`,
			`{"joins":{"u1":{"metas":[{"phx_ref":"$1","phx_ref_prev":"$0","status":"away"}]}},` +
				`"leaves":{"u1":{"metas":[{"phx_ref":"$0","status":"on"}]}}}`,
		},
		{
			`{"a":1, "b":[1.0]}`,
			`{"joins":{"u1":{"metas":[{"phx_ref":"$2","phx_ref_prev":"$1","a":1,"b":[1.0]}]}},` +
				`"leaves":{"u1":{"metas":[{"phx_ref":"$1","phx_ref_prev":"$0","status":"away"}]}}}`,
		},
		{`{"b":[1.0],"a":1}`, ``}, // equal members in another order
		{`{"a":1,"b":[1.0],"phx_ref":"forged","phx\u005fref_prev":"forged"}`, ``},
		{
			`{"b":[1],"phx_ref":"forged","a":1}`,
			`{"joins":{"u1":{"metas":[{"phx_ref":"$3","phx_ref_prev":"$2","b":[1],"a":1}]}},` +
				`"leaves":{"u1":{"metas":[{"phx_ref":"$2","phx_ref_prev":"$1","a":1,"b":[1.0]}]}}}`,
		},
	} {
		if i == 0 {
			ref = append(ref, metas(t, h, "u1")[0]["phx_ref"].(string))
		}
		if err := p.Update(json.RawMessage(step.meta)); err != nil {
			t.Fatal(err)
		}
		items, lost := c.reader.Read(nil)
		if lost || len(items) > 1 || (len(items) == 0) != (step.want == "") {
			t.Fatalf("%s: %d diffs, lost %v", step.meta, len(items), lost)
		}
		if len(items) == 0 {
			continue
		}
		ref = append(ref, metas(t, h, "u1")[0]["phx_ref"].(string))
		got := string(items[0].Event.Payload())
		for n, r := range ref {
			got = strings.ReplaceAll(got, `"`+r+`"`, fmt.Sprintf(`"$%d"`, n))
		}
		if got != step.want {
			t.Errorf("%s:\n%s, want\n%s", step.meta, got, step.want)
		}
	}
}

func TestPresenceRefusals(t *testing.T) {
	h := newHub(t, hub.Options{Limits: hub.Limits{PresencePerTopic: 2, PresenceMetaBytes: 20}})
	for _, c := range []struct{ topic, key, client, meta, field string }{
		{"a::b", "u", "", `{}`, "topic"},
		{"t", "", "", `{}`, "key"},
		{"t", strings.Repeat("k", hub.MaxPresenceKey+1), "", `{}`, "key"},
		{"t", "u", strings.Repeat("c", hub.MaxName+1), `{}`, "client"},
		{"t", "u", "", `[]`, "meta"},
		{"t", "u", "", `null`, "meta"},
		{"t", "u", "", `  `, "meta"},
		{"t", "u", "", `{`, "meta"},
		{"t", "u", "", "{\"a\":\"\xff\"}", "meta"},
	} {
		_, err := h.Track(c.topic, c.key, c.client, json.RawMessage(c.meta))
		var field *errs.FieldError
		if !errors.As(err, &field) || field.Field != c.field {
			t.Errorf("%+v: %v", c, err)
		}
	}
	p := track(t, h, "u1", "c", `{"a": "0123456789ab", "phx_ref":"is not counted"}`)
	if err := p.Update(json.RawMessage(`{"a":"0123456789abc"}`)); !errors.Is(err, errs.ErrTooLarge) {
		t.Errorf("a meta over the limit: %v", err)
	}
	track(t, h, "u1", "d", "")
	if _, err := h.Track(presenceTopic, "u2", "", nil); !errors.Is(err, errs.ErrLimited) {
		t.Errorf("one too many: %v", err)
	}
	track(t, h, "u1", "c", `{}`) // comes back
	if got := metas(t, h, "u1"); len(got) != 2 {
		t.Errorf("%v", got)
	}
	if string(h.Presences("t")) != "{}" {
		t.Errorf("%s", h.Presences("t"))
	}
}

// Nobody sees a short loss of the connection, in whichever way the client comes back.
func TestPresenceSurvivesABlip(t *testing.T) {
	for _, client := range []string{"", "tab"} {
		synctest.Test(t, func(t *testing.T) {
			h := newHub(t, hub.Options{})
			wake := log.NewWake()
			c := newPresenceClient(t, h, presenceTopic, wake)
			defer c.reader.Close()
			other := track(t, h, "u1", "other", `{"tab":2}`)
			p := track(t, h, "u1", client, `{"tab":1}`)
			c.read()
			for range 3 {
				p.Drop(10 * time.Second)
				time.Sleep(9 * time.Second)
				p.Drop(time.Hour) // the first counts
				old := p
				p = track(t, h, "u1", client, `{"tab":1}`)
				old.Leave()
				old.Drop(0)
				if err := old.Update(json.RawMessage(`{"tab":9}`)); err != nil {
					t.Error(err)
				}
				time.Sleep(time.Hour)
				if items, lost := c.reader.Read(nil); len(items) > 0 || lost {
					t.Fatalf("a blip is seen: %s", items[0].Event.Payload())
				}
			}
			p.Drop(10 * time.Second)
			start := time.Now()
			select {
			case <-wake.C: // of the first diff
			default:
			}
			<-wake.C
			if took := time.Since(start); took != 10*time.Second {
				t.Errorf("left after %v", took)
			}
			c.read()
			c.want(decodePeople(t, h.Presences(presenceTopic)))
			if len(c.state["u1"].Metas) != 1 {
				t.Errorf("%v", c.state)
			}
			other.Drop(0)
			other.Leave()
		})
	}
}

// A tab connects again before the end of its old connection is noticed.
func TestPresenceOfALiveClientIsTakenOver(t *testing.T) {
	h := newHub(t, hub.Options{})
	old := track(t, h, "u1", "tab", `{"n":1}`)
	young := track(t, h, "u1", "tab", `{"n":2}`)
	stranger := track(t, h, "u2", "tab", `{"n":3}`) // another user's client of the same name
	old.Drop(time.Nanosecond)
	old.Leave()
	if got := metas(t, h, "u1"); len(got) != 1 || got[0]["n"] != 2. || got[0]["phx_ref_prev"] == nil {
		t.Errorf("%v", got)
	}
	young.Leave()
	if got := metas(t, h, "u1"); got != nil || len(metas(t, h, "u2")) != 1 {
		t.Errorf("%v", got)
	}
	stranger.Leave()
}

// A session of an unknown client takes over the meta in its grace period, and leaves live metas alone.
func TestPresenceOfAnUnknownClientTakesTheOldestThatWaits(t *testing.T) {
	h := newHub(t, hub.Options{})
	track(t, h, "u1", "", `{"n":1}`)
	track(t, h, "u1", "b", `{"n":2}`).Drop(time.Minute)
	track(t, h, "u1", "c", `{"n":3}`).Drop(time.Minute)
	track(t, h, "u1", "", `{"n":2}`)
	back := track(t, h, "u1", "b", `{"n":4}`) // whose meta another has by now
	if got := fmt.Sprint(numbers(metas(t, h, "u1"))); got != "[1 2 3 4]" {
		t.Error(got)
	}
	back.Leave()
	back.Leave()
	if got := fmt.Sprint(numbers(metas(t, h, "u1"))); got != "[1 2 3]" {
		t.Error(got)
	}
}

func numbers(metas []map[string]any) (n []any) {
	for _, m := range metas {
		n = append(n, m["n"])
	}
	return n
}

func TestPresenceOnlineAtOutlivesABlip(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHub(t, hub.Options{})
		online := func(meta string) *hub.Presence {
			p, err := h.TrackOnline(presenceTopic, "u1", "tab", json.RawMessage(meta))
			if err != nil {
				t.Fatal(err)
			}
			return p
		}
		p := online("")
		before := string(h.Presences(presenceTopic))
		if want := `"online_at":"` + time.Now().UTC().Format(hub.TimeFormat) + `"`; !strings.Contains(before, want) {
			t.Errorf("%s, want %s", before, want)
		}
		p.Drop(time.Minute)
		time.Sleep(time.Second)
		p = online("{}")
		if after := string(h.Presences(presenceTopic)); after != before {
			t.Errorf("%s, was %s", after, before)
		}
		since := metas(t, h, "u1")[0]["online_at"]
		if err := p.Update(json.RawMessage(`{"state":"idle"}`)); err != nil {
			t.Fatal(err)
		}
		if got := metas(t, h, "u1")[0]; got["online_at"] != since || got["state"] != "idle" {
			t.Errorf("updated to %v, was online since %v", got, since)
		}
		p.Leave()
		online(`{"online_at":1}`)
		if got := metas(t, h, "u1")[0]["online_at"]; got != 1. {
			t.Errorf("%v", got)
		}
	})
}

// A topic is not dropped while it has presences or readers of them.
func TestPresenceKeepsItsTopic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHub(t, hub.Options{Limits: hub.Limits{HistoryTTL: time.Minute, Topics: 1}})
		other := func() error {
			_, err := h.Publish("other", "u", []hub.EventInput{{Event: "e"}})
			return err
		}
		p := track(t, h, "u1", "", `{}`)
		time.Sleep(time.Hour)
		if err := other(); !errors.Is(err, errs.ErrLimited) {
			t.Errorf("the topic has gone with somebody on it: %v", err)
		}
		r, err := h.SubscribePresence(presenceTopic, log.NewWake())
		if err != nil {
			t.Fatal(err)
		}
		p.Leave()
		time.Sleep(time.Hour)
		if err := other(); !errors.Is(err, errs.ErrLimited) {
			t.Errorf("the topic has gone with a reader on it: %v", err)
		}
		r.Close()
		r.Close()
		if n := h.LogBytes(); n != 0 {
			t.Errorf("%d bytes are counted for an empty table", n)
		}
		time.Sleep(time.Hour)
		if err := other(); err != nil {
			t.Errorf("the topic is still there: %v", err)
		}
		p.Leave()
		p.Drop(time.Second)
	})
}

func TestPresenceIsNotEvicted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHub(t, hub.Options{Limits: hub.Limits{LogMemory: 1000}})
		p := track(t, h, "u1", "", `{}`)
		large := []hub.EventInput{{Event: "e", Bytes: make([]byte, 2000)}}
		if _, err := h.Publish(presenceTopic, "u", large); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if metas(t, h, "u1") == nil {
			t.Error("the topic was evicted with somebody on it")
		}
		p.Leave()
		time.Sleep(time.Minute)
		if n := h.LogBytes(); n != 0 {
			t.Errorf("%d bytes are left", n)
		}
	})
}

// Changes before a state are in it, and changes after it signal its reader.
func TestPresenceStateMovesTheReader(t *testing.T) {
	h := newHub(t, hub.Options{})
	wake := log.NewWake()
	r, err := h.SubscribePresence(presenceTopic, wake)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	track(t, h, "u1", "", `{}`)
	if state := r.State(); len(decodePeople(t, state)) != 1 || string(state) != string(h.Presences(presenceTopic)) {
		t.Errorf("%s", state)
	}
	track(t, h, "u2", "", `{}`)
	select {
	case <-wake.C:
	default:
		t.Error("nobody is woken")
	}
	items, lost := r.Read(nil)
	if len(items) != 1 || lost || !strings.Contains(string(items[0].Event.Payload()), `"u2"`) {
		t.Errorf("%d items after the state, lost %v", len(items), lost)
	}
	if _, users := h.PresenceSnapshot(presenceTopic); users != 2 {
		t.Errorf("%d users", users)
	}
}

func TestPresenceNeedsMemory(t *testing.T) {
	h := newHub(t, hub.Options{Limits: hub.Limits{LogMemory: 10_000}})
	for i := range 1000 {
		_, err := h.Track(presenceTopic, fmt.Sprint("u", i), "", json.RawMessage(`{}`))
		if errors.Is(err, errs.ErrLimited) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Errorf("%d bytes, and no end", h.LogBytes())
}

// Sessions come and go in many goroutines, while readers sleep until they are signalled. In the end each reader has
// what the table has.
func TestPresenceFromManyGoroutines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHub(t, hub.Options{})
		var sessions, readers sync.WaitGroup
		stop := make(chan struct{})
		for range 4 {
			wake := log.NewWake()
			c := newPresenceClient(t, h, presenceTopic, wake)
			readers.Go(func() {
				defer c.reader.Close()
				for {
					c.read()
					select {
					case <-wake.C:
						continue
					default:
					}
					select {
					case <-wake.C:
					case <-stop:
						c.read()
						c.want(decodePeople(t, h.Presences(presenceTopic)))
						return
					}
				}
			})
		}
		for i := range 8 {
			sessions.Go(func() {
				for n := range 200 {
					key, client := fmt.Sprint("u", i%3), []string{"", "tab"}[n%2]
					p, err := h.Track(presenceTopic, key, client, json.RawMessage(fmt.Sprintf(`{"n":%d}`, n%5)))
					if err != nil {
						t.Error(err)
						return
					}
					switch n % 4 {
					case 0:
						p.Leave()
					case 1:
						p.Drop(time.Duration(n) * time.Microsecond)
					case 2:
						_ = p.Update(json.RawMessage(`{}`))
						p.Drop(time.Millisecond)
					}
				}
			})
		}
		sessions.Wait()
		time.Sleep(time.Second) // until the last grace is over
		close(stop)
		readers.Wait()
	})
}
