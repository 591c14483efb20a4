package bench

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"time"
)

// Upstream is the scripted provider of a run with completions: it answers every request on completionPath with
// max_tokens tokens at an even rate, in OpenAI's chunks. The first token comes at once. Each token contains its number
// and the time at which it was written.
type Upstream struct {
	Rate float64 // tokens per second of each completion
}

const (
	completionPath = "/v1/chat/completions"
	maxTokens      = 100_000 // of one completion
)

// The parts of a chunk of text, as OpenAI and vLLM send it.
const (
	chunkHead = `data: {"id":"chatcmpl-bench","object":"chat.completion.chunk","created":1,"model":"bench","choices":[` +
		`{"index":0,"delta":{`
	roleChunk   = chunkHead + `"role":"assistant","content":""},"logprobs":null,"finish_reason":null}]}` + "\n\n"
	textEnd     = `"},"logprobs":null,"finish_reason":null}]}` + "\n\n"
	finishBlock = chunkHead + `},"logprobs":null,"finish_reason":"stop"}]}` + "\n\ndata: [DONE]\n\n"
)

// Serve runs until ctx ends. Like the server, it logs the URL at which it listens.
func (u *Upstream) Serve(ctx context.Context, log io.Writer) error {
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+completionPath, u.complete)
	return serveLoopback(ctx, log, mux)
}

func (u *Upstream) complete(w http.ResponseWriter, r *http.Request) {
	var req struct {
		MaxTokens int `json:"max_tokens"`
	}
	err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20)).Decode(&req)
	if err != nil || req.MaxTokens < 1 || req.MaxTokens > maxTokens {
		http.Error(w, `{"error":{"message":"max_tokens must be from 1 to 100000"}}`, http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	out := []byte(roleChunk)
	send := func() error {
		if _, err := w.Write(out); err != nil {
			return err
		}
		out = out[:0]
		return http.NewResponseController(w).Flush()
	}
	err = paceTimes(r.Context(), u.Rate, req.MaxTokens, func(i int) error {
		out = append(append(out, chunkHead...), contentMark...)
		out = append(appendStamped(out, uint64(i+1), time.Now().UnixNano()), textEnd...)
		return send()
	})
	if err == nil {
		out = append(out, finishBlock...)
		_ = send() // an error means that the client has gone
	}
}

// stampedBytes is the length of a token that says when it was written: its number, a space, 19 digits, and a space.
const stampedBytes = tokenBytes + 20

// appendStamped appends a token that says when it was written, in nanoseconds since 1970.
func appendStamped(dst []byte, n uint64, now int64) []byte {
	return append(strconv.AppendInt(appendToken(dst, n), now, 10), ' ')
}
