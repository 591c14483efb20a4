// Package openai is the codec of the OpenAI-compatible paths: it decodes requests, and encodes chunks, complete
// answers, errors and model lists (protocol/openai.md, protocol/sse.md section 7). It does no I/O. handlers/sse frames
// the chunks as event stream blocks.
package openai
