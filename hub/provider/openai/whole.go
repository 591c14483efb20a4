package openai

import (
	"bytes"
	"net/http"
	"strconv"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/jsonw"
)

// whole passes on a complete answer, in compact JSON, as it is.
func (a *answer) whole(raw []byte) error {
	if raw[0] != '{' || isFault(raw) {
		return a.provider.fault(raw)
	}
	c := parse(raw, nil)
	if len(c.choices) == 0 {
		return failure(http.StatusBadGateway, "upstream_invalid",
			"the upstream's answer is not a completion: it has no choices; it says %s", a.provider.quote(raw))
	}
	a.describe(&c)
	a.usage = bytes.Clone(c.usage)
	text, reason := firstChoice(raw)
	if err := a.w.Whole(raw, text); err != nil {
		return err
	}
	a.w.Finish(hub.Finish{Reason: reason, ReasonSent: true, Usage: a.usage})
	return nil
}

// firstChoice returns the text of a complete answer's first choice, and its finish reason.
func firstChoice(raw []byte) (text, reason string) {
	for name, choices := range jsonw.Members(raw) {
		if string(name) != "choices" {
			continue
		}
		for choice := range jsonw.Elements(choices) {
			index, content, finish := readChoice(choice)
			if index == 0 {
				return content, finish
			}
		}
	}
	return "", ""
}

func readChoice(choice []byte) (index int, text, reason string) {
	for name, value := range jsonw.Members(choice) {
		switch string(name) {
		case "index":
			index, _ = strconv.Atoi(string(value)) // 0 for what is no number
		case "text":
			text, _ = jsonw.String(value)
		case "finish_reason":
			reason, _ = jsonw.String(value)
		case "message", "delta":
			for name, value := range jsonw.Members(value) {
				if string(name) == "content" {
					text += textOf(value)
				}
			}
		}
	}
	return index, text, reason
}

// textOf returns the text of a message's content: a string, or parts of which some are text.
func textOf(content []byte) string {
	if s, ok := jsonw.String(content); ok {
		return s
	}
	var text []byte
	for part := range jsonw.Elements(content) {
		isText := false
		var s string
		for name, value := range jsonw.Members(part) {
			switch string(name) {
			case "type":
				isText = string(value) == `"text"`
			case "text":
				s, _ = jsonw.String(value)
			}
		}
		if isText {
			text = append(text, s...)
		}
	}
	return string(text)
}
