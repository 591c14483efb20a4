package handlers_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/hubtest"
	"github.com/duckwire/duckwire/storage/sqlite"
)

// exposition returns the response of /metrics.
func (s *testServer) exposition() string {
	s.t.Helper()
	resp := s.do("GET", "/metrics", "", as(s.t, "prometheus", "duckwire:metrics=admin"))
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		s.t.Fatalf("%s, %v", resp.Status, err)
	}
	return string(raw)
}

// figures returns the metrics by name and labels, in the form of the exposition.
func (s *testServer) figures() map[string]float64 {
	s.t.Helper()
	all := map[string]float64{}
	for lines := bufio.NewScanner(strings.NewReader(s.exposition())); lines.Scan(); {
		line := lines.Text()
		if strings.HasPrefix(line, "#") {
			continue
		}
		space := strings.LastIndexByte(line, ' ')
		value, err := strconv.ParseFloat(line[space+1:], 64)
		if err != nil {
			s.t.Fatalf("%q: %v", line, err)
		}
		all[line[:space]] = value
	}
	return all
}

// wantFigures waits until the metrics have these values. Some are only counted after the response was sent.
func (s *testServer) wantFigures(want map[string]float64) {
	s.t.Helper()
	// without hubtest.Until, so that the wrong values can be reported
	for end := time.Now().Add(hubtest.Hung); ; time.Sleep(5 * time.Millisecond) {
		got, wrong := s.figures(), []string(nil)
		for _, name := range slices.Sorted(maps.Keys(want)) {
			if v, ok := got[name]; !ok || v != want[name] {
				wrong = append(wrong, fmt.Sprintf("%s is %v (there: %v), want %v", name, v, ok, want[name]))
			}
		}
		if wrong == nil {
			return
		}
		if time.Now().After(end) {
			s.t.Fatal(strings.Join(wrong, "\n"))
		}
	}
}

// startMeasured starts a server with a store that counts, and a provider whose behaviour depends on the model's name.
func startMeasured(t *testing.T, limits hub.Limits) (*testServer, *sqlite.Store) {
	t.Helper()
	store, err := sqlite.Open(sqlite.Options{Dir: t.TempDir(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	provider := scripted(func(ctx context.Context, req *hub.CompletionRequest, w hub.CompletionWriter) error {
		switch req.Model {
		case "slow":
			if err := w.Text("tok"); err != nil {
				return err
			}
			<-ctx.Done()
			return ctx.Err()
		case "late":
			return &hub.ProviderError{Status: 504, Code: "upstream_timeout"}
		case "dear":
			return &hub.ProviderError{Status: 429, Code: "the upstream's own word"}
		}
		return hello(ctx, req, w)
	})
	return startHub(t, hub.Options{Limits: limits, Provider: provider, Queue: store, Streams: store}, nil), store
}

// TestMetricsTellWhatHappened does a known number of things over each transport, and checks the metrics.
func TestMetricsTellWhatHappened(t *testing.T) {
	s, store := startMeasured(t, hub.Limits{})
	s.wantFigures(map[string]float64{
		`duckwire_deliveries_total{transport="websocket"}`: 0, `duckwire_topics`: 0, `duckwire_queue_messages`: 0,
		`duckwire_queue_oldest_age_seconds`:                             0,
		`duckwire_streams_ended_total{kind="completion",status="done"}`: 0, `duckwire_first_token_seconds_count`: 0,
		`duckwire_degraded`: 0, `duckwire_draining`: 0,
	})
	measureTopics(t, s)
	measureStreams(s)
	measureQueues(t, s, store)
	measureLimits(t, s)
}

// measureTopics publishes three events and a cursor to a reader on each transport.
func measureTopics(t *testing.T, s *testServer) {
	const topic, join = "t:1", `["1","1","t:1","phx_join",{}]`
	ada := token(t, "ada", "*=*")
	ws := s.dialSocket(ada)
	ws.send(join)
	ws.next()
	sse := s.stream("GET", "/v1/topics/"+topic+"/events?presence=1", "")
	sse.want("hello")
	sse.want("presence_state")
	poll := s.pollSocket(t, ada, join)
	down := s.stream("GET", "/socket/sse?vsn=2.0.0&token="+ada, "", "Authorization: none")
	session := parse[struct{ Session string }](t, down.want("hello")).Session
	s.post(t, s.URL+"/socket/sse?session="+session, join)
	down.want("")
	s.wantFigures(map[string]float64{
		`duckwire_users`: 2, `duckwire_connections{transport="websocket"}`: 1, `duckwire_connections{transport="sse"}`: 1,
		`duckwire_connections{transport="longpoll"}`: 1, `duckwire_connections{transport="sse_socket"}`: 1,
		`duckwire_presences`: 1,
		`duckwire_topics`:    1, `duckwire_readers{state="waiting"}`: 4, `duckwire_readers{state="behind"}`: 0,
	})

	events := `[{"event":"e","payload":1},{"event":"e","payload":2},{"event":"e","id":"x"}]`
	s.expect(200, "POST", "/v1/topics/"+topic+"/events", events)
	s.expect(200, "POST", "/v1/topics/"+topic+"/events", `{"event":"e","id":"x"}`) // repeated: not published a second time
	for range 3 {
		ws.next()
		sse.want("e")
		down.want("")
	}
	for n := 0; n < 3; {
		n += len(poll())
	}
	s.expect(200, "POST", "/v1/topics/"+topic+"/events", `{"event":"cursor","ephemeral":true}`)
	ws.next()
	sse.want("cursor")
	down.want("")
	poll()
	page := call[struct{ Events []json.RawMessage }](s, 200, "GET", "/v1/topics/"+topic+"/events?after=0", "")
	gone := s.stream("GET", "/v1/topics/"+topic+"/events?after=elsewhere-1.7", "")
	gone.want("hello")
	gone.want("reset")
	gone.resp.Body.Close()
	s.wantFigures(map[string]float64{
		`duckwire_events_published_total{kind="kept"}`: 3, `duckwire_events_published_total{kind="ephemeral"}`: 1,
		`duckwire_deliveries_total{transport="websocket"}`: 4, `duckwire_deliveries_total{transport="sse_socket"}`: 4,
		`duckwire_deliveries_total{transport="longpoll"}`: 4,
		`duckwire_deliveries_total{transport="wait"}`:     float64(len(page.Events)),
		`duckwire_deliveries_total{transport="sse"}`:      4 + 4, // and the events after the reset
		`duckwire_resets_total{reason="epoch"}`:           1, `duckwire_resets_total{reason="trimmed"}`: 0,
		`duckwire_connections_opened_total{transport="sse"}`: 2, `duckwire_connections{transport="sse"}`: 1,
		`duckwire_http_responses_total{class="1xx",method="GET",route="/socket/websocket"}`:          1,
		`duckwire_http_responses_total{class="2xx",method="POST",route="/v1/topics/{topic}/events"}`: 3,

		`duckwire_reader_lag_entries_bucket{le="+Inf"}`: s.figures()[`duckwire_reader_lag_entries_count`],
	})
}

// measureStreams lets completions end in each way, and reads a stream in each format.
func measureStreams(s *testServer) {
	before := s.figures()
	s.expect(200, "POST", chatPath, chatBody("")) // two tokens
	s.expect(504, "POST", chatPath, strings.Replace(chatBody(""), `"m"`, `"late"`, 1))
	s.expect(429, "POST", chatPath, strings.Replace(chatBody(""), `"m"`, `"dear"`, 1))
	slow := s.stream("POST", chatPath, strings.Replace(chatBody(`,"stream":true`), `"m"`, `"slow"`, 1)) // one token
	slow.next()
	s.wantFigures(
		map[string]float64{
			`duckwire_streams{status="running"}`:    1,
			`duckwire_connections{transport="sse"}`: before[`duckwire_connections{transport="sse"}`] + 1,
		},
	)
	s.expect(200, "DELETE", slow.resp.Header.Get("Location"), "")

	path := newTestStream(s, `{}`)
	// three tokens
	s.expect(
		200, "POST", path+"/append", "{\"text\":\"a\"}\n{\"text\":\"b\"}\n{\"event\":\"found\",\"data\":{}}\n", ndjson,
		"Stream-Closed: true",
	)
	// the text, the entry and the end
	for accept, items := range map[string]float64{"application/x-ndjson": 3, "text/plain": 3} {
		via := map[string]string{"application/x-ndjson": "ndjson", "text/plain": "text"}[accept]
		name := `duckwire_deliveries_total{transport="` + via + `"}`
		resp := s.do("GET", path, "", "Accept: "+accept)
		_, _ = io.ReadAll(resp.Body)
		resp.Body.Close()
		s.wantFigures(map[string]float64{name: items})
	}
	s.wantFigures(map[string]float64{
		`duckwire_streams_started_total{kind="completion"}`: 4, `duckwire_streams_started_total{kind="other"}`: 1,
		`duckwire_streams_ended_total{kind="completion",status="done"}`:      1,
		`duckwire_streams_ended_total{kind="completion",status="failed"}`:    2,
		`duckwire_streams_ended_total{kind="completion",status="cancelled"}`: 1,
		`duckwire_streams_ended_total{kind="other",status="done"}`:           1,
		`duckwire_streams{status="running"}`:                                 0,
		`duckwire_streams{status="done"}`:                                    2,
		`duckwire_streams{status="failed"}`:                                  2,
		`duckwire_streams{status="cancelled"}`:                               1,
		`duckwire_streams_cancelled_total{reason="client"}`:                  1,
		`duckwire_streams_cancelled_total{reason="unwatched"}`:               0,
		`duckwire_provider_errors_total{code="upstream_timeout"}`:            1,
		`duckwire_provider_errors_total{code="rate_limited"}`:                1,
		`duckwire_tokens_made_total`:                                         6,
		`duckwire_tokens_delivered_total`:                                    6,
		`duckwire_first_token_seconds_count`:                                 2,
		// Nobody watched the appended stream. A completion may generate its first tokens before its request watches it.
		`duckwire_tokens_unwatched_total`: s.tokensUnwatched(),
	})
	if n := s.tokensUnwatched(); n < 3 {
		s.t.Errorf("%v tokens were made while nobody watched, want 3 at least", n)
	}
}

// tokensUnwatched returns the sum of the streams' own counts.
func (s *testServer) tokensUnwatched() (n float64) {
	s.t.Helper()
	for _, stream := range call[struct{ Streams []streamJSON }](s, 200, "GET", "/v1/streams", "").Streams {
		n += float64(stream.Account.Unwatched)
	}
	return n
}

// measureQueues sends four messages, one of them twice, acknowledges one, and lets one expire.
func measureQueues(t *testing.T, s *testServer, store *sqlite.Store) {
	requests := s.figures()[`duckwire_store_commit_seconds_count`]
	first := s.leave("eve", 0)
	for range 2 {
		s.expect(201, "POST", "/v1/users/eve/messages", `{"event":"e","id":"x","payload":1}`, as(t, "app", "user:*=queue"))
	}
	s.leave("eve", 2)
	s.leave("bob", 3)
	s.ack("eve", first)
	s.wantFigures(map[string]float64{
		`duckwire_queue_users`: 2, `duckwire_queue_messages`: 3, `duckwire_queue_bytes`: 3,
		`duckwire_queue_accepted_total`: 4, `duckwire_queue_expired_total`: 0,
		`duckwire_store_failures_total`: 0,
	})
	age := s.figures()[`duckwire_queue_oldest_age_seconds`]
	if age <= 0 || age > 3600 {
		t.Errorf("the oldest message is %v s old", age)
	}
	if n, err := store.ExpireMessages("bob", time.Now().AddDate(1, 0, 0), 10); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	s.wantFigures(
		map[string]float64{`duckwire_queue_users`: 1, `duckwire_queue_messages`: 2, `duckwire_queue_expired_total`: 1},
	)
	got := s.figures()
	if n := got[`duckwire_store_commit_seconds_count`] - requests; n < 7 ||
		got[`duckwire_store_commit_seconds_sum`] <= 0 || got[`duckwire_store_file_bytes`] == 0 {
		t.Errorf(
			"%v commits in %v s, %v bytes", n, got[`duckwire_store_commit_seconds_sum`], got[`duckwire_store_file_bytes`],
		)
	}
}

// measureLimits reaches a limit on two paths.
func measureLimits(t *testing.T, s *testServer) {
	large := `"` + strings.Repeat("x", 1<<20) + `"`
	s.expect(413, "POST", "/v1/topics/t:1/events", `{"event":"e","payload":`+large+`}`)
	ws := s.dialSocket(token(t, "ada", "*=*"))
	ws.send(`["1","1","t:1","phx_join",{}]`)
	ws.next()
	ws.send(`["1","2","t:1","e",{"x":%s}]`, large)
	for !strings.Contains(ws.next(), `"too_large"`) {
	}
	s.wantFigures(map[string]float64{`duckwire_limits_hit_total{limit="message_bytes"}`: 2})
}

// TestMetricsAreClean: Prometheus' linter accepts the exposition, which contains no text from clients.
func TestMetricsAreClean(t *testing.T) {
	s, _ := startMeasured(t, hub.Limits{})
	s.expect(404, "GET", "/secret-path/of-ada", "")
	s.expect(200, "POST", "/v1/topics/secret-topic/events", `{"event":"secret-event"}`, as(t, "secret-user", "*=*"))
	s.expect(201, "POST", "/v1/streams", `{"id":"secret-stream","kind":"secret-kind"}`, as(t, "secret-user", "*=*"))
	s.expect(429, "POST", chatPath, strings.Replace(chatBody(""), `"m"`, `"dear"`, 1))
	r := s.request("SECRETMETHOD", "/metrics", "")
	if resp, err := http.DefaultTransport.RoundTrip(r); err == nil {
		resp.Body.Close()
	}
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	s.wantFigures(map[string]float64{`duckwire_http_responses_total{class="4xx",method="other",route=""}`: 1})
	text := s.exposition()
	problems, err := promlint.New(strings.NewReader(text)).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	for line := range strings.Lines(text) {
		if low := strings.ToLower(line); strings.Contains(low, "secret") || strings.Contains(low, "word") {
			t.Errorf("from outside: %s", line)
		}
	}
	for _, name := range []string{"duckwire_build_info{", "go_goroutines ", "process_open_fds "} {
		if !strings.Contains(text, "\n"+name) {
			t.Errorf("%q is missing", name)
		}
	}
}
