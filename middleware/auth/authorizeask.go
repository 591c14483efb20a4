package auth

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/duckwire/duckwire/hub/rights"
	"github.com/duckwire/duckwire/middleware"
)

const maxAuthorizeBody = 64 << 10 // bytes of an answer

// question is the body of a request to the application, and the key under which its answer is cached.
type question struct {
	User    string        `json:"user"`
	Topic   string        `json:"topic"`
	Action  rights.Action `json:"action"`
	TokenID string        `json:"token_id"`
	Service bool          `json:"service"`
	Actor   string        `json:"actor,omitempty"` // who acts for the user (rights.Identity.Key)
}

// key returns the question as one string. Variable parts are preceded by their length, so that no two questions have
// the same key.
func (q question) key() string {
	part := func(s string) string { return strconv.Itoa(len(s)) + ":" + s }
	who := part(q.User) + part(q.TokenID) + part(q.Actor) + strconv.FormatBool(q.Service)
	return who + ":" + string(q.Action) + ":" + q.Topic
}

// verdictKind is the application's decision.
type verdictKind uint8

const (
	verdictNone verdictKind = iota // no valid answer: nothing is allowed
	verdictNo
	verdictYes
)

// askApplication sends one request to the application. ttl is negative if the answer has none.
func askApplication(
	ctx context.Context, client *http.Client, url string, q question,
) (verdict verdictKind, ttl time.Duration, err error) {
	body, err := json.Marshal(q)
	if err != nil {
		return verdictNone, 0, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return verdictNone, 0, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	if id := middleware.RequestIDFrom(ctx); id != "" {
		req.Header.Set(middleware.RequestIDHeader, id)
	}
	res, err := client.Do(req)
	if err != nil {
		return verdictNone, 0, err
	}
	defer res.Body.Close()
	switch res.StatusCode {
	case http.StatusOK:
		return parseAnswer(res.Body)
	case http.StatusUnauthorized, http.StatusForbidden:
		return verdictNo, -1, nil
	}
	return verdictNone, 0, fmt.Errorf("the answer has the status %d", res.StatusCode)
}

// parseAnswer parses {"allowed": true|false, "ttl": seconds}. It ignores other members.
func parseAnswer(r io.Reader) (verdict verdictKind, ttl time.Duration, err error) {
	body, err := io.ReadAll(io.LimitReader(r, maxAuthorizeBody+1))
	if err != nil {
		return verdictNone, 0, err
	}
	if len(body) > maxAuthorizeBody {
		return verdictNone, 0, fmt.Errorf("the answer has more than %d bytes", maxAuthorizeBody)
	}
	var answer struct {
		Allowed *bool    `json:"allowed"`
		TTL     *float64 `json:"ttl"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return verdictNone, 0, err
	}
	switch {
	case answer.Allowed == nil:
		return verdictNone, 0, errors.New(`the answer lacks "allowed"`)
	case answer.TTL == nil:
		ttl = -1
	case *answer.TTL < 0:
		return verdictNone, 0, errors.New(`the answer's "ttl" is negative`)
	default:
		ttl = time.Duration(min(*answer.TTL, maxAuthorizeTTL.Seconds()) * float64(time.Second))
	}
	if *answer.Allowed {
		return verdictYes, ttl, nil
	}
	return verdictNo, ttl, nil
}
