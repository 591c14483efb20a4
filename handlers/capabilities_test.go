package handlers_test

import (
	"cmp"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/rights"
)

var updateCapabilities = flag.Bool("update", false, "write the tables of capabilities in testdata anew")

const capabilitiesFile = "testdata/capabilities.txt"

// probe is one request, which is made with each kind of token. In its path, {stream} stands for a stream of another
// user, which is new for each request.
type probe struct{ path, topic, body, header string }

// promptOnTopic is a completion that is announced on the topic t:1.
const promptOnTopic = `{"model":"m","prompt":"x","duckwire":{"topic":"t:1"}}`

// probes has one request for each operation of openapi.yaml, written "METHOD template". The topic is the one whose
// rights should decide.
var probes = map[string]probe{
	"POST /v1/chat/completions": {chatPath, "t:1", chatBody(`,"duckwire":{"topic":"t:1"}`), ""},
	"POST /v1/completions":      {"/v1/completions", "t:1", promptOnTopic, ""},
	"POST /v1/fim/completions":  {"/v1/fim/completions", "t:1", promptOnTopic, ""},
	"GET /v1/models":            {"/v1/models", "t:1", "", ""},
	"GET /v1/models/{model}":    {"/v1/models/m", "t:1", "", ""},
	// 404 for those who are allowed, because the provider passes nothing on
	"POST /v1/embeddings":           {"/v1/embeddings", "t:1", `{"input":"x"}`, ""},
	"POST /v1/moderations":          {"/v1/moderations", "t:1", `{"input":"x"}`, ""},
	"POST /v1/rerank":               {"/v1/rerank", "t:1", `{"query":"x"}`, ""},
	"POST /v1/images/generations":   {"/v1/images/generations", "t:1", `{"prompt":"x"}`, ""},
	"POST /v1/audio/speech":         {"/v1/audio/speech", "t:1", `{"input":"x"}`, ""},
	"POST /v1/audio/transcriptions": {"/v1/audio/transcriptions", "t:1", `{}`, ""},
	"POST /v1/audio/translations":   {"/v1/audio/translations", "t:1", `{}`, ""},
	"GET /v1/streams":               {"/v1/streams", "t:1", "", ""},
	"POST /v1/streams":              {"/v1/streams", "t:1", `{"topic":"t:1"}`, ""},
	"GET /v1/streams/{id}":          {"/v1/streams/{stream}", "t:1", "", "Accept: application/json"},
	"DELETE /v1/streams/{id}":       {"/v1/streams/{stream}", "t:1", "", ""},
	"POST /v1/streams/{id}/append":  {"/v1/streams/{stream}/append", "t:1", `{"text":"x"}`, ndjson},
	"PUT /v1/streams/{id}/append":   {"/v1/streams/{stream}/append", "t:1", `{"text":"x"}`, ndjson},
	"POST /v1/analyses":             {"/v1/analyses", "t:1", analysisJSON(`,"topic":"t:1"`), ""},
	"GET /v1/workers/{kind}/jobs":   {jobsPath + "?worker=w&types=none", "worker:analysis", "", ""},
	// 404 for those who are allowed
	"POST /v1/workers/{kind}/jobs/{job}/refuse": {
		jobsPath + "/none/refuse", "worker:analysis", `{"worker":"w","producer_epoch":1}`, "",
	},
	"GET /v1/topics/{topic}/events":   {"/v1/topics/t:1/events", "t:1", "", ""},
	"POST /v1/topics/{topic}/events":  {"/v1/topics/t:1/events", "t:1", `{"event":"e"}`, ""},
	"GET /v1/topics/{topic}/presence": {"/v1/topics/t:1/presence", "t:1", "", ""},
	"GET /v1/events":                  {"/v1/events?max=1&topic=t:1", "t:1", "", "Accept: text/event-stream"},
	"POST /api/broadcast": {
		"/api/broadcast", "realtime:1", `{"messages":[{"topic":"1","event":"e","payload":{}}]}`, "",
	},
	"POST /api/broadcast/{topic}/events/{event}": {"/api/broadcast/1/events/e", "realtime:1", `{}`, ""},
	"GET /v1/users/{user}/messages":              {"/v1/users/ada/messages", "user:ada", "", ""},
	"POST /v1/users/{user}/messages":             {"/v1/users/ada/messages", "user:ada", `{"event":"e"}`, ""},
	"POST /v1/users/{user}/messages/ack":         {"/v1/users/ada/messages/ack", "user:ada", `{"through":"0"}`, ""},
	"POST /v1/users/{user}/disconnect":           {"/v1/users/ada/disconnect", "user:ada", "", ""},
	"POST /v1/revocations":                       {"/v1/revocations", "user:ada", `{"user":"ada"}`, ""},
	"GET /v1/revocations":                        {"/v1/revocations?user=ada", "user:ada", "", ""},
	"DELETE /v1/revocations":                     {"/v1/revocations?user=ada", "user:ada", "", ""},
	"GET /v1/overview":                           {"/v1/overview", "*", "", ""},
	"GET /metrics":                               {"/metrics", "duckwire:metrics", "", ""},
	"GET /debug/pprof/{profile}":                 {"/debug/pprof/goroutine", "*", "", ""},
	// Any token opens a socket; rights are checked for each join and each event.
	"GET /socket/websocket": {"/socket/websocket?vsn=2.0.0", "t:1", "", "Upgrade: websocket"},
	"GET /socket/longpoll":  {"/socket/longpoll?vsn=2.0.0", "t:1", "", ""},
	// no session
	"POST /socket/longpoll": {"/socket/longpoll?vsn=2.0.0", "t:1", "[]", "Content-Type: application/x-ndjson"},
	"GET /socket/sse":       {"/socket/sse?vsn=2.0.0", "t:1", "", ""},
	// no session
	"POST /socket/sse":     {"/socket/sse?vsn=2.0.0&session=none", "t:1", "[]", "Content-Type: application/x-ndjson"},
	"GET /healthz":         {"/healthz", "t:1", "", ""},
	"GET /readyz":          {"/readyz", "t:1", "", ""},
	"GET /":                {"/", "t:1", "", "Accept: text/html"},
	"GET /console/{asset}": {"/console/style.css", "t:1", "", ""},
	"GET /docs":            {"/docs", "t:1", "", ""},
	"GET /docs/{asset}":    {"/docs/docs.css", "t:1", "", ""},
	"GET /openapi.yaml":    {"/openapi.yaml", "t:1", "", ""},
}

// TestCapabilityTable sends every operation of openapi.yaml with every capability, and compares the answers with a
// table in testdata.
func TestCapabilityTable(t *testing.T) {
	s := startServer(t, analyst{scripted(hello), noIssues}, hub.Limits{}, nil)
	columns := []string{"no-token", "no-caps"}
	for _, a := range []rights.Action{
		rights.ActionSubscribe, rights.ActionPublish, rights.ActionPresence, rights.ActionComplete, rights.ActionProduce,
		rights.ActionQueue, rights.ActionAct, rights.ActionAdmin, rights.ActionAll,
	} {
		columns = append(columns, string(a))
	}
	columns = append(columns, "elsewhere") // every action, on another topic and for another user
	var table strings.Builder
	fmt.Fprintf(&table, "%-42s %-16s", "operation", "topic")
	for _, c := range columns {
		fmt.Fprintf(&table, " %9s", c)
	}
	for _, operation := range operations(t) {
		p := probes[operation]
		fmt.Fprintf(&table, "\n%-42s %-16s", operation, p.topic)
		for _, c := range columns {
			fmt.Fprintf(&table, " %9d", s.probe(operation, p, c))
		}
	}
	table.WriteByte('\n')
	holdTable(t, capabilitiesFile, table.String())
}

// operations lists the operations of openapi.yaml. The test fails for an operation without a probe, and for a probe
// without an operation.
func operations(t *testing.T) []string {
	t.Helper()
	var list []string
	for _, p := range contract.paths {
		for method := range p.item.Operations() {
			operation := method + " " + p.template
			list = append(list, operation)
			if _, ok := probes[operation]; !ok {
				t.Errorf("%s is in openapi.yaml, and has no probe: nobody has said who may call it", operation)
			}
		}
	}
	for operation := range probes {
		if !slices.Contains(list, operation) {
			t.Errorf("%s has a probe, and is not in openapi.yaml", operation)
		}
	}
	slices.SortFunc(list, func(a, b string) int {
		methodA, pathA, _ := strings.Cut(a, " ")
		methodB, pathB, _ := strings.Cut(b, " ")
		return cmp.Or(strings.Compare(pathA, pathB), strings.Compare(methodA, methodB))
	})
	return list
}

// probe sends the request with the token of a column, and returns the status of the answer.
func (s *testServer) probe(operation string, p probe, column string) int {
	s.t.Helper()
	path := p.path
	if strings.Contains(path, "{stream}") {
		id := call[streamJSON](s, http.StatusCreated, "POST", "/v1/streams", `{"topic":"t:1"}`).ID
		path = strings.Replace(path, "{stream}", id, 1)
	}
	if operation == "DELETE /v1/revocations" { // a revocation must exist to be lifted
		s.expect(http.StatusCreated, "POST", "/v1/revocations", `{"user":"ada"}`)
	}
	method, _, _ := strings.Cut(operation, " ")
	r := s.request(method, path, p.body, cmp.Or(p.header, "X-None: 1"))
	switch column {
	case "no-token":
		r.Header.Del("Authorization")
	case "no-caps":
		r.Header.Set("Authorization", "Bearer "+token(s.t, "guest"))
	case "elsewhere":
		r.Header.Set("Authorization", "Bearer "+token(s.t, "guest", "t:2=*", "user:bob=*", "worker:other=*"))
	default:
		r.Header.Set("Authorization", "Bearer "+token(s.t, "guest", p.topic+"="+column))
	}
	if p.header == "Upgrade: websocket" {
		r.Header.Set("Connection", "Upgrade")
		r.Header.Set("Sec-WebSocket-Version", "13")
		r.Header.Set("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
	}
	resp, err := s.Client().Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	if strings.HasPrefix(path, "/debug/pprof/") { // one profile is made at a time: the next one waits for its end
		_, _ = io.Copy(io.Discard, resp.Body)
	}
	// as in Phoenix, the status is in the body
	if strings.HasSuffix(operation, "/socket/longpoll") || operation == "POST /socket/sse" {
		var answer struct{ Status int }
		if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
			s.t.Fatal(err)
		}
		return answer.Status
	}
	return resp.StatusCode
}

// holdTable compares the table with the committed one.
func holdTable(t *testing.T, name, got string) {
	t.Helper()
	if *updateCapabilities {
		if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	raw, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	gotLines, wantLines := strings.Split(got, "\n"), strings.Split(string(raw), "\n")
	for i := range max(len(gotLines), len(wantLines)) {
		var g, w string
		if i < len(gotLines) {
			g = gotLines[i]
		}
		if i < len(wantLines) {
			w = wantLines[i]
		}
		if g != w {
			t.Errorf("line %d of %s (if the new answer is right, run with -update)\ngot  %s\nwant %s", i+1, name, g, w)
		}
	}
}
