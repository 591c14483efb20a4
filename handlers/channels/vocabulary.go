package channels

import (
	"slices"

	"github.com/duckwire/duckwire/handlers/socket"
	"github.com/duckwire/duckwire/hub"
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
	Commands: []string{
		"request_completion", "complete", "generate", "refactor", "request_analysis", "analyze", "cancel",
		"cancel_completion", "cancel_analysis", "get_status", "cursor_position", "code_change", "activity",
	},
	Sent: slices.Concat(announced, []string{
		"generation_complete", "generation_error", "refactor_complete", "refactor_error", "cursor_update", "code_updated",
	}),
}

var analysisVocabulary = socket.Vocabulary{
	Commands: []string{"start_analysis", "analyze", "cancel_analysis", "cancel", "get_status"},
	Sent:     announced,
}

var conversationVocabulary = socket.Vocabulary{
	Commands: []string{
		"message", "follow", "cancel_processing", "get_history", "new_conversation", "set_context", "set_llm_preference",
		"typing",
	},
	Sent: []string{
		eventQuestion, eventResponse, "response_chunk", "response_delta", "thinking", "history", "typing", eventError,
		eventCancelled, eventReset, eventContext, statusEvent,
	},
}

var statusVocabulary = socket.Vocabulary{
	Commands: []string{
		"subscribe_categories", "unsubscribe_categories", "update_subscription", "get_subscriptions",
		"get_available_categories", statusEvent,
	},
}

var userVocabulary = socket.Vocabulary{
	Commands: []string{eventAck},
	Sent:     []string{socket.MessageEvent, hub.ExpiredEvent, hub.ResultEvent},
}

var streamVocabulary = socket.Vocabulary{
	Commands: []string{"cancel", "get_status"},
	Sent:     []string{hub.ChunkName, hub.DeltaName, hub.WholeName, hub.EndName},
}

var realtimeVocabulary = socket.Vocabulary{
	Commands: []string{eventBroadcast, eventPresence, "postgres_changes"},
	Sent:     []string{"system"},
}

var yjsVocabulary = socket.Vocabulary{
	Commands: []string{eventYjs, eventYjsSync},
	Sent:     []string{yjsState},
}
