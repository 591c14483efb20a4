package openai

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/jsonw"
)

// Aggregate folds the chunks of one stream, in their order, into the object that a request without "stream" is answered with.
//
// Per choice the text is joined; tool calls are folded by their index, their arguments joined; other strings of a delta (reasoning_content,
// refusal, …) are joined, arrays appended, objects folded; logprobs' lists are appended. Of members that we do not know elsewhere the last
// one counts. The cost is linear in the size of what is folded. Not safe for concurrent use.
type Aggregate struct {
	meta    hub.CompletionMeta
	shape   shape
	choices map[int]*choice
	extra   fold // members of the chunks beside the known ones
}

// choice is one choice in the making.
type choice struct {
	content    []byte // text, or the delta's content
	hasContent bool   // there was content that was not null
	message    fold   // the delta's other members
	logprobs   fold
	extra      fold
	finish     string
}

// NewAggregate returns an empty one for a stream of that door.
func NewAggregate(meta *hub.CompletionMeta) *Aggregate {
	return &Aggregate{meta: *meta, shape: shapeOf(meta), choices: map[int]*choice{0: {}}}
}

// Text adds plain text of the first choice.
func (a *Aggregate) Text(text []byte) {
	if len(text) > 0 {
		c := a.choices[0]
		c.content, c.hasContent = append(c.content, text...), true
	}
}

// Chunk adds an upstream's chunk that is more than plain text. What is not a JSON object in UTF-8 is left out.
func (a *Aggregate) Chunk(raw json.RawMessage) {
	if !json.Valid(raw) || !utf8.Valid(raw) {
		return
	}
	for name, value := range jsonw.Members(raw) {
		switch string(name) {
		case "id", "object", "created", "model", "usage", "system_fingerprint", "service_tier", "obfuscation":
		case "choices":
			for c := range jsonw.Elements(value) {
				a.at(indexOf(c)).add(c)
			}
		default:
			a.extra.replace(name, value)
		}
	}
}

func (a *Aggregate) at(index int) *choice {
	if a.choices[index] == nil {
		a.choices[index] = &choice{}
	}
	return a.choices[index]
}

// indexOf returns the member "index" of an object, and 0 for none.
func indexOf(object []byte) (index int) {
	for name, value := range jsonw.Members(object) {
		if string(name) == "index" {
			index, _ = strconv.Atoi(string(value))
		}
	}
	return index
}

func (c *choice) add(raw []byte) {
	for name, value := range jsonw.Members(raw) {
		switch string(name) {
		case "index":
		case "finish_reason":
			if s, ok := jsonw.String(value); ok {
				c.finish = s
			}
		case "text":
			c.addContent(name, value)
		case "delta", "message":
			for name, value := range jsonw.Members(value) {
				c.addContent(name, value)
			}
		case "logprobs":
			for name, value := range jsonw.Members(value) {
				c.logprobs.add(name, value, 0)
			}
		default:
			c.extra.replace(name, value)
		}
	}
}

// addContent adds a member of a delta, or a text completion's text.
func (c *choice) addContent(name, value []byte) {
	switch string(name) {
	case "role":
	case "content", "text":
		if s, ok := jsonw.String(value); ok {
			c.content, c.hasContent = append(c.content, s...), true
			return
		}
		if value[0] == '[' { // parts
			c.message.add(name, value, 0)
		}
	default:
		c.message.add(name, value, 0)
	}
}

// Append appends the whole answer. info is as for NewEncoder; finish is why the first choice ended, where no chunk has told it, and null if
// empty; usage is OpenAI's object, left out if empty.
func (a *Aggregate) Append(dst []byte, info *hub.CompletionInfo, finish string, usage json.RawMessage) []byte {
	object := objectChat
	if a.shape == shapeText {
		object = objectText
	}
	if first := a.choices[0]; first.finish == "" {
		first.finish = finish
	}
	dst = appendConstants(append(dst, '{'), object, &a.meta, info)
	dst = append(dst, `,"choices":[`...)
	for n, i := range slices.Sorted(maps.Keys(a.choices)) {
		if n > 0 {
			dst = append(dst, ',')
		}
		dst = a.choices[i].append(dst, i, a.shape)
	}
	dst = append(dst, ']')
	dst = a.extra.append(dst)
	if len(usage) > 0 {
		dst = append(jsonw.AppendKey(dst, "usage"), usage...)
	}
	return append(dst, '}')
}

func (c *choice) append(dst []byte, index int, shape shape) []byte {
	if shape == shapeText {
		c.message.drop("index", "logprobs", "finish_reason") // the choice's own, should a delta have them
		dst = append(dst, `{"text":`...)
		dst = jsonw.AppendString(dst, c.content)
		dst = strconv.AppendInt(append(dst, `,"index":`...), int64(index), 10)
		dst = c.message.append(dst)
	} else {
		dst = strconv.AppendInt(append(dst, `{"index":`...), int64(index), 10)
		dst = c.appendMessage(append(dst, `,"message":`...))
	}
	dst = append(dst, `,"logprobs":`...)
	if c.logprobs.empty() {
		dst = append(dst, "null"...)
	} else {
		dst = append(c.logprobs.append(append(dst, '{')), '}')
	}
	dst = append(dst, `,"finish_reason":`...)
	dst = jsonw.AppendStringOrNull(dst, c.finish)
	return append(c.extra.append(dst), '}')
}

// appendMessage appends the message. Its content is null where the model only called tools, and parts where the upstream sent parts.
func (c *choice) appendMessage(dst []byte) []byte {
	dst = append(dst, `{"role":"assistant"`...)
	switch {
	case len(c.content) == 0 && c.message.has("content"):
	case len(c.content) == 0 && (c.message.has("tool_calls") || c.message.has("function_call")):
		dst = append(dst, `,"content":null`...)
	default:
		c.message.drop("content")
		dst = append(dst, `,"content":`...)
		dst = jsonw.AppendString(dst, c.content)
	}
	return append(c.message.append(dst), '}')
}
