// Package channels holds the kinds of channels, one file each, and the table that says which topics they serve. A kind
// decodes what its clients say, asks for their rights, and encodes what they are told. What is decided about
// conversations is in hub/conversation, and what models are asked about code in hub/coding.
package channels

import (
	"log/slog"

	"github.com/duckwire/duckwire/handlers/socket"
	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/conversation"
	"github.com/duckwire/duckwire/hub/rights"
)

// Table is the kinds of channels of one server, and the state that they share among clients.
type Table struct {
	Routes        []socket.Route // the first match counts
	conversations *conversation.Service
}

// NewTable returns the table of channels. Conversations are stored in the store; where it is nil, in memory. To add a
// kind of channel, write its file and add its line.
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
		{Pattern: "*", Kind: plain{}},
	}}
}

// Guard returns an authorizer that knows whose conversations are whose: Service.Guard.
func (t *Table) Guard(next rights.Authorizer) rights.Authorizer { return t.conversations.Guard(next) }
