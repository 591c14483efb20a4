package channels

import (
	"github.com/duckwire/duckwire/handlers/socket"
	"github.com/duckwire/duckwire/middleware/ratelimit"
)

// The rate limit that each kind's messages count against (socket.Rated). Events that a kind defines are listed, because
// the options "ephemeral" and "durable" have no effect on them.

// Rate implements socket.Rated.
func (h *publisher) Rate(m *socket.Message) ratelimit.Kind {
	switch {
	case m.Reserved.Durable:
		return ratelimit.Queue
	case m.Reserved.Ephemeral:
		return ratelimit.Cursors
	}
	return ratelimit.Events
}

// Rate implements socket.Rated.
func (h *codeHandler) Rate(m *socket.Message) ratelimit.Kind {
	switch m.Event {
	case "request_completion", "complete", "generate", "refactor", "request_analysis", "analyze":
		return ratelimit.Heavy
	case "cursor_position", "activity":
		return ratelimit.Cursors
	case "code_change", "cancel", "cancel_completion", "cancel_analysis", "get_status":
		return ratelimit.Events
	}
	return h.publisher.Rate(m)
}

// Rate implements socket.Rated.
func (h *analysisHandler) Rate(m *socket.Message) ratelimit.Kind {
	switch m.Event {
	case "start_analysis", "analyze":
		return ratelimit.Heavy
	case "cancel_analysis", "cancel", "get_status":
		return ratelimit.Events
	}
	return h.publisher.Rate(m)
}

// Rate implements socket.Rated.
func (h *conversationHandler) Rate(m *socket.Message) ratelimit.Kind {
	switch m.Event {
	case "message":
		return ratelimit.Heavy
	case "typing":
		return ratelimit.Cursors
	case "follow", "cancel_processing", "get_history", "new_conversation", "set_context", "set_llm_preference":
		return ratelimit.Events
	}
	if m.Reserved.Ephemeral {
		return ratelimit.Cursors
	}
	return ratelimit.Events
}

// Rate implements socket.Rated.
func (h *statusHandler) Rate(m *socket.Message) ratelimit.Kind {
	switch m.Event {
	case statusEvent, "subscribe_categories", "unsubscribe_categories", "update_subscription", "get_subscriptions",
		"get_available_categories":
		return ratelimit.Events
	}
	return h.publisher.Rate(m)
}

// Rate implements socket.Rated.
func (h *userHandler) Rate(m *socket.Message) ratelimit.Kind {
	if m.Event == eventAck {
		return ratelimit.Events
	}
	return h.publisher.Rate(m)
}
