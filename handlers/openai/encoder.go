package openai

import (
	"strconv"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/jsonw"
)

// Done is the data of the block that ends a successful stream.
const Done = "[DONE]"

// shape is how a door's answers look.
type shape uint8

const (
	shapeChat shape = iota
	shapeText
	shapeFIM // of /v1/fim/completions (Mistral): asked like text, answered like chat, but without a chunk for the role
)

func shapeOf(meta *hub.CompletionMeta) shape {
	switch {
	case meta.FIM:
		return shapeFIM
	case meta.Kind == hub.TextCompletion:
		return shapeText
	}
	return shapeChat
}

// The values of "object".
const (
	objectChatChunk = "chat.completion.chunk"
	objectChat      = "chat.completion"
	objectText      = "text_completion" // whole answers and chunks alike
)

// Encoder appends the chunks of one stream in the shape of its door: JSON on one line, without the framing of an event stream. Its methods
// append to dst and allocate nothing else (but where a chunk must change its shape). It is not changed by use: copies are good, and it is
// safe for concurrent use.
type Encoder struct {
	shape shape
	head  []byte // the chunk up to and with the bracket that opens the choices
	tail  []byte // from the end of the choice on
	usage bool
}

// NewEncoder returns the encoder for a stream whose chunks share info: the caller sees to it that ID and Created are set. Where info.Model
// is empty, the model that was asked for takes its place. With meta.IncludeUsage all chunks that the encoder makes, but the last, carry
// "usage":null, as at OpenAI.
func NewEncoder(meta hub.CompletionMeta, info hub.CompletionInfo) Encoder {
	e := Encoder{shape: shapeOf(&meta), usage: meta.IncludeUsage, tail: []byte("}]}")}
	object := objectChatChunk
	if e.shape == shapeText {
		object = objectText
	}
	e.head = append(appendConstants([]byte{'{'}, object, &meta, &info), `,"choices":[`...)
	if e.usage {
		e.tail = []byte(`}],"usage":null}`)
	}
	return e
}

// appendConstants appends the members that all chunks share, without the brace before them.
func appendConstants(dst []byte, object string, meta *hub.CompletionMeta, info *hub.CompletionInfo) []byte {
	model := info.Model
	if model == "" {
		model = meta.Model
	}
	dst = jsonw.AppendString(jsonw.AppendKey(dst, "id"), info.ID)
	dst = jsonw.AppendString(jsonw.AppendKey(dst, "object"), object)
	dst = strconv.AppendInt(jsonw.AppendKey(dst, "created"), info.Created, 10)
	dst = jsonw.AppendString(jsonw.AppendKey(dst, "model"), model)
	if info.ServiceTier != "" {
		dst = jsonw.AppendString(jsonw.AppendKey(dst, "service_tier"), info.ServiceTier)
	}
	if info.SystemFingerprint != "" {
		dst = jsonw.AppendString(jsonw.AppendKey(dst, "system_fingerprint"), info.SystemFingerprint)
	}
	return dst
}

// AppendRole appends the chunk that opens a chat completion. The other shapes have none: dst comes back as it was.
func (e *Encoder) AppendRole(dst []byte) []byte {
	if e.shape != shapeChat {
		return dst
	}
	dst = append(dst, e.head...)
	dst = append(dst, `{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null`...)
	return append(dst, e.tail...)
}

// AppendText appends a chunk of text of the first choice. Invalid UTF-8 in text becomes U+FFFD.
func (e *Encoder) AppendText(dst, text []byte) []byte {
	dst = append(dst, e.head...)
	if e.shape == shapeText {
		dst = append(dst, `{"text":`...)
		dst = jsonw.AppendString(dst, text)
		dst = append(dst, `,"index":0`...)
	} else {
		dst = append(dst, `{"index":0,"delta":{"content":`...)
		dst = jsonw.AppendString(dst, text)
		dst = append(dst, '}')
	}
	dst = append(dst, `,"logprobs":null,"finish_reason":null`...)
	return append(dst, e.tail...)
}

// AppendFinish appends the chunk that says why the first choice ended; an empty reason is "stop", since clients take its absence for a
// cut.
func (e *Encoder) AppendFinish(dst []byte, reason string) []byte {
	if reason == "" {
		reason = "stop"
	}
	dst = append(dst, e.head...)
	if e.shape == shapeText {
		dst = append(dst, `{"text":"","index":0`...)
	} else {
		dst = append(dst, `{"index":0,"delta":{}`...)
	}
	dst = append(dst, `,"logprobs":null,"finish_reason":`...)
	dst = jsonw.AppendString(dst, reason)
	return append(dst, e.tail...)
}

// AppendUsage appends the chunk without choices that carries OpenAI's usage object. Where the client did not ask for it (some stumble over a
// chunk without choices), or usage is empty, dst comes back as it was.
func (e *Encoder) AppendUsage(dst, usage []byte) []byte {
	if !e.usage || len(usage) == 0 {
		return dst
	}
	dst = append(dst, e.head...)
	dst = append(dst, `],"usage":`...)
	dst = append(dst, usage...)
	return append(dst, '}')
}

// AppendChunk appends an upstream's own chunk, untouched where it is of this door's shape; raw is valid JSON on one line. Where an upstream
// answers one door in another's shape, the text moves to where the door's clients look for it.
func (e *Encoder) AppendChunk(dst, raw []byte) []byte {
	if e.shape == shapeChat || !hasOtherShape(raw, e.shape) {
		return append(dst, raw...)
	}
	return appendReshaped(dst, raw, e.shape)
}
