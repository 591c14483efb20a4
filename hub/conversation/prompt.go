package conversation

import (
	"encoding/json"
	"maps"

	"github.com/duckwire/duckwire/hub"
)

// promptMessages is how many messages go to the model: the newest.
const promptMessages = 20

// prompt puts into req what the model gets: the conversation's context with extra in it, and the newest messages.
func (r *Record) prompt(extra map[string]json.RawMessage, req *hub.CompletionRequest) (err error) {
	req.Messages, req.Body = nil, maps.Clone(req.Body)
	if req.Body == nil {
		req.Body = make(map[string]json.RawMessage)
	}
	if known := mergeContext(r.Context, extra); len(known) > 0 {
		text, _ := json.Marshal(known) // of JSON values
		said := "The context of this conversation, as JSON:\n" + string(text)
		req.Messages = append(req.Messages, hub.Message{Role: "system", Content: said})
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
