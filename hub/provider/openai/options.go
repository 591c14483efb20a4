package openai

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// defaultMaxEvent admits what models for images send.
const defaultMaxEvent = 32 << 20

// Options are a Provider's settings. BaseURL is required; other zero values mean the defaults.
type Options struct {
	BaseURL string // of the upstream, http or https; its path, usually /v1, is that of the API
	Key     string // sent as Authorization: Bearer; "": none
	// requested if the client names no model, or the built-in completer; "": the client's choice is passed on
	Model string

	Dialect           DialectName // what is known of the vendor's API; default Auto
	FIM               FIM         // how the upstream gets the text after the cursor; default and AutoFIM: the dialect's
	OmitStreamOptions bool        // do not request the usage: for upstreams that fail on stream_options

	ConnectTimeout    time.Duration // for connecting, and again for the TLS handshake; default 10 s
	FirstTokenTimeout time.Duration // without a byte from the upstream, before a stream's first event; default 2 min
	SilenceTimeout    time.Duration // the same after its first event; default 1 min
	EndTimeout        time.Duration // for [DONE] and the usage, after every choice has ended; default 30 s
	// from the request to a stream's first event, and from each event to the next; or to a whole answer; default 10 min
	AnswerTimeout time.Duration

	Tries     int           // maximum requests for one completion, all before its first token; default 3
	RetryWait time.Duration // before the first retry, then doubled each time, ± 50 %; default 200 ms
	RetryMost time.Duration // if the upstream asks for a longer wait, there is no retry; default 3 s

	MaxEvent int // maximum bytes of one event, or of an answer that is not a stream; default 32 MiB

	ModelsTimeout time.Duration // for the list of models; default 5 s
	ModelsTTL     time.Duration // how long that list is cached; default 30 s

	Transport http.RoundTripper // nil: a new one, with ConnectTimeout and the standard proxy variables

	Header func(ctx context.Context, h http.Header) // adds headers to each request, from its context; nil: none
}

// FIM says how to request fill-in-the-middle.
type FIM string

// The values: the field "suffix", or the template of a family of models, rendered into "prompt".
const (
	AutoFIM   FIM = "auto" // Suffix, and ByModel if the upstream refuses it
	Suffix    FIM = "suffix"
	ByModel   FIM = "model" // the template of the model's family, told by its name; Suffix if it tells none
	Qwen      FIM = "qwen"  // also CodeGemma
	StarCoder FIM = "starcoder"
	CodeLlama FIM = "codellama"
	Codestral FIM = "codestral"
	DeepSeek  FIM = "deepseek"
)

func (o Options) withDefaults() Options {
	o.BaseURL = strings.TrimRight(o.BaseURL, "/")
	if o.Dialect == "" {
		o.Dialect = Auto
	}
	if o.FIM == "" || o.FIM == AutoFIM {
		o.FIM = cmp.Or(dialects[o.Dialect].fim, AutoFIM)
	}
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{
		{&o.ConnectTimeout, 10 * time.Second},
		{&o.FirstTokenTimeout, 2 * time.Minute},
		{&o.SilenceTimeout, time.Minute},
		{&o.AnswerTimeout, 10 * time.Minute},
		{&o.EndTimeout, 30 * time.Second},
		{&o.RetryWait, 200 * time.Millisecond},
		{&o.RetryMost, 3 * time.Second},
		{&o.ModelsTimeout, 5 * time.Second},
		{&o.ModelsTTL, 30 * time.Second},
	} {
		if *d.field == 0 {
			*d.field = d.value
		}
	}
	if o.Tries == 0 {
		o.Tries = 3
	}
	if o.MaxEvent == 0 {
		o.MaxEvent = defaultMaxEvent
	}
	return o
}

func (o *Options) validate() error {
	u, err := url.Parse(o.BaseURL)
	switch {
	// err would contain the URL, which may contain a password
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		return errors.New("the upstream's base URL must be a whole http or https URL")
	case u.RawQuery != "" || u.Fragment != "":
		return errors.New("the upstream's base URL must have no query and no fragment")
	case strings.ContainsFunc(o.Key, func(r rune) bool { return r <= ' ' || r > '~' }):
		return errors.New("the upstream's key holds a space or another character that no header can carry")
	case o.Tries < 0 || o.MaxEvent < 0:
		return errors.New("the number of tries and the size of an event cannot be negative")
	}
	if _, ok := dialects[o.Dialect]; !ok {
		return fmt.Errorf("no dialect is called %q; there are %s", o.Dialect, strings.Join(Dialects(), ", "))
	}
	if !slices.Contains(FIMs(), string(o.FIM)) {
		return fmt.Errorf("no way to fill in the middle is called %q; there are %s", o.FIM, strings.Join(FIMs(), ", "))
	}
	return nil
}
