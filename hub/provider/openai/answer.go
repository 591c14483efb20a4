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
	provider   *Provider
	w          hub.CompletionWriter
	addedUsage bool // the usage was asked for on behalf of a client that did not

	described bool
	same      constants // of the first chunk with a choice; copied
	early     [][]byte  // chunks before that one; copied
	half      []byte    // first half of a surrogate pair that the next chunk should complete
	usage     json.RawMessage
	usageSent bool         // a chunk that was passed on had the latest usage
	reason    string       // finish reason of the first choice
	sent      bool         // reason was in a chunk that was passed on
	late      bool         // text came after every choice had ended
	others    map[int]bool // the other choices' indexes, and whether they have ended

	line    bytes.Buffer // scratch
	choices []choice     // scratch
}

// maxEarly is the maximum number of chunks that are held back until the first one with a choice.
const maxEarly = 16

// event processes one event of the stream, and reports whether it is the last one. Named events that are neither
// chunks nor errors, such as pings, are ignored.
func (a *answer) event(ev eventstream.Event) (done bool, err error) {
	data := bytes.TrimSpace(ev.Data)
	switch {
	case len(data) == 0:
		return false, nil
	case string(data) == "[DONE]":
		return true, nil
	}
	named := ev.Type != "" && ev.Type != "message"
	line, err := a.compact(data)
	switch {
	case ev.Type == "error" && err != nil:
		return false, failure(http.StatusBadGateway, "upstream_error", "%s", a.provider.quote(data))
	case err != nil && named:
		return false, nil
	case err != nil:
		return false, err
	}
	c := parse(line, a.choices)
	a.choices = c.choices
	switch {
	case ev.Type == "error" || (c.suspect || len(c.choices) == 0) && isFault(line):
		return false, a.provider.fault(line)
	case named && len(c.choices) == 0 && !hasMember(line, "choices"):
		return false, nil
	case line[0] != '{':
		return false, notAnObject(a.provider, data)
	}
	return false, a.chunk(line, &c)
}

// compact returns a JSON object or array on one line. Invalid UTF-8 becomes U+FFFD, as the event-stream standard
// requires. The result is valid until the next call.
func (a *answer) compact(data []byte) ([]byte, error) {
	if !utf8.Valid(data) {
		data = bytes.ToValidUTF8(data, []byte("\ufffd"))
	}
	a.line.Reset()
	if json.Compact(&a.line, data) != nil || a.line.Len() == 0 ||
		a.line.Bytes()[0] != '{' && a.line.Bytes()[0] != '[' {
		return nil, notAnObject(a.provider, data)
	}
	return a.line.Bytes(), nil
}

func notAnObject(p *Provider, data []byte) error {
	return failure(http.StatusBadGateway, "upstream_invalid",
		"the upstream sent something that is not a JSON object: %s", p.quote(data))
}

// chunk processes one chunk of compact JSON, which it does not retain.
func (a *answer) chunk(raw []byte, c *chunk) error {
	if len(c.choices) == 0 {
		return a.chunkWithoutChoices(raw, c)
	}
	a.describe(c)
	if err := a.sendEarly(); err != nil {
		return err
	}
	if a.isPlain(c) {
		return a.plain(c)
	}
	return a.verbatim(raw, c)
}

// sendEarly passes on what came before the first chunk with a choice. The id that all chunks share was not known then.
func (a *answer) sendEarly() error {
	for _, raw := range a.early {
		if err := a.w.Chunk(raw, ""); err != nil {
			return err
		}
	}
	a.early = nil
	return nil
}

// isPlain reports whether a chunk is nothing but text and a finish reason of the first choice.
func (a *answer) isPlain(c *chunk) bool {
	ch := &c.choices[0]
	return len(c.choices) == 1 && ch.index == 0 && !ch.extra && !c.extra && a.same.match(&c.same) && c.usage == nil
}

// plain processes a chunk that the hub's encoder can reproduce from its text and its finish reason.
func (a *answer) plain(c *chunk) error {
	ch := &c.choices[0]
	text := a.join(ch.text)
	a.noteLate(text, ch.reason)
	if text != "" {
		if err := a.w.Text(text); err != nil {
			return err
		}
	}
	if ch.reason == "" {
		return nil
	}
	if err := a.flush(); err != nil {
		return err
	}
	if err := a.endChoice(ch.reason, false); err != nil {
		return err
	}
	a.w.Finish(hub.Finish{Reason: ch.reason}) // the usage may take a while
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
			s := textOf(ch.text)
			a.noteLate(s, ch.reason)
			text += s
			if ch.reason != "" {
				if err := a.endChoice(ch.reason, true); err != nil {
					return err
				}
			}
		}
	}
	if c.usage != nil {
		a.usage, a.usageSent = bytes.Clone(c.usage), true
	}
	return a.w.Chunk(raw, text)
}

// noteLate notes whether text came after the end of every choice: then the upstream has more to say than its finish
// reason let expect.
func (a *answer) noteLate(text, reason string) {
	switch {
	case reason != "":
		a.late = false
	case text != "":
		a.late = a.complete()
	}
}

// endChoice notes the finish reason of the first choice. Some upstreams tell a failure in this way alone.
func (a *answer) endChoice(reason string, sent bool) error {
	if reason == "error" {
		return failure(http.StatusBadGateway, "upstream_error",
			`the upstream ended its answer with the finish reason "error", and said no more`)
	}
	a.reason, a.sent = reason, sent
	return nil
}

// chunkWithoutChoices processes a chunk without choices: the usage at the end, or an unknown one.
func (a *answer) chunkWithoutChoices(raw []byte, c *chunk) error {
	if c.usage != nil && !bytes.Equal(c.usage, a.usage) {
		a.usage, a.usageSent = bytes.Clone(c.usage), false
	}
	switch {
	case !c.extra:
		return nil
	case c.usage != nil && a.addedUsage: // the chunk would not be there
		return nil
	case c.usage != nil:
		a.usageSent = true
		return a.w.Chunk(raw, "")
	case !a.described && len(a.early) < maxEarly:
		a.early = append(a.early, bytes.Clone(raw))
		return nil
	}
	return a.verbatim(raw, c)
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
	if err := a.sendEarly(); err != nil {
		return err
	}
	if err := a.flush(); err != nil {
		return err
	}
	if a.reason == "" {
		a.reason = "stop"
	}
	a.w.Finish(hub.Finish{Reason: a.reason, ReasonSent: a.sent, Usage: a.usage, UsageSent: a.usageSent})
	return nil
}

// describe stores the members that are the same in each chunk, and reports them. Only the first call has an effect.
func (a *answer) describe(c *chunk) {
	if a.described {
		return
	}
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

// match reports whether the encoder, which writes the constants of the first chunk into each one, leaves out nothing
// of a chunk. id, model and created are the same in all chunks of a completion, whatever the upstream writes.
func (s *constants) match(o *constants) bool {
	return bytes.Equal(s.object, o.object) && bytes.Equal(s.fingerprint, o.fingerprint) && bytes.Equal(s.tier, o.tier)
}

func (s *constants) clone() constants {
	return constants{
		id: bytes.Clone(s.id), object: bytes.Clone(s.object), model: bytes.Clone(s.model),
		fingerprint: bytes.Clone(s.fingerprint), tier: bytes.Clone(s.tier), created: bytes.Clone(s.created),
	}
}
