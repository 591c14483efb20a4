// Package bench is the load generator of 'duckwire bench'.
//
// Clients are plain TCP connections with a goroutine each, which check every event's number: a run fails if an event
// was lost, repeated or out of order. A server that the bench starts is a separate process, so that its processor time
// and memory are not mixed with the generator's. The same load is applied to a bare loop (bareloop.go), the baseline
// for a server on Go's net package, or for completions to a reverse proxy (proxy.go). Figures depend on the machine;
// only the ratio of the two in one run is comparable.
package bench
