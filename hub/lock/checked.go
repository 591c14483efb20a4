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
	take(m, m.class)
	m.mu.Lock()
}

// TryLock is sync.Mutex's. It waits for nobody, so it may be called in any order.
func (m *Mutex) TryLock() bool {
	if !m.mu.TryLock() {
		return false
	}
	note(m, m.class)
	return true
}

// Unlock is sync.Mutex's.
func (m *Mutex) Unlock() {
	giveBack(m)
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
	take(m, m.class)
	m.mu.Lock()
}

// Unlock is sync.RWMutex's.
func (m *RWMutex) Unlock() {
	giveBack(m)
	m.mu.Unlock()
}

// RLock is sync.RWMutex's.
func (m *RWMutex) RLock() {
	take(m, m.class)
	m.mu.RLock()
}

// RUnlock is sync.RWMutex's.
func (m *RWMutex) RUnlock() {
	giveBack(m)
	m.mu.RUnlock()
}

// holding is one mutex that a goroutine holds, or waits for.
type holding struct {
	mutex any
	class Class
	where uintptr // in the program
}

func (h *holding) place() string {
	frame, _ := runtime.CallersFrames([]uintptr{h.where}).Next()
	return fmt.Sprintf("%s:%d", frame.File, frame.Line)
}

// held is what each goroutine holds, by its number, in parts so that goroutines seldom wait for each other here.
var held [64]struct {
	sync.Mutex
	by map[uint64][]holding
}

// broken ends the process: a panic could be recovered, and the test pass.
var broken = func(message string) {
	fmt.Fprintf(os.Stderr, "lock order (package lock): %s\n\n%s", message, debug.Stack())
	os.Exit(2)
}

// take notes that the goroutine is about to take a mutex, and ends the process where that is out of order.
func take(mutex any, class Class) {
	if before := note(mutex, class); before != nil && !comesBefore(before.class, class) {
		broken(fmt.Sprintf("%v is taken while %v is held, since %s", class, before.class, before.place()))
	}
}

func comesBefore(a, b Class) bool { return a != leaf && (b == leaf || a < b) }

// note records that the goroutine holds a mutex, and returns the one that comes last in the order of those that it held
// before; nil if it held none.
func note(mutex any, class Class) (last *holding) {
	var where [1]uintptr
	runtime.Callers(4, where[:])
	id := goroutine()
	part := &held[id%uint64(len(held))]
	part.Lock()
	defer part.Unlock()
	if part.by == nil {
		part.by = make(map[uint64][]holding)
	}
	for _, h := range part.by[id] {
		if last == nil || comesBefore(last.class, h.class) {
			last = &h
		}
	}
	part.by[id] = append(part.by[id], holding{mutex, class, where[0]})
	return last
}

// giveBack notes that the goroutine holds a mutex no more.
func giveBack(mutex any) {
	id := goroutine()
	part := &held[id%uint64(len(held))]
	part.Lock()
	defer part.Unlock()
	list := part.by[id]
	i := slices.IndexFunc(list, func(h holding) bool { return h.mutex == mutex })
	if i < 0 {
		broken("a mutex is given back by a goroutine that does not hold it")
		return
	}
	if list = slices.Delete(list, i, i+1); len(list) > 0 {
		part.by[id] = list
	} else {
		delete(part.by, id)
	}
}

// goroutine returns the number of the goroutine that asks.
func goroutine() (id uint64) {
	var b [32]byte
	for _, c := range b[len("goroutine "):runtime.Stack(b[:], false)] {
		if c == ' ' {
			break
		}
		id = 10*id + uint64(c-'0')
	}
	return id
}
