// Package openai gets completions from an OpenAI-compatible upstream: OpenAI itself, Ollama, vLLM, llama.cpp and the like
// (protocol/openai.md). It asks for a stream, always, and tells chunks that are nothing but text, which the hub keeps as text, from those
// that are more and go to OpenAI clients as they came.
package openai
