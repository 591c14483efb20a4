package channels

import (
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/duckwire/duckwire/handlers/openai"
	"github.com/duckwire/duckwire/handlers/socket"
	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/jsonw"
	"github.com/duckwire/duckwire/hub/log"
)

// reconnectTime is how long a completion continues without its client, unless the client sets another time: long enough
// to reconnect.
const reconnectTime = 30 * time.Second

// modelParams are the common members of all events that start a completion. They are raw JSON, which is validated where
// it is used, mostly by the code for the OpenAI paths: encoding/json would name the embedded struct in its errors.
type modelParams struct {
	ID        json.RawMessage `json:"id"`    // idempotency: the same id attaches to the same completion
	After     json.RawMessage `json:"after"` // the position that the client has reached
	Slot      json.RawMessage `json:"slot"`
	Supersede json.RawMessage `json:"supersede"`
	Keep      json.RawMessage `json:"keep"`
	Model     json.RawMessage `json:"model"`
	Options   json.RawMessage `json:"options"`
}

// decode decodes a message's payload into v, which contains a. An id among the message's options counts as its id,
// unless the payload has one.
func (a *modelParams) decode(m *socket.Message, v any) error {
	if err := m.Decode(v); err != nil {
		return err
	}
	if jsonw.IsNull(a.ID) && m.Reserved.ID != "" {
		a.ID = jsonw.AppendString(nil, m.Reserved.ID)
	}
	return nil
}

// modelOptions maps members of "options" to parameters of the model.
var modelOptions = map[string]string{
	"max_length": "max_tokens", "max_tokens": "max_tokens", "temperature": "temperature", "top_p": "top_p",
	"stop": "stop", "seed": "seed",
	"frequency_penalty": "frequency_penalty", "presence_penalty": "presence_penalty",
}

// request returns the request that the OpenAI path of that kind would decode. body has the event's own part: prompt or
// messages.
func (a *modelParams) request(kind hub.CompletionKind, body map[string]any) (*openai.Request, error) {
	options, err := a.options()
	if err != nil {
		return nil, err
	}
	asked := map[string]string{} // maps the model's names to the client's
	for ours, theirs := range modelOptions {
		if raw := options[ours]; !jsonw.IsNull(raw) && asked[theirs] != theirs { // the model's own name takes precedence
			body[theirs], asked[theirs] = raw, ours
		}
	}
	put(body, "model", a.Model)
	extension := map[string]any{}
	put(extension, "id", a.ID)
	put(extension, "slot", a.Slot)
	put(extension, "supersede", a.Supersede)
	put(extension, "keep", a.Keep)
	body["duckwire"] = extension
	raw, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	req, err := openai.DecodeRequest(kind, raw)
	if err == nil {
		err = openai.CheckParameters(req.Body)
	}
	var fault *errs.FieldError
	if errors.As(err, &fault) { // name the field as the client did
		field, ours := strings.CutPrefix(fault.Field, "duckwire.")
		if name := asked[field]; name != "" && !ours {
			field = "options." + name
		}
		return nil, &errs.FieldError{Field: field, Reason: fault.Reason}
	}
	if err != nil {
		return nil, err
	}
	return req, nil
}

// oneMessage returns the body of a chat of one message.
func oneMessage(content string) map[string]any {
	return map[string]any{"messages": []map[string]string{{"role": "user", "content": content}}}
}

func put(members map[string]any, name string, raw json.RawMessage) {
	if !jsonw.IsNull(raw) {
		members[name] = raw
	}
}

func (a *modelParams) options() (members map[string]json.RawMessage, err error) {
	if !jsonw.IsNull(a.Options) && json.Unmarshal(a.Options, &members) != nil {
		return nil, errs.Invalid("options", "must be an object")
	}
	return members, nil
}

// position parses After; the default is the beginning.
func (a *modelParams) position() (log.Position, error) {
	if jsonw.IsNull(a.After) {
		return log.Position{}, nil
	}
	var text string
	if json.Unmarshal(a.After, &text) != nil {
		return log.Position{}, errs.Invalid("after", "must be a string")
	}
	p, err := log.ParsePosition(text)
	if err != nil {
		return p, errs.Invalid("after", "%v", err)
	}
	return p, nil
}

// resumed is the part of a reply for clients that sent "after".
type resumed struct {
	Recovered *bool           `json:"recovered,omitempty"` // no entry after the position is missing
	Reset     log.ResetReason `json:"reset,omitempty"`     // why not; the stream is then sent from its start
}

// resumeOf returns whether a stream can be resumed exactly at the client's position.
func resumeOf(s *hub.Stream, p *modelParams, after log.Position) (r resumed, err error) {
	if jsonw.IsNull(p.After) {
		return r, nil
	}
	if err := s.CatchUp(after); err != nil {
		return r, err
	}
	reset := s.ResetAt(after)
	r.Recovered = new(reset == nil)
	if reset != nil {
		r.Reset = reset.Reason
	}
	return r, nil
}
