package openai

import (
	"strconv"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/jsonw"
)

// Done is the data of the block that ends a successful stream.
const Done = "[DONE]"

// The values of "object".
const (
	objectChatChunk = "chat.completion.chunk"
	objectChat      = "chat.completion"
	objectText      = "text_completion" // whole answers and chunks alike
)

// Encoder writes the chunks of one stream in the shape of its door: JSON on one line, without the framing of an event stream. Its methods
// append to dst and allocate nothing else (but where a chunk must change its shape). An Encoder is not changed by use: copies are good,
// and it is safe for concurrent use.
type Encoder struct {
	shape shape
	head  []byte // the chunk up to and without the list of choices' content
	tail  []byte // from the end of the choice on
	usage bool
}

// shape is how an answer looks.
type shape uint8

const (
	shapeChat shape = iota // delta and message, object chat.completion
	shapeText              // text, object text_completion
	shapeFIM               // of /v1/fim/completions (Mistral): that of chat, without a role chunk
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

// NewEncoder returns the encoder for a stream. info.ID and info.Created should be set; where info.Model is empty, meta.Model is used.
func NewEncoder(meta hub.CompletionMeta, info hub.CompletionInfo) Encoder {
	e := Encoder{shape: shapeOf(&meta), usage: meta.IncludeUsage, tail: []byte("}]}")}
	object := objectChatChunk
	if e.shape == shapeText {
		object = objectText
	}
	e.head = append(appendConstants([]byte{'{'}, object, &meta, &info), `,"choices":[`...)
	if e.usage { // OpenAI: all chunks but the last then carry a null
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

// HasRole reports whether the shape begins with a chunk that names the role. Only that of chat does.
func (e *Encoder) HasRole() bool { return e.shape == shapeChat }

// AppendRole appends the chunk that opens a chat completion, and nothing in other shapes.
func (e *Encoder) AppendRole(dst []byte) []byte {
	if !e.HasRole() {
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

// AppendUsage appends the chunk without choices that carries OpenAI's usage object. It appends nothing where the client did not ask for it
// (some clients stumble over a chunk without choices), or usage is empty.
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
	if e.shape == shapeChat || !misshapen(raw, e.shape) {
		return append(dst, raw...)
	}
	return appendReshaped(dst, raw, e.shape)
}
