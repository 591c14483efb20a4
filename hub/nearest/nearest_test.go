package nearest_test

import (
	"slices"
	"testing"

	"github.com/duckwire/duckwire/hub/nearest"
)

func TestEditDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{
		{"", "", 0},
		{"", "abc", 3},
		{"addr", "addr", 0},
		{"adr", "addr", 1},
		{"addrs", "addr", 1},
		{"adrd", "addr", 1},
		{"xyz", "addr", 4},
	} {
		if got := nearest.Distance(c.a, c.b); got != c.want {
			t.Errorf("%q %q: %d, want %d", c.a, c.b, got, c.want)
		}
	}
}

func TestTypo(t *testing.T) {
	commands := []string{
		"request_completion", "complete", "generate", "refactor", "request_analysis", "analyze", "cancel",
		"cancel_completion", "get_status", "cursor_position", "code_change", "activity", "ack",
	}
	for unknown, want := range map[string]string{
		"request_completon": "request_completion", "requestCompletion": "request_completion",
		"Request.Completion": "request_completion", "request_completions": "request_completion",
		"requst_compltion": "request_completion", "cancle": "cancel", "analyse": "analyze", "CANCEL": "cancel",
		"get-status": "get_status", "getstats": "get_status", "code_chnage": "code_change", "complet": "complete",
		"completed": "complete", "akc": "ack", "cancel_request": "",

		"": "", "e": "", "task_created": "", "task_renamed": "", "file_saved": "", "comment_added": "", "status": "",
		"cursor": "", "chat_message": "", "completion": "", "canceled_by_user": "", "news": "", "hi": "", "cursor_moved": "",
		"request": "", "code": "", "build_finished": "", "test_failed": "", "\ufffd": "",
	} {
		if got := nearest.Typo(unknown, slices.Values(commands)); got != want {
			t.Errorf("%q: %q, want %q", unknown, got, want)
		}
	}
}
