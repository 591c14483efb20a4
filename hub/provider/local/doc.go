// Package local is the built-in completer, the model "duckwire-local" of a server without an upstream.
//
// It is not a neural model. It continues repetitive code: it searches the request's text, and optionally a folder of
// source code, for places that resemble the cursor's, and adapts what follows there to the names used here
// (internal/predict). It stops when no continuation is probable. An answer depends only on the request, the folder and
// the seed.
//
// Text completions: prompt is the text before the cursor, suffix the text after it. If the prompt contains a
// fill-in-the-middle template that a plugin has rendered, it is parsed (internal/fim). If nothing can be predicted, the
// answer is empty, with finish reason "stop".
//
// Chat: a plugin inserts whatever is answered, so a plugin's prompt gets the code to insert, or nothing. Otherwise the
// completer continues the code in the last user message (chat.go) in a fenced block, and also uses the messages before
// it. A person who sends no code gets a sentence that says what this completer is.
//
// No answer contains a marker of a model's template. A request for what the completer cannot do, such as several
// choices, is refused with status 400 (refuse.go).
//
// Analyses: a few simple checks (analyze.go), so that a server without configuration has a truthful answer. They do
// not replace a linter: 'duckwire worker' runs one.
package local
