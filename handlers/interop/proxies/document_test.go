package proxies_test

import (
	"os"
	"slices"
	"strings"
	"testing"
)

const documentPath = "../../../web/docs/proxies.md"

// document is the page that has the tables, each between <!-- NAME --> and <!-- /NAME -->.
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

// part returns what stands between the marks of a name.
func (d *document) part(t *testing.T, name string) string {
	t.Helper()
	_, rest, begins := strings.Cut(d.text, "<!-- "+name+" -->\n")
	part, _, ends := strings.Cut(rest, "<!-- /"+name+" -->\n")
	if !begins || !ends {
		t.Fatalf("%s has no place for %s", documentPath, name)
	}
	return part
}

// write puts new parts in.
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
