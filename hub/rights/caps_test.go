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

var allActions = []rights.Action{
	rights.ActionSubscribe, rights.ActionPublish, rights.ActionPresence, rights.ActionComplete, rights.ActionProduce,
	rights.ActionQueue, rights.ActionAct, rights.ActionAdmin, rights.ActionAll,
}

// claim is the type of what ParseCaps reads.
type claim = map[string][]string

func mustCaps(t testing.TB, raw map[string][]string, user string) rights.Caps {
	t.Helper()
	c, err := rights.ParseCaps(raw, user)
	if err != nil {
		t.Fatalf("ParseCaps(%v, %q): %v", raw, user, err)
	}
	return c
}

func TestCapsAllows(t *testing.T) {
	allButAdmin := []string{"subscribe", "publish", "presence", "complete", "produce", "queue", "act"}
	for name, c := range map[string]struct {
		raw    claim
		user   string
		topic  string
		action rights.Action
		want   bool
	}{
		"exact":                      {claim{"code:1": {"publish"}}, "u", "code:1", "publish", true},
		"exact, another action":      {claim{"code:1": {"publish"}}, "u", "code:1", "subscribe", false},
		"exact, a longer topic":      {claim{"code:1": {"publish"}}, "u", "code:12", "publish", false},
		"prefix":                     {claim{"code:*": {"publish"}}, "u", "code:project:1", "publish", true},
		"prefix and nothing":         {claim{"code:*": {"publish"}}, "u", "code:", "publish", true},
		"prefix, a shorter topic":    {claim{"code:*": {"publish"}}, "u", "code", "publish", false},
		"everything":                 {claim{"*": {"*"}}, "u", "a", "queue", true},
		"star implies admin":         {claim{"*": {"*"}}, "u", "a", "admin", true},
		"admin implies all":          {claim{"a:*": {"admin"}}, "u", "a:1", "produce", true},
		"admin implies act":          {claim{"user:*": {"admin"}}, "u", "user:a", "act", true},
		"act is no other action":     {claim{"*": {"act"}}, "u", "user:a", "subscribe", false},
		"admin there only":           {claim{"a:*": {"admin"}}, "u", "b:1", "produce", false},
		"all but admin is not star":  {claim{"a": allButAdmin}, "u", "a", "*", false},
		"the second pattern":         {claim{"a": {"queue"}, "b": {"publish"}}, "u", "b", "publish", true},
		"rights do not cross":        {claim{"a": {"queue"}, "b": {"publish"}}, "u", "a", "publish", false},
		"an unknown action":          {claim{"*": {"*"}}, "u", "a", "dance", false},
		"the empty action":           {claim{"*": {"*"}}, "u", "a", "", false},
		"sub":                        {claim{"user:{sub}": {"*"}}, "7", "user:7", "queue", true},
		"sub, another":               {claim{"user:{sub}": {"*"}}, "7", "user:77", "queue", false},
		"sub in the middle":          {claim{"a:{sub}:*": {"*"}}, "7", "a:7:x", "queue", true},
		"sub twice":                  {claim{"{sub}:{sub}": {"*"}}, "7", "7:7", "queue", true},
		"a user * is literal":        {claim{"user:{sub}": {"*"}}, "*", "user:bob", "queue", false},
		"a user * at most itself":    {claim{"user:{sub}": {"*"}}, "*", "user:*", "queue", true},
		"a user ending in *":         {claim{"user:{sub}": {"*"}}, "bob*", "user:bobby", "queue", false},
		"a user * before a prefix":   {claim{"u:{sub}:*": {"*"}}, "*", "u:bob:1", "queue", false},
		"a user {sub} is not nested": {claim{"user:{sub}": {"*"}}, "{sub}", "user:{sub}", "queue", true},
		"no capabilities":            {nil, "u", "a", "queue", false},
		"an empty list":              {claim{"*": {}}, "u", "a", "queue", false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := mustCaps(t, c.raw, c.user).Allows(c.topic, c.action); got != c.want {
				t.Errorf("Allows(%q, %q) = %t with %v", c.topic, c.action, got, c.raw)
			}
		})
	}
}

func TestParseCapsFaults(t *testing.T) {
	many := claim{}
	for i := range rights.MaxCapsPatterns + 1 {
		many["t:"+strconv.Itoa(i)] = []string{"publish"}
	}
	long := strings.Repeat("a", rights.MaxCapsPattern+1)
	tooMany := slices.Repeat([]string{"publish"}, rights.MaxCapsActions+1)
	for name, c := range map[string]struct {
		raw   claim
		user  string
		field string
	}{
		"an empty pattern":         {claim{"": {"publish"}}, "u", `caps[""]`},
		"a * inside":               {claim{"a*b": {"publish"}}, "u", `caps["a*b"]`},
		"two at the end":           {claim{"a:**": {"publish"}}, "u", `caps["a:**"]`},
		"a * before sub":           {claim{"*{sub}": {"publish"}}, "u", `caps["*{sub}"]`},
		"sub and * at once":        {claim{"user:{sub}*": {"publish"}}, "1", `caps["user:{sub}*"]`},
		"sub without a user":       {claim{"user:{sub}": {"publish"}}, "", `caps["user:{sub}"]`},
		"a control character":      {claim{"a\nb": {"publish"}}, "u", `caps["a\nb"]`},
		"a C1 control character":   {claim{"a\u0085b": {"publish"}}, "u", `caps["a\u0085b"]`},
		"not UTF-8":                {claim{"a\xff": {"publish"}}, "u", `caps["a\xff"]`},
		"a pattern too long":       {claim{long: {"publish"}}, "u", `caps["` + long[:64] + `…"]`},
		"too many patterns":        {many, "u", "caps"},
		"an unknown action":        {claim{"code:*": {"publish", "dance"}}, "u", `caps["code:*"][1]`},
		"an action in capitals":    {claim{"a": {"Publish"}}, "u", `caps["a"][0]`},
		"an empty action":          {claim{"a": {""}}, "u", `caps["a"][0]`},
		"too many actions":         {claim{"a": tooMany}, "u", `caps["a"]`},
		"the first of two, always": {claim{"b": {"x"}, "a": {"x"}, "c": {"x"}}, "u", `caps["a"][0]`},
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
	c := mustCaps(t, claim{"a:*": {"publish"}, "b": {"queue"}}, "u")
	if !c.AllowsAny("queue") || c.AllowsAny("produce") || c.AllowsAny("") || c.AllowsAny("dance") {
		t.Error("AllowsAny is wrong")
	}
	for raw, want := range map[string]bool{"*": true, "a:*": false, "a": false} {
		if got := mustCaps(t, claim{raw: {"admin"}}, "u").Admin(); got != want {
			t.Errorf("Admin() = %t for admin on %q", got, raw)
		}
	}
	if mustCaps(t, claim{"*": {"publish"}}, "u").Admin() || (rights.Caps{}).Admin() {
		t.Error("Admin() without admin")
	}
	if mustCaps(t, claim{"{sub}": {"*"}}, "*").Admin() {
		t.Error("a user named * is admin")
	}
}

func TestCapsJSON(t *testing.T) {
	c := mustCaps(t, claim{
		"user:{sub}": {"*"}, "code:*": {"publish", "subscribe", "publish"}, "a": {"admin"}, "none": {},
	}, "7")
	got, err := json.Marshal(c)
	if want := `{"a":["admin"],"code:*":["subscribe","publish"],"user:7":["*"]}`; err != nil || string(got) != want {
		t.Errorf("got %s, %v; want %s", got, err, want)
	}
	if got, _ := json.Marshal(rights.Caps{}); string(got) != "{}" {
		t.Errorf("no capabilities are %s", got)
	}
	merged := mustCaps(t, claim{"user:{sub}": {"publish"}, "user:7": {"queue"}}, "7").Map()
	if !reflect.DeepEqual(merged, claim{"user:7": {"publish", "queue"}}) {
		t.Errorf("patterns that became the same are shown as %v", merged)
	}
}

func TestAllowsDoesNotAllocate(t *testing.T) {
	c := mustCaps(t, claim{"user:{sub}": {"*"}, "code:*": {"publish"}, "a": {"admin"}}, "7")
	n := testing.AllocsPerRun(100, func() {
		_ = c.Allows("code:project:42", rights.ActionPublish) && c.AllowsAny(rights.ActionAdmin)
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// naiveAllows is the model: it matches strings, without parsing and without sets. A * in the user's id is replaced by a
// character that no pattern contains.
func naiveAllows(raw map[string][]string, user, topic string, a rights.Action) bool {
	const hidden = "\x00"
	user, topic = strings.ReplaceAll(user, "*", hidden), strings.ReplaceAll(topic, "*", hidden)
	for pattern, actions := range raw {
		pattern = strings.Join(strings.Split(pattern, "{sub}"), user)
		matches := pattern == topic
		if n := len(pattern) - 1; !matches && strings.HasSuffix(pattern, "*") {
			matches = len(topic) >= n && topic[:n] == pattern[:n]
		}
		allowing := func(action string) bool { return action == string(a) || action == "*" || action == "admin" }
		if matches && slices.ContainsFunc(actions, allowing) {
			return true
		}
	}
	return false
}

// TestCapsModel compares Caps with naiveAllows. It uses few letters, so that matches are common.
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
			a := action.Draw(t, "action")
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

// FuzzParseCaps checks for every input that nothing panics, that an error grants nothing, that Caps agrees with the
// model, and that ParseCaps reads what Map returns.
func FuzzParseCaps(f *testing.F) {
	f.Add("code:*", "publish", "u", "code:1")
	f.Add("user:{sub}", "*", "*", "user:bob")
	f.Add("{sub}{sub}", "admin", "a*", "a*a*")
	f.Add("a\x00*", "queue", "", "a\x00")
	f.Fuzz(func(t *testing.T, pattern, action, user, topic string) {
		raw := claim{pattern: {action}}
		caps, err := rights.ParseCaps(raw, user)
		if err != nil {
			if !errors.Is(err, errs.ErrInvalid) || len(caps.Map()) != 0 {
				t.Fatalf("got %v with the error %v", caps, err)
			}
			return
		}
		again, err := rights.ParseCaps(caps.Map(), user)
		// A user's id may contain what a pattern may not. Then Map is only for display.
		inPattern := !strings.ContainsFunc(user, unicode.IsControl) && utf8.ValidString(user) &&
			len(user) < 64 && len(pattern) < 40
		if err != nil && inPattern {
			t.Fatalf("ParseCaps(%v): %v", caps.Map(), err)
		}
		if err == nil && !maps.EqualFunc(caps.Map(), again.Map(), slices.Equal) {
			t.Fatalf("%v became %v", caps.Map(), again.Map())
		}
		if strings.Contains(user+topic+pattern, "\x00") {
			return // the model uses it for *
		}
		for _, a := range allActions {
			if got, want := caps.Allows(topic, a), naiveAllows(raw, user, topic, a); got != want {
				t.Fatalf("Allows(%q, %q) = %t, the model says %t", topic, a, got, want)
			}
		}
	})
}

func TestCapsNames(t *testing.T) {
	c, err := rights.ParseCaps(claim{"chat:*": {"*"}, "chat:7": {"subscribe"}, "user:{sub}": {"publish"}}, "u")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		topic  string
		action rights.Action
		want   bool
	}{
		{"chat:7", rights.ActionSubscribe, true},
		{"chat:7", rights.ActionPublish, false}, // only the pattern with a * allows it
		{"chat:8", rights.ActionSubscribe, false},
		{"user:u", rights.ActionPublish, true},
		{"user:v", rights.ActionPublish, false},
	} {
		if got := c.Names(tt.topic, tt.action); got != tt.want {
			t.Errorf("%s %s: %v", tt.topic, tt.action, got)
		}
	}
}
