// Package call has what is asked of each client, and what it yields.
package call

import "encoding/json"

// Request is one call: Kind is "chat", "complete" or "models".
type Request struct {
	Client, Kind, BaseURL, APIKey, Model, Prompt, Suffix string
	Stream, Usage                                        bool
	Tools                                                json.RawMessage // of OpenAI's API

	OnText func(piece string) `json:"-"`
	Heard  bool               `json:"-"`
}

// Outcome is what a client yields.
type Outcome struct {
	Text      string          `json:"text"`
	Reasoning string          `json:"reasoning,omitempty"`
	ToolCalls []ToolCall      `json:"toolCalls"`
	Finish    string          `json:"finish,omitempty"`
	Usage     any             `json:"usage,omitempty"`
	Raw       any             `json:"raw,omitempty"`
	Heads     []Head          `json:"heads,omitempty"`
	Error     json.RawMessage `json:"error,omitempty"`
}

// ToolCall is a tool call with its arguments as JSON.
type ToolCall struct {
	ID   string          `json:"id"`
	Name string          `json:"name"`
	Args json.RawMessage `json:"args"`
}

// Head has the members that are the same in all chunks.
type Head struct {
	ID, Object, Model, Fingerprint string
	Created                        int64
}

// AddText adds a piece of text.
func (o *Outcome) AddText(r *Request, piece string) {
	o.Text += piece
	if piece != "" {
		r.OnText(piece)
	}
}

// AddHead notes the members of a chunk, once for each value.
func (o *Outcome) AddHead(h Head) {
	for _, had := range o.Heads {
		if had == h {
			return
		}
	}
	o.Heads = append(o.Heads, h)
}

// Piece is a piece of a tool call: of its arguments, or the name and the id that come with the first.
type Piece struct {
	Index         int
	ID, Name, Arg string
}

// Join puts the pieces of tool calls together. Arguments that are not whole are left out.
func Join(pieces []Piece) []ToolCall {
	calls := []ToolCall{}
	for _, p := range pieces {
		for len(calls) <= p.Index {
			calls = append(calls, ToolCall{})
		}
		c := &calls[p.Index]
		c.ID += p.ID
		c.Name += p.Name
		c.Args = append(c.Args, p.Arg...)
	}
	for i := range calls {
		if !json.Valid(calls[i].Args) {
			calls[i].Args = nil
		}
	}
	return calls
}

// Fail notes what a program can see of an error.
func (o *Outcome) Fail(seen map[string]any) {
	o.Error, _ = json.Marshal(seen)
}
