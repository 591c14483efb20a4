package redis

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// names are the names of the keys and channels of one installation. All begin with its prefix and dw:, and have a hash
// tag, so that what one script uses lies in one slot of a Redis Cluster. Databases have keys of their own, and share
// the channels: therefore the name of a channel has the number of its database, unless that is 0.
type names struct{ keys, channels string }

// prefixes are what may stand before all names: no braces, which would be taken for the hash tag.
var prefixes = regexp.MustCompile(`^[A-Za-z0-9._:-]{0,64}$`)

func newNames(prefix string, database int) (n names, err error) {
	if !prefixes.MatchString(prefix) {
		return n, fmt.Errorf("redis_prefix: must be up to 64 letters, digits or any of . _ : - but is %.80q", prefix)
	}
	n.keys = prefix + "dw:"
	n.channels = n.keys
	if database > 0 {
		n.channels += strconv.Itoa(database) + ":"
	}
	return n, nil
}

// channel returns the name of the channel on which is told what becomes of a key.
func (n names) channel(key string) string { return n.channels + strings.TrimPrefix(key, n.keys) }

// nodesKey is the set of all nodes that have not been found dead, and the beginning of the channel on which all are
// told something.
func (n names) nodesKey() string { return n.keys + "{nodes}" }

func (n names) allChannel() string { return n.channel(n.nodesKey() + ":all") }

// memoryKey is written to learn whether Redis takes more.
func (n names) memoryKey() string { return n.nodesKey() + ":room" }

// aliveChannel is subscribed to again and again, because on a connection that hears there is little else to ask. Nobody
// follows it.
func (n names) aliveChannel() string { return n.channels + "alive" }

// probeKey is written, and deleted again.
func (n names) probeKey() string { return n.keys + "{probe}" }

// nodeKey is what a node's keys begin with, and its channel is where the node is asked.
func (n names) nodeKey(node string) string { return n.keys + "{n:" + node + "}" }

func (n names) nodeChannel(node string) string { return n.channel(n.nodeKey(node)) }

func (n names) leaseKey(node string) string { return n.nodeKey(node) + ":lease" }

// ownKey is the set of a node's own streams.
func (n names) ownKey(node string) string { return n.nodeKey(node) + ":s" }

// topicKey is what the keys of a topic begin with, and its channel is where the topic is heard.
func (n names) topicKey(topic string) string { return n.keys + "{t:" + topic + "}" }

// presenceKey is the hash of a topic's metas, by their ids, each with its turn before it; they are heard on its
// channel.
func (n names) presenceKey(topic string) string { return n.keys + "{p:" + topic + "}" }

// queueKey is what the keys of all queues begin with; with c:USER behind it, it has the channel on which a user's queue
// is heard.
func (n names) queueKey() string { return n.keys + "{queue}:" }

// revocationsKey is the hash of all revocations: of a user's tokens by u:USER, of one by t:ID.
func (n names) revocationsKey() string { return n.keys + "{revocations}" }

func (n names) streamKey(id string) string { return n.keys + "{s:" + id + "}" }

func (n names) ownerKey(owner string) string { return n.keys + "{u:" + owner + "}:" }

func (n names) aliasKey(owner, id string) string { return n.ownerKey(owner) + "a:" + id }

func (n names) slotKey(owner, slot string) string { return n.ownerKey(owner) + "o:" + slot }

// A conversation is a hash: v (its version), o (its owner) and d (its data). Beside it is its lock, and in another
// place its owner's list of all, by when each was saved.
func (n names) conversationKey(id string) string { return n.keys + "{c:" + id + "}" }

func (n names) conversationLockKey(id string) string { return n.conversationKey(id) + ":lock" }

func (n names) conversationsKey(owner string) string { return n.ownerKey(owner) + "c" }
