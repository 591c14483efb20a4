// Package socket is the Phoenix socket: one type of session behind three transports (WebSocket, long-poll, SSE), and the interface that a
// kind of channel implements.
//
// # One session
//
// A Socket holds the joins of one client and knows nothing of its transport. A transport hands it the client's frames one after another
// (Receive) and takes frames from it (next) whenever it is told that there are some. So what is true of one transport is true of all.
//
// # Two lanes
//
// Replies, closes, pushes to one client and heartbeats are in the first lane, a short bounded list. Data is in the second: not a queue, but
// the places of readers in the hub's logs (feeds). next takes the first lane before each portion of the second, so that a reply never waits
// behind more than the one write that is under way.
//
// # Goroutines
//
// An idle WebSocket costs one goroutine, blocked in a read. What is to be written is written by as many goroutines as there are processors,
// none of which ever waits for a client; what a client does not take at once is left to a goroutine of its own. Writers and channel workers
// begin when there is something to do and end when it is done. All belong to the Server, whose Close waits for them.
//
// # Lock order
//
// A hub log's mutex may be held when a feed is signalled, and then Socket.mu is taken: so the hub is never called with Socket.mu held. Under
// Socket.mu, Server.mu may be taken, to start a worker. Socket.renewing and session.reading, then any of these; session.mu and conn's mutexes by themselves.
package socket
