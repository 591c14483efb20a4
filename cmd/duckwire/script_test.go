package main

import (
	"context"
	"encoding/base64"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"go.uber.org/goleak"

	"github.com/duckwire/duckwire/cmd/duckwire/internal/address"
	"github.com/duckwire/duckwire/cmd/duckwire/internal/testnet"
	"github.com/duckwire/duckwire/hub/hubtest"
)

// TestMain lets scripts run this binary as duckwire. It fails if a goroutine is left at the end.
func TestMain(m *testing.M) {
	testscript.Main(leakChecked{m}, map[string]func(){"duckwire": main})
}

type leakChecked struct{ *testing.M }

// Run runs more tests in parallel than there are processors, because they wait more than they compute.
func (m leakChecked) Run() int {
	flag.Parse()
	if f := flag.Lookup("test.parallel"); f.Value.String() == f.DefValue {
		_ = f.Value.Set("6")
	}
	code := m.M.Run()
	if code != 0 {
		return code
	}
	if err := goleak.Find(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// TestScripts runs the scripts in testdata with the real binary.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		UpdateScripts:       os.Getenv("UPDATE") != "",
		Setup: func(env *testscript.Env) error {
			env.Setenv("GORACE", "atexit_sleep_ms=0") // otherwise each process of a -race build takes a second to exit
			env.Setenv("ADDR", testnet.FreeAddr(t))
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"claims": claims,
			"status": status,
			"mode":   mode,
		},
	})
}

// claims FILE writes the payload of the token in FILE to the file claims.json.
func claims(ts *testscript.TestScript, neg bool, args []string) {
	text := ts.ReadFile(args[0])
	if strings.Count(text, "\n") != 1 {
		ts.Fatalf("not one line: %q", text)
	}
	parts := strings.Split(strings.TrimSpace(text), ".")
	if len(parts) != 3 {
		ts.Fatalf("no token: %q", text)
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs("claims.json"), append(payload, '\n'), 0o600))
}

// status CODE URL [PATH] waits until GET of URL, or of PATH at a server at URL or unix:PATH, answers with CODE.
func status(ts *testscript.TestScript, neg bool, args []string) {
	var got string
	tr := http.DefaultTransport.(*http.Transport).Clone()
	base := address.Reach(tr, args[1]) + strings.Join(args[2:], "")
	for end := time.Now().Add(hubtest.Hung); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		ctx, cancel := context.WithTimeout(context.Background(), hubtest.Hung)
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, base, nil)
		ts.Check(err)
		req.Close = true
		resp, err := (&http.Client{Transport: tr}).Do(req)
		cancel()
		if err != nil {
			got = err.Error()
			continue
		}
		resp.Body.Close()
		if got = fmt.Sprint(resp.StatusCode); got == args[0] {
			return
		}
	}
	ts.Fatalf("GET %s: %s, want %s", args[1], got, args[0])
}

// mode PERMISSIONS FILE compares the permissions of a file.
func mode(ts *testscript.TestScript, neg bool, args []string) {
	info, err := os.Stat(filepath.Clean(ts.MkAbs(args[1])))
	ts.Check(err)
	if got := info.Mode().Perm().String(); got != args[0] {
		ts.Fatalf("%s has %s, want %s", args[1], got, args[0])
	}
}
