// Package formtest reads the prompts of editor plugins in testdata/forms of package local, for the tests.
package formtest

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
)

// Form is the prompt of a plugin. In its messages {P} is the code before the cursor, and {S} that after it.
type Form struct {
	Name     string
	Prompt   string // of a text completion; "": a chat
	Messages []Message
}

// Message is a chat message.
type Message struct{ Role, Content string }

// Read returns all forms. dir is the folder of package local.
func Read(t testing.TB, dir string) (forms []Form) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "testdata", "forms", "*.txt"))
	if err != nil || len(names) == 0 {
		t.Fatalf("no forms in %s: %v", dir, err)
	}
	for _, name := range names {
		file, err := txtar.ParseFile(name)
		if err != nil {
			t.Fatal(err)
		}
		form := Form{Name: strings.TrimSuffix(filepath.Base(name), ".txt")}
		for _, m := range file.Files {
			content := strings.TrimSuffix(string(m.Data), "\n")
			if m.Name == "prompt" {
				form.Prompt = content
			} else {
				form.Messages = append(form.Messages, Message{m.Name, content})
			}
		}
		forms = append(forms, form)
	}
	return forms
}

// Render puts code into a message.
func Render(content, prefix, suffix string) string {
	return strings.NewReplacer("{P}", prefix, "{S}", suffix).Replace(content)
}
