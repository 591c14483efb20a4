// Command goclients makes one call with one of other people's Go clients: its argument is the request as JSON. It
// writes a line {"piece": TEXT} for the first text, and then the outcome, which matrix/lib/outcome.mjs describes. A
// line on its standard input cancels the call.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"

	"github.com/duckwire/duckwire/handlers/interop/matrix/goclients/call"
	"github.com/duckwire/duckwire/handlers/interop/matrix/goclients/gopenai"
	"github.com/duckwire/duckwire/handlers/interop/matrix/goclients/openai2"
	"github.com/duckwire/duckwire/handlers/interop/matrix/goclients/openai3"
)

// clients are the clients by name.
var clients = map[string]func(context.Context, *call.Request) call.Outcome{
	"openai-go 2": openai2.Do,
	"openai-go 3": openai3.Do,
	"go-openai":   gopenai.Do,
}

func main() {
	var r call.Request
	if err := json.Unmarshal([]byte(os.Args[1]), &r); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		if bufio.NewScanner(os.Stdin).Scan() {
			cancel()
		}
	}()
	line := json.NewEncoder(os.Stdout)
	r.OnText = func(piece string) {
		if !r.Heard {
			r.Heard = true
			_ = line.Encode(map[string]string{"piece": piece})
		}
	}
	if err := line.Encode(clients[r.Client](ctx, &r)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
