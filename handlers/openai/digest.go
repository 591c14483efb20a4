package openai

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
)

// Digest identifies the content of a request, so that an idempotency id cannot be reused for another request. It does
// not depend on the path or the format of the answer.
func (r *Request) Digest() string {
	asked := maps.Clone(r.Body)
	delete(asked, "stream")
	delete(asked, "stream_options")
	body, _ := json.Marshal(asked) // valid JSON always encodes
	h := sha256.New()
	for _, part := range []string{string(r.Kind), r.Topic, string(body)} {
		_, _ = h.Write([]byte(part)) // a hash never fails
		_, _ = h.Write([]byte{0})
	}
	return hex.EncodeToString(h.Sum(nil))
}
