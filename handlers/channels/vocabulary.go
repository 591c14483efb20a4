package channels

import (
	"slices"

	"github.com/duckwire/duckwire/handlers/socket"
	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/middleware/ratelimit"
)

// The names of each kind's events. A name that is in neither list is an event of clients, which the kind publishes.

// announced are the events that the hub announces of streams on the topic of a project or a file (hub/stream_announce.go),
// and those that report an analysis.
var announced = []string{
	"completion_started", "completion_chunk", "completion_delta", "completion_done", "completion_error",
	"stream_started", "stream_chunk", "stream_delta", "stream_done", "stream_error",
	"analysis_started", "analysis_restarted", "analysis_progress", "analysis_update", "analysis_metadata",
	"analysis_summary", "analysis_chunk", "analysis_delta", "analysis_result", "analysis_complete", "analysis_done",
	"analysis_error", "file_analyzed",
}

var codeVocabulary = socket.Vocabulary{
	Commands: map[string]ratelimit.Kind{
		"request_completion": ratelimit.Heavy,
		"complete":           ratelimit.Heavy,
		"generate":           ratelimit.Heavy,
		"refactor":           ratelimit.Heavy,
		"request_analysis":   ratelimit.Heavy,
		"analyze":            ratelimit.Heavy,
		"cursor_position":    ratelimit.Cursors,
		"activity":           ratelimit.Cursors,
		"cancel":             ratelimit.Events,
		"cancel_completion":  ratelimit.Events,
		"cancel_analysis":    ratelimit.Events,
		"get_status":         ratelimit.Events,
		"code_change":        ratelimit.Events,
	},
	Sent: slices.Concat(announced, []string{
		"generation_complete", "generation_error", "refactor_complete", "refactor_error", "cursor_update", "code_updated",
	}),
}

var analysisVocabulary = socket.Vocabulary{
	Commands: map[string]ratelimit.Kind{
		"start_analysis":  ratelimit.Heavy,
		"analyze":         ratelimit.Heavy,
		"cancel_analysis": ratelimit.Events,
		"cancel":          ratelimit.Events,
		"get_status":      ratelimit.Events,
	},
	Sent: announced,
}

var conversationVocabulary = socket.Vocabulary{
	Commands: map[string]ratelimit.Kind{
		"message":            ratelimit.Heavy,
		"typing":             ratelimit.Cursors,
		"follow":             ratelimit.Events,
		"cancel_processing":  ratelimit.Events,
		"get_history":        ratelimit.Events,
		"new_conversation":   ratelimit.Events,
		"set_context":        ratelimit.Events,
		"set_llm_preference": ratelimit.Events,
	},
	Sent: []string{
		eventQuestion, eventResponse, "response_chunk", "response_delta", "thinking", "history", "typing", eventError,
		eventCancelled, eventReset, eventContext, statusEvent,
	},
}

var statusVocabulary = socket.Vocabulary{
	Commands: map[string]ratelimit.Kind{
		"subscribe_categories":     ratelimit.Events,
		"unsubscribe_categories":   ratelimit.Events,
		"update_subscription":      ratelimit.Events,
		"get_subscriptions":        ratelimit.Events,
		"get_available_categories": ratelimit.Events,
		statusEvent:                ratelimit.Events,
	},
}

var userVocabulary = socket.Vocabulary{
	Commands: map[string]ratelimit.Kind{
		eventAck: ratelimit.Events,
	},
	Sent: []string{socket.MessageEvent, hub.ExpiredEvent, hub.ResultEvent},
}

var streamVocabulary = socket.Vocabulary{
	Commands: map[string]ratelimit.Kind{
		"cancel":     ratelimit.Events,
		"get_status": ratelimit.Events,
	},
	Sent: []string{hub.ChunkName, hub.DeltaName, hub.WholeName, hub.EndName},
}

var realtimeVocabulary = socket.Vocabulary{
	Commands: map[string]ratelimit.Kind{
		eventPresence:      ratelimit.Cursors,
		eventBroadcast:     ratelimit.Events,
		"postgres_changes": ratelimit.Events,
	},
	Sent: []string{"system"},
}

var yjsVocabulary = socket.Vocabulary{
	Commands: map[string]ratelimit.Kind{
		eventYjs:     ratelimit.Events,
		eventYjsSync: ratelimit.Events,
	},
	Sent: []string{yjsState},
}
