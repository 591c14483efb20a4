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

// Keys of queues: which users have one, and each user's, which is also the channel on which it is heard.
const (
	queuesKey     = "queues"
	queueEpochKey = "epoch of queues"
)

func queueKey(user string) string { return "queue " + user }

// queueLife is an epoch of all queues, and the life of the data in which it began.
type queueLife struct {
	epoch string
	life  int
}

// queueEpoch returns the epoch of all queues: a new one where the data may have gone back. c.mu is held.
func (c *Cluster) queueEpoch() string {
	l, ok := load[queueLife](c.data, queueEpochKey)
	if !ok || l.life != c.data.life {
		c.made++
		l = queueLife{"q" + strconv.FormatInt(time.Now().UnixNano(), 36) + "q" + strconv.Itoa(c.made), c.data.life}
		c.data.set(queueEpochKey, l, 0)
	}
	return l.epoch
}

// queueCommand is the queues as one command changes them.
type queueCommand struct {
	k       *keyspace
	epoch   string
	changed map[string]*userQueue
}

// doQueues runs a command on queues, and notes the epoch as the store says it.
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

// user returns a user's queue to be changed.
func (q *queueCommand) user(name string) *userQueue {
	u := q.changed[name]
	if u == nil {
		u = q.look(name)
		q.changed[name] = u
	}
	return u
}

// look returns a user's queue as a copy.
func (q *queueCommand) look(name string) *userQueue {
	u, ok := load[*userQueue](q.k, queueKey(name))
	if !ok {
		u = newUserQueue()
	}
	if u = u.clone(); ok && u.epoch != q.epoch {
		u.before = livesBefore(u.before, log.Position{Epoch: u.epoch, Offset: u.tail()})
	}
	u.epoch = q.epoch
	return u
}

// save writes what was changed, and tells who follows.
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

// names returns the users with queues, in order.
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
func (n *Node) Enqueue(messages []hub.StoredMessage, room hub.QueueLimits) (offsets []uint64, err error) {
	var full error
	err = n.doQueues("enqueue", func(q *queueCommand) { offsets, full = enqueue(q.user, messages, room) })
	if err != nil {
		return nil, err
	}
	return offsets, full
}

// Messages implements hub.QueueStore.
func (n *Node) Messages(user string, after uint64, limit int) (page hub.QueuePage, err error) {
	err = n.doQueues("messages", func(q *queueCommand) { page = q.look(user).page(after, limit) })
	return page, err
}

// AckMessages implements hub.QueueStore.
func (n *Node) AckMessages(user string, through uint64) (ahead bool, err error) {
	err = n.doQueues("acknowledge", func(q *queueCommand) {
		if ahead = q.look(user).acknowledge(through); !ahead {
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
			u := q.look(name)
			had := len(u.messages)
			gone := u.expire(now, limit-expired)
			if user == "" {
				u.sweep(now.Add(-idLife))
			}
			if gone > 0 || len(u.messages) < had {
				q.changed[name] = u
			}
			expired += gone
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
			if !yield(name, q.look(name)) {
				return
			}
		}
	}
}

// FollowQueue implements hub.QueueFollower.
func (n *Node) FollowQueue(user string, changed func()) (stop func()) {
	return n.follow(queueKey(user), &follower{heard: func(any) { changed() }, gap: changed})
}
