// Package live writes long responses: SSE, NDJSON, plain text and OpenAI's chunks, as long as the client is connected.
//
// A Feed encodes what its readers of the hub's logs return: a stream (SSE, NDJSON, Text, OpenAI), topics (Topics) or a
// queue (Queue). A Pump writes one Feed to one client. The handler of a request creates a Pump, opens the readers with
// the Pump as their log.Waker, sends the header (Start), and calls Pump.Run, which returns at the end:
//
//	pump := live.New(w, r, h, pool, options)
//	defer pump.EndOnDrain()()
//	reader, reset := stream.Watch(position, pump)
//	defer reader.Close()
//	live.Start(w, live.MediaSSE)
//	err := pump.Run(r.Context(), live.SSE(stream, reader, options, reset))
//
// The pump is responsible for heartbeats, time limits, and the ends of the token and of the server, so that they apply
// to every feed. Encoded bytes are shared: the first reader of an entry creates its Chunk, and readers that keep up
// write the same bytes.
package live
