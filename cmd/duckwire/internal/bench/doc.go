// Package bench is the load generator behind 'duckwire bench': it measures what a server and this machine bear.
//
// Clients are plain TCP connections, a goroutine each, that count every event and hold it against its number: a run in which one was lost,
// repeated or out of order is a failure, not a figure. A server of the bench's own is a process of its own, so that its processor time and
// memory are not the generator's; beside it the same load goes to a bare loop (bareloop.go), the floor that a server on Go's net package
// can reach. It is the ratio of the two in one run that says something, not the figures of one machine.
package bench
