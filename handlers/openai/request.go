package openai

import (
	"bytes"
	"encoding/json"
	"errors"
	"unicode/utf8"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/errs"
)

// Request is a decoded request of a completion path.
type Request struct {
	hub.CompletionRequest
	Stream       bool // "stream": answer with an event stream
	IncludeUsage bool // "stream_options.include_usage": end it with a usage chunk

	// Members of the optional object "duckwire". Zero values mean absent.
	Extended  bool            // there is such an object
	ID        string          // the idempotency id
	Topic     string          // the topic on which to announce the stream
	Keep      *hub.IdlePolicy // what happens to the stream without watchers
	Slot      string          // a slot has at most one unfinished stream of the user
	Supersede hub.Supersede   // what happens to the previous stream in the slot
}

// DecodeRequest decodes the body of a request of that kind.
//
// body is one JSON object in UTF-8. What the model makes of its members is for the provider to judge: only "model",
// "stream", "messages" and "prompt" must have the right type, and there must be messages or a prompt. Members of the
// Request that cannot be read from the body are zero. null means absent. Request.Body has all members unchanged except
// "duckwire", in which unknown members are rejected. Of repeated members the last one is used. The Request refers to a
// copy of body that encoding/json makes, not to body.
//
// The error is a *errs.FieldError that names the field like OpenAI's "param": messages[0], duckwire.keep.cancel_after;
// "body" for anything but a JSON object.
func DecodeRequest(kind hub.CompletionKind, body []byte) (*Request, error) {
	members, err := decodeBody(body)
	if err != nil {
		return nil, err
	}
	req := &Request{}
	req.Kind, req.Body = kind, members
	d := decoder{members: members}
	d.common(req)
	if kind == hub.ChatCompletion {
		d.chat(req)
	} else {
		d.text(req)
	}
	d.duckwire(req)
	delete(members, "duckwire")
	if d.err != nil {
		return nil, d.err
	}
	return req, nil
}

// decodeBody splits the body into its members. encoding/json limits the depth (10,000).
func decodeBody(body []byte) (map[string]json.RawMessage, error) {
	if !utf8.Valid(body) {
		return nil, errs.Invalid("body", "is not valid UTF-8")
	}
	if b := bytes.TrimLeft(body, " \t\r\n"); len(b) > 0 && b[0] != '{' {
		return nil, errs.Invalid("body", "must be a JSON object")
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(body, &members); err != nil {
		var syntax *json.SyntaxError
		if errors.As(err, &syntax) {
			return nil, errs.Invalid("body", "is not valid JSON: %v, at byte %d", err, syntax.Offset)
		}
		return nil, errs.Invalid("body", "is not valid JSON: %v", err)
	}
	return members, nil
}

// common decodes the members of both kinds.
func (d *decoder) common(req *Request) {
	req.Model = d.string("model")
	req.Stream = d.bool("stream")
	var options struct {
		IncludeUsage any `json:"include_usage"`
	}
	if json.Unmarshal(d.get("stream_options"), &options) == nil {
		req.IncludeUsage = options.IncludeUsage == true
	}
	req.MaxTokens = d.count("max_tokens")
	if n := d.count("max_completion_tokens"); n != 0 { // the newer name takes precedence, as with OpenAI
		req.MaxTokens = n
	}
	req.Seed = d.integer("seed")
	req.Stop = d.texts("stop")
}

// text decodes the members of text completions only. The prompt of the request is "" if it is not one text.
func (d *decoder) text(req *Request) {
	raw := d.get("prompt")
	switch {
	case raw == nil:
		d.fail("prompt", "is missing")
	case raw[0] != '"' && raw[0] != '[':
		d.fail("prompt", "must be a string or an array")
	}
	if prompts := d.texts("prompt"); len(prompts) == 1 {
		req.Prompt = prompts[0]
	}
	req.HasSuffix = d.get("suffix") != nil
	_ = json.Unmarshal(d.get("suffix"), &req.Suffix) // stays "" if it is not a string
}
