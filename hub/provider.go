package hub

import (
	"context"
	"encoding/json"
	"time"
)

// A Provider generates completions: an OpenAI-compatible upstream, or the built-in local completer.
//
// Complete writes the answer to w, and returns at its end. A nil error means that the answer is complete and w.Finish
// was called. A *ProviderError is sent to the client as it is; any other error becomes one with code "provider_error".
// ctx ends when the stream ends, for example because it was cancelled: Complete must then abort the upstream request
// and return. Complete is called once per stream, in a goroutine of its own, and may use w in that goroutine only.
type Provider interface {
	Complete(ctx context.Context, req *CompletionRequest, w CompletionWriter) error
	Models(ctx context.Context) ([]Model, error)
}

// LocalModel is the name of the built-in completer's model. A request for it names none of an upstream's.
const LocalModel = "duckwire-local"

// NamesNoModel reports whether a request for the model leaves it to an upstream which one answers.
func NamesNoModel(model string) bool { return model == "" || model == LocalModel }

// Model is one entry of GET /v1/models (OpenAI's model object).
type Model struct {
	ID      string
	Created int64 // Unix seconds
	OwnedBy string

	// Raw is the upstream's own entry, a JSON object in valid UTF-8. Clients get all of its members unchanged, and of
	// the fields above only those that it lacks. Nil: there is no more than these fields.
	Raw json.RawMessage
}

// CompletionKind is the OpenAI endpoint of a request. It determines the format of the answer.
type CompletionKind string

// The kinds. A FIM request is a text completion with a suffix.
const (
	ChatCompletion CompletionKind = "chat"
	TextCompletion CompletionKind = "text"
)

// CompletionRequest is a validated request for a completion.
type CompletionRequest struct {
	Kind CompletionKind
	// Body is the client's JSON object without the member "duckwire". Its members are unchanged, and are sent to an
	// upstream like that.
	Body map[string]json.RawMessage

	// These are decoded from Body, for providers and logs that need them.
	Model     string
	Messages  []Message // chat
	Prompt    string    // text: what is before the cursor
	Suffix    string    // text: what is after the cursor; "" if there is none
	HasSuffix bool
	FIM       bool     // text: asked for at the path for filling in the middle
	Whole     bool     // nobody reads the answer before its end: it need not be streamed
	MaxTokens int      // 0: the provider's limit
	Stop      []string // nil: none
	Seed      int64    // 0: none
	RequestID string   // sent to the upstream as X-Request-Id; "": the stream's id
	Trace     any      // the caller's span, for a Provider that traces; nil: none
}

// Message is one chat message. Its content is text: text parts are joined, and others are left out.
type Message struct {
	Role    string
	Content string
}

// CompletionWriter writes a completion to its stream. After an error of Text, Chunk or Whole (ErrClosed: the stream has
// ended; ErrTooLarge) the provider should stop and return that error. JSON is not retained: it need not stay as it is
// after the call.
type CompletionWriter interface {
	// Accepted says that the provider has accepted the request. From now on the client may get status 200. Text,
	// Chunk, Whole and Finish imply it.
	Accepted()
	// Describe sets the members that all chunks of the answer share. Only the first call has an effect.
	Describe(info CompletionInfo)
	// Text adds text to the first choice. It must be valid UTF-8; an empty text adds nothing.
	Text(text string) error
	// Chunk adds an upstream chunk that is more than plain text of the first choice (tool calls, other choices,
	// reasoning, log probabilities, unknown members). OpenAI clients get it unchanged. text is the first choice's text
	// in it, or "".
	Chunk(raw json.RawMessage, text string) error
	// Whole adds an answer that the upstream did not stream: OpenAI's object, a chat.completion or a text_completion.
	// Clients that want the whole answer get it unchanged. text is the first choice's text in it. It is the only
	// addition to its stream.
	Whole(raw json.RawMessage, text string) error
	// Finish sets how the answer ended. A call with another reason than the one before tells it to OpenAI clients at
	// once; more text may follow. Of the usage the last call has effect.
	Finish(f Finish)
}

// Finish is how a complete answer ended.
type Finish struct {
	Reason     string          // why the first choice ended: "stop", "length", "tool_calls", …
	ReasonSent bool            // a Chunk had the reason already, so that no chunk is made for it
	Usage      json.RawMessage // OpenAI's usage object, or nil
	UsageSent  bool            // a Chunk had the usage already
}

// CompletionInfo has the members that all chunks of a completion share.
type CompletionInfo struct {
	ID                string // "" : the stream's id
	Created           int64  // Unix seconds; 0: the stream's start
	Model             string
	SystemFingerprint string // "" : left out
	ServiceTier       string // "" : left out
}

// ProviderError is an error of a provider, with the members of OpenAI's error object.
type ProviderError struct {
	Status     int             // the HTTP status for a client that has none yet; 0: 502
	Code       string          // "upstream_unreachable", "upstream_timeout", "upstream_truncated", or the upstream's
	Type       string          // OpenAI's type: "invalid_request_error", "server_error", "rate_limit_error", …
	Param      string          // "" : null
	Message    string          // for people; without secrets
	RetryAfter time.Duration   // 0: none
	Body       json.RawMessage // the upstream's error object, which clients get unchanged; nil: none
	// Header has the upstream's headers about limits and retries, for a client that gets the error as an HTTP status.
	// They come before RetryAfter.
	Header map[string][]string
}

func (e *ProviderError) Error() string { return e.Code + ": " + e.Message }

// Ending returns the error as that of a stream's end.
func (e *ProviderError) Ending() *EndError {
	return &EndError{
		Code: e.Code, Message: e.Message, Type: e.Type, Param: e.Param, Status: e.Status, Retry: e.RetryAfter,
		Body: e.Body, Header: e.Header,
	}
}
