// Package live writes long responses: SSE, NDJSON, plain text and OpenAI's chunks, for as long as their client
// listens.
//
// A Feed turns what its readers of the hub's logs have into bytes: a stream (SSE, NDJSON, Text, OpenAI), topics
// (Topics) or a queue (Queue). A Pump writes what one Feed has to one client. Whoever answers a request makes a
// Pump, opens its readers with the Pump as their log.Waker, sends the header (Start), and calls Pump.Run, which
// returns at the end:
//
//	pump := live.New(w, r, h, pool, options)
//	defer pump.EndOnDrain()()
//	reader, reset := stream.Watch(position, pump)
//	defer reader.Close()
//	live.Start(w, live.MediaSSE)
//	err := pump.Run(r.Context(), live.SSE(stream, reader, options, reset))
//
// Heartbeats, time limits, the end of a token and the end of the server are the pump's, so they hold for every
// feed. What is encoded is shared: the first reader of an entry makes its Chunk, and those that keep up write the
// same bytes.
package live
