//go:build linux

package faulttest

import (
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/storage/sqlite"
)

// A ledger is what the callers of the store know at a moment, from which follows what must be, and may be, on the
// disk.
type ledger struct {
	workload
	epoch    string
	tried    []string // requests, in order of their first try
	wasTried map[string]bool
	accepted map[string][]uint64 // requests → the offsets that were told
	last     string              // the last request that was accepted
	acking   map[string]uint64   // users → the highest offset that somebody tried to acknowledge
	acked    map[string]uint64   // users → the highest that was
}

// newLedger parses the marks. Errors are failures that the callers themselves saw.
func newLedger(w workload, records []record) (*ledger, error) {
	l := &ledger{
		workload: w, wasTried: map[string]bool{}, accepted: map[string][]uint64{}, acking: map[string]uint64{},
		acked: map[string]uint64{},
	}
	for _, r := range records {
		switch word, id, rest := split(r); word {
		case markOpened:
			if l.epoch != "" && l.epoch != id && l.Store != normal {
				return l, fmt.Errorf("the epoch was %s and is %s", l.epoch, id)
			}
			l.epoch = id
		case markTry:
			l.try(id)
		case markOK:
			l.accepted[id], l.last = numbers(rest), id
		case markAcking:
			l.acking[id] = max(l.acking[id], numbers(rest)[0])
		case markAcked:
			l.acked[id] = max(l.acked[id], numbers(rest)[0])
		}
	}
	return l, nil
}

func (l *ledger) try(id string) {
	if !l.wasTried[id] {
		l.wasTried[id] = true
		l.tried = append(l.tried, id)
	}
}

// numbers parses one or several numbers as fmt prints them.
func numbers(s string) (n []uint64) {
	for _, word := range strings.Fields(strings.Trim(s, "[]")) {
		v, err := strconv.ParseUint(word, 10, 64)
		if err != nil {
			panic(err) // the log was written by these tests
		}
		n = append(n, v)
	}
	return n
}

// next returns where each publisher continues: with its last request, unless that was accepted. It does not repeat a
// request that it gave up.
func (l *ledger) next() []int {
	next := make([]int, len(l.Next))
	for p := range next {
		next[p] = 1
	}
	for _, id := range l.tried {
		var p, n int
		if _, err := fmt.Sscanf(id, "p%d-%d", &p, &n); err != nil {
			panic(err)
		}
		if l.accepted[id] != nil {
			n++
		}
		next[p] = max(next[p], n)
	}
	return next
}

// check opens a folder as a restart does, and returns what is wrong with its content or with further requests.
func (l *ledger) check(dir string) error {
	s, err := openStore(l.Store, dir)
	if err != nil {
		return fmt.Errorf("it does not open: %w", err)
	}
	err = l.checkOpen(s, dir)
	if cerr := s.Close(); err == nil && cerr != nil {
		return fmt.Errorf("close: %w", cerr)
	}
	return err
}

func (l *ledger) checkOpen(s *sqlite.Store, dir string) error {
	if epoch := s.QueueEpoch(); l.epoch != "" && (epoch == l.epoch) != (l.Store != normal) {
		return fmt.Errorf("the epoch was %s and is %s", l.epoch, epoch)
	}
	if err := integrity(dir); err != nil {
		return err
	}
	if err := l.checkQueues(s); err != nil {
		return err
	}
	for _, id := range []string{l.last, "p0-1000000"} { // a repeated request, and a new one
		if id == "" {
			continue
		}
		r, _, _, _ := l.requestOf(id)
		offsets, err := s.Enqueue(r.messages, plenty)
		if err != nil {
			return fmt.Errorf("enqueuing %s afterwards: %w", id, err)
		}
		if was := l.accepted[id]; was != nil && fmt.Sprint(was) != fmt.Sprint(offsets) {
			return fmt.Errorf("%s had the offsets %v; when it came again they were %v", id, was, offsets)
		}
		l.try(id)
		l.accepted[id] = offsets
	}
	return l.checkQueues(s)
}

// checkQueues compares the stored messages with what must be, and may be, there.
func (l *ledger) checkQueues(s *sqlite.Store) error {
	kept := map[string]hub.StoredMessage{} // by id
	heads := map[string]uint64{}
	for u := range l.Users {
		user := userName(u)
		messages, page, err := drain(s, user)
		if err != nil {
			return err
		}
		heads[user] = page.Head
		if page.Head < l.acked[user] || page.Head > l.acking[user] {
			return fmt.Errorf("%s: all is gone up to %d, when %d was acknowledged, and %d was asked for",
				user, page.Head,
				l.acked[user], l.acking[user])
		}
		if page.Tail < l.acking[user] {
			return fmt.Errorf("%s: the queue ends at %d, and somebody has read %d", user, page.Tail, l.acking[user])
		}
		if err := l.checkQueue(messages, kept); err != nil {
			return fmt.Errorf("%s: %w", user, err)
		}
	}
	for _, id := range l.tried {
		if err := l.checkRequest(id, kept, heads); err != nil {
			return err
		}
	}
	return nil
}

// drain reads a whole queue, and returns its messages and the last page.
func drain(s *sqlite.Store, user string) (messages []hub.StoredMessage, page hub.QueuePage, err error) {
	for after := uint64(0); ; {
		if page, err = s.Messages(user, after, 100); err != nil {
			return nil, page, fmt.Errorf("%s: reading: %w", user, err)
		}
		after = max(after, page.Head)
		for _, m := range page.Messages {
			if after++; m.Offset != after {
				return nil, page, fmt.Errorf("%s: offset %d comes where %d should", user, m.Offset, after)
			}
		}
		messages = append(messages, page.Messages...)
		if len(page.Messages) == 0 {
			if after != page.Tail {
				return nil, page, fmt.Errorf("%s: the queue ends at %d, and says at %d", user, after, page.Tail)
			}
			return messages, page, nil
		}
	}
}

// checkQueue checks one user's messages, and adds them to kept.
func (l *ledger) checkQueue(messages []hub.StoredMessage, kept map[string]hub.StoredMessage) error {
	type place struct{ request, message int }
	last := map[string]place{} // of each sender
	for _, m := range messages {
		r, n, i, ok := l.requestOf(m.ID)
		before := last[m.Sender]
		switch _, twice := kept[m.ID]; {
		case !ok || !l.wasTried[r.id] || !same(m, r.messages[i]):
			return fmt.Errorf("message %s at %d is not what was sent: %.80q", m.ID, m.Offset, m.Payload)
		case twice:
			return fmt.Errorf("message %s is there twice", m.ID)
		case n < before.request || n == before.request && i <= before.message && before.request > 0:
			return fmt.Errorf("message %s comes after %s-%d-%d", m.ID, m.Sender, before.request, before.message)
		}
		last[m.Sender] = place{n, i}
		kept[m.ID] = m
	}
	return nil
}

// checkRequest compares a request's stored messages with what its publisher was told.
func (l *ledger) checkRequest(id string, kept map[string]hub.StoredMessage, heads map[string]uint64) error {
	r, _, _, _ := l.requestOf(id)
	found, missing := 0, 0
	for i, m := range r.messages {
		k, ok := kept[m.ID]
		switch told := l.accepted[id]; {
		case told != nil && !ok && told[i] > heads[m.User]:
			return fmt.Errorf("%s of %s was accepted with the offset %d, and is missing", m.ID, m.User, told[i])
		case told != nil && ok && told[i] != k.Offset:
			return fmt.Errorf("%s of %s was accepted with the offset %d, and has %d", m.ID, m.User, told[i], k.Offset)
		case ok:
			found++
		case l.acking[m.User] == 0: // otherwise it may have been acknowledged
			missing++
		}
	}
	if found > 0 && missing > 0 {
		return fmt.Errorf("%d messages of %s are there, and %d are not", found, id, missing)
	}
	return nil
}

// integrity asks SQLite whether the file is sound.
func integrity(dir string) error {
	db, err := sql.Open("sqlite3", "file:"+filepath.Join(dir, sqlite.FileName)+"?mode=ro&_busy_timeout=5000")
	if err != nil {
		return err
	}
	defer db.Close()
	var answer string
	if err := db.QueryRow("PRAGMA integrity_check").Scan(&answer); err != nil {
		return err
	}
	if answer != "ok" {
		return errors.New("integrity_check: " + answer)
	}
	return nil
}
