// Package lock has the mutexes of the hub, and defines the order in which they may be taken.
//
// A mutex has a class, and the classes have an order: a goroutine that holds a mutex takes only mutexes of later
// classes. It never holds two of one class. A mutex without a class is a leaf: nothing is taken while it is held.
//
// With the build tag lockorder, each Lock is checked against that order, and the process ends if it is violated, even
// if there is no deadlock this time. Without the tag a Mutex is a sync.Mutex, and costs nothing more.
package lock

// Class is what a mutex guards. The constants are in the lock order: the first is taken first.
type Class uint8

// The lock order.
const (
	leaf          Class = iota // no class: taken last
	Upload                     // an upload that another node relays
	Revocations                // changes of revocations, in memory and in the store
	Eviction                   // evictions for want of memory
	Jobs                       // workers, and the jobs that they do
	Topics                     // the registry of topics
	Mirror                     // a mirror, while it applies changes to its replica
	Topic                      // one topic and its log
	PresenceTable              // the presences on one topic, and their log
	Queues                     // the map of open queues
	Queue                      // one queue's log
	Stream                     // one stream and its log
	afterAll
)

// String returns a class's name.
func (c Class) String() string {
	return [afterAll]string{
		"leaf", "Upload", "Revocations", "Eviction", "Jobs", "Topics", "Mirror", "Topic", "PresenceTable", "Queues",
		"Queue", "Stream",
	}[c]
}
