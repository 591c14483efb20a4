package memory

import (
	"iter"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/log"
)

// Keys of queues: the set of users that have one, and the epoch of all queues. The key of a user's queue is also the
// channel on which its changes are published.
const (
	queuesKey     = "queues"
	queueEpochKey = "epoch of queues"
)

func queueKey(user string) string { return "queue " + user }

// sharedQueueEpoch is the epoch of all queues, and the store's incarnation in which it began.
type sharedQueueEpoch struct {
	epoch       string
	incarnation int
}

// queueEpoch returns the epoch of all queues. It begins a new one after a restart of the store, which may have lost
// writes. The caller holds c.mu.
func (c *Cluster) queueEpoch() string {
	e, ok := load[sharedQueueEpoch](c.data, queueEpochKey)
	if !ok || e.incarnation != c.data.incarnation {
		c.epochs++
		e = sharedQueueEpoch{
			epoch:       "q" + strconv.FormatInt(time.Now().UnixNano(), 36) + "q" + strconv.Itoa(c.epochs),
			incarnation: c.data.incarnation,
		}
		c.data.set(queueEpochKey, e, 0)
	}
	return e.epoch
}

// queueCommand collects the queues that one command changes.
type queueCommand struct {
	k       *keyspace
	epoch   string
	changed map[string]*userQueue
}

// doQueues runs a command on queues, and updates n.epoch.
func (n *Node) doQueues(command string, f func(q *queueCommand)) error {
	var epoch string
	err := n.do(command, func(k *keyspace) {
		epoch = n.cluster.queueEpoch()
		q := &queueCommand{k: k, epoch: epoch, changed: make(map[string]*userQueue)}
		f(q)
		q.save(n.cluster)
	})
	if err == nil {
		n.locked(func() { n.epoch = epoch })
	}
	return err
}

// user returns a copy of a user's queue that save will write.
func (q *queueCommand) user(name string) *userQueue {
	u := q.changed[name]
	if u == nil {
		u = q.load(name)
		q.changed[name] = u
	}
	return u
}

// load returns a copy of a user's queue.
func (q *queueCommand) load(name string) *userQueue {
	u, ok := load[*userQueue](q.k, queueKey(name))
	if !ok {
		u = newUserQueue()
	}
	if u = u.clone(); ok && u.epoch != q.epoch {
		u.before = earlierEpochs(u.before, log.Position{Epoch: u.epoch, Offset: u.tail()})
	}
	u.epoch = q.epoch
	return u
}

// save writes the changed queues, and notifies their followers.
func (q *queueCommand) save(c *Cluster) {
	users, _ := load[map[string]bool](q.k, queuesKey)
	users = maps.Clone(users)
	if users == nil {
		users = make(map[string]bool)
	}
	for _, name := range slices.Sorted(maps.Keys(q.changed)) {
		users[name] = true
		q.k.set(queueKey(name), q.changed[name], 0)
		c.publish(queueKey(name), nil, false)
	}
	if len(q.changed) > 0 {
		q.k.set(queuesKey, users, 0)
	}
}

// names returns the users that have queues, sorted.
func (q *queueCommand) names() []string {
	users, _ := load[map[string]bool](q.k, queuesKey)
	return slices.Sorted(maps.Keys(users))
}

// QueueEpoch implements hub.QueueStore.
func (n *Node) QueueEpoch() (epoch string) {
	n.locked(func() { epoch = n.epoch })
	return epoch
}

// Enqueue implements hub.QueueStore.
func (n *Node) Enqueue(messages []hub.StoredMessage, limits hub.QueueLimits) (offsets []uint64, err error) {
	var full error
	err = n.doQueues("enqueue", func(q *queueCommand) { offsets, full = enqueue(q.user, messages, limits) })
	if err != nil {
		return nil, err
	}
	return offsets, full
}

// Messages implements hub.QueueStore.
func (n *Node) Messages(user string, after uint64, limit int) (page hub.QueuePage, err error) {
	err = n.doQueues("messages", func(q *queueCommand) { page = q.load(user).page(after, limit) })
	return page, err
}

// AckMessages implements hub.QueueStore.
func (n *Node) AckMessages(user string, through uint64) (ahead bool, err error) {
	err = n.doQueues("acknowledge", func(q *queueCommand) {
		if ahead = q.load(user).acknowledge(through); !ahead {
			q.user(user).acknowledge(through)
		}
	})
	return ahead, err
}

// ExpireMessages implements hub.QueueStore.
func (n *Node) ExpireMessages(user string, now time.Time, limit int) (expired int, err error) {
	err = n.doQueues("expire", func(q *queueCommand) {
		names := q.names()
		if user != "" {
			names = []string{user}
		}
		for _, name := range names {
			u := q.load(name)
			before := len(u.messages)
			count := u.expire(now, limit-expired)
			if user == "" {
				u.sweep(now.Add(-idTTL))
			}
			if count > 0 || len(u.messages) < before {
				q.changed[name] = u
			}
			expired += count
		}
	})
	return expired, err
}

// QueueSummaries implements hub.QueueStore.
func (n *Node) QueueSummaries(limit int) (list []hub.QueueSummary, all hub.QueueTotals, err error) {
	err = n.doQueues("summaries", func(q *queueCommand) { list, all = summaries(q.all(), limit) })
	return list, all, err
}

func (q *queueCommand) all() iter.Seq2[string, *userQueue] {
	return func(yield func(string, *userQueue) bool) {
		for _, name := range q.names() {
			if !yield(name, q.load(name)) {
				return
			}
		}
	}
}

// FollowQueue implements hub.QueueFollower.
func (n *Node) FollowQueue(user string, changed func()) (stop func()) {
	return n.follow(queueKey(user), &follower{heard: func(any) { changed() }, gap: changed})
}
