// Package openai is the codec of the OpenAI-compatible paths: it decodes requests, and encodes chunks, complete
// answers, errors and model lists (openapi.yaml: the operations tagged "completions"). It does no I/O. handlers/sse
// frames the chunks as event stream blocks.
package openai
