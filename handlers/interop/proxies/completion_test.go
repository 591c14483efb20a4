package proxies_test

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/duckwire/duckwire/hub/eventstream"
)

// question returns a request to the built-in completer, whose code repeats itself, so that there is a completion.
func question(id string, stream bool) map[string]any {
	const line = "app.get(\"/%[1]s\", (req, res) => {\n  res.json(db.%[1]s.all());\n});\n"
	return map[string]any{
		"model": "duckwire-local", "stream": stream, "seed": 7, "max_tokens": 64, "duckwire": map[string]any{"id": id},
		"prompt": fmt.Sprintf(line, "users") + fmt.Sprintf(line, "orders") + fmt.Sprintf(line, "teams") + `app.get("/items",`,
	}
}

// chunk is an answer in OpenAI's format, or a part of one.
type chunk struct {
	Choices []struct{ Text string }
}

// wholeAnswer requests a completion in one answer.
func wholeAnswer(c *caller, id string) (string, error) {
	var answer chunk
	err := c.call("POST", "/v1/completions", question(id, false), &answer)
	if err != nil || len(answer.Choices) != 1 {
		return "", fmt.Errorf("%d choices: %w", len(answer.Choices), err)
	}
	return answer.Choices[0].Text, nil
}

// streamedAnswer requests a completion as a stream. If the answer is cut, it sends the request again under the same id,
// and resumes where the answer was cut.
func streamedAnswer(c *caller, id string) (string, error) {
	var b strings.Builder
	last := ""
	for range 3 {
		resp, err := c.do("POST", "/v1/completions", question(id, true), "Last-Event-ID", last)
		if err != nil {
			return "", err
		}
		done := false
		for events := eventstream.NewReader(resp.Body, 0); !done; {
			ev, err := events.Next()
			if err != nil {
				break
			}
			var part chunk
			if done = string(ev.Data) == "[DONE]"; done {
				break
			}
			if err := json.Unmarshal(ev.Data, &part); err != nil || len(part.Choices) != 1 {
				resp.Body.Close()
				return "", fmt.Errorf("no chunk: %q", ev.Data)
			}
			b.WriteString(part.Choices[0].Text)
			last = ev.ID
		}
		resp.Body.Close()
		if done {
			return b.String(), nil
		}
	}
	return "", fmt.Errorf("no [DONE] in three answers, but %q", b.String())
}

// resumesByHeader reports whether Last-Event-ID, with which an EventSource resumes, passes through the proxy.
func resumesByHeader(direct, through *caller) (bool, error) {
	p := producer{caller: direct}
	if err := p.begin(); err != nil {
		return false, err
	}
	for _, piece := range pieces {
		if err := p.append(piece); err != nil {
			return false, err
		}
	}
	if err := p.end(); err != nil {
		return false, err
	}
	var s streamState
	if err := direct.call("GET", "/v1/streams/"+p.id, nil, &s); err != nil {
		return false, err
	}
	resp, err := through.do("GET", "/v1/streams/"+p.id+"?format=sse", nil, "Last-Event-ID", s.Position)
	if err != nil {
		return false, err
	}
	defer resp.Body.Close()
	return resp.StatusCode == 204, nil // nothing follows the end
}
