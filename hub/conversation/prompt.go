package conversation

import (
	"encoding/json"
	"maps"

	"github.com/duckwire/duckwire/hub"
)

// promptMessages is how many of the newest messages the model gets.
const promptMessages = 20

// prompt sets the messages of req: the conversation's context, merged with extra, and the newest messages.
func (r *Record) prompt(extra map[string]json.RawMessage, req *hub.CompletionRequest) (err error) {
	req.Messages, req.Body = nil, maps.Clone(req.Body)
	if req.Body == nil {
		req.Body = make(map[string]json.RawMessage)
	}
	if merged := mergeContext(r.Context, extra); len(merged) > 0 {
		text, _ := json.Marshal(merged) // JSON values, so it cannot fail
		content := "The context of this conversation, as JSON:\n" + string(text)
		req.Messages = append(req.Messages, hub.Message{Role: "system", Content: content})
	}
	for _, m := range r.Last(promptMessages) {
		req.Messages = append(req.Messages, hub.Message{Role: m.Role, Content: m.Content})
	}
	req.Body["messages"], err = encodeMessages(req.Messages)
	return err
}

func encodeMessages(list []hub.Message) (json.RawMessage, error) {
	out := make([]map[string]string, len(list))
	for i, m := range list {
		out[i] = map[string]string{"role": m.Role, "content": m.Content}
	}
	return json.Marshal(out)
}
