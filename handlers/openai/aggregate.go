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

// Aggregate folds the chunks of one stream, in order, into the answer to a request without "stream".
//
// For each choice, text is concatenated. Tool calls are merged by index and id, and their arguments concatenated. In
// deltas, other strings (reasoning_content, refusal, …) are concatenated, arrays appended, and objects merged. Lists in
// logprobs are appended. Unknown members elsewhere have their last value. The cost is linear in the size of the chunks.
// Not safe for concurrent use.
type Aggregate struct {
	meta    hub.CompletionMeta
	shape   shape
	choices map[int]*choice
	extra   fold // unknown members of the chunks
}

// choice is the state of one choice.
type choice struct {
	content  []byte // the choice's text, or the delta's content, as JSON without quotes
	parts    *list  // nil: the content is a string; else all of it, in the order of arrival
	message  fold   // other members of the deltas
	logprobs fold
	extra    fold
	finish   string
}

// NewAggregate returns an empty Aggregate for a stream of a completion path.
func NewAggregate(meta *hub.CompletionMeta) *Aggregate {
	return &Aggregate{meta: *meta, shape: shapeOf(meta), choices: map[int]*choice{0: {}}}
}

// Text adds plain text of the first choice.
func (a *Aggregate) Text(text []byte) {
	if len(text) > 0 {
		a.choices[0].addText(jsonw.AppendString(nil, text))
	}
}

// Chunk adds an upstream's chunk with more than plain text. Anything but a JSON object in UTF-8 is ignored.
func (a *Aggregate) Chunk(raw json.RawMessage) {
	if !json.Valid(raw) || !utf8.Valid(raw) {
		return
	}
	for name, value := range jsonw.Members(raw) {
		switch string(name) {
		case "id", "object", "created", "model", "usage", "system_fingerprint", "service_tier", "obfuscation":
		case "choices":
			for c := range jsonw.Elements(value) {
				index, _ := indexOf(c)
				a.at(index).add(c)
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

func (c *choice) add(raw []byte) {
	for name, value := range jsonw.Members(raw) {
		switch string(name) {
		case "index":
		case "finish_reason":
			if s, _ := jsonw.String(value); s != "" {
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

// addContent adds a member of a delta, or the text of a text completion.
func (c *choice) addContent(name, value []byte) {
	switch string(name) {
	case "role":
	case "content", "text":
		switch value[0] {
		case '"':
			c.addText(value)
		case '[':
			c.toParts()
			for part := range jsonw.Elements(value) {
				c.parts.add(part, 0)
			}
		}
	default:
		c.message.add(name, value, 0)
	}
}

// addText adds a JSON string to the content.
func (c *choice) addText(quoted []byte) {
	if c.parts == nil {
		c.content = append(c.content, unquoted(quoted)...)
	} else if len(quoted) > len(`""`) {
		c.parts.add(textPart(unquoted(quoted)), 0)
	}
}

// toParts converts a content that is a string to an array of parts.
func (c *choice) toParts() {
	if c.parts != nil {
		return
	}
	c.parts = &list{of: parts}
	if len(c.content) > 0 {
		c.parts.add(textPart(c.content), 0)
		c.content = nil
	}
}

func textPart(text []byte) []byte {
	return append(append([]byte(`{"type":"text","text":"`), text...), `"}`...)
}

// Append appends the complete answer. info is as for NewEncoder. finish is the finish_reason of the first choice if no
// chunk had one; null if empty. usage is OpenAI's object; absent if empty.
func (a *Aggregate) Append(dst []byte, info *hub.CompletionInfo, finish string, usage json.RawMessage) []byte {
	object := objectChat
	if a.shape == shapeText {
		object = objectText
	}
	if first := a.choices[0]; first.finish == "" {
		first.finish = finish
	}
	s := sharedOf(&a.meta, info)
	dst = appendConstants(append(dst, '{'), object, &s, info)
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
		c.message.drop("index", "logprobs", "finish_reason") // the choice has these members itself
		dst = append(append(dst, `{"text":"`...), c.content...)
		dst = strconv.AppendInt(append(dst, `","index":`...), int64(index), 10)
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

// appendMessage appends the message. Its content is null if the model only called tools, and an array if the upstream
// sent one.
func (c *choice) appendMessage(dst []byte) []byte {
	dst = append(dst, `{"role":"assistant"`...)
	switch {
	case c.parts != nil:
		dst = c.parts.append(append(dst, `,"content":`...))
	case len(c.content) == 0 && (c.message.has("tool_calls") || c.message.has("function_call")):
		dst = append(dst, `,"content":null`...)
	default:
		dst = append(append(append(dst, `,"content":"`...), c.content...), '"')
	}
	return append(c.message.append(dst), '}')
}
