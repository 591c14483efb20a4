// Command goreaders reads with one of other people's Go clients until it is killed: its arguments are the client, an
// address and a token. It writes a line {"event", "data", "id"} for each event.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"sync"
)

// line is one event as it is written: data is the text of an SSE block, or a message's payload as JSON.
type line struct {
	Event string `json:"event"`
	Data  string `json:"data"`
	ID    string `json:"id"`
}

// source is what is read: an address and the token for it.
type source struct{ url, token string }

// clients are the clients by name. Each returns when it has given up, and may hand over events concurrently.
var clients = map[string]func(context.Context, source, func(line)) error{
	"go-sse":           goSSE,
	"r3labs":           r3labs,
	"r3labs, as it is": r3labsAsItIs,
	"phx":              phxTopic,
}

func main() {
	if len(os.Args) != 4 || clients[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "usage: goreaders CLIENT ADDRESS TOKEN")
		os.Exit(2)
	}
	var mu sync.Mutex
	out := json.NewEncoder(os.Stdout)
	write := func(l line) {
		mu.Lock()
		defer mu.Unlock()
		_ = out.Encode(l)
	}
	err := clients[os.Args[1]](context.Background(), source{os.Args[2], os.Args[3]}, write)
	fmt.Fprintln(os.Stderr, "gave up:", err)
	os.Exit(1)
}
