package openai

import (
	"bytes"
	"slices"

	"github.com/duckwire/duckwire/hub/jsonw"
)

// fold is a JSON object that is built from pieces, by the rules of the official SDKs' accumulators (openai-node,
// src/lib/ChatCompletionStream.ts; openai-python, lib/streaming/_deltas.py). Members keep the order of their first
// appearance.
type fold struct {
	names  []string
	values map[string]*value
}

// value is one member of a fold: a string, array or object that grows, or the latest value of any other type.
type value struct {
	kind   byte   // the first byte of its JSON; 0 for values that are replaced
	text   []byte // '"': the content in JSON, because a surrogate pair may be cut in two
	object fold   // '{'
	list   list   // '['
	raw    []byte // any other type
}

// maxFold is the maximum depth at which pieces are merged; deeper values are replaced. It bounds the cost, because each
// level scans its bytes once more.
const maxFold = 16

// sentWhole reports whether upstreams repeat strings of that name completely in each piece, so that they must not be
// concatenated.
func sentWhole(name []byte) bool {
	switch string(name) {
	case "id", "type", "name", "role", "format":
		return true
	}
	return false
}

func (f *fold) empty() bool           { return len(f.names) == 0 }
func (f *fold) has(name string) bool  { return f.values[name] != nil && f.values[name].kind != 'n' }
func (f *fold) at(name []byte) *value { return f.values[string(name)] }

// string returns a string member as JSON without quotes, or nil.
func (f *fold) string(name string) []byte {
	if v := f.values[name]; v != nil && v.kind == '"' {
		return v.text
	}
	return nil
}

func (f *fold) drop(names ...string) {
	for _, name := range names {
		if f.values[name] != nil {
			delete(f.values, name)
			f.names = slices.DeleteFunc(f.names, func(n string) bool { return n == name })
		}
	}
}

func (f *fold) set(name []byte, v *value) {
	if f.values == nil {
		f.values = make(map[string]*value)
	}
	if f.values[string(name)] == nil {
		f.names = append(f.names, string(name))
	}
	f.values[string(name)] = v
}

// replace sets a member to its latest value; null does not remove an earlier value.
func (f *fold) replace(name, raw []byte) {
	if raw[0] != 'n' || f.at(name) == nil {
		f.set(name, &value{raw: bytes.Clone(raw)})
	}
}

// add adds a piece to a member. A piece of another type replaces the earlier value, except null. An empty string never
// replaces a value.
func (f *fold) add(name, raw []byte, depth int) {
	if depth > maxFold {
		f.replace(name, raw)
		return
	}
	v := f.at(name)
	if v != nil && (raw[0] == 'n' || string(raw) == `""` && v.kind != 'n') {
		return
	}
	if v == nil || v.kind != raw[0] || raw[0] == '"' && sentWhole(name) {
		v = &value{kind: raw[0]}
		if string(name) == "tool_calls" {
			v.list.of = calls
		}
		f.set(name, v)
	}
	v.add(raw, depth)
}

func (v *value) add(raw []byte, depth int) {
	switch v.kind {
	case '"':
		v.text = append(v.text, unquoted(raw)...)
	case '{':
		for name, member := range jsonw.Members(raw) {
			v.object.add(name, member, depth+1)
		}
	case '[':
		for e := range jsonw.Elements(raw) {
			v.list.add(e, depth+1)
		}
	default:
		v.raw = bytes.Clone(raw)
	}
}

// unquoted returns the content of a JSON string, still in JSON.
func unquoted(raw []byte) []byte { return raw[1 : len(raw)-1] }

// append appends the members, with a comma before each but the first of an object.
func (f *fold) append(dst []byte) []byte {
	for _, name := range f.names {
		dst = f.values[name].append(jsonw.AppendKey(dst, name))
	}
	return dst
}

func (v *value) append(dst []byte) []byte {
	switch v.kind {
	case '"':
		return append(append(append(dst, '"'), v.text...), '"')
	case '{':
		return append(v.object.append(append(dst, '{')), '}')
	case '[':
		return v.list.append(dst)
	}
	return append(dst, v.raw...)
}
