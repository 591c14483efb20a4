// Package lock has the mutexes of the hub, and the one order in which they may be taken.
//
// A mutex has a class, and the classes have an order: whoever holds a mutex takes only those of later classes. Two of one class
// are never held at a time. A mutex without a class is a leaf: nothing is taken while it is held.
//
// Built with the tag lockorder, each Lock is held against that order, and the process ends where it is broken, whether or not
// anything hangs this time. Without the tag a Mutex is a sync.Mutex, and costs nothing more.
package lock

// Class is what a mutex guards. The constants are the lock order, from what is taken first to what is taken last.
type Class uint8

// The lock order.
const (
	leaf          Class = iota // no class: behind all others
	Upload                     // an upload from another node, while it goes on
	Revocations                // changes of what is revoked, here and in the store
	Room                       // eviction
	Jobs                       // workers, and the jobs that they do
	Topics                     // the map of topics
	Mirror                     // what a mirror hears, and takes to its replica
	Topic                      // one topic and its log
	PresenceTable              // who is present on a topic, and the log of it
	Queues                     // the map of the queues that are read
	Queue                      // one queue's log
	Stream                     // one stream and its log
	afterAll
)

// String returns a class's name.
func (c Class) String() string {
	return [afterAll]string{
		"leaf", "Upload", "Revocations", "Room", "Jobs", "Topics", "Mirror", "Topic", "PresenceTable", "Queues", "Queue", "Stream",
	}[c]
}
