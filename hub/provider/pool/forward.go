package pool

import (
	"bytes"
	"context"
	"io"
	"time"

	"github.com/duckwire/duckwire/hub"
)

// maxRefusal is how many bytes of a failed answer are kept while others are asked.
const maxRefusal = 64 << 10

// Forward asks the members that serve req.Model until one gives an answer that is none of a failing server. If all
// fail, it returns the first answer that a member gave.
func (p *Pool) Forward(ctx context.Context, req *hub.ForwardRequest) (*hub.ForwardResponse, error) {
	r, err := p.newRound(req.Model, req.RequestID)
	if err != nil {
		return nil, err
	}
	var answer, refusal *hub.ForwardResponse
	err = r.run(ctx, func(u Upstream, answers func()) (bool, error) {
		resp, err := u.Forward(ctx, req)
		if err != nil {
			return false, err
		}
		failed := &hub.ProviderError{Status: resp.Status, Code: "upstream_error", RetryAfter: hub.RetryAfter(resp.Header, time.Now())}
		switch {
		case !isFailure(failed):
			answers()
			answer = resp
			return true, nil
		case refusal != nil:
			_ = resp.Body.Close() // the rest is not needed
		default:
			refusal = resp
			if len(r.asked) < len(r.members) {
				keepWhole(resp)
			}
		}
		return false, failed
	})
	switch {
	case refusal == nil:
		return answer, err
	case answer == nil && ctx.Err() == nil:
		return refusal, nil
	}
	_ = refusal.Body.Close() // the rest is not needed
	return answer, err
}

// keepWhole reads the body of a failed answer, so that its connection is free.
func keepWhole(resp *hub.ForwardResponse) {
	body, _ := io.ReadAll(io.LimitReader(resp.Body, maxRefusal)) // an incomplete body is enough
	_ = resp.Body.Close()                                        // the rest is not needed
	resp.Body, resp.Length = io.NopCloser(bytes.NewReader(body)), int64(len(body))
}
