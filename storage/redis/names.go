package redis

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// names builds the names of the keys and channels of one installation. All begin with its prefix and dw:, and have a
// hash tag, so that all keys of one script are in one slot of a Redis Cluster. Databases have separate keys but share
// channels, so the name of a channel contains the number of the database, unless that is 0.
type names struct{ keys, channels string }

// prefixes matches valid prefixes. Braces are not allowed: Redis would take them for the hash tag.
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

// channel returns the channel on which changes of a key are published.
func (n names) channel(key string) string { return n.channels + strings.TrimPrefix(key, n.keys) }

// nodesKey is the set of all nodes that have not been declared dead, and the beginning of the name of the broadcast
// channel.
func (n names) nodesKey() string { return n.keys + "{nodes}" }

func (n names) allChannel() string { return n.channel(n.nodesKey() + ":all") }

// memoryKey is written to find out whether Redis has free memory.
func (n names) memoryKey() string { return n.nodesKey() + ":room" }

// aliveChannel is subscribed to periodically, as a ping: a subscribed connection allows few other commands. It has no
// followers.
func (n names) aliveChannel() string { return n.channels + "alive" }

// probeKey is written and deleted by Probe.
func (n names) probeKey() string { return n.keys + "{probe}" }

// nodeKey is the prefix of a node's keys. Frames to the node are published on its channel.
func (n names) nodeKey(node string) string { return n.keys + "{n:" + node + "}" }

func (n names) nodeChannel(node string) string { return n.channel(n.nodeKey(node)) }

func (n names) leaseKey(node string) string { return n.nodeKey(node) + ":lease" }

// ownKey is the set of a node's own streams.
func (n names) ownKey(node string) string { return n.nodeKey(node) + ":s" }

// topicKey is the prefix of a topic's keys. Events are published on its channel.
func (n names) topicKey(topic string) string { return n.keys + "{t:" + topic + "}" }

// presenceKey is the hash of a topic's metas by id. Each value is the meta's turn, a space and its JSON. Changes are
// published on its channel.
func (n names) presenceKey(topic string) string { return n.keys + "{p:" + topic + "}" }

// queueKey is the prefix of the keys of all queues. With c:USER behind it, its channel is that of a user's queue.
func (n names) queueKey() string { return n.keys + "{queue}:" }

// revocationsKey is the hash of all revocations: u:USER is that of a user's tokens, t:ID that of one token.
func (n names) revocationsKey() string { return n.keys + "{revocations}" }

// generationKey has a random id. If Redis loses its data, a node writes a new one.
func (n names) generationKey() string { return n.keys + "{revocations}g" }

func (n names) streamKey(id string) string { return n.keys + "{s:" + id + "}" }

func (n names) ownerKey(owner string) string { return n.keys + "{u:" + owner + "}:" }

func (n names) aliasKey(owner, id string) string { return n.ownerKey(owner) + "a:" + id }

func (n names) slotKey(owner, slot string) string { return n.ownerKey(owner) + "o:" + slot }

// conversationKey is a hash: v is the version, o the owner, d the data. Its lock is a key in the same slot. The list
// of the owner's conversations, by the time of saving, may be in another slot.
func (n names) conversationKey(id string) string { return n.keys + "{c:" + id + "}" }

func (n names) conversationLockKey(id string) string { return n.conversationKey(id) + ":lock" }

func (n names) conversationsKey(owner string) string { return n.ownerKey(owner) + "c" }
