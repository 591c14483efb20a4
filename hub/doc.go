// Package hub is the model of Duckwire: topics, presence, streams, jobs and queues. It knows no HTTP, no Phoenix and no
// SQL.
//
// # Logs
//
// Each topic, stream, presence table and queue is a log.Log, and each reader an offset in it. Package log says how
// readers catch up, and how they learn that there is more. What other nodes or the store write is a replica that
// package mirror keeps.
//
// # Presence
//
// A topic's presence is a table and a log of its changes. A reader takes the whole state, which moves its offset behind
// the newest change, and reads changes from there. A reader that lags more than the log has takes the state again. A
// table exists while it has a meta or a reader, and its topic is not evicted meanwhile. A Presence is a session's
// handle of one meta. The meta knows which handle owns it, so a session whose client has come back on another
// connection can change nothing any more.
//
// # Ownership
//
// A Hub owns the goroutines of providers, announcers, mirrors and its own upkeep; Close waits for all of them. A
// Reader, TopicReader, PresenceReader or Appender belongs to the goroutine that opened it, which closes it. Items,
// texts and events that are handed out are shared and immutable.
//
// # Lock order
//
// Package lock has it: each mutex has a class there, and the constants are in the order in which they are taken. A
// mutex without a class is taken last. A test run with the tag lockorder checks the order (make locks). No lock is held
// while a store is asked, a provider runs, or bytes go to a client. A log.Waker is signalled with a log, and sometimes
// a mirror, locked: Signal must not block, and must not call the hub.
package hub
