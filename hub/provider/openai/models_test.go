package openai_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/provider/openai"
)

func TestModels(t *testing.T) {
	var asked atomic.Int32
	list := `{"object":"list","data":[{"id":"a","object":"model","created":1.5e3,"owned_by":"x"},{"id":"b"},` +
		`{"owned_by":"none"}]}`
	h := func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if r.URL.Path != "/v1/models" || r.Header.Get("Authorization") != "Bearer k" {
			t.Errorf("%s %v", r.URL.Path, r.Header)
		}
		// so that most of the calls below are concurrent; the test also passes if they are not
		time.Sleep(20 * time.Millisecond)
		_, _ = io.WriteString(w, list)
	}
	a := hub.Model{
		ID: "a", Created: 1500, OwnedBy: "x",
		Raw: json.RawMessage(`{"id":"a","object":"model","created":1.5e3,"owned_by":"x"}`),
	}
	b := hub.Model{ID: "b", Raw: json.RawMessage(`{"id":"b"}`)}
	for model, want := range map[string][]hub.Model{
		"": {a, b}, "b": {b, a}, "c": {{ID: "c", OwnedBy: "upstream"}, a, b},
	} {
		asked.Store(0)
		p := newProvider(t, openai.Options{BaseURL: upstream(t, h), Key: "k", Model: model})
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				if got, err := p.Models(t.Context()); err != nil || !reflect.DeepEqual(got, want) {
					t.Errorf("%q: %v, %+v; want %+v", model, err, got, want)
				}
			})
		}
		wg.Wait()
		if asked.Load() != 1 {
			t.Errorf("asked %d times", asked.Load())
		}
	}
}

func TestModelsFail(t *testing.T) {
	for name, h := range map[string]http.HandlerFunc{
		"404":     http.NotFound,
		"not it":  func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"object":"list"}`) },
		"hanging": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
	} {
		o := openai.Options{BaseURL: upstream(t, h), ModelsTimeout: 50 * time.Millisecond}
		if got, err := newProvider(t, o).Models(t.Context()); err == nil || !errors.As(err, new(*hub.ProviderError)) {
			t.Errorf("%s: %v, %v", name, got, err)
		}
		o.Model = "m"
		if got, err := newProvider(t, o).Models(t.Context()); err != nil || len(got) != 1 || got[0].ID != "m" {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	p := newProvider(t, openai.Options{Model: "m", BaseURL: upstream(t,
		func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })})
	if _, err := p.Models(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the caller's own end: %v", err)
	}
}

// modelsOf returns the models of an upstream that answers with this list: "id|entry" joined by spaces, or the error's
// text.
func modelsOf(t *testing.T, list string) string {
	p := newProvider(t, openai.Options{BaseURL: upstream(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, list)
	})})
	models, err := p.Models(t.Context())
	if err != nil {
		return err.Error()
	}
	var got []string
	for _, m := range models {
		got = append(got, m.ID+"|"+string(m.Raw))
	}
	return strings.Join(got, " ")
}

const noList = "upstream_invalid: the upstream's list of models is not in OpenAI's form"

// TestModelForms checks the lists of other servers, and that an odd entry costs no other.
func TestModelForms(t *testing.T) {
	for list, want := range map[string]string{
		`{"data":null}`: "", `{"data":[]}`: "", `[]`: "", `{"models":null,"object":"list"}`: "",
		` [{"id":"a","context_length":8192}]`:                       `a|{"id":"a","context_length":8192}`,
		`{"models":[{"name":"a:7b","size":5}]}`:                     `a:7b|{"name":"a:7b","size":5}`,
		`{"data":[{"id":"a"}],"models":[{"id":"b"}]}`:               `a|{"id":"a"}`,
		`{"models":[{"id":"b"}],"data":[{"id":"a"}]}`:               `a|{"id":"a"}`,
		`{"data":null,"models":[{"id":"b"}]}`:                       `b|{"id":"b"}`,
		`{"data":[null,1,"x",[],{},{"id":5,"name":"n"},{"id":""}]}`: "",
		`{"data":[{"id":"a","created":"x","owned_by":{"y":[1]},"permission":{}},7]}`: `a|{"id":"a","created":"x",` +
			`"owned_by":{"y":[1]},"permission":{}}`,
		`{"data":[{"id":"a/b","name":"A"}]}`:         `a/b|{"id":"a/b","name":"A"}`,
		"{\"data\":[{\"id\":\"a\",\"x\":\"\xff\"}]}": "a|{\"id\":\"a\",\"x\":\"\ufffd\"}",
		`{"data":{"id":"a"}}`:                        noList,
		`{"data":[{"id":"a"}]`:                       noList,
		``:                                           noList,
		`{"error":{"message":"no licence","code":"lic"}}`: "lic: no licence",
	} {
		if got := modelsOf(t, list); got != want {
			t.Errorf("%s:\n got %s\nwant %s", list, got, want)
		}
	}
}

// FuzzModels checks that each model of any list has an id and an entry that is a JSON object in UTF-8.
func FuzzModels(f *testing.F) {
	for _, seed := range []string{
		`{"data":[{"id":"a"}]}`, `[{"name":"a"}]`, `{"models":null}`, `{"data":[{"id":"\ud800"}]}`,
		"[{\"id\":\"\xff\"}]",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, list []byte) {
		models, err := openai.DecodeModels(list)
		if (err == nil) != (models != nil) {
			t.Errorf("%v, %v", models, err)
		}
		for _, m := range models {
			var entry map[string]json.RawMessage
			if m.ID == "" || !utf8.Valid(m.Raw) || !utf8.ValidString(m.ID) || json.Unmarshal(m.Raw, &entry) != nil {
				t.Errorf("%q: %q", m.ID, m.Raw)
			}
		}
	})
}
