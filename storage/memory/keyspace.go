package memory

import (
	"time"
)

// keyspace is what the nodes share, as Redis has it: values under keys, some for a time. A value is never changed in
// place, so that what was under a key before can be put back: that is how the store forgets the last second.
type keyspace struct {
	life   int // how often the store has begun anew: what was written in an earlier life may have gone back since
	values map[string]kept
	before []overwritten // the newest last
}

// kept is one value.
type kept struct {
	value   any
	expires time.Time // zero: never
}

// overwritten is what stood under a key before it was written.
type overwritten struct {
	at  time.Time
	key string
	was kept
	had bool
}

// undoable is for how long what was overwritten can be put back.
const undoable = 5 * time.Second

func newKeyspace() *keyspace { return &keyspace{values: make(map[string]kept)} }

// load returns the value under a key. ok is false where there is none.
func load[T any](k *keyspace, key string) (value T, ok bool) {
	v, ok := k.values[key]
	if !ok || !v.expires.IsZero() && !time.Now().Before(v.expires) {
		return value, false
	}
	return v.value.(T), true
}

// set puts a value under a key. ttl is how long it is kept; 0: for ever.
func (k *keyspace) set(key string, value any, ttl time.Duration) {
	k.remember(key)
	v := kept{value: value}
	if ttl > 0 {
		v.expires = time.Now().Add(ttl)
	}
	k.values[key] = v
}

func (k *keyspace) del(keys ...string) {
	for _, key := range keys {
		k.remember(key)
		delete(k.values, key)
	}
}

func (k *keyspace) remember(key string) {
	now := time.Now()
	old := 0
	for old < len(k.before) && now.Sub(k.before[old].at) > undoable {
		old++
	}
	was, had := k.values[key]
	k.before = append(k.before[old:], overwritten{now, key, was, had})
}

// goBack puts back what was there before the last d, at most undoable.
func (k *keyspace) goBack(d time.Duration) {
	since := time.Now().Add(-d)
	for n := len(k.before) - 1; n >= 0 && k.before[n].at.After(since); n-- {
		o := &k.before[n]
		if o.had {
			k.values[o.key] = o.was
		} else {
			delete(k.values, o.key)
		}
		k.before = k.before[:n]
	}
}

// forget drops everything.
func (k *keyspace) forget() { k.values, k.before = make(map[string]kept), nil }
