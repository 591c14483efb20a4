package openai_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/duckwire/duckwire/handlers/openai"
	"github.com/duckwire/duckwire/hub"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// aggregate folds a script whose lines are a chunk, or "text " and a JSON string. The first line names the path.
func aggregate(script []byte) []byte {
	lines := strings.Split(strings.TrimSpace(string(script)), "\n")
	meta := map[string]hub.CompletionMeta{"chat": chatDoor, "text": textDoor, "fim": fimDoor}[lines[0]]
	a := openai.NewAggregate(&meta)
	for _, line := range lines[1:] {
		if quoted, ok := strings.CutPrefix(line, "text "); ok {
			var s string
			if json.Unmarshal([]byte(quoted), &s) == nil {
				a.Text([]byte(s))
			}
			continue
		}
		a.Chunk(json.RawMessage(line))
	}
	return a.Append(nil, &info, "stop", json.RawMessage(`{"total_tokens":3}`))
}

func TestAggregate(t *testing.T) {
	for _, name := range scripts(t) {
		script, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		got := aggregate(script)
		var shown bytes.Buffer
		if err := json.Indent(&shown, got, "", "  "); err != nil {
			t.Fatalf("%s: %v: %s", name, err, got)
		}
		shown.WriteByte('\n')
		golden := strings.TrimSuffix(name, ".script") + ".golden"
		if *update {
			if err := os.WriteFile(golden, shown.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(shown.Bytes(), want) {
			t.Errorf("%s:\n%s\nwant\n%s", name, shown.Bytes(), want)
		}
	}
}

func scripts(t testing.TB) []string {
	names, err := filepath.Glob("testdata/aggregate/*.script")
	if err != nil || len(names) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	return names
}

// TestAggregateIsLinear folds the pieces of one long argument. An algorithm of quadratic time would take minutes.
func TestAggregateIsLinear(t *testing.T) {
	a := openai.NewAggregate(&chatDoor)
	piece := json.RawMessage(`{"choices":[{"index":0,` +
		`"delta":{"tool_calls":[{"index":0,"function":{"arguments":"0123456789"}}],"list":[1]},` +
		`"logprobs":{"content":[{"token":"a"}]}}]}`)
	for range 20_000 {
		a.Chunk(piece)
	}
	if got := a.Append(nil, &info, "stop", nil); len(got) < 200_000+20_000*len(`{"token":"a"}`) || !json.Valid(got) {
		t.Errorf("%d bytes", len(got))
	}
}

// TestAggregateDeep folds an answer with the maximum nesting that encoding/json allows.
func TestAggregateDeep(t *testing.T) {
	const depth = 9000
	a := openai.NewAggregate(&chatDoor)
	deep := strings.Repeat(`{"a":`, depth) + "1" + strings.Repeat("}", depth)
	for range 5 {
		a.Chunk(json.RawMessage(`{"choices":[{"index":0,"delta":{"x":` + deep + `}}]}`))
	}
	if got := string(a.Append(nil, &info, "stop", nil)); !strings.Contains(got, `"x":`+deep) {
		t.Errorf("%d bytes", len(got))
	}
}

// FuzzAggregate: for any input, the answer is one line of valid JSON with its choices in order.
func FuzzAggregate(f *testing.F) {
	for _, name := range scripts(f) {
		script, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(script)
	}
	f.Fuzz(func(t *testing.T, script []byte) {
		got := aggregate(script)
		var whole map[string]json.RawMessage
		if err := json.Unmarshal(got, &whole); err != nil || !utf8.Valid(got) || bytes.ContainsAny(got, "\r\n") {
			t.Fatalf("%v: %q", err, got)
		}
		var choices []map[string]json.RawMessage
		if err := json.Unmarshal(whole["choices"], &choices); err != nil || len(choices) == 0 {
			t.Fatalf("%v: %q", err, got)
		}
		last := math.MinInt
		for _, c := range choices {
			n, err := strconv.Atoi(string(c["index"]))
			if err != nil || n <= last && last != math.MinInt {
				t.Fatalf("index %s after %d: %q", c["index"], last, got)
			}
			last = n
		}
	})
}
