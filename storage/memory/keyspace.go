package memory

import (
	"time"
)

// keyspace has the data of a Cluster, as in Redis: values by key, which may expire. A value is never changed in place,
// so that the last writes can be undone.
type keyspace struct {
	incarnation int // counts the restarts of the store; each may have undone writes of earlier incarnations
	values      map[string]entry
	undo        []undoRecord // the newest last
}

// entry is one value.
type entry struct {
	value   any
	expires time.Time // zero: never
}

// undoRecord is what a key had before a write.
type undoRecord struct {
	at      time.Time
	key     string
	old     entry
	existed bool
}

// undoPeriod is for how long a write can be undone.
const undoPeriod = 5 * time.Second

func newKeyspace() *keyspace { return &keyspace{values: make(map[string]entry)} }

// load returns the value of a key. ok is false if there is none.
func load[T any](k *keyspace, key string) (value T, ok bool) {
	v, ok := k.values[key]
	if !ok || !v.expires.IsZero() && !time.Now().Before(v.expires) {
		return value, false
	}
	return v.value.(T), true
}

// set sets the value of a key. It expires after ttl; 0: never.
func (k *keyspace) set(key string, value any, ttl time.Duration) {
	k.recordUndo(key)
	v := entry{value: value}
	if ttl > 0 {
		v.expires = time.Now().Add(ttl)
	}
	k.values[key] = v
}

func (k *keyspace) del(keys ...string) {
	for _, key := range keys {
		k.recordUndo(key)
		delete(k.values, key)
	}
}

// recordUndo records the entry of a key before it is written.
func (k *keyspace) recordUndo(key string) {
	now := time.Now()
	expired := 0
	for expired < len(k.undo) && now.Sub(k.undo[expired].at) > undoPeriod {
		expired++
	}
	old, existed := k.values[key]
	k.undo = append(k.undo[expired:], undoRecord{now, key, old, existed})
}

// rollBack undoes the writes of the last d, at most undoPeriod.
func (k *keyspace) rollBack(d time.Duration) {
	since := time.Now().Add(-d)
	for n := len(k.undo) - 1; n >= 0 && k.undo[n].at.After(since); n-- {
		u := &k.undo[n]
		if u.existed {
			k.values[u.key] = u.old
		} else {
			delete(k.values, u.key)
		}
		k.undo = k.undo[:n]
	}
}

// reset drops everything.
func (k *keyspace) reset() { k.values, k.undo = make(map[string]entry), nil }
