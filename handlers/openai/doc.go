// Package openai is the codec of the OpenAI-compatible doors: requests in, chunks, whole answers, errors and model lists out
// (protocol/openai.md, protocol/sse.md section 7). It does no I/O; framing the chunks as event stream blocks is handlers/sse's.
package openai
