package openai

import (
	"fmt"
	"maps"
	"slices"
	"sync"
)

// maxLearned is the maximum number of models of which one thing is remembered. Clients choose the names.
const maxLearned = 100

// learned has what an upstream was found to refuse, so that each request is put at once in the way that it accepts.
// The zero value is ready for use. Safe for concurrent use.
type learned struct {
	mu              sync.Mutex
	noStreamOptions bool
	textPath        string // where text completions were found; "": not looked for

	// by model
	noStreaming, noSuffix, fewStops map[string]bool
}

// fact is one thing to remember.
type fact func(*learned)

func refusesStreamOptions(l *learned) { l.noStreamOptions = true }

func completesAt(path string) fact { return func(l *learned) { l.textPath = path } }

func refusesStreaming(model string) fact { return func(l *learned) { learnOf(&l.noStreaming, model) } }
func refusesSuffix(model string) fact    { return func(l *learned) { learnOf(&l.noSuffix, model) } }
func refusesManyStops(model string) fact { return func(l *learned) { learnOf(&l.fewStops, model) } }

func learnOf(models *map[string]bool, model string) {
	if *models == nil {
		*models = make(map[string]bool)
	}
	if len(*models) < maxLearned {
		(*models)[model] = true
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
	if l.textPath != "" {
		list = append(list, "completes text at /"+l.textPath)
	}
	for _, of := range []struct {
		models map[string]bool
		words  string
	}{
		{l.noSuffix, "refuses suffix for %q; its prompt is rendered with a template"},
		{l.fewStops, "refuses many stop sequences for %q; of a template's, the most important ones are sent"},
		{l.noStreaming, "refuses to stream the answers of %q; they are asked for as a whole"},
	} {
		for _, model := range slices.Sorted(maps.Keys(of.models)) {
			list = append(list, fmt.Sprintf(of.words, model))
		}
	}
	return list
}
