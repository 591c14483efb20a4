package proxies_test

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/duckwire/duckwire/hub/hubtest"
)

const documentPath = "../../../web/docs/proxies.md"

// document is the page with the tables, each of which is between <!-- NAME --> and <!-- /NAME -->.
type document struct{ text string }

func readDocument(t *testing.T) *document {
	t.Helper()
	text, err := os.ReadFile(documentPath)
	if err != nil {
		t.Fatal(err)
	}
	return &document{string(text)}
}

func (d *document) has(line string) bool { return slices.Contains(strings.Split(d.text, "\n"), line) }

// expects returns the rungs that are live through a proxy according to the table. If the table has no such proxy yet,
// no rung is expected to be live, and patience is short.
func (d *document) expects(proxy string) expected {
	live := map[string]bool{}
	if line := lineOf(d.text, "| "+proxy+" |"); line != "" && !*update {
		cells := strings.Split(line, " | ")[1:]
		live[cells[0]] = true // the rung of our client
		for i, name := range columns() {
			live[name] = strings.HasPrefix(cells[i+1], "live")
		}
	}
	return func(rung string) time.Duration {
		if live[rung] {
			return hubtest.Hung
		}
		return patience
	}
}

// lineOf returns the first line that begins with the given text.
func lineOf(text, begins string) string {
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, begins) {
			return line
		}
	}
	return ""
}

// part returns the text between the marks of a name.
func (d *document) part(t *testing.T, name string) string {
	t.Helper()
	_, rest, begins := strings.Cut(d.text, "<!-- "+name+" -->\n")
	part, _, ends := strings.Cut(rest, "<!-- /"+name+" -->\n")
	if !begins || !ends {
		t.Fatalf("%s has no place for %s", documentPath, name)
	}
	return part
}

// write replaces parts of the document.
func (d *document) write(t *testing.T, parts map[string]string) {
	t.Helper()
	text := d.text
	for name, part := range parts {
		mark := "<!-- " + name + " -->\n"
		text = strings.Replace(text, mark+d.part(t, name), mark+part, 1)
	}
	if err := os.WriteFile(documentPath, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return lines[len(lines)-1]
}
