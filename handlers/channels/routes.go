// Package channels holds the kinds of channels, one file each, and the table that says which topics they serve.
package channels

import "github.com/duckwire/duckwire/handlers/socket"

// Routes returns the table of channels; the first match counts. To add a kind of channel, write its file and add its line. The state that kinds
// share among clients belongs to the table: make one for each server.
func Routes() []socket.Route {
	return []socket.Route{
		{Pattern: "code:*", Kind: code{noAnalysis}},
		{Pattern: "analysis:*", Kind: analysis{noAnalysis}},
		{Pattern: "user:*", Kind: user{}},
		{Pattern: "stream:*", Kind: stream{}},
		{Pattern: "*", Kind: plain{}},
	}
}
