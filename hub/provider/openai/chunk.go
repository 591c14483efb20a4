package openai

import (
	"strconv"

	"github.com/duckwire/duckwire/hub/jsonw"
)

// chunk is one chunk of an answer, parsed only as far as necessary to see whether it is more than text. null counts as
// absent.
type chunk struct {
	same    constants
	usage   []byte // an object; nil: none
	suspect bool   // isFault may be true although it has choices
	extra   bool   // it has members, or types of values, that Duckwire's own chunks do not have
	choices []choice
}

// choice is one choice of a chunk.
type choice struct {
	index  int
	text   []byte // JSON: "text", or the delta's "content", which may be an array of parts; nil if absent
	reason string // finish_reason
	extra  bool
}

// constants are members that are the same in each chunk, as JSON.
type constants struct {
	id, object, model, fingerprint, tier []byte
	created                              []byte
}

// parse parses a chunk: an object in valid, compact JSON. The result points into raw.
func parse(raw []byte, into []choice) (c chunk) {
	var seen memberSet
	c.choices = into[:0]
	for name, value := range jsonw.Members(raw) {
		if seen.add(name) { // readers differ in which duplicate they use
			c.extra = true
		}
		if jsonw.IsNull(value) {
			continue
		}
		switch string(name) {
		case "id":
			c.extra = c.extra || !isString(value)
			c.same.id = value
		case "object":
			c.extra = c.extra || !isChunkObject(value)
			c.suspect = c.suspect || saysError(value)
			c.same.object = value
		case "created":
			c.extra = c.extra || !isInteger(value)
			c.same.created = value
		case "model":
			c.extra = c.extra || !isString(value)
			c.same.model = value
		case "system_fingerprint":
			c.extra = c.extra || !isString(value)
			c.same.fingerprint = value
		case "service_tier":
			c.extra = c.extra || !isString(value)
			c.same.tier = value
		case "usage":
			if value[0] == '{' {
				c.usage = value
			}
		case "error":
			c.suspect = true
		case "choices":
			c.parseChoices(value)
		case "obfuscation": // random bytes that hide the length of a token
		case "errors", "type", "status":
			c.suspect, c.extra = true, true
		default:
			c.extra = true
		}
	}
	return c
}

func (c *chunk) parseChoices(list []byte) {
	c.extra = c.extra || list[0] != '['
	c.choices = c.choices[:0]
	for raw := range jsonw.Elements(list) {
		c.choices = append(c.choices, parseChoice(raw))
	}
}

func parseChoice(raw []byte) (c choice) {
	var seen memberSet
	c.extra = raw[0] != '{'
	for name, value := range jsonw.Members(raw) {
		if seen.add(name) {
			c.extra = true
		}
		if jsonw.IsNull(value) {
			continue
		}
		switch string(name) {
		case "index":
			n, err := strconv.Atoi(string(value))
			c.extra = c.extra || err != nil
			c.index = n
		case "text":
			c.takeText(value)
		case "delta":
			c.parseDelta(value)
		case "finish_reason":
			c.extra = c.extra || !isString(value)
			c.reason, _ = jsonw.String(value)
		default: // logprobs among them
			c.extra = true
		}
	}
	return c
}

func (c *choice) parseDelta(raw []byte) {
	var seen memberSet
	c.extra = c.extra || raw[0] != '{'
	for name, value := range jsonw.Members(raw) {
		if seen.add(name) {
			c.extra = true
		}
		if jsonw.IsNull(value) {
			continue
		}
		switch string(name) {
		case "role":
			c.extra = c.extra || string(value) != `"assistant"`
		case "content":
			c.takeText(value)
		case "tool_calls": // vLLM sends [] instead of omitting it
			c.extra = c.extra || string(value) != "[]"
		default:
			c.extra = true
		}
	}
}

func (c *choice) takeText(value []byte) {
	if c.text != nil || !isString(value) {
		c.extra = true
	}
	if isString(value) || value[0] == '[' {
		c.text = value
	}
}

func isString(value []byte) bool { return value[0] == '"' }

func isInteger(value []byte) bool {
	_, err := strconv.ParseInt(string(value), 10, 64)
	return err == nil
}

func isChunkObject(value []byte) bool {
	switch string(value) {
	case `"chat.completion.chunk"`, `"text_completion"`, `""`:
		return true
	}
	return false
}

// memberSet is the set of the known members that an object has had so far.
type memberSet uint32

// add adds a known member, and reports whether the set had it already.
func (n *memberSet) add(name []byte) bool {
	bit := memberSet(1)
	for _, known := range [...]string{
		"id", "object", "created", "model", "system_fingerprint", "service_tier", "usage", "error", "choices",
		"index", "text", "delta", "finish_reason", "logprobs", "role", "content", "tool_calls",
	} {
		if string(name) == known {
			had := *n&bit != 0
			*n |= bit
			return had
		}
		bit <<= 1
	}
	return false // unknown members make the chunk more than text in any case, or are null
}
