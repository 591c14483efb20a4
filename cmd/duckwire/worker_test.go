package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/duckwire/duckwire/cmd/duckwire/internal/client"
	"github.com/duckwire/duckwire/cmd/duckwire/internal/testnet"
	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/hubtest"
)

// lintServer is a server process, and a client of it that may do everything.
type lintServer struct {
	t *testing.T
	c *client.Client
}

// startLintServer starts a server with short leases.
func startLintServer(t *testing.T, env ...string) *lintServer {
	t.Helper()
	cmd := exec.Command("duckwire", "serve", "--addr", "127.0.0.1:0", "--data-dir", t.TempDir())
	cmd.Dir = t.TempDir()
	cmd.Env = append(os.Environ(), "DUCKWIRE_JWT_SECRET="+testSecret, "DUCKWIRE_LEASE=5s",
		"DUCKWIRE_HEAVY_PER_MINUTE=100000", "GORACE=atexit_sleep_ms=0")
	cmd.Env = append(cmd.Env, env...)
	cmd.SysProcAttr = hubtest.ProcAttr()
	logs, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	listening, drained := make(chan string, 1), make(chan struct{})
	go func() {
		defer close(drained)
		for lines := bufio.NewScanner(logs); lines.Scan(); {
			var line struct{ Msg, URL string }
			if json.Unmarshal(lines.Bytes(), &line) == nil && line.Msg == "listening" {
				listening <- line.URL
			}
		}
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		<-drained
		_ = cmd.Wait()
	})
	token := lintToken(t, "tester", "*=*")
	base := hubtest.Recv(t, "the server to listen", listening)
	c := client.New(base, func() (string, error) { return token, nil })
	c.Pace = 10 * time.Millisecond
	t.Cleanup(c.Close)
	return &lintServer{t, c}
}

func lintToken(t *testing.T, user, grant string) string {
	t.Helper()
	pattern, actions, _ := strings.Cut(grant, "=")
	caps := map[string][]string{pattern: strings.Split(actions, ",")}
	token, err := signToken(testSecret, tokenClaims{user: user, caps: caps, ttl: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// worker starts 'duckwire worker' with only the right that it needs, and waits until the server knows it.
func (s *lintServer) worker(args ...string) *exec.Cmd {
	s.t.Helper()
	cmd := exec.Command("duckwire", append([]string{"worker"}, args...)...)
	token := lintToken(s.t, "linter", "worker:analysis=produce")
	cmd.Env = append(os.Environ(), "DUCKWIRE_URL="+s.c.Base, "DUCKWIRE_TOKEN="+token,
		"GORACE=atexit_sleep_ms=0", "TMPDIR="+s.t.TempDir()) // a worker that is killed leaves its job's folder
	cmd.SysProcAttr = hubtest.ProcAttr()
	var log strings.Builder
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait() // some tests have killed it
		if s.t.Failed() {
			s.t.Logf("worker %q:\n%s", args, testnet.Tail(log.String()))
		}
	})
	return cmd
}

// analyze starts an analysis of files, given as path, code, path, code and so on, as soon as a worker takes its type.
// It returns the analysis' stream.
func (s *lintServer) analyze(kind string, files ...string) string {
	s.t.Helper()
	body := map[string]any{"type": kind}
	list := []hub.AnalysisFile{}
	for i := 0; i+1 < len(files); i += 2 {
		list = append(list, hub.AnalysisFile{Path: files[i], Code: files[i+1]})
	}
	body["files"] = list
	var id string
	hubtest.Until(s.t, "a worker to take "+kind, func() bool {
		header, _, err := s.c.Call(s.t.Context(), http.MethodPost, "/v1/analyses", body)
		if err != nil {
			s.t.Fatal(err)
		}
		id = header.Get("Duckwire-Stream")
		return s.wait(id, func(st *lintState) bool { return len(st.Events) > 0 || st.ended() }).byWorker()
	})
	return id
}

// lintState is a stream's JSON.
type lintState struct {
	Status string
	Error  *struct{ Code, Message string }
	Events []struct {
		Event string
		Data  json.RawMessage
	}
}

func (st *lintState) ended() bool { return st.Status != "running" && st.Status != "queued" }

// byWorker reports whether a worker runs the analysis: the built-in checks report the file with which they begin.
func (st *lintState) byWorker() bool {
	return len(st.Events) > 0 && strings.Contains(string(st.Events[0].Data), `"current":0`)
}

// wait waits until the stream's state is as wanted, and returns it.
func (s *lintServer) wait(id string, wanted func(*lintState) bool) *lintState {
	s.t.Helper()
	var st lintState
	hubtest.Until(s.t, "a stream to be as wanted", func() bool {
		st = lintState{}
		if err := s.c.Get(s.t.Context(), client.StreamPath(id), &st); err != nil {
			s.t.Fatal(err)
		}
		return wanted(&st)
	})
	return &st
}

func (s *lintServer) end(id string) *lintState {
	return s.wait(id, func(st *lintState) bool { return st.ended() })
}

// issues lists the issues, and where the analysis was restarted.
func (st *lintState) issues() string {
	var list []string
	for _, e := range st.Events {
		switch e.Event {
		case hub.EntryRestarted:
			list = append(list, "RESTARTED")
		case hub.EntryUpdate:
			var update struct{ Issues []hub.Issue }
			_ = json.Unmarshal(e.Data, &update) // shows below
			for _, i := range update.Issues {
				list = append(list, fmt.Sprintf("%s:%d:%d: %s: %s", i.File, i.Line, i.Column, i.Severity, i.Message))
			}
		}
	}
	return strings.Join(list, "\n")
}

func (st *lintState) last(event string) string {
	data := ""
	for _, e := range st.Events {
		if e.Event == event {
			data = string(e.Data)
		}
	}
	return data
}

// TestWorkerRunsGoVet: go vet finds defects in files with hostile paths.
func TestWorkerRunsGoVet(t *testing.T) {
	t.Parallel()
	s := startLintServer(t)
	s.worker("--", "go", "vet", "./...")
	id := s.analyze("semantic",
		"../../main.go", "package main\n\nimport \"fmt\"\n\nfunc main() {\n\tfmt.Printf(\"%d\\n\", \"text\")\n}\n",
		"/lib/lock.go", "package lib\n\nimport \"sync\"\n\nfunc Lock(m sync.Mutex) {}\n")
	st := s.end(id)
	for _, want := range []string{
		"../../main.go:6:14: medium: fmt.Printf format %d has arg \"text\" of wrong type string",
		"/lib/lock.go:5:13: medium: Lock passes lock by value: sync.Mutex",
	} {
		if !strings.Contains(st.issues(), want) {
			t.Errorf("%s\nhas not\n%s", st.issues(), want)
		}
	}
	const summary = `{"total_issues":2,"semantic_issues":2,"style_issues":0,"security_issues":0,` +
		`"files_analyzed":2,"errors":0,"warnings":2,"info":0}`
	if st.Status != "done" || st.last(hub.EntrySummary) != summary {
		t.Errorf("%s %s", st.Status, st.last(hub.EntrySummary))
	}
	if clean := s.end(s.analyze("semantic", "a.go", "package a\n")); clean.Status != "done" || clean.issues() != "" {
		t.Errorf("%+v", clean)
	}
	broken := s.end(s.analyze("semantic", "a.go", "package a\n\nfunc {\n"))
	if broken.Status != "done" || !strings.Contains(broken.issues(), "a.go:3:6") {
		t.Errorf("%+v", broken)
	}
}

func TestWorkerReadsSARIF(t *testing.T) {
	t.Parallel()
	file, err := filepath.Abs("internal/lint/testdata/staticcheck.sarif")
	if err != nil {
		t.Fatal(err)
	}
	s := startLintServer(t)
	s.worker("--types", "style", "--", "sh", "-c", "cat "+file+"; exit 1")
	st := s.end(s.analyze("style", "a.go", "package a\n"))
	want := "a.go:5:6: medium: func unused is unused\na.go:5:28: high: Printf format %d has arg #1 of wrong type string"
	if st.Status != "done" || st.issues() != want {
		t.Errorf("%s\n%s", st.Status, st.issues())
	}
}

// TestKilledWorkerIsReplaced: a worker is killed during a job; another one does the job, and readers are told.
func TestKilledWorkerIsReplaced(t *testing.T) {
	t.Parallel()
	s := startLintServer(t)
	pids := filepath.Join(t.TempDir(), "pid")
	first := s.worker("--", "sh", "-c", "echo $$ >"+pids+"; echo a.go:1:1: first; exec sleep 60")
	id := s.analyze("style", "a.go", "package a\n")
	s.wait(id, func(st *lintState) bool { return st.issues() != "" })
	s.worker("--", "echo", "a.go:2:2: second")
	if err := first.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = first.Wait()
	_ = syscall.Kill(pidIn(t, pids), syscall.SIGKILL) // a killed worker cannot kill its linter
	st := s.end(id)
	if want := "a.go:1:1: medium: first\nRESTARTED\na.go:2:2: medium: second"; st.Status != "done" || st.issues() != want {
		t.Errorf("%s %+v\n%s", st.Status, st.Error, st.issues())
	}
}

func pidIn(t *testing.T, file string) (pid int) {
	t.Helper()
	hubtest.Until(t, "a process id in "+file, func() bool {
		text, _ := os.ReadFile(file) // the file may not exist yet, or be incomplete
		_, _ = fmt.Sscanf(string(text), "%d\n", &pid)
		return pid != 0
	})
	return pid
}

// alive reports whether a process runs. A process that has ended, but was not waited for, does not.
func alive(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !strings.Contains(string(stat), ") Z ")
}

// TestCancelKillsTheLinter: cancelling an analysis kills the linter and all processes that it started.
func TestCancelKillsTheLinter(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("looks into /proc")
	}
	t.Parallel()
	s := startLintServer(t)
	pids := filepath.Join(t.TempDir(), "pid")
	worker := s.worker("--", "sh", "-c", "sleep 300 & echo $! >"+pids+"; wait")
	id := s.analyze("style", "a.go", "package a\n")
	pid := pidIn(t, pids)
	if !alive(pid) {
		t.Fatal("it does not run")
	}
	t.Cleanup(func() {
		if t.Failed() {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	})
	if _, _, err := s.c.Call(t.Context(), http.MethodDelete, client.StreamPath(id), nil); err != nil {
		t.Fatal(err)
	}
	hubtest.Until(t, "the linter's child to end", func() bool { return !alive(pid) })
	if !alive(worker.Process.Pid) {
		t.Error("the worker ended, too")
	}
	if st := s.end(id); st.Status != "cancelled" {
		t.Error(st.Status)
	}
}

// TestWorkerGivesBackItsJob: a worker that is stopped returns its job, so that others need not wait for its lease.
func TestWorkerGivesBackItsJob(t *testing.T) {
	t.Parallel()
	s := startLintServer(t, "DUCKWIRE_LEASE=60s")
	first := s.worker("--types", "style", "--", "sleep", "60")
	id := s.analyze("style", "a.go", "package a\n")
	s.worker("--types", "style,other", "--", "echo", "a.go:2:2: second")
	s.end(s.analyze("other", "a.go", "package a\n")) // by the second worker, which so has asked for jobs
	s.wait(id, func(st *lintState) bool { return st.last(hub.EntryProgress) != "" })
	if err := first.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := first.Wait(); err != nil {
		t.Errorf("the worker: %v", err)
	}
	st := s.end(id)
	const want = "RESTARTED\na.go:2:2: medium: second"
	if st.Status != "done" || st.issues() != want || !strings.Contains(st.last(hub.EntryRestarted), "going down") {
		t.Errorf("%s %+v\n%s", st.Status, st.Error, st.issues())
	}
}

// TestWorkersFailures: readers are told about a linter's failure, but not about what they must not see.
func TestWorkersFailures(t *testing.T) {
	t.Parallel()
	s := startLintServer(t)
	for kind, c := range map[string]struct {
		args []string
		want string // of the error's message; "" for done
	}{
		"status": {[]string{"sh", "-c", "echo boom in $PWD >&2; exit 3"}, "exit status 3: boom in ."},
		"silent": {[]string{"sh", "-c", "exit 2"}, "exit status 2: it printed nothing"},
		"signal": {[]string{"sh", "-c", "kill -9 $$"}, "exit status -1"},
		"slow":   {[]string{"--timeout", "300ms", "--", "sleep", "60"}, "ran for too long"},
		"broken": {[]string{"--format", "sarif", "--", "echo", "a.go:1:1: x"}, "printed no SARIF"},
		"empty":  {[]string{"true"}, ""},
		"env":    {[]string{"sh", "-c", "echo a.go:1:1: token=$DUCKWIRE_TOKEN url=$DUCKWIRE_URL"}, ""},
		"files":  {[]string{"sh", "-c", `echo "$1:1:1: $# files"`, "sh", "{files}"}, ""},
		"brace":  {[]string{"sh", "-c", `echo '{ not SARIF'; echo "a.go:1:1: lines"`}, ""},
	} {
		t.Run(kind, func(t *testing.T) {
			s := &lintServer{t, s.c}
			s.worker(append([]string{"--types", kind}, c.args...)...)
			st := s.end(s.analyze(kind, "a.go", "package a\n", "-x.go", "package a\n"))
			switch {
			case c.want == "" && st.Status != "done":
				t.Errorf("%s %+v", st.Status, st.Error)
			case c.want != "" && (st.Status != "failed" || st.Error.Code != "worker_failed" ||
				!strings.Contains(st.Error.Message, c.want)):
				t.Errorf("%s %+v, want %s", st.Status, st.Error, c.want)
			}
			for kind2, want := range map[string]string{
				"env": "a.go:1:1: medium: token= url=", "files": "a.go:1:1: medium: 2 files",
				"brace": "a.go:1:1: medium: lines",
			} {
				if kind == kind2 && st.issues() != want {
					t.Errorf("%s, want %s", st.issues(), want)
				}
			}
		})
	}
}

// TestWorkerRefusesAProject: a worker refuses an analysis that names a project and has no files.
func TestWorkerRefusesAProject(t *testing.T) {
	t.Parallel()
	s := startLintServer(t)
	s.worker("--", "true")
	s.end(s.analyze("style", "a.go", "package a\n")) // so that the server knows the worker
	header, _, err := s.c.Call(t.Context(), http.MethodPost, "/v1/analyses", map[string]any{"project": "42"})
	if err != nil {
		t.Fatal(err)
	}
	st := s.end(header.Get("Duckwire-Stream"))
	if st.Status != "failed" || st.Error.Code != "worker_refused" || !strings.Contains(st.Error.Message, "no files") {
		t.Errorf("%s %+v", st.Status, st.Error)
	}
}

func TestWorkerUsage(t *testing.T) {
	t.Parallel()
	for _, args := range []string{
		"", "-- no-such-command-at-all", "--format xml -- true", "--kind cooking -- true", "--timeout 0s -- true",
	} {
		var stderr strings.Builder
		line := append([]string{"worker"}, strings.Fields(args)...)
		if code := run(t.Context(), line, strings.NewReader(""), io.Discard, &stderr); code != exitUsage {
			t.Errorf("%q: %d %s", args, code, stderr.String())
		}
	}
}

// TestAnalysisByAModel: without a worker the upstream is asked. Answers that are not valid issues are rejected.
func TestAnalysisByAModel(t *testing.T) {
	t.Parallel()
	answers := map[string]string{
		"good":   "```\n" + `{"file":"a.go","line":1,"severity":"high","message":"a defect"}` + "\n```\nAnything else?\n",
		"prose":  "The code looks fine to me.",
		"broken": `{"file":"a.go","line":1,"mess`,
	}
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body) // the request may have been cut
		w.Header().Set("Content-Type", "text/event-stream")
		for kind, answer := range answers {
			if strings.Contains(string(body), "asked for: "+kind) {
				text, _ := json.Marshal(answer)
				fmt.Fprintf(w, "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":%s},\"finish_reason\":\"stop\"}]}\n\n"+
					"data: [DONE]\n\n", text)
			}
		}
	}))
	t.Cleanup(upstream.Close)
	s := startLintServer(t, "DUCKWIRE_UPSTREAM_URL="+upstream.URL+"/v1", "DUCKWIRE_UPSTREAM_MODEL=m")
	for kind, want := range map[string]string{
		"good": "done ", "prose": "failed bad_answer", "broken": "failed bad_answer",
	} {
		body := map[string]any{"type": kind, "path": "a.go", "code": "package a\n"}
		header, _, err := s.c.Call(t.Context(), http.MethodPost, "/v1/analyses", body)
		if err != nil {
			t.Fatal(err)
		}
		st := s.end(header.Get("Duckwire-Stream"))
		code := ""
		if st.Error != nil {
			code = st.Error.Code
		}
		if st.Status+" "+code != want {
			t.Errorf("%s: %s %+v", kind, st.Status, st.Error)
		}
		one := st.issues() == "a.go:1:0: high: a defect"
		if kind == "good" && (!one || !strings.Contains(st.last(hub.EntryMetadata), `"unparsed":1`)) {
			t.Errorf("%s %s", st.issues(), st.last(hub.EntryMetadata))
		}
	}
}
