// Package hub is the model of Duckwire: topics, presence, streams, jobs and queues. It knows no HTTP, no Phoenix and no
// SQL.
//
// # Logs
//
// Each topic, stream, presence table and queue is a log.Log, and a reader is an offset in a log. Package log describes
// how readers catch up, and how they are signalled. A log that another node or the store writes is a replica, which a
// mirror.Mirror keeps up to date.
//
// # Presence
//
// The presences on a topic are a table, and a log of its changes. A reader first gets the whole state, which moves its
// offset behind the newest change, and then reads the changes. If it is further behind than the log reaches, it gets
// the state again. A table exists while this node has a meta or a reader of it, and its topic is not evicted in that
// time. A Presence is a session's handle of one meta. The meta knows the handle that owns it: when a client has
// returned with a new session, the handle of the old session can change nothing any more.
//
// # Ownership
//
// A Hub owns the goroutines of providers, announcers and mirrors, and those of its own maintenance; Close waits for all
// of them. A Reader, TopicReader, PresenceReader or Appender belongs to the goroutine that has opened it, and that
// goroutine closes it. Items, texts and events that are handed out are shared and immutable.
//
// # Several nodes
//
// Each stream and each presence has one owner node; topics and queues belong to the store, and each node with readers
// has a replica. A node owns its streams while its lease is valid. Cluster has what is particular to several nodes.
//
// # Lock order
//
// The lock order is defined in package lock: each mutex has a class there, and the constants are in the order in which
// locks are taken. A mutex without a class is taken last. A test with the build tag lockorder checks the order (make
// locks). No lock is held during a call of a store or a provider, or while bytes are written to a client. A log.Waker
// is signalled with a log, and sometimes a mirror, locked: Signal must not block, and must not call the hub.
package hub
