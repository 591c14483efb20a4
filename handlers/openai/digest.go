package openai

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
)

// Digest identifies what a request asks for, so that an idempotency id cannot be used for something else. It is the same at every door: how the
// answer is to look does not make it another completion.
func (r *Request) Digest() string {
	asked := maps.Clone(r.Body)
	delete(asked, "stream")
	delete(asked, "stream_options")
	body, _ := json.Marshal(asked) // of raw members that were valid
	h := sha256.New()
	for _, part := range []string{string(r.Kind), r.Topic, string(body)} {
		_, _ = h.Write([]byte(part)) // a hash takes everything
		_, _ = h.Write([]byte{0})
	}
	return hex.EncodeToString(h.Sum(nil))
}
