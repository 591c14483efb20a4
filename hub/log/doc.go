// Package log has the data structure of every topic, stream, queue and presence table: a bounded, append-only sequence
// of entries, and readers that are only offsets in it.
//
// # Offsets
//
// Within an epoch, entries have the offsets 1, 2, 3 and so on. A reader that keeps up reads single entries. One that
// lags reads everything between its offset and the tail in one step, with adjacent text merged. Reading old entries,
// reading live, and resuming after a disconnect are the same code, so no entry can be lost between them. A reader costs
// the log one offset, however far it lags: there is no queue per reader.
//
// # How a reader is woken
//
// A reader that finds nothing is parked in its log, in the same critical section in which it looked, so nothing can be
// appended between the two. An append takes the list of parked readers, unlocks the log, and signals each one's Waker.
// A signal carries no data: it may be lost, duplicated or late, and the reader looks at the log in any case. A reader
// that is busy writing is not parked, and costs an append nothing.
//
// # Locking
//
// A Log is a sync.Locker. Its owner (a topic, a stream) guards its own fields with the same lock. Methods of Log are
// called with the lock held unless their comment says otherwise; methods of Reader take it themselves. What they return
// (items, texts, events, encoded bytes) is immutable, and is used without the lock.
package log
