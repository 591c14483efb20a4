// Command duckwire is the Duckwire server and its command line client.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)   // after the first signal, the second one ends the process
	signal.Ignore(syscall.SIGPIPE) // so that in 'duckwire complete | head' a write fails and the stream is cancelled
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
