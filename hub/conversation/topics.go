package conversation

import (
	"strings"

	"github.com/duckwire/duckwire/hub/rights"
)

// Topics of conversations.
const (
	TopicPrefix  = "conversation:" // + ID: what is said in it
	LobbyTopic   = TopicPrefix + "lobby"
	StatusPrefix = "status:" // + ID: how its answers get on
)

func topicOf(id string) string { return TopicPrefix + id }

// conversationOf returns the conversation that the right to do a on a topic is about; ok is false for none. begun says
// that there must be one: whoever waits for the status of a conversation that another user is about to begin would hear
// it.
func conversationOf(topic string, a rights.Action) (id string, begun, ok bool) {
	if topic == LobbyTopic {
		return "", false, false
	}
	if id, ok = strings.CutPrefix(topic, TopicPrefix); ok {
		return id, false, true
	}
	id, ok = strings.CutPrefix(topic, StatusPrefix)
	return id, true, ok && (a == rights.ActionSubscribe || a == rights.ActionPresence)
}
