package channels

import (
	"errors"
	"net/http"
	"strings"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/conversation"
	"github.com/duckwire/duckwire/hub/errs"
)

// failure is the payload of the event "error" of conversations.
type failure struct {
	Message     string `json:"message"`
	Type        string `json:"type"`
	Recoverable bool   `json:"recoverable"` // a retry may succeed
	Details     string `json:"details,omitempty"`
	Field       string `json:"field,omitempty"`
	MessageID   string `json:"message_id,omitempty"`
	Stream      string `json:"stream,omitempty"`
	Timestamp   string `json:"timestamp"`
}

// failureOf returns the failure of an answer.
func failureOf(e *hub.EndError) *failure {
	f := &failure{Type: "unknown_error", Message: "The answer could not be made", Timestamp: now()}
	if e == nil {
		return f
	}
	f.Message, f.Details = e.Message, e.Code
	switch {
	case strings.Contains(e.Code, "timeout") || e.Status == http.StatusGatewayTimeout:
		f.Type, f.Recoverable = "timeout_error", true
	case e.Status == http.StatusUnauthorized || e.Status == http.StatusForbidden || e.Status == http.StatusNotFound:
		f.Type = "configuration_error"
	default:
		f.Type = "processing_error"
		f.Recoverable = e.Status == http.StatusTooManyRequests || e.Status == http.StatusBadGateway ||
			e.Status == http.StatusServiceUnavailable || strings.HasPrefix(e.Code, "upstream_") ||
			e.Code == "server_stopped"
	}
	return f
}

// refusalOf returns the failure of a client's message that was refused. The reply has the same in the format of all
// channels.
func refusalOf(event string, err error) *failure {
	f := &failure{
		Type: "processing_error", Message: "The message could not be processed", Details: err.Error(), Timestamp: now(),
	}
	var field *errs.FieldError
	switch {
	case errors.As(err, &field):
		f.Type, f.Message, f.Details, f.Field = "invalid_message", field.Reason, "", field.Field
		if field.Reason != conversation.ContentRequired {
			f.Message = field.Error()
		}
	case errors.Is(err, conversation.ErrNoModel):
		f.Type, f.Message = "llm_not_configured", "Please configure your LLM provider and model in settings."
	case errors.Is(err, errs.ErrForbidden):
		f.Type, f.Message = "forbidden", "You may not do this"
	case errors.Is(err, errs.ErrLimited):
		f.Type, f.Recoverable = "rate_limited", true
	case errors.Is(err, errs.ErrTooLarge):
		f.Type = "too_large"
	case errors.Is(err, errs.ErrUnavailable), errors.Is(err, errs.ErrClosed):
		f.Recoverable = true
	}
	if event == "get_history" {
		f.Message, f.Details = "Failed to load conversation history", err.Error()
	}
	return f
}
