// Package crash tests the duckwire program as a process: it kills the server while it works and checks what is left,
// stops it with SIGTERM under open connections, and runs several nodes on a Redis. It contains only tests.
//
// The tests prove that everything the server acknowledged was written to the operating system, so that it survives the
// end of the process at any time. They do not prove that it survives a power failure; storage/sqlite/faulttest does.
package crash
