//go:build !lockorder

package lock

import "sync"

// Mutex is a sync.Mutex whose place in the lock order can be checked. The zero value is a leaf.
type Mutex struct{ sync.Mutex }

// SetClass gives the mutex its place in the lock order, before it is used.
func (*Mutex) SetClass(Class) {}

// RWMutex is a sync.RWMutex whose place in the lock order can be checked. The zero value is a leaf.
type RWMutex struct{ sync.RWMutex }

// SetClass gives the mutex its place in the lock order, before it is used.
func (*RWMutex) SetClass(Class) {}
