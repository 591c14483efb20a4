package config

import (
	"os"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestSettingsAreWellFormed(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range SettingsOf(&Config{}) {
		if s.key == "" || s.help == "" || seen[s.key] {
			t.Errorf("setting %q: no key, no help, or twice", s.key)
		}
		seen[s.key] = true
		if err := s.set(s.Default); err != nil && s.Default != "" {
			t.Errorf("default: %v", err)
		}
		for _, bound := range []string{s.min, s.max} {
			if bound == "" {
				continue
			}
			if err := s.set(bound); err != nil {
				t.Errorf("bound: %v", err)
			}
		}
		switch s.field.Interface().(type) {
		case int, Size, time.Duration:
			if s.min == "" || s.max == "" || s.Default == "" {
				t.Errorf("%s: everything that can grow has a limit and a default", s.key)
			}
		}
	}
}

func TestPrecedence(t *testing.T) {
	t.Chdir(t.TempDir())
	writeFile(t, "duckwire.yaml", "addr: :1\nlog_level: error\nqueue_max: 1\ntopics: 1\n")
	writeFile(t, "other.yaml", "topics: 7\n")
	l, err := Load(Sources{
		Environ: []string{
			"HOME=/", "DUCKWIRE_LOG_LEVEL=warn", "DUCKWIRE_QUEUE_MAX=2", "DUCKWIRE_TOKEN=x", "DUCKWIRE_URL=y",
			"DUCKWIRE_TOPICS=",
		},
		Flags: map[string]string{"queue_max": "3"},
	})
	if err != nil {
		t.Fatal(err)
	}
	got := []any{l.Addr, l.LogLevel, l.QueueMax, l.Topics, l.QueueTTL, l.MessageBytes}
	want := []any{":1", "warn", 3, 1, 24 * time.Hour, Size(1 << 20)}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	for key, from := range map[string]string{
		"addr": "duckwire.yaml:1", "log_level": "DUCKWIRE_LOG_LEVEL", "queue_max": "--queue-max",
		"topics": "duckwire.yaml:4", "lease": "default",
	} {
		if l.From[key] != from {
			t.Errorf("%s is from %s, want %s", key, l.From[key], from)
		}
	}
	l, err = Load(Sources{Environ: []string{"DUCKWIRE_CONFIG=other.yaml"}})
	if err != nil || l.Topics != 7 || l.Addr != "127.0.0.1:4000" {
		t.Errorf("DUCKWIRE_CONFIG: %v, %d, %s", err, l.Topics, l.Addr)
	}
}

func TestFaults(t *testing.T) {
	t.Chdir(t.TempDir())
	writeFile(t, "key.txt", "no key")
	for name, c := range map[string]struct{ env, want string }{
		"addr":         {"ADDR=4000", `addr: "4000" must be HOST:PORT`},
		"unknown":      {"ADRR=x", `DUCKWIRE_ADRR is no setting; did you mean DUCKWIRE_ADDR?`},
		"unknown, far": {"WHATEVER_IT_IS_CALLED_HERE=x", `lists them all`},
		"too little": {
			"MESSAGE_BYTES=1B", `message_bytes: "1B" is too little; the least is 1KiB (from DUCKWIRE_MESSAGE_BYTES)`,
		},
		"too much":         {"HEARTBEAT=2m", `heartbeat: "2m" is too much; the most is 60s`},
		"no size":          {"BODY_BYTES=8 megs", `must be a size such as "256KiB"`},
		"overflow":         {"LOG_MEMORY=99999999999GiB", `must be a size`},
		"negative":         {"BODY_BYTES=-1", `must be a size`},
		"no bool":          {"DEV=maybe", `dev: "maybe" must be true or false`},
		"no unit":          {"LEASE=30", `must be a time with its unit`},
		"negative time":    {"LEASE=-1s", `is too little`},
		"upstream query":   {"UPSTREAM_URL=http://h/v1?key=x", `upstream_url: "http://h/v1?key=x" must have no query`},
		"upstream slashes": {"UPSTREAM_URL=http://h/v1//", `must end in one slash or none`},
		"upstreams":        {"UPSTREAMS=hunter2", `upstreams: the value can only be set in duckwire.yaml, as a list`},
		"upstream dialect": {"UPSTREAM_DIALECT=magic", `must be one of auto, openai, mistral`},
		"upstream path":    {"UPSTREAM_PATHS=embeddings,../x", `upstream_paths: "../x" must be a path below /v1`},
		"upstream paths":   {"UPSTREAM_PATHS=a,b,a", `upstream_paths: "a" is there twice`},
		"upstream scheme":  {"UPSTREAM_URL=h/v1", `must be a whole http or https URL`},
		"upstream fim":     {"UPSTREAM_FIM=magic", `must be one of auto, suffix`},
		"jwks":             {"JWKS_URL=keys.json", `jwks_url: "keys.json" must be a whole`},
		"origin with path": {
			"ALLOWED_ORIGINS=https://a.example,https://b.example/app", `"https://b.example/app" must be an origin`,
		},
		"origin in the middle": {
			"ALLOWED_ORIGINS=https://a*.example.com", `allowed_origins: "https://a*.example.com" must be an origin`,
		},
		"short secret":        {"JWT_SECRET=hunter2", `jwt_secret: has 7 bytes; the least is 32`},
		"no such key file":    {"JWT_PUBLIC_KEY=none.pem", `neither PEM text nor a file`},
		"key file without it": {"JWT_PUBLIC_KEY=key.txt", `holds no PEM text`},
		"corpus":              {"LOCAL_CORPUS=key.txt", `local_corpus: key.txt is no folder`},
		"message over body": {
			"MESSAGE_BYTES=1MiB\nBODY_BYTES=512KiB", `message_bytes: 1MiB is more than a whole body may have`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			var environ []string
			for _, pair := range strings.Split(c.env, "\n") {
				environ = append(environ, EnvPrefix+pair)
			}
			_, err := Load(Sources{Environ: environ})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v\nwant %s", err, c.want)
			}
			if err != nil && strings.Contains(err.Error(), "hunter2") {
				t.Error("the error tells the secret")
			}
		})
	}
}

func TestYAMLForms(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"empty":           {"", ""},
		"comments":        {"# nothing\n", ""},
		"null":            {"addr:\n", ""},
		"list":            {"allowed_origins: [https://a.example, https://b.example]\n", ""},
		"list as text":    {"allowed_origins: https://a.example,https://b.example\n", ""},
		"anchor":          {"addr: &a :1\ndata_dir: *a\n", ""},
		"no mapping":      {"- addr\n", "duckwire.yaml:1: must be lines of the form 'key: value'"},
		"no YAML":         {"addr: [\n", "duckwire.yaml: line"},
		"nested":          {"limits:\n  queue_max: 5\n", "duckwire.yaml:1: limits is no setting"},
		"mapping":         {"addr: {a: b}\n", "addr: must be a single value"},
		"mapping in list": {"allowed_origins: [{a: b}]\n", "allowed_origins: must be a list of texts"},
		"unknown":         {"\n\nque_max: 5\n", "duckwire.yaml:3: que_max is no setting; did you mean queue_max?"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			writeFile(t, "duckwire.yaml", c.text)
			_, err := Load(Sources{})
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
}

func TestServeNeedsAKey(t *testing.T) {
	for name, c := range map[string]struct {
		cfg  Config
		want error
	}{
		"nothing":       {Config{}, ErrNoKey},
		"authorize url": {Config{AuthorizeURL: "http://a"}, ErrNoKey}, // it authorizes, but does not authenticate
		"dev":           {Config{Dev: true}, nil},
		"secret":        {Config{JWTSecret: strings.Repeat("s", minSecret)}, nil},
		"public key":    {Config{JWTPublicKey: "k"}, nil},
		"jwks":          {Config{JWKSURL: "http://a"}, nil},
		"API keys":      {Config{APIKeys: []string{"k"}}, nil},
		"redis":         {Config{Dev: true, RedisURL: "redis://h"}, nil},
	} {
		if err := CheckServe(&c.cfg); err != c.want {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSize(t *testing.T) {
	for text, want := range map[string]Size{
		"0": 0, "17": 17, "17B": 17, "1KiB": 1024, "1 KiB": 1024, "2kB": 2000, "3MB": 3e6, "8MiB": 8 << 20,
		"1GiB": 1 << 30, "1GB": 1e9,
	} {
		if got, err := ParseSize(text); err != nil || got != want {
			t.Errorf("%s: %d, %v", text, got, err)
		}
	}
	for _, text := range []string{
		"", "KiB", "1.5MiB", "-1", "+1", "1TiBB", "0x10", "9223372036854775808", "9223372036854775807KiB",
	} {
		if got, err := ParseSize(text); err == nil {
			t.Errorf("%q: %d, want an error", text, got)
		}
	}
	for _, s := range []Size{0, 1, 1023, 1024, 1025, 256 << 10, 3 << 30, 1e6} {
		if got, err := ParseSize(s.String()); err != nil || got != s {
			t.Errorf("%s: %d, %v", s, got, err)
		}
	}
}

func TestShowDuration(t *testing.T) {
	for text, want := range map[string]string{
		"1h": "1h", "90m": "1h30m", "10s": "10s", "60s": "1m", "0s": "0s", "1h0m5s": "1h0m5s", "10m": "10m",
		"100h": "100h",
	} {
		d, _ := time.ParseDuration(text)
		if got := ShowDuration(d); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}

// writeFile writes a file in the working folder.
func writeFile(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
