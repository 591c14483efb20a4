// Package local is the built-in completer: the provider that answers as model "duckwire-local" where no upstream is configured.
//
// It is no neural model. It continues repetitive code from the text that the request carries and from an optional folder of source, by
// finding places that resemble the cursor's and putting what followed there into the terms of here (internal/predict). It stops where it
// has nothing to say. Its answers depend on the request and the folder only; they are the same for the same seed, and without one.
//
// Text completions: prompt is what stands before the cursor, suffix what stands after. A prompt that holds a fill-in-the-middle template
// which a plugin rendered itself is taken apart again (fim.go). Where nothing can be predicted the answer is empty, with finish reason
// "stop".
//
// Chat: the code in the last user message is continued (chat.go); the messages before it are looked at too. Where there is nothing to
// continue, the answer is a sentence that says what this completer is.
//
// Analyses: a few checks that need no understanding (analyze.go), so that a server with nothing configured has something true to say. They
// are no linter: run one with 'duckwire worker'.
package local
