package hub

import (
	"context"
	"encoding/json"
	"time"
)

// A Provider makes completions: an OpenAI-compatible upstream, or the built-in local completer.
//
// Complete answers req through w and returns when nothing more will come. A nil error means that the answer is whole
// and w.Finish was called. A *ProviderError is told to the client as it stands; any other error becomes a failure with
// code "provider_error". ctx ends when the stream is cancelled or nobody wants it any longer: Complete must then stop
// its work at once (abort the upstream request) and return. Complete is called once per stream, from a goroutine of its
// own; w is used from that goroutine only.
type Provider interface {
	Complete(ctx context.Context, req *CompletionRequest, w CompletionWriter) error
	Models(ctx context.Context) ([]Model, error)
}

// Model is one entry of GET /v1/models (OpenAI's model object).
type Model struct {
	ID      string `json:"id"`
	Created int64  `json:"created"` // Unix seconds
	OwnedBy string `json:"owned_by"`
}

// CompletionKind is the OpenAI door that a request came in through, and so the shape of its chunks.
type CompletionKind string

// The two shapes. FIM is a text completion with a suffix.
const (
	ChatCompletion CompletionKind = "chat"
	TextCompletion CompletionKind = "text"
)

// CompletionRequest is one request for a completion, checked at the door.
type CompletionRequest struct {
	Kind CompletionKind
	// Body is the client's JSON object without the "duckwire" field, every member as the client wrote it; an upstream
	// gets it so.
	Body map[string]json.RawMessage

	// What follows is decoded from Body for providers and logs that look inside.
	Model     string
	Messages  []Message // chat
	Prompt    string    // text: what stands before the cursor
	Suffix    string    // text: what stands after the cursor; "" without
	HasSuffix bool
	MaxTokens int      // 0: the provider's own limit
	Stop      []string // nil: none
	Seed      int64    // 0: none given
	RequestID string   // passed on to the upstream as X-Request-Id; "": the stream's id is
	Trace     any      // the place of whoever asked in a trace, for a Provider that knows what that is; nil: none
}

// Message is one chat message, its content flattened to text (text parts joined, others left out).
type Message struct {
	Role    string
	Content string
}

// CompletionWriter takes a completion as it is made. After an error from Text or Chunk (ErrClosed: the stream was
// cancelled; ErrTooLarge) the provider should stop and return that error.
type CompletionWriter interface {
	// Accepted says that the provider has taken the request; from now on the client's 200 may be committed. Text, Chunk
	// and Finish imply it.
	Accepted()
	// Describe gives what the upstream says of the answer as a whole: members that stand equally in each chunk beside
	// the known ones ("id", "created", "model", "system_fingerprint", "service_tier"). Only the first call counts.
	Describe(info CompletionInfo)
	// Text adds text to the first choice. It must be valid UTF-8; an empty text adds nothing.
	Text(text string) error
	// Chunk adds an upstream chunk that is more than plain text of the first choice (tool calls, other choices,
	// reasoning, log probabilities, unknown members), to be handed to OpenAI clients untouched. text is the first
	// choice's text in it, or "".
	Chunk(raw json.RawMessage, text string) error
	// Finish records why the first choice ended ("stop", "length", "tool_calls", …) and, where known, OpenAI's usage
	// object. sent says that the finish reason stood in a Chunk already, so none needs to be made. The last call
	// counts.
	Finish(reason string, usage json.RawMessage, sent bool)
}

// CompletionInfo is what stands equally in all chunks of a completion.
type CompletionInfo struct {
	ID                string // "" : the stream's id
	Created           int64  // Unix seconds; 0: the stream's start
	Model             string
	SystemFingerprint string // "" : left out
	ServiceTier       string // "" : left out
}

// ProviderError is a refusal or failure of a provider, in the terms of OpenAI's error object.
type ProviderError struct {
	Status     int             // the HTTP status for the client while that is still possible; 0: 502
	Code       string          // stable word: "upstream_unreachable", "upstream_timeout", "upstream_truncated", or the upstream's own code
	Type       string          // OpenAI's type: "invalid_request_error", "server_error", "rate_limit_error", …
	Param      string          // "" : null
	Message    string          // for people; no secrets
	RetryAfter time.Duration   // 0: none
	Body       json.RawMessage // the upstream's whole error object, where it sent one; handed on untouched
}

func (e *ProviderError) Error() string { return e.Code + ": " + e.Message }
