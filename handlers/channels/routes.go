// Package channels holds the kinds of channels, one file each, and the table that says which topics they serve.
package channels

import (
	"github.com/duckwire/duckwire/handlers/socket"
	"github.com/duckwire/duckwire/hub"
)

// Table is the kinds of channels of one server, and the state that they share among clients.
type Table struct {
	Routes []socket.Route // the first match counts
	talks  *conversations
}

// NewTable returns the table of channels. Conversations are kept in the store; where it is nil, in memory. To add a kind of channel, write its file
// and add its line.
func NewTable(store hub.ConversationStore) *Table {
	talks := newConversations(newMemoryStore(defaultStoreLimits))
	if store != nil {
		talks = newConversations(newSharedStore(store, defaultStoreLimits))
	}
	return &Table{talks: talks, Routes: []socket.Route{
		{Pattern: "code:*", Kind: code{analyze}},
		{Pattern: "analysis:*", Kind: analysis{analyze}},
		{Pattern: "conversation:*", Kind: conversation{talks}},
		{Pattern: "status:*", Kind: status{}},
		{Pattern: "user:*", Kind: user{}},
		{Pattern: "stream:*", Kind: stream{}},
		{Pattern: "*", Kind: plain{}},
	}}
}
