// Package socket implements the Phoenix socket: one session type behind three transports (WebSocket, long-poll, SSE),
// and the interface that each kind of channel implements.
//
// # One session
//
// A Socket holds the joins of one client and does not depend on its transport. A transport passes the client's frames
// to it one after another (Receive), and takes frames from it (next) whenever it is notified. So all transports behave
// alike.
//
// # Two lanes
//
// The first lane is a short bounded list. It has replies, closes, pushes to one client and heartbeats. The second lane
// has data. It is not a queue, but the positions of readers in the hub's logs (feeds). next takes the first lane before
// each portion of the second, so that a reply waits for at most the one write that is under way.
//
// # Goroutines
//
// An idle WebSocket costs one goroutine, which is blocked in a read. As many writer goroutines run as there are
// processors, and none of them waits for a client: what a client does not accept at once is written by a goroutine of
// that connection. Writers and channel workers start when there is work and end when it is done. All belong to the
// Server, whose Close waits for them.
//
// # Lock order
//
// A feed may be signalled with a hub log's mutex held, and then locks Socket.mu. So the hub is never called with
// Socket.mu held. Server.mu may be locked under Socket.mu, to start a worker. Socket.refreshing and session.reading are
// locked before any of these. session.mu and conn's mutexes are locked alone.
package socket
