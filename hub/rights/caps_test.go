package rights_test

import (
	"encoding/json"
	"errors"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/rights"
)

var allActions = []rights.Action{rights.ActionSubscribe, rights.ActionPublish, rights.ActionPresence, rights.ActionComplete, rights.ActionProduce, rights.ActionQueue, rights.ActionAdmin, rights.ActionAll}

func mustCaps(t testing.TB, raw map[string][]string, user string) rights.Caps {
	t.Helper()
	c, err := rights.ParseCaps(raw, user)
	if err != nil {
		t.Fatalf("ParseCaps(%v, %q): %v", raw, user, err)
	}
	return c
}

func TestCapsAllows(t *testing.T) {
	for name, c := range map[string]struct {
		raw    map[string][]string
		user   string
		topic  string
		action rights.Action
		want   bool
	}{
		"exact":                      {map[string][]string{"code:1": {"publish"}}, "u", "code:1", "publish", true},
		"exact, another action":      {map[string][]string{"code:1": {"publish"}}, "u", "code:1", "subscribe", false},
		"exact, a longer topic":      {map[string][]string{"code:1": {"publish"}}, "u", "code:12", "publish", false},
		"prefix":                     {map[string][]string{"code:*": {"publish"}}, "u", "code:project:1", "publish", true},
		"prefix and nothing":         {map[string][]string{"code:*": {"publish"}}, "u", "code:", "publish", true},
		"prefix, a shorter topic":    {map[string][]string{"code:*": {"publish"}}, "u", "code", "publish", false},
		"everything":                 {map[string][]string{"*": {"*"}}, "u", "a", "queue", true},
		"star implies admin":         {map[string][]string{"*": {"*"}}, "u", "a", "admin", true},
		"admin implies all":          {map[string][]string{"a:*": {"admin"}}, "u", "a:1", "produce", true},
		"admin there only":           {map[string][]string{"a:*": {"admin"}}, "u", "b:1", "produce", false},
		"all but admin is not star":  {map[string][]string{"a": {"subscribe", "publish", "presence", "complete", "produce", "queue"}}, "u", "a", "*", false},
		"the second pattern":         {map[string][]string{"a": {"queue"}, "b": {"publish"}}, "u", "b", "publish", true},
		"rights do not cross":        {map[string][]string{"a": {"queue"}, "b": {"publish"}}, "u", "a", "publish", false},
		"an unknown action":          {map[string][]string{"*": {"*"}}, "u", "a", "dance", false},
		"the empty action":           {map[string][]string{"*": {"*"}}, "u", "a", "", false},
		"sub":                        {map[string][]string{"user:{sub}": {"*"}}, "7", "user:7", "queue", true},
		"sub, another":               {map[string][]string{"user:{sub}": {"*"}}, "7", "user:77", "queue", false},
		"sub in the middle":          {map[string][]string{"a:{sub}:*": {"*"}}, "7", "a:7:x", "queue", true},
		"sub twice":                  {map[string][]string{"{sub}:{sub}": {"*"}}, "7", "7:7", "queue", true},
		"a user * is literal":        {map[string][]string{"user:{sub}": {"*"}}, "*", "user:bob", "queue", false},
		"a user * at most itself":    {map[string][]string{"user:{sub}": {"*"}}, "*", "user:*", "queue", true},
		"a user ending in *":         {map[string][]string{"user:{sub}": {"*"}}, "bob*", "user:bobby", "queue", false},
		"a user * before a prefix":   {map[string][]string{"u:{sub}:*": {"*"}}, "*", "u:bob:1", "queue", false},
		"a user {sub} is not nested": {map[string][]string{"user:{sub}": {"*"}}, "{sub}", "user:{sub}", "queue", true},
		"no capabilities":            {nil, "u", "a", "queue", false},
		"an empty list":              {map[string][]string{"*": {}}, "u", "a", "queue", false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := mustCaps(t, c.raw, c.user).Allows(c.topic, c.action); got != c.want {
				t.Errorf("Allows(%q, %q) = %t with %v", c.topic, c.action, got, c.raw)
			}
		})
	}
}

func TestParseCapsFaults(t *testing.T) {
	many := map[string][]string{}
	for i := range rights.MaxCapsPatterns + 1 {
		many["t:"+strconv.Itoa(i)] = []string{"publish"}
	}
	for name, c := range map[string]struct {
		raw   map[string][]string
		user  string
		field string
	}{
		"an empty pattern":         {map[string][]string{"": {"publish"}}, "u", `caps[""]`},
		"a * inside":               {map[string][]string{"a*b": {"publish"}}, "u", `caps["a*b"]`},
		"two at the end":           {map[string][]string{"a:**": {"publish"}}, "u", `caps["a:**"]`},
		"a * before sub":           {map[string][]string{"*{sub}": {"publish"}}, "u", `caps["*{sub}"]`},
		"sub and * at once":        {map[string][]string{"user:{sub}*": {"publish"}}, "1", `caps["user:{sub}*"]`},
		"sub without a user":       {map[string][]string{"user:{sub}": {"publish"}}, "", `caps["user:{sub}"]`},
		"a control character":      {map[string][]string{"a\nb": {"publish"}}, "u", `caps["a\nb"]`},
		"a C1 control character":   {map[string][]string{"a\u0085b": {"publish"}}, "u", `caps["a\u0085b"]`},
		"not UTF-8":                {map[string][]string{"a\xff": {"publish"}}, "u", `caps["a\xff"]`},
		"a pattern too long":       {map[string][]string{strings.Repeat("a", rights.MaxCapsPattern+1): {"publish"}}, "u", `caps["` + strings.Repeat("a", 64) + `…"]`},
		"too many patterns":        {many, "u", "caps"},
		"an unknown action":        {map[string][]string{"code:*": {"publish", "dance"}}, "u", `caps["code:*"][1]`},
		"an action in capitals":    {map[string][]string{"a": {"Publish"}}, "u", `caps["a"][0]`},
		"an empty action":          {map[string][]string{"a": {""}}, "u", `caps["a"][0]`},
		"too many actions":         {map[string][]string{"a": slices.Repeat([]string{"publish"}, rights.MaxCapsActions+1)}, "u", `caps["a"]`},
		"the first of two, always": {map[string][]string{"b": {"x"}, "a": {"x"}, "c": {"x"}}, "u", `caps["a"][0]`},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := rights.ParseCaps(c.raw, c.user)
			var field *errs.FieldError
			if !errors.As(err, &field) || field.Field != c.field {
				t.Fatalf("got %v, want a fault of %s", err, c.field)
			}
			if !errors.Is(err, errs.ErrInvalid) || !reflect.DeepEqual(got, rights.Caps{}) {
				t.Errorf("got %v with the error %v", got, err)
			}
		})
	}
}

func TestCapsAnyAndAdmin(t *testing.T) {
	c := mustCaps(t, map[string][]string{"a:*": {"publish"}, "b": {"queue"}}, "u")
	if !c.AllowsAny("queue") || c.AllowsAny("produce") || c.AllowsAny("") || c.AllowsAny("dance") {
		t.Error("AllowsAny is wrong")
	}
	for raw, want := range map[string]bool{"*": true, "a:*": false, "a": false} {
		if got := mustCaps(t, map[string][]string{raw: {"admin"}}, "u").Admin(); got != want {
			t.Errorf("Admin() = %t for admin on %q", got, raw)
		}
	}
	if mustCaps(t, map[string][]string{"*": {"publish"}}, "u").Admin() || (rights.Caps{}).Admin() {
		t.Error("Admin() without admin")
	}
	if mustCaps(t, map[string][]string{"{sub}": {"*"}}, "*").Admin() {
		t.Error("a user named * is admin")
	}
}

func TestCapsJSON(t *testing.T) {
	c := mustCaps(t, map[string][]string{"user:{sub}": {"*"}, "code:*": {"publish", "subscribe", "publish"}, "a": {"admin"}, "none": {}}, "7")
	got, err := json.Marshal(c)
	if want := `{"a":["admin"],"code:*":["subscribe","publish"],"user:7":["*"]}`; err != nil || string(got) != want {
		t.Errorf("got %s, %v; want %s", got, err, want)
	}
	if got, _ := json.Marshal(rights.Caps{}); string(got) != "{}" {
		t.Errorf("no capabilities are %s", got)
	}
	merged := mustCaps(t, map[string][]string{"user:{sub}": {"publish"}, "user:7": {"queue"}}, "7").Map()
	if !reflect.DeepEqual(merged, map[string][]string{"user:7": {"publish", "queue"}}) {
		t.Errorf("patterns that became the same are shown as %v", merged)
	}
}

func TestAllowsDoesNotAllocate(t *testing.T) {
	c := mustCaps(t, map[string][]string{"user:{sub}": {"*"}, "code:*": {"publish"}, "a": {"admin"}}, "7")
	if n := testing.AllocsPerRun(100, func() { _ = c.Allows("code:project:42", rights.ActionPublish) && c.AllowsAny(rights.ActionAdmin) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// naiveAllows is the model: it matches strings, with no parsing and no sets. The user's own * is hidden as a character
// that no pattern has.
func naiveAllows(raw map[string][]string, user, topic string, a rights.Action) bool {
	const hidden = "\x00"
	user, topic = strings.ReplaceAll(user, "*", hidden), strings.ReplaceAll(topic, "*", hidden)
	for pattern, actions := range raw {
		pattern = strings.Join(strings.Split(pattern, "{sub}"), user)
		matches := pattern == topic || (strings.HasSuffix(pattern, "*") && len(topic) >= len(pattern)-1 && topic[:len(pattern)-1] == pattern[:len(pattern)-1])
		if matches && (slices.Contains(actions, string(a)) || slices.Contains(actions, "*") || slices.Contains(actions, "admin")) {
			return true
		}
	}
	return false
}

// TestCapsModel holds Caps to the naive matcher, over few letters so that matches are common.
func TestCapsModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		part := rapid.SampledFrom([]string{"a", "b", ":", "aa", "{sub}", "{", "é"})
		pattern := rapid.Custom(func(t *rapid.T) string {
			p := strings.Join(rapid.SliceOfN(part, 0, 4).Draw(t, "parts"), "")
			if p == "" || !strings.HasSuffix(p, "{sub}") && rapid.Bool().Draw(t, "star") {
				p += "*"
			}
			return p
		})
		action := rapid.SampledFrom(allActions)
		word := rapid.Custom(func(t *rapid.T) string { return string(action.Draw(t, "action")) })
		raw := rapid.MapOfN(pattern, rapid.SliceOfN(word, 0, 3), 0, 4).Draw(t, "caps")
		user := rapid.StringOfN(rapid.SampledFrom([]rune("ab:*é")), 1, 3, -1).Draw(t, "user")
		caps, err := rights.ParseCaps(raw, user)
		if err != nil {
			t.Fatalf("ParseCaps: %v", err)
		}
		again, err := rights.ParseCaps(caps.Map(), user)
		if err != nil {
			t.Fatalf("ParseCaps of its own Map: %v", err)
		}
		for range 8 {
			topic := rapid.StringOfN(rapid.SampledFrom([]rune("ab:*{é")), 0, 5, -1).Draw(t, "topic")
			a := action.Draw(t, "asked")
			want := naiveAllows(raw, user, topic, a)
			if got := caps.Allows(topic, a); got != want {
				t.Fatalf("Allows(%q, %q) = %t, the model says %t", topic, a, got, want)
			}
			if got := again.Allows(topic, a); got != want {
				t.Fatalf("after Map, Allows(%q, %q) = %t, the model says %t", topic, a, got, want)
			}
		}
	})
}

// FuzzParseCaps holds for every input: no panic, nothing granted with an error, agreement with the model, and Map
// parses to the same.
func FuzzParseCaps(f *testing.F) {
	f.Add("code:*", "publish", "u", "code:1")
	f.Add("user:{sub}", "*", "*", "user:bob")
	f.Add("{sub}{sub}", "admin", "a*", "a*a*")
	f.Add("a\x00*", "queue", "", "a\x00")
	f.Fuzz(func(t *testing.T, pattern, action, user, topic string) {
		raw := map[string][]string{pattern: {action}}
		caps, err := rights.ParseCaps(raw, user)
		if err != nil {
			if !errors.Is(err, errs.ErrInvalid) || len(caps.Map()) != 0 {
				t.Fatalf("got %v with the error %v", caps, err)
			}
			return
		}
		again, err := rights.ParseCaps(caps.Map(), user)
		// A user may hold what no pattern may: then Map is for showing only.
		if err != nil && !strings.ContainsFunc(user, unicode.IsControl) && utf8.ValidString(user) && len(user) < 64 && len(pattern) < 40 {
			t.Fatalf("ParseCaps(%v): %v", caps.Map(), err)
		}
		if err == nil && !maps.EqualFunc(caps.Map(), again.Map(), slices.Equal) {
			t.Fatalf("%v became %v", caps.Map(), again.Map())
		}
		if strings.Contains(user+topic+pattern, "\x00") {
			return // the model's own sign
		}
		for _, a := range allActions {
			if got, want := caps.Allows(topic, a), naiveAllows(raw, user, topic, a); got != want {
				t.Fatalf("Allows(%q, %q) = %t, the model says %t", topic, a, got, want)
			}
		}
	})
}

func TestCapsNames(t *testing.T) {
	c, err := rights.ParseCaps(map[string][]string{"chat:*": {"*"}, "chat:7": {"subscribe"}, "user:{sub}": {"publish"}}, "u")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		topic  string
		action rights.Action
		want   bool
	}{
		{"chat:7", rights.ActionSubscribe, true},
		{"chat:7", rights.ActionPublish, false}, // allowed, by the pattern
		{"chat:8", rights.ActionSubscribe, false},
		{"user:u", rights.ActionPublish, true},
		{"user:v", rights.ActionPublish, false},
	} {
		if got := c.Names(tt.topic, tt.action); got != tt.want {
			t.Errorf("%s %s: %v", tt.topic, tt.action, got)
		}
	}
}
