package openai

import (
	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/jsonw"
)

// Done is the data of the block that ends a successful stream.
const Done = "[DONE]"

// shape is the format of a path's answers.
type shape uint8

const (
	shapeChat shape = iota
	shapeText
	shapeFIM // of /v1/fim/completions (Mistral): requests like text, answers like chat, but without a chunk for the role
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

// Values of "object".
const (
	objectChatChunk = "chat.completion.chunk"
	objectChat      = "chat.completion"
	objectText      = "text_completion" // of complete answers and chunks
)

// Encoder appends the chunks of one stream in the format of its path: JSON on one line, without the framing of an event
// stream. Its methods allocate nothing but dst, unless a chunk must change its format. It is immutable: it may be
// copied, and is safe for concurrent use.
type Encoder struct {
	shape  shape
	shared shared
	head   []byte // the chunk up to the bracket that opens the choices, inclusive
	tail   []byte // the chunk from the end of the choice on
	usage  bool
}

// NewEncoder returns the encoder for a stream whose chunks share info, whose ID and Created must be set. If info.Model
// is empty, the requested model is used. With meta.IncludeUsage, all chunks but the last have "usage":null, as with
// OpenAI.
func NewEncoder(meta hub.CompletionMeta, info hub.CompletionInfo) Encoder {
	e := Encoder{shape: shapeOf(&meta), shared: sharedOf(&meta, &info), usage: meta.IncludeUsage, tail: []byte("}]}")}
	object := objectChatChunk
	if e.shape == shapeText {
		object = objectText
	}
	e.head = append(appendConstants([]byte{'{'}, object, &e.shared, &info), `,"choices":[`...)
	if e.usage {
		e.tail = []byte(`}],"usage":null}`)
	}
	return e
}

// appendConstants appends the members that all chunks share, without a brace.
func appendConstants(dst []byte, object string, s *shared, info *hub.CompletionInfo) []byte {
	dst = append(jsonw.AppendKey(dst, "id"), s.id...)
	dst = jsonw.AppendString(jsonw.AppendKey(dst, "object"), object)
	dst = append(jsonw.AppendKey(dst, "created"), s.created...)
	dst = append(jsonw.AppendKey(dst, "model"), s.model...)
	if info.ServiceTier != "" {
		dst = jsonw.AppendString(jsonw.AppendKey(dst, "service_tier"), info.ServiceTier)
	}
	if info.SystemFingerprint != "" {
		dst = jsonw.AppendString(jsonw.AppendKey(dst, "system_fingerprint"), info.SystemFingerprint)
	}
	return dst
}

// AppendRole appends the chunk that opens a chat completion. Other formats have none, and dst is returned unchanged.
func (e *Encoder) AppendRole(dst []byte) []byte {
	if e.shape != shapeChat {
		return dst
	}
	dst = append(dst, e.head...)
	dst = append(dst, `{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null`...)
	return append(dst, e.tail...)
}

// AppendText appends a chunk of text of the first choice. Invalid UTF-8 is replaced by U+FFFD.
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

// AppendFinish appends the chunk with the finish_reason of the first choice. An empty reason is "stop", because clients
// take its absence for a truncated answer.
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

// AppendUsage appends the chunk without choices that has OpenAI's usage object. If the client did not request it or
// usage is empty, dst is returned unchanged: some clients fail on a chunk without choices.
func (e *Encoder) AppendUsage(dst, usage []byte) []byte {
	if !e.usage || len(usage) == 0 {
		return dst
	}
	dst = append(dst, e.head...)
	dst = append(dst, `],"usage":`...)
	dst = append(dst, usage...)
	return append(dst, '}')
}

// AppendChunk appends an upstream's chunk, unchanged if it has the path's format and the id, model and time that all
// chunks share. raw is valid JSON on one line. If an upstream uses another format, the text is moved to the member that
// the path's clients read.
func (e *Encoder) AppendChunk(dst, raw []byte) []byte {
	if e.shape != shapeChat && hasOtherShape(raw, e.shape) {
		raw = reshaper{shape: e.shape}.append(nil, raw)
	}
	return e.shared.append(dst, raw, e.usage)
}

// AppendWhole appends an answer that the upstream did not stream as one chunk, with its finish reasons and without its
// usage. raw is valid JSON on one line.
func (e *Encoder) AppendWhole(dst, raw []byte) []byte {
	return e.AppendChunk(dst, unstream(raw))
}
