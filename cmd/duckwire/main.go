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
	context.AfterFunc(ctx, stop)   // the first signal asks, the second one kills
	signal.Ignore(syscall.SIGPIPE) // a reader that left is an error like others: 'duckwire complete | head' cancels its stream
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
