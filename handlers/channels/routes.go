// Package channels implements the kinds of channels, one file each, and the table that maps topics to them. A kind
// decodes messages, checks rights, and encodes events. Decisions about conversations are in hub/conversation, and
// prompts about code in hub/coding.
package channels

import (
	"log/slog"

	"github.com/duckwire/duckwire/handlers/socket"
	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/conversation"
	"github.com/duckwire/duckwire/hub/rights"
)

// Table has the kinds of channels of one server, and the state that clients share.
type Table struct {
	Routes        socket.Routes
	conversations *conversation.Service
}

// NewTable returns the table of channels. Conversations are stored in store; nil means in memory. A new kind of channel
// needs its file and an entry here.
func NewTable(h *hub.Hub, logger *slog.Logger, store conversation.Store) *Table {
	conversations := conversation.New(conversation.Options{
		Hub: h, Logger: logger, Store: store, Vocabulary: conversationEvents{h},
	})
	return &Table{conversations: conversations, Routes: socket.Routes{
		{Pattern: "code:*", Kind: code{analyze}, Events: codeVocabulary},
		{Pattern: "analysis:*", Kind: analysis{analyze}, Events: analysisVocabulary},
		{Pattern: "conversation:*", Kind: conversationKind{conversations}, Events: conversationVocabulary},
		{Pattern: "status:*", Kind: status{}, Events: statusVocabulary},
		{Pattern: "user:*", Kind: user{}, Events: userVocabulary},
		{Pattern: "stream:*", Kind: stream{}, Events: streamVocabulary},
		{Pattern: "realtime:*", Kind: realtime{}, Events: realtimeVocabulary},
		{Pattern: "yjs:*", Kind: yjs{&documents{byTopic: map[string]*document{}}}, Events: yjsVocabulary},
		{Pattern: "*", Kind: plain{}},
	}}
}

// Guard returns an authorizer that enforces the ownership of conversations: Service.Guard.
func (t *Table) Guard(next rights.Authorizer) rights.Authorizer { return t.conversations.Guard(next) }

// CheckPublish returns the error for an event that a client publishes on a topic, at any door but a socket, whose
// channels check more; field is its name in the client's request. Errors are *errs.FieldError: the topic's channel sends
// this event itself.
func (t *Table) CheckPublish(topic, field, event string) error {
	if r := t.Routes.Find(topic); r != nil {
		return r.Events.CheckPublish(field, event)
	}
	return nil
}
