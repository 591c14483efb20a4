// Package crash kills the server while it works, and looks at what is left. It also stops it with SIGTERM under connections of
// event streams and sockets. It holds tests only.
//
// What they prove: what the server has answered for is on disk, in the sense that the kernel has it, when the process ends at any moment. What
// they do not: that it survives the end of the power. That is what storage/sqlite/faulttest is about.
package crash
