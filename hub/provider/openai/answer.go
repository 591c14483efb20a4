package openai

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strconv"
	"unicode/utf8"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/eventstream"
	"github.com/duckwire/duckwire/hub/jsonw"
)

// answer processes one answer as it arrives. It separates chunks with nothing but text of the first choice from all
// others.
type answer struct {
	provider *Provider
	w        hub.CompletionWriter

	described bool
	same      constants // of the first chunk with a choice; copied
	half      []byte    // first half of a surrogate pair that the next chunk should complete
	usage     json.RawMessage
	reason    string            // finish reason of the first choice
	sent      bool              // reason was in a chunk that was passed on verbatim
	others    map[int]bool      // the other choices' indexes, and whether they have ended
	extras    map[string]string // unknown members of passed-on chunks, to detect which of them the usage chunk repeats

	line    bytes.Buffer // scratch
	choices []choice     // scratch
}

// event processes one event of the stream, and reports whether it is the last one.
func (a *answer) event(ev eventstream.Event) (done bool, err error) {
	data := bytes.TrimSpace(ev.Data)
	switch {
	case len(data) == 0:
		return false, nil
	case string(data) == "[DONE]":
		return true, nil
	}
	line, err := a.compact(data)
	if err != nil {
		if ev.Type == "error" {
			text := bytes.ToValidUTF8(data[:min(len(data), maxMessage)], nil)
			return false, failure(http.StatusBadGateway, "upstream_error", "%s", a.provider.redact(string(text)))
		}
		return false, err
	}
	return false, a.chunk(line, ev.Type)
}

// compact returns a JSON object on one line. Invalid UTF-8 becomes U+FFFD, as the event-stream standard requires. The
// result is valid until the next call.
func (a *answer) compact(data []byte) ([]byte, error) {
	if !utf8.Valid(data) {
		data = bytes.ToValidUTF8(data, []byte("\ufffd"))
	}
	a.line.Reset()
	if json.Compact(&a.line, data) != nil || a.line.Len() == 0 || a.line.Bytes()[0] != '{' {
		return nil, failure(http.StatusBadGateway, "upstream_invalid",
			"the upstream sent something that is not a JSON object")
	}
	return a.line.Bytes(), nil
}

// chunk processes one chunk of compact JSON, which it does not retain. event is the name of its event.
func (a *answer) chunk(raw []byte, event string) error {
	c := parse(raw, a.choices)
	a.choices = c.choices
	switch {
	case c.fault != nil || event == "error":
		e := a.provider.reported(0, raw)
		if e.Message == "" {
			e.Message = "the upstream reported an error and said no more"
		}
		return e
	case !c.listed && event != "" && event != "message": // a named event that is not a chunk, such as a ping
		return nil
	case len(c.choices) == 0:
		return a.chunkWithoutChoices(raw, &c)
	}
	if !a.described {
		a.describe(&c)
	}
	if a.isPlain(&c) {
		return a.plain(&c)
	}
	return a.verbatim(raw, &c)
}

// isPlain reports whether a chunk is nothing but text and a finish reason of the first choice.
func (a *answer) isPlain(c *chunk) bool {
	ch := &c.choices[0]
	return len(c.choices) == 1 && ch.index == 0 && !ch.extra && !c.extra && a.same.match(&c.same) &&
		(c.usage == nil || ch.reason != "")
}

// plain processes a chunk that the hub's encoder can reproduce from its text and its finish reason.
func (a *answer) plain(c *chunk) error {
	ch := &c.choices[0]
	if ch.reason != "" {
		a.reason, a.sent = ch.reason, false
		a.keepUsage(c.usage)
	}
	if text := a.join(ch.text); text != "" {
		return a.w.Text(text)
	}
	return nil
}

// verbatim passes a chunk on unchanged.
func (a *answer) verbatim(raw []byte, c *chunk) error {
	if err := a.flush(); err != nil {
		return err
	}
	text := ""
	for i := range c.choices {
		switch ch := &c.choices[i]; {
		case ch.index != 0:
			a.other(ch)
		default:
			s, _ := jsonw.String(ch.text)
			text += s
			if ch.reason != "" {
				a.reason, a.sent = ch.reason, true
			}
		}
	}
	a.keepUsage(c.usage)
	a.remember(raw, c)
	return a.w.Chunk(bytes.Clone(raw), text)
}

// chunkWithoutChoices processes a chunk without choices: the usage at the end, or an unknown one.
func (a *answer) chunkWithoutChoices(raw []byte, c *chunk) error {
	a.keepUsage(c.usage)
	switch {
	case !c.extra:
		return nil
	case c.usage == nil:
		return a.verbatim(raw, c)
	}
	// Duckwire's handler makes the usage chunk itself, for clients that asked for it. Other members of this chunk are
	// passed on without the usage, unless an earlier chunk had them.
	if rest := a.unseenMembers(raw); rest != nil {
		return a.w.Chunk(rest, "")
	}
	return nil
}

func (a *answer) keepUsage(usage []byte) {
	if usage != nil && usage[0] == '{' {
		a.usage = bytes.Clone(usage)
	}
}

func (a *answer) other(ch *choice) {
	if a.others == nil {
		a.others = make(map[int]bool)
	}
	a.others[ch.index] = a.others[ch.index] || ch.reason != ""
}

// complete reports whether every choice that has begun has ended.
func (a *answer) complete() bool {
	if a.reason == "" {
		return false
	}
	for _, ended := range a.others {
		if !ended {
			return false
		}
	}
	return true
}

// finish ends a complete answer. If the upstream sent [DONE] without a finish reason, the reason is "stop".
func (a *answer) finish() error {
	if err := a.flush(); err != nil {
		return err
	}
	if a.reason == "" {
		a.reason = "stop"
	}
	a.w.Finish(a.reason, a.usage, a.sent)
	return nil
}

// describe stores the members that are the same in each chunk, and reports them.
func (a *answer) describe(c *chunk) {
	a.described = true
	a.same = c.same.clone()
	id, _ := jsonw.String(a.same.id)
	model, _ := jsonw.String(a.same.model)
	fingerprint, _ := jsonw.String(a.same.fingerprint)
	tier, _ := jsonw.String(a.same.tier)
	created, _ := strconv.ParseInt(string(a.same.created), 10, 64)
	a.w.Describe(hub.CompletionInfo{
		ID: id, Created: created, Model: model, SystemFingerprint: fingerprint,
		ServiceTier: tier,
	})
}

// match reports whether a chunk's constants equal those of the first chunk. created may differ: OpenAI promises the
// same value in each chunk, but Ollama writes each chunk's own time.
func (s *constants) match(o *constants) bool {
	return bytes.Equal(s.id, o.id) && bytes.Equal(s.object, o.object) && bytes.Equal(s.model, o.model) &&
		bytes.Equal(s.fingerprint, o.fingerprint) && bytes.Equal(s.tier, o.tier) &&
		(s.created == nil) == (o.created == nil)
}

func (s *constants) clone() constants {
	return constants{
		id: bytes.Clone(s.id), object: bytes.Clone(s.object), model: bytes.Clone(s.model),
		fingerprint: bytes.Clone(s.fingerprint), tier: bytes.Clone(s.tier), created: bytes.Clone(s.created),
	}
}
