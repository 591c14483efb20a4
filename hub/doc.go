// Package hub is the model of Duckwire: topics, streams, and the logs under both. It knows no HTTP, no Phoenix and no SQL.
//
// # One log, many offsets
//
// A log is one bounded, append-only record of entries with the offsets 1, 2, 3 … inside an epoch. Every topic is a log of events, every
// stream a log of text and events, and every reader only an offset in it: there is no queue per reader. A reader that keeps up takes single
// entries; one that lags takes everything between its offset and the tail in one go, adjacent text as one piece. Resuming is the same path
// as reading live, so there is no seam between the two at which something could be lost.
//
// # How a reader learns that there is more
//
// A reader that finds nothing is parked in its log, in the same critical section in which it looked: nothing can be appended between the
// two. An append takes the list of the parked and fires each one's Wake, outside the lock. A Wake carries no data, so wakes may be lost,
// doubled or late in any order; the log alone tells what there is. A reader that is busy writing is not parked and costs an append nothing.
//
// # Presences
//
// A topic's presences are a table and a log of its changes. A reader takes the whole state, which moves its offset right behind it, and from
// there reads changes as from any log; one that lags more than the log keeps takes the state again. A table is there as long as it has a
// meta or a reader, and as long its topic is not evicted. A Presence is a session's handle of one meta; which handle counts is the meta's
// owner, so that a session whose client has come back on another connection can do nothing more.
//
// # Ownership
//
// A Hub owns the goroutines of providers and of announcers, one that cleans up, one that lets presences leave when their grace is over, and
// one that records streams; Close waits for all of them. A Reader, TopicReader, PresenceReader or Appender belongs to the goroutine that
// opened it, and that one closes it. Items, texts and events that are handed out are shared and immutable.
//
// # Lock order
//
// Package lock has it: each mutex has a class there, and the constants are in the order in which they are taken; one without a
// class is taken last. A test run with the tag lockorder checks it (make locks). No lock is held while a Wake fires (but for
// those of workers, which are channels of our own), a provider runs, or anything is written.
package hub
