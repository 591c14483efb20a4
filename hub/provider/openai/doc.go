// Package openai gets completions from an OpenAI-compatible upstream: OpenAI itself, Ollama, vLLM, llama.cpp and
// others. It always requests a stream. Chunks with nothing but text are passed to the hub as text; all others are
// passed on verbatim to OpenAI clients.
package openai
