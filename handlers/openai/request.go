package openai

import (
	"bytes"
	"encoding/json"
	"errors"
	"unicode/utf8"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/errs"
)

// MaxStop is the maximum number of stop sequences in a request. OpenAI allows 4, but templates for filling in the
// middle need more.
const MaxStop = 16

// Request is a decoded request of a completion path.
type Request struct {
	hub.CompletionRequest
	Stream       bool // "stream": answer with an event stream
	IncludeUsage bool // "stream_options.include_usage": end it with a usage chunk

	// Members of the optional object "duckwire". Zero values mean absent.
	ID        string          // the idempotency id
	Topic     string          // the topic on which to announce the stream
	Keep      *hub.IdlePolicy // what happens to the stream without watchers
	Slot      string          // a slot has at most one unfinished stream of the user
	Supersede hub.Supersede   // what happens to the previous stream in the slot
}

// DecodeRequest decodes and validates the body of a request of that kind.
//
// body is one JSON object in UTF-8. Members that this server reads must have the right type; null means absent; unknown
// members are accepted. Request.Body has all members unchanged except "duckwire", in which unknown members are
// rejected. Of repeated members the last one is used. The Request refers to a copy of body that encoding/json makes,
// not to body.
//
// The error is a *errs.FieldError that names the field like OpenAI's "param": messages[0].role,
// duckwire.keep.cancel_after; "body" for anything but a JSON object.
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
	if options := d.object("stream_options"); options != nil {
		in := decoder{members: options, path: "stream_options.", err: d.err}
		req.IncludeUsage = in.bool("include_usage")
		d.err = in.err
	}
	req.MaxTokens = int(d.positive("max_tokens"))
	if n := d.positive("max_completion_tokens"); n > 0 { // the newer name takes precedence, as with OpenAI
		req.MaxTokens = int(n)
	}
	d.positive("n")
	req.Seed = d.integer("seed")
	req.Stop = d.stop()
}

// stop decodes a string or an array of strings.
func (d *decoder) stop() []string {
	raw := d.get("stop")
	if raw == nil {
		return nil
	}
	if raw[0] == '"' {
		return []string{d.string("stop")}
	}
	elements := d.array("stop", "a string or an array of strings")
	if len(elements) > MaxStop {
		d.fail("stop", "has %d sequences; at most %d are allowed", len(elements), MaxStop)
	}
	var stop []string
	for i, raw := range elements {
		stop = append(stop, d.stringIn(raw, "stop[%d]", i))
	}
	return stop
}

// text decodes the members of text completions only.
func (d *decoder) text(req *Request) {
	raw := d.get("prompt")
	switch {
	case raw == nil:
		d.fail("prompt", "is missing")
	case raw[0] == '"':
		req.Prompt = d.string("prompt")
	default:
		elements := d.array("prompt", "a string")
		if len(elements) > 0 && (elements[0][0] == '[' || startsNumber(elements[0])) {
			d.fail("prompt", "must be text; arrays of tokens are not supported")
		} else if len(elements) != 1 {
			d.fail("prompt", "must be a string, or an array of exactly one; send a request for each of several prompts")
		} else {
			req.Prompt = d.stringIn(elements[0], "prompt[0]")
		}
	}
	req.HasSuffix = d.get("suffix") != nil
	req.Suffix = d.string("suffix")
}

func startsNumber(raw json.RawMessage) bool { return raw[0] == '-' || raw[0] >= '0' && raw[0] <= '9' }
