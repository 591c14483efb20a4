package doctor

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// request creates a request with the token.
func (e *examination) request(ctx context.Context, method, path, body string) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, method, e.Base+path, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	if body == "" {
		req.Body, req.ContentLength = nil, 0
	} else {
		req.Header.Set("Content-Type", "application/json")
	}
	if e.Token != "" {
		req.Header.Set("Authorization", "Bearer "+e.Token)
	}
	return req, nil
}

// answer is a response with its body.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// ask sends a request and reads the whole response.
func (e *examination) ask(ctx context.Context, method, path, body string) (*answer, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	req, err := e.request(ctx, method, path, body)
	if err != nil {
		return nil, err
	}
	resp, err := e.client.Do(req)
	if err != nil {
		return nil, withoutURL(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 4<<20))
	return &answer{resp.StatusCode, resp.Header, text}, err
}

func (a *answer) decode(v any) error {
	if a.status != http.StatusOK {
		return a.refused()
	}
	if err := json.Unmarshal(a.body, v); err != nil {
		return fmt.Errorf("the answer is not that of a Duckwire server: %s", clipText(string(a.body)))
	}
	return nil
}

// refused returns the response as an error, with the problem's detail or, if a proxy answered, the body.
func (a *answer) refused() error {
	var problem struct{ Detail string }
	if json.Unmarshal(a.body, &problem) == nil && problem.Detail != "" {
		return &refusedError{a.status, problem.Detail}
	}
	return &refusedError{a.status, string(bytes.ToValidUTF8(a.body, nil))}
}

// events returns the path of the topic's events.
func (e *examination) events() string { return "/v1/topics/" + url.PathEscape(e.Topic) + "/events" }

// publish publishes one event and returns its position.
func (e *examination) publish(ctx context.Context, name string) (string, error) {
	a, err := e.ask(ctx, http.MethodPost, e.events(), fmt.Sprintf(`{"event":%q,"payload":{}}`, name))
	if err != nil {
		return "", err
	}
	var published struct{ Events []struct{ Position string } }
	if err := a.decode(&published); err != nil {
		return "", err
	}
	if len(published.Events) != 1 {
		return "", fmt.Errorf("the answer to one event tells of %d", len(published.Events))
	}
	return published.Events[0].Position, nil
}
