package handlers

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/jsonw"
)

// addLines appends a whole body of NDJSON lines, or of one JSON object or array of objects. It appends all lines or
// none.
func addLines(a *hub.Appender, body []byte, media string) (*hub.Ending, error) {
	var raws []json.RawMessage
	trimmed := bytes.TrimSpace(body)
	switch {
	case media == mediaJSON && len(trimmed) > 0 && trimmed[0] == '[':
		if err := json.Unmarshal(trimmed, &raws); err != nil {
			return nil, errs.Invalid("body", "is not a JSON array: %v", err)
		}
	case media == mediaJSON && len(trimmed) > 0:
		raws = append(raws, trimmed)
	default:
		for line := range bytes.SplitSeq(trimmed, []byte("\n")) {
			raws = append(raws, line)
		}
	}
	var parts []hub.Part
	for i, raw := range raws {
		part, ending, err := parseLine(raw, i+1)
		if err != nil {
			return nil, err
		}
		if part != nil {
			parts = append(parts, *part)
		}
		if ending != nil {
			return ending, a.Add(parts)
		}
	}
	return nil, a.Add(parts)
}

// uploadLines appends lines as they arrive. A truncated last line is an error; the lines before it are kept.
func (s *server) uploadLines(body io.Reader, a *hub.Appender) (*hub.Ending, error) {
	lines := bufio.NewReaderSize(body, 16<<10)
	for n := 1; ; n++ {
		line, err := readLine(lines, s.BodyBytes)
		if err != nil && (err != io.EOF || len(bytes.TrimSpace(line)) > 0 && !json.Valid(line)) {
			if errors.Is(err, errs.ErrTooLarge) {
				return nil, err
			}
			return nil, errBody(err)
		}
		part, ending, perr := parseLine(line, n)
		if perr != nil {
			return nil, perr
		}
		if part != nil {
			if aerr := a.Add([]hub.Part{*part}); aerr != nil {
				return nil, aerr
			}
		}
		if ending != nil || err == io.EOF {
			return ending, nil
		}
	}
}

// readLine reads up to the next newline, at most limit bytes.
func readLine(r *bufio.Reader, limit int64) ([]byte, error) {
	var line []byte
	for {
		part, err := r.ReadSlice('\n')
		line = append(line, part...)
		if int64(len(line)) > limit {
			return nil, &errs.LimitError{Kind: errs.ErrTooLarge, Name: "bytes of one line (body_bytes)", Limit: limit}
		}
		if err != bufio.ErrBufferFull {
			return line, err
		}
	}
}

// parseLine parses one line in the NDJSON format of GET. {"text"} or {"event":"chunk","text"} is text.
// {"event":"end","status","error"} closes the stream. hello, hb, bye and reset are ignored, as are empty lines. Any
// other event is a structured entry, whose data is its "data" or else its other members. n is the line's number for
// errors, from 1.
func parseLine(raw []byte, n int) (*hub.Part, *hub.Ending, error) {
	raw = bytes.TrimSpace(raw)
	if len(raw) == 0 {
		return nil, nil, nil
	}
	field := func(name string) string { return fmt.Sprintf("line %d%s", n, name) }
	if !utf8.Valid(raw) {
		return nil, nil, errs.Invalid(field(""), "is not valid UTF-8")
	}
	if text, ok := plainText(raw); ok {
		return &hub.Part{Text: text}, nil, nil
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(raw, &members); err != nil || members == nil {
		return nil, nil, errs.Invalid(field(""), `must be a JSON object such as {"text":"…"} or {"event":"NAME",…}`)
	}
	event := "chunk"
	if e, ok := members["event"]; ok && json.Unmarshal(e, &event) != nil {
		return nil, nil, errs.Invalid(field(".event"), "must be a string")
	}
	switch event {
	case "hello", "hb", "bye", "reset":
		return nil, nil, nil
	case "chunk":
		var text *string
		if json.Unmarshal(members["text"], &text) != nil || text == nil {
			return nil, nil, errs.Invalid(field(".text"), "must be a string")
		}
		return &hub.Part{Text: *text}, nil, nil
	case "end":
		ending, err := parseEnding(members, field)
		return nil, ending, err
	}
	if err := hub.ValidEvent(field(".event"), event); err != nil {
		return nil, nil, err
	}
	return &hub.Part{Name: event, Data: eventData(members)}, nil, nil
}

// plainText parses the most frequent line, {"text":"…"} without other members, at a tenth of the cost of parseLine.
func plainText(raw []byte) (text string, ok bool) {
	const before, after = `{"text":`, `}`
	if len(raw) < len(before)+len(after) || string(raw[:len(before)]) != before {
		return "", false
	}
	value := raw[len(before) : len(raw)-len(after)]
	ok = raw[len(raw)-1] == '}' && len(value) > 0 && value[0] == '"' && json.Unmarshal(value, &text) == nil
	return text, ok
}

// eventData returns the data of a structured entry as compact JSON, without lone surrogates.
func eventData(members map[string]json.RawMessage) []byte {
	delete(members, "event")
	delete(members, "position")
	data, ok := members["data"]
	if !ok || len(members) > 1 {
		data, _ = json.Marshal(members) // valid JSON always encodes
	}
	var b bytes.Buffer
	_ = json.Compact(&b, data) // valid already
	return jsonw.ReplaceLoneSurrogates(b.Bytes())
}

func parseEnding(members map[string]json.RawMessage, field func(string) string) (*hub.Ending, error) {
	e := &hub.Ending{Status: hub.StatusDone}
	if raw, ok := members["status"]; ok && json.Unmarshal(raw, &e.Status) != nil ||
		e.Status != hub.StatusDone && e.Status != hub.StatusFailed {
		return nil, errs.Invalid(field(".status"), `must be "done" or "failed"`)
	}
	if raw, ok := members["finish_reason"]; ok && json.Unmarshal(raw, &e.FinishReason) != nil {
		return nil, errs.Invalid(field(".finish_reason"), "must be a string or null")
	}
	if raw, ok := members["error"]; ok && json.Unmarshal(raw, &e.Error) != nil {
		return nil, errs.Invalid(field(".error"), `must be {"code","message"} or null`)
	}
	if e.Status == hub.StatusFailed && e.Error == nil {
		e.Error = &hub.EndError{Code: "producer_failed", Message: "the producer reported a failure"}
	}
	if e.Status == hub.StatusDone && e.FinishReason == "" {
		e.FinishReason = "stop"
	}
	if raw, ok := members["usage"]; ok && string(raw) != "null" {
		e.Usage = raw
	}
	return e, nil
}
