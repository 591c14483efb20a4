// Package log is the invariant under every topic, stream, queue and presence table: one bounded, append-only record of
// entries, and readers that are only offsets in it.
//
// # One log, many offsets
//
// Entries have the offsets 1, 2, 3 … inside an epoch. A reader that keeps up takes single entries. One that lags takes
// everything between its offset and the tail in one step, adjacent text as one piece. Reading late, reading live, and
// resuming after a cut are the same code, so there is no seam between them at which an entry could be lost. A reader
// costs the log one offset, however far it lags: there is no queue per reader.
//
// # How a reader learns that there is more
//
// A reader that finds nothing is parked in its log, in the critical section in which it looked, so nothing can be
// appended between the two. An append takes the list of parked readers and signals each one's Waker after it has let go
// of the lock. A signal carries no data: it may be lost, doubled or late. Only the log says what there is. A reader
// that is busy writing is not parked and costs an append nothing.
//
// # Locking
//
// A Log is a sync.Locker. Its owner (a topic, a stream) guards its own fields with the same lock. Methods of Log are
// called with the lock held unless their comment says otherwise; methods of Reader take it themselves. What is handed
// out (items, texts, events, encoded bytes) is immutable and used without the lock.
package log
