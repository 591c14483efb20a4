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
	Routes        []socket.Route // the first match is used
	conversations *conversation.Service
}

// NewTable returns the table of channels. Conversations are stored in store; nil means in memory. A new kind of channel
// needs its file and an entry here.
func NewTable(h *hub.Hub, logger *slog.Logger, store conversation.Store) *Table {
	conversations := conversation.New(conversation.Options{
		Hub: h, Logger: logger, Store: store, Vocabulary: conversationEvents{h},
	})
	return &Table{conversations: conversations, Routes: []socket.Route{
		{Pattern: "code:*", Kind: code{analyze}},
		{Pattern: "analysis:*", Kind: analysis{analyze}},
		{Pattern: "conversation:*", Kind: conversationKind{conversations}},
		{Pattern: "status:*", Kind: status{}},
		{Pattern: "user:*", Kind: user{}},
		{Pattern: "stream:*", Kind: stream{}},
		{Pattern: "realtime:*", Kind: realtime{}},
		{Pattern: "yjs:*", Kind: yjs{&documents{byTopic: map[string]*document{}}}},
		{Pattern: "*", Kind: plain{}},
	}}
}

// Guard returns an authorizer that enforces the ownership of conversations: Service.Guard.
func (t *Table) Guard(next rights.Authorizer) rights.Authorizer { return t.conversations.Guard(next) }
