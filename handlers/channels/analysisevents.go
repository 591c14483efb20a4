package channels

import (
	"encoding/json"
	"maps"
	"strings"

	"github.com/duckwire/duckwire/handlers/socket"
	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/coding"
	"github.com/duckwire/duckwire/hub/log"
)

// analysisEvents determines the events that report the successful end of an analysis.
type analysisEvents struct {
	last func(t *analysisRenderer, f *coding.Findings) []endEvent
}

// endEvent is one of these events. more are its members beside the common ones.
type endEvent struct {
	event string
	more  map[string]any
}

// projectEndEvents are the events after start_analysis.
func projectEndEvents(_ *analysisRenderer, f *coding.Findings) []endEvent {
	return []endEvent{{"analysis_complete", map[string]any{
		"status": "success", "summary": f.Summary, "total_files": f.Files,
	}}}
}

// codeEndEvents are the events after analyze on analysis:*.
func codeEndEvents(t *analysisRenderer, f *coding.Findings) []endEvent {
	result := endEvent{"analysis_result", map[string]any{"type": t.what.Type, "result": t.result(f)}}
	return append([]endEvent{result}, projectEndEvents(t, f)...)
}

// codeChannelEvents returns the events on code:*: the single event that the client's generation waits for.
func codeChannelEvents(event string) analysisEvents {
	return analysisEvents{last: func(t *analysisRenderer, f *coding.Findings) []endEvent {
		return []endEvent{{event, map[string]any{"status": "success", "result": t.result(f), "summary": f.Summary}}}
	}}
}

// analysisRenderer encodes one analysis for one client.
type analysisRenderer struct {
	stream *hub.Stream
	what   *analysisInput
	events analysisEvents
	over   func()
}

// result returns the result of one file in RubberDuck's format.
func (t *analysisRenderer) result(f *coding.Findings) map[string]any {
	return map[string]any{
		"file": t.what.FilePath, "language": t.what.Language, "issues": f.Issues, "summary": f.Summary,
		"metrics": map[string]any{}, "patterns": []any{}, "suggestions": []any{},
	}
}

// open returns the common members of a payload: the analysis, and the position to resume from after it.
func (t *analysisRenderer) open(at log.Position) map[string]any {
	p := map[string]any{
		"id": answerID(t.stream), "analysis_id": t.stream.ID, "request_id": t.stream.ID, "timestamp": now(),
	}
	if at.Epoch != "" {
		p["position"] = at.String()
	}
	if t.what.Project != "" {
		p["project_id"] = t.what.Project
	}
	if t.what.File != "" {
		p["file_id"] = t.what.File
	}
	return p
}

// render implements socket.Renderer: structured entries under their own names, text as analysis_chunk, and the end.
func (t *analysisRenderer) render(dst []socket.Outgoing, item *log.Item) []socket.Outgoing {
	p := t.open(log.Position{Epoch: t.stream.Epoch(), Offset: item.To})
	ev := item.Event
	switch {
	case ev == nil:
		p["chunk"], p["at"] = string(item.Text), item.At
		return append(dst, outgoing("analysis_chunk", p))
	case ev.Kind == log.EndEvent:
		t.over()
		return t.end(dst, readEnd(ev.Data), p)
	case ev.Kind != log.StreamEvent || !mayForward(ev.Name):
		return dst
	}
	var members map[string]json.RawMessage
	if json.Unmarshal(ev.Data, &members) != nil {
		members = map[string]json.RawMessage{"result": ev.Data}
	}
	for name, value := range members {
		if _, ours := p[name]; !ours {
			p[name] = value
		}
	}
	return append(dst, outgoing(ev.Name, p))
}

// mayForward reports whether a producer's entry may be sent under its name. It may not use a name of the protocol, or
// analysis_started, which the server sends.
func mayForward(name string) bool {
	return name != "analysis_started" && !strings.HasPrefix(name, "phx_") && !strings.HasPrefix(name, "presence_")
}

func (t *analysisRenderer) end(dst []socket.Outgoing, e *streamEnd, p map[string]any) []socket.Outgoing {
	if e.Status != hub.StatusDone {
		p["error"], p["code"] = e.text(), e.Error.Code
		return append(dst, outgoing("analysis_error", p))
	}
	for _, last := range t.events.last(t, coding.FindingsOf(t.stream)) {
		whole := maps.Clone(p)
		maps.Copy(whole, last.more)
		dst = append(dst, outgoing(last.event, whole))
	}
	return dst
}

// outgoing encodes a payload of strings, numbers, and JSON that the hub has validated.
func outgoing(event string, payload map[string]any) socket.Outgoing {
	raw, err := json.Marshal(payload)
	if err != nil {
		panic(err)
	}
	return socket.Outgoing{Event: event, Payload: raw}
}
