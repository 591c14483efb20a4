//go:build lockorder

package lock

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
)

// Mutex is a sync.Mutex whose place in the lock order is checked. The zero value is a leaf.
type Mutex struct {
	mu    sync.Mutex
	class Class
}

// SetClass gives the mutex its place in the lock order, before it is used.
func (m *Mutex) SetClass(c Class) { m.class = c }

// Lock is sync.Mutex's.
func (m *Mutex) Lock() {
	acquire(m, m.class)
	m.mu.Lock()
}

// TryLock is sync.Mutex's. It never waits, so it may be called in any order.
func (m *Mutex) TryLock() bool {
	if !m.mu.TryLock() {
		return false
	}
	record(m, m.class)
	return true
}

// Unlock is sync.Mutex's.
func (m *Mutex) Unlock() {
	release(m)
	m.mu.Unlock()
}

// RWMutex is a sync.RWMutex whose place in the lock order is checked. Read locks are checked, too, since a reader waits
// for a writer that waits for other readers. The zero value is a leaf.
type RWMutex struct {
	mu    sync.RWMutex
	class Class
}

// SetClass gives the mutex its place in the lock order, before it is used.
func (m *RWMutex) SetClass(c Class) { m.class = c }

// Lock is sync.RWMutex's.
func (m *RWMutex) Lock() {
	acquire(m, m.class)
	m.mu.Lock()
}

// Unlock is sync.RWMutex's.
func (m *RWMutex) Unlock() {
	release(m)
	m.mu.Unlock()
}

// RLock is sync.RWMutex's.
func (m *RWMutex) RLock() {
	acquire(m, m.class)
	m.mu.RLock()
}

// RUnlock is sync.RWMutex's.
func (m *RWMutex) RUnlock() {
	release(m)
	m.mu.RUnlock()
}

// holding is a mutex that a goroutine holds or waits for.
type holding struct {
	mutex any
	class Class
	pc    uintptr // where it is locked
}

// position returns the file and line at which the mutex was locked.
func (h *holding) position() string {
	frame, _ := runtime.CallersFrames([]uintptr{h.pc}).Next()
	return fmt.Sprintf("%s:%d", frame.File, frame.Line)
}

// shards has the mutexes that each goroutine holds, by its number. There are several, so that goroutines seldom wait
// for each other here.
var shards [64]struct {
	sync.Mutex
	held map[uint64][]holding
}

// fail ends the process. A panic would not do: it could be recovered, and the test would pass.
var fail = func(message string) {
	fmt.Fprintf(os.Stderr, "lock order (package lock): %s\n\n%s", message, debug.Stack())
	os.Exit(2)
}

// acquire records that the goroutine is about to lock a mutex, and fails if that violates the lock order.
func acquire(mutex any, class Class) {
	if before := record(mutex, class); before != nil && !comesBefore(before.class, class) {
		fail(fmt.Sprintf("%v is taken while %v is held, since %s", class, before.class, before.position()))
	}
}

func comesBefore(a, b Class) bool { return a != leaf && (b == leaf || a < b) }

// record records that the goroutine holds a mutex. Of those that it already held, it returns the one whose class is
// last in the lock order; nil if it held none.
func record(mutex any, class Class) (last *holding) {
	var pc [1]uintptr
	runtime.Callers(4, pc[:])
	id := goroutineID()
	shard := &shards[id%uint64(len(shards))]
	shard.Lock()
	defer shard.Unlock()
	if shard.held == nil {
		shard.held = make(map[uint64][]holding)
	}
	for _, h := range shard.held[id] {
		if last == nil || comesBefore(last.class, h.class) {
			last = &h
		}
	}
	shard.held[id] = append(shard.held[id], holding{mutex, class, pc[0]})
	return last
}

// release records that the goroutine no longer holds a mutex.
func release(mutex any) {
	id := goroutineID()
	shard := &shards[id%uint64(len(shards))]
	shard.Lock()
	defer shard.Unlock()
	list := shard.held[id]
	i := slices.IndexFunc(list, func(h holding) bool { return h.mutex == mutex })
	if i < 0 {
		fail("a mutex is unlocked by a goroutine that does not hold it")
		return
	}
	if list = slices.Delete(list, i, i+1); len(list) > 0 {
		shard.held[id] = list
	} else {
		delete(shard.held, id)
	}
}

// goroutineID returns the number of the calling goroutine.
func goroutineID() (id uint64) {
	var b [32]byte
	for _, c := range b[len("goroutine "):runtime.Stack(b[:], false)] {
		if c == ' ' {
			break
		}
		id = 10*id + uint64(c-'0')
	}
	return id
}
