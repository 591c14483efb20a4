package conversation

import (
	"strings"

	"github.com/duckwire/duckwire/hub/rights"
)

// Topics of conversations.
const (
	TopicPrefix  = "conversation:" // + ID: the events of a conversation
	LobbyTopic   = TopicPrefix + "lobby"
	StatusPrefix = "status:" // + ID: the progress of its answers
)

func topicOf(id string) string { return TopicPrefix + id }

// conversationOf returns the conversation to which the right to do a on a topic belongs; ok is false if there is none.
// mustExist says that a conversation that does not exist counts as another user's: whoever subscribes to its status now
// would otherwise get the status of a conversation that another user creates later.
func conversationOf(topic string, a rights.Action) (id string, mustExist, ok bool) {
	if topic == LobbyTopic {
		return "", false, false
	}
	if id, ok = strings.CutPrefix(topic, TopicPrefix); ok {
		return id, false, true
	}
	id, ok = strings.CutPrefix(topic, StatusPrefix)
	return id, true, ok && (a == rights.ActionSubscribe || a == rights.ActionPresence)
}
