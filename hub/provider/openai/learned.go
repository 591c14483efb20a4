package openai

import (
	"fmt"
	"maps"
	"slices"
	"sync"
)

// maxLearned is the maximum number of facts that name a model. Clients choose the names.
const maxLearned = 100

// learned has what an upstream was found to refuse, so that each request is put at once in the way that it accepts.
// The zero value is ready for use. Safe for concurrent use.
type learned struct {
	mu              sync.Mutex
	noStreamOptions bool
	noSuffix        bool
	fewStops        bool
	textPath        string          // where text completions were found; "": not looked for
	noStreaming     map[string]bool // models whose answers cannot be streamed
}

// fact is one thing to remember.
type fact func(*learned)

func refusesStreamOptions(l *learned) { l.noStreamOptions = true }
func refusesSuffix(l *learned)        { l.noSuffix = true }

func refusesManyStops(l *learned) { l.fewStops = true }

func completesAt(path string) fact { return func(l *learned) { l.textPath = path } }

func refusesStreaming(model string) fact {
	return func(l *learned) {
		if l.noStreaming == nil {
			l.noStreaming = make(map[string]bool)
		}
		if len(l.noStreaming) < maxLearned {
			l.noStreaming[model] = true
		}
	}
}

// note remembers what led to a form that the upstream accepts.
func (l *learned) note(made []adjustment) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, a := range made {
		if a.learn != nil {
			a.learn(l)
		}
	}
}

// Learned lists what the upstream was found to refuse, in words for people.
func (p *Provider) Learned() []string {
	l := &p.learned
	l.mu.Lock()
	defer l.mu.Unlock()
	var list []string
	if l.noStreamOptions {
		list = append(list, "refuses stream_options; they are left out")
	}
	if l.noSuffix {
		list = append(list, "refuses suffix; the prompt is rendered with the model's template")
	}
	if l.fewStops {
		list = append(list, "refuses many stop sequences; of a template's, the most important ones are sent")
	}
	if l.textPath != "" {
		list = append(list, "completes text at /"+l.textPath)
	}
	for _, model := range slices.Sorted(maps.Keys(l.noStreaming)) {
		list = append(list, fmt.Sprintf("refuses to stream the answers of %q; they are asked for as a whole", model))
	}
	return list
}
