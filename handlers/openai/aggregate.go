package openai

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strconv"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/jsonw"
)

// Aggregate folds the chunks of one completion into the object that a request without stream gets. Feed it in the stream's order.
//
// Chunks are folded by their form, not by the names of members, so that what we do not know passes through: of a choice's delta, strings
// are joined, numbers and the rest are the last one's, and arrays of objects with an "index" are folded element by element.
type Aggregate struct {
	shape   shape
	choices map[int]*choice
	extra   object // members of the chunks beside the known ones
}

type choice struct {
	delta  object
	rest   object // logprobs and members that we do not know
	finish string
}

// object is a JSON object whose members keep the order of their first appearance.
type object struct {
	names  []string
	values map[string]any
}

// NewAggregate returns an empty one.
func NewAggregate(meta *hub.CompletionMeta) *Aggregate {
	return &Aggregate{shape: shapeOf(meta), choices: map[int]*choice{0: {}}}
}

// Text adds plain text of the first choice.
func (a *Aggregate) Text(text []byte) {
	if len(text) > 0 {
		a.addText(string(text))
	}
}

func (a *Aggregate) addText(text string) {
	name := "content"
	if a.shape == shapeText {
		name = "text"
	}
	a.choices[0].delta.fold(name, text)
}

// Chunk adds an upstream's chunk that is more than plain text. One that is no such object is left out.
func (a *Aggregate) Chunk(raw json.RawMessage) {
	members, ok := decodeObject(raw)
	if !ok {
		return
	}
	for _, name := range members.names {
		switch name {
		case "id", "object", "created", "model", "usage", "system_fingerprint", "service_tier", "obfuscation":
		case "choices":
			list, _ := members.values[name].([]any)
			for _, c := range list {
				if o, ok := c.(*object); ok {
					a.choice(o)
				}
			}
		default:
			a.extra.set(name, members.values[name])
		}
	}
}

func (a *Aggregate) choice(o *object) {
	c := a.at(index(o))
	for _, name := range o.names {
		switch v := o.values[name].(type) {
		case *object:
			if name == "delta" {
				for _, n := range v.names {
					if n != "role" {
						c.delta.fold(n, v.values[n])
					}
				}
				continue
			}
			c.rest.fold(name, v)
		case string:
			switch name {
			case "finish_reason":
				c.finish = v
			case "text":
				c.delta.fold("text", v)
			default:
				c.rest.set(name, v)
			}
		default:
			if name != "index" && v != nil {
				c.rest.fold(name, v)
			}
		}
	}
}

func (a *Aggregate) at(i int) *choice {
	if a.choices[i] == nil {
		a.choices[i] = &choice{}
	}
	return a.choices[i]
}

// index returns the member "index" of an object, 0 where it has none.
func index(o *object) int {
	n, _ := o.values["index"].(json.Number)
	i, _ := n.Int64()
	return int(i)
}

// Append appends the whole completion. finish is why the first choice ended; usage is OpenAI's object, or nil.
func (a *Aggregate) Append(b []byte, info *hub.CompletionInfo, finish string, usage json.RawMessage) []byte {
	kind := objectChat
	if a.shape == shapeText {
		kind = objectText
	}
	b = append(appendConstants(append(b, '{'), kind, &hub.CompletionMeta{}, info), `,"choices":[`...)
	if c := a.choices[0]; c.finish == "" {
		c.finish = finish
	}
	order := make([]int, 0, len(a.choices))
	for i := range a.choices {
		order = append(order, i)
	}
	slices.Sort(order)
	for n, i := range order {
		if n > 0 {
			b = append(b, ',')
		}
		b = appendAny(b, a.whole(i, a.choices[i]))
	}
	b = append(b, ']')
	for _, name := range a.extra.names {
		b = append(appendAny(append(b, ','), name), ':')
		b = appendAny(b, a.extra.values[name])
	}
	if len(usage) > 0 {
		b = append(append(b, `,"usage":`...), usage...)
	}
	return append(b, '}')
}

// whole makes one choice of the answer.
func (a *Aggregate) whole(i int, c *choice) *object {
	o := &object{}
	o.set("index", json.Number(strconv.Itoa(i)))
	if a.shape == shapeText {
		o.set("text", "")
		o.setAll(&c.delta)
	} else {
		message := &object{}
		message.set("role", "assistant")
		message.set("content", nil)
		message.setAll(&c.delta)
		if _, calls := message.values["tool_calls"]; !calls && message.values["content"] == nil {
			message.set("content", "")
		}
		dropIndexes(message.values["tool_calls"])
		o.set("message", message)
	}
	o.set("logprobs", nil)
	o.setAll(&c.rest)
	o.set("finish_reason", nil)
	if c.finish != "" {
		o.set("finish_reason", c.finish)
	}
	return o
}

// dropIndexes removes what tells the pieces of tool calls apart while they stream: whole ones do not have it.
func dropIndexes(calls any) {
	list, _ := calls.([]any)
	for _, c := range list {
		if o, ok := c.(*object); ok {
			o.remove("index")
		}
	}
}

func (o *object) set(name string, v any) {
	if o.values == nil {
		o.values = make(map[string]any)
	}
	if _, ok := o.values[name]; !ok {
		o.names = append(o.names, name)
	}
	o.values[name] = v
}

func (o *object) setAll(from *object) {
	for _, name := range from.names {
		o.set(name, from.values[name])
	}
}

func (o *object) remove(name string) {
	delete(o.values, name)
	o.names = slices.DeleteFunc(o.names, func(n string) bool { return n == name })
}

// fold adds a piece of a member to what is there.
func (o *object) fold(name string, v any) {
	had := o.values[name]
	switch piece := v.(type) {
	case nil:
		if had == nil {
			o.set(name, nil)
		}
	case string:
		if s, ok := had.(string); ok && !whole[name] {
			piece = s + piece
		}
		o.set(name, piece)
	case *object:
		if old, ok := had.(*object); ok {
			for _, n := range piece.names {
				old.fold(n, piece.values[n])
			}
			return
		}
		o.set(name, piece)
	case []any:
		old, _ := had.([]any)
		o.set(name, foldList(old, piece))
	default:
		o.set(name, piece)
	}
}

var errDeep = errors.New("nested too deeply")

// whole names strings that come whole each time they come.
var whole = map[string]bool{"id": true, "type": true, "role": true, "name": true}

// foldList folds elements that name their index into those of the same one, and appends all others.
func foldList(list, pieces []any) []any {
	for _, p := range pieces {
		o, ok := p.(*object)
		if !ok || o.values["index"] == nil {
			list = append(list, p)
			continue
		}
		i := slices.IndexFunc(list, func(e any) bool {
			old, ok := e.(*object)
			return ok && old.values["index"] != nil && index(old) == index(o)
		})
		if i < 0 {
			list = append(list, o)
			continue
		}
		for _, n := range o.names {
			list[i].(*object).fold(n, o.values[n])
		}
	}
	return list
}

// decodeObject reads a JSON object with the order of its members and its numbers as they were written.
func decodeObject(raw []byte) (*object, bool) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	v, err := decodeValue(dec, 0)
	o, ok := v.(*object)
	return o, ok && err == nil
}

const maxDepth = 1000 // of nesting; deeper ones are nobody's completion

func decodeValue(dec *json.Decoder, depth int) (any, error) {
	token, err := dec.Token()
	if err != nil {
		return nil, err
	}
	if depth > maxDepth {
		return nil, errDeep
	}
	switch token {
	case json.Delim('{'):
		o := &object{}
		for dec.More() {
			name, err := dec.Token()
			if err != nil {
				return nil, err
			}
			v, err := decodeValue(dec, depth+1)
			if err != nil {
				return nil, err
			}
			o.set(name.(string), v)
		}
		_, err = dec.Token()
		return o, err
	case json.Delim('['):
		list := []any{}
		for dec.More() {
			v, err := decodeValue(dec, depth+1)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		_, err = dec.Token()
		return list, err
	}
	return token, nil
}

// appendAny appends a value that decodeValue made.
func appendAny(b []byte, v any) []byte {
	switch v := v.(type) {
	case nil:
		return append(b, `null`...)
	case bool:
		return strconv.AppendBool(b, v)
	case string:
		return jsonw.AppendString(b, v)
	case json.Number:
		return append(b, v...)
	case []any:
		b = append(b, '[')
		for i, e := range v {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendAny(b, e)
		}
		return append(b, ']')
	case *object:
		b = append(b, '{')
		for i, name := range v.names {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(jsonw.AppendString(b, name), ':')
			b = appendAny(b, v.values[name])
		}
		return append(b, '}')
	}
	panic("openai: not a JSON value")
}
