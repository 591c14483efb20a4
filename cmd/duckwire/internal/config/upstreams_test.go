package config

import (
	"reflect"
	"strings"
	"testing"
)

// loadYAML loads duckwire.yaml with this text.
func loadYAML(t *testing.T, text string, environ ...string) (*Loaded, error) {
	t.Helper()
	t.Chdir(t.TempDir())
	writeFile(t, "duckwire.yaml", text)
	return Load(Sources{Environ: environ})
}

const twoUpstreams = `
upstreams:
  - name: near
    url: http://127.0.0.1:8000/v1
    models: [qwen*, "*-coder"]
    dialect: vllm
    fim: qwen
  - name: far
    url: https://openrouter.ai/api/v1/
    key_env: DUCKWIRE_FAR_KEY
    model: openai/gpt-4o
  - {name: third, url: "https://h.example/beta", key: sk-hunter2}
`

func TestUpstreams(t *testing.T) {
	l, err := loadYAML(t, twoUpstreams, "DUCKWIRE_FAR_KEY=sk-far-hunter2")
	if err != nil {
		t.Fatal(err)
	}
	list := l.UpstreamList()
	for i := range list {
		list[i].where = ""
	}
	want := []Upstream{
		{
			Name: "near", URL: "http://127.0.0.1:8000/v1", Models: []string{"qwen*", "*-coder"}, Dialect: "vllm",
			FIM: "qwen",
		},
		{
			Name: "far", URL: "https://openrouter.ai/api/v1/", Key: "sk-far-hunter2", KeyEnv: "DUCKWIRE_FAR_KEY",
			Model: "openai/gpt-4o", Dialect: "auto", FIM: "auto",
		},
		{Name: "third", URL: "https://h.example/beta", Key: "sk-hunter2", Dialect: "auto", FIM: "auto"},
	}
	if !reflect.DeepEqual(list, want) {
		t.Errorf("got %+v\nwant %+v", list, want)
	}
	if !l.SecretsInFile() {
		t.Error("the key in the file is not seen")
	}
	var b strings.Builder
	if err := Print(&b, l); err != nil || strings.Contains(b.String(), "hunter2") {
		t.Errorf("%v; the key is shown in\n%s", err, b.String())
	}
	again, err := loadYAML(t, b.String(), "DUCKWIRE_FAR_KEY=sk-far-hunter2")
	if err != nil {
		t.Fatalf("what is printed cannot be read: %v", err)
	}
	want[2].Key = ""
	for i := range again.Upstreams {
		again.Upstreams[i].where = ""
	}
	if !reflect.DeepEqual(again.Upstreams, want) {
		t.Errorf("printed and read again: %+v\nwant %+v", again.Upstreams, want)
	}
	named, err := loadYAML(t, "upstreams: [{name: a, url: 'http://h', key_env: X}]", "X=sk-hunter2")
	if err != nil || named.SecretsInFile() {
		t.Errorf("the file has only the name of a variable: %v", err)
	}
}

func TestOneUpstream(t *testing.T) {
	l, err := loadYAML(t, "upstream_url: http://h/v1\nupstream_key: k\nupstream_model: m\nupstream_dialect: vllm\n"+
		"upstream_fim: qwen\nupstream_paths: []\n")
	want := []Upstream{{Name: "upstream", URL: "http://h/v1", Key: "k", Model: "m", Dialect: "vllm", FIM: "qwen"}}
	if err != nil || !reflect.DeepEqual(l.UpstreamList(), want) || len(l.UpstreamPaths) != 0 {
		t.Errorf("%v, %+v, %q", err, l.UpstreamList(), l.UpstreamPaths)
	}
	for _, base := range []string{"http://h", "https://h/", "https://h/v1beta/x", "https://h/paas/v4", "https://h/v1/"} {
		if _, err := loadYAML(t, "upstream_url: "+base); err != nil {
			t.Errorf("%s: %v", base, err)
		}
	}
	if l, err = loadYAML(t, "upstreams:\n"); err != nil || l.UpstreamList() != nil {
		t.Errorf("%v, %+v", err, l.UpstreamList())
	}
}

func TestUpstreamFaults(t *testing.T) {
	const one = "upstreams:\n- name: a\n  url: http://h/v1\n"
	for _, c := range []struct{ text, want string }{
		{
			"upstreams: 5",
			`the value can only be set in duckwire.yaml, as a list (from duckwire.yaml:1)`,
		},
		{
			"upstreams: {name: a}",
			`duckwire.yaml:1: upstreams must be a list: lines of the form '- name: …'`,
		},
		{
			"upstreams:\n- a\n",
			`duckwire.yaml:2: must be lines of the form 'key: value'`,
		},
		{
			one + "  modle: x",
			`duckwire.yaml:4: modle is no setting; did you mean model?`,
		},
		{
			one + "  url: http://h/v1",
			`url: is set twice (from duckwire.yaml:4)`,
		},
		{
			one + "  model: [x]",
			`model: must be a single value (from duckwire.yaml:4)`,
		},
		{
			one + "  models: {x: y}",
			`models: must be a text or a list of texts (from duckwire.yaml:4)`,
		},
		{
			one + "  models: [a*b]",
			`upstreams: models: "a*b" may have * at its beginning or end only (from duckwire.yaml:2)`,
		},
		{
			one + "  dialect: magic",
			`upstreams: dialect: must be one of auto, openai, mistral`,
		},
		{
			one + "  fim: magic",
			`upstreams: fim: must be one of auto, suffix`,
		},
		{
			one + "  key: sk-hunter2\n  key_env: X",
			`upstreams: give key or key_env, not both (from duckwire.yaml:2)`,
		},
		{
			one + "  key_env: NOT_THERE",
			`upstreams: key_env: the environment has no NOT_THERE (from duckwire.yaml:2)`,
		},
		{
			one + "- name: a\n  url: http://h/v1",
			`upstreams: name: "a" is there twice (from duckwire.yaml:4)`,
		},
		{
			one + "- url: http://h/v1",
			`upstreams: name: "" must be 1 to 64 letters, digits, or . _ - (from duckwire.yaml:4)`,
		},
		{
			one + "- name: b",
			`upstreams: url: is missing (from duckwire.yaml:4)`,
		},
		{
			one + "- {name: b, url: h/v1}",
			`upstreams: url: "h/v1" must be a whole http or https URL (from duckwire.yaml:4)`,
		},
		{
			one + "upstream_url: http://h/v1",
			`upstream_url: cannot be given beside upstreams; move it into that list (from duckwire.yaml:4)`,
		},
		{
			one + "upstream_key: sk-hunter2",
			`upstream_key: cannot be given beside upstreams`,
		},
	} {
		_, err := loadYAML(t, c.text)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q:\n got %v\nwant %s", c.text, err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: the error tells the secret", c.text)
		}
	}
}

// FuzzUpstreams checks that any list is read without a panic, and is printed without its keys.
func FuzzUpstreams(f *testing.F) {
	f.Add(twoUpstreams)
	f.Add("upstreams: [{name: a, url: http://h, key: k}]")
	f.Add("upstreams: [&a {name: a}, *a, 5, [x]]")
	f.Fuzz(func(t *testing.T, text string) {
		l := &Loaded{From: map[string]string{}}
		var faults faults
		readYAML(l, SettingsOf(&l.Config), "f.yaml", []byte(text), &faults)
		for i := range l.Upstreams {
			l.Upstreams[i].Key = "sk-hunter2"
		}
		if strings.Contains(showUpstreams(l.Upstreams), "sk-hunter2") && !strings.Contains(text, "sk-hunter2") {
			t.Error("a key is shown")
		}
	})
}
