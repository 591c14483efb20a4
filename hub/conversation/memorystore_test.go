package conversation

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/duckwire/duckwire/hub/errs"
)

func TestMemoryStoreHasLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newMemoryStore(storeLimits{conversations: 3, ofUser: 2, bytes: 8 << 10, ttl: time.Hour})
		save := func(id, owner string, text int) error {
			r := &Record{ID: id, Owner: owner}
			if kept, _ := s.load(id); kept != nil {
				r.version = kept.version
			}
			r.Used, r.Messages = time.Now(), []Message{{Content: strings.Repeat("x", text)}}
			return s.save(r)
		}
		kept := func() (list string) {
			for _, id := range []string{"a1", "a2", "a3", "b1", "c1"} {
				if r, _ := s.load(id); r != nil {
					list += id + " "
				}
			}
			return list
		}
		for _, id := range []string{"a1", "a2", "a1", "a3"} { // a2 was not used for longest
			if err := save(id, "a", 10); err != nil {
				t.Fatal(err)
			}
		}
		if id, _ := s.latest("a"); id != "a3" || kept() != "a1 a3 " {
			t.Errorf("kept %s; the latest is %s", kept(), id)
		}
		if err := save("b1", "b", 10); err != nil {
			t.Fatal(err)
		}
		var limit *errs.LimitError
		if err := save("c1", "c", 10); !errors.As(err, &limit) || limit.Name != "conversations" {
			t.Errorf("one too many: %v", err)
		}
		err := save("b1", "b", 9<<10)
		if !errors.As(err, &limit) || limit.Name != "bytes of all conversations" || kept() != "a1 a3 b1 " {
			t.Errorf("too much: %v; kept %s", err, kept())
		}
		if err := s.save(&Record{ID: "a1", Owner: "a"}); !errors.Is(err, errs.ErrConflict) {
			t.Errorf("an older version was taken: %v", err)
		}
		time.Sleep(50 * time.Minute)
		if err := save("a1", "a", 0); err != nil {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Minute)
		if kept() != "a1 " || len(s.users) != 1 || s.bytes != s.byID["a1"].Value.(*Record).size() {
			t.Errorf("after an hour there are %s, of %d users, %d bytes", kept(), len(s.users), s.bytes)
		}
	})
}

func TestRecordForgets(t *testing.T) {
	var r Record
	for i := range 50 {
		r = r.with(Message{ID: fmt.Sprint(i), Content: strings.Repeat("x", 1000)})
	}
	if len(r.Messages) != maxMessages || r.Messages[0].ID != "10" {
		t.Errorf("%d messages from %s on", len(r.Messages), r.Messages[0].ID)
	}
	for i := range 10 {
		r = r.with(Message{ID: fmt.Sprint("long", i), Content: strings.Repeat("x", maxMessageBytes)})
	}
	if r.size() > maxBytes+1024 || len(r.Messages) != 7 {
		t.Errorf("%d messages of %d bytes", len(r.Messages), r.size())
	}
}
