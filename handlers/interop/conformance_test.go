package interop_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/duckwire/duckwire/hub/hubtest"
)

// TestConformance compares package socket with Phoenix: it replays transcripts of a real Phoenix server, and runs the
// official client through everyday use. phoenix/testdata has the scripts.
func TestConformance(t *testing.T) {
	checkNode(t)
	installPackages(t, ".")
	t.Parallel() // not earlier, so that the packages are installed once
	t.Run("transcripts", func(t *testing.T) {
		t.Parallel()
		run(t, []string{"PHX=" + startFixture(t)}, "node", "phoenix/testdata/replay.mjs", "phoenix/testdata/transcripts.json")
	})
	const (
		latest = "node_modules/phoenix/priv/static/phoenix.mjs"
		older  = "node_modules/phoenix-1.7/priv/static/phoenix.mjs" // polls only with XMLHttpRequest
	)
	for _, script := range []struct {
		name  string
		args  []string
		wants []string // expected lines of the output, for scripts that do not check it
	}{
		{"client", []string{"client.mjs", latest}, nil},
		{"client 1.7", []string{"client.mjs", older}, nil},
		{"fallback, fetch", []string{"fallback.mjs", latest}, fellBack()},
		{"fallback, XMLHttpRequest", []string{"fallback.mjs", latest, "xhr"}, fellBack()},
		{"fallback 1.7", []string{"fallback.mjs", older, "xhr"}, fellBack()},
	} {
		t.Run(script.name, func(t *testing.T) {
			hubtest.Full(t, "half a minute")
			t.Parallel()
			args := append([]string{"phoenix/testdata/" + script.args[0]}, script.args[1:]...)
			if script.args[1] == older {
				args = append([]string{"--import", "./lib/xhr.mjs"}, args...)
			}
			runPaced(t, args, script.wants)
		})
	}
}

// runPaced runs a script that waits for fixed times; the times are part of the original script. The machine may be too
// busy for them: then the script runs again with more time, and the test fails only if the longest times do not
// suffice either.
func runPaced(t *testing.T, args, wants []string) {
	t.Helper()
	var out string
	for _, slow := range []string{"1", "4", "16"} {
		window := fmt.Sprintf("LP_WINDOW=%d", pollWindow.Milliseconds())
		env := []string{"SLOW=" + slow, "PHX=" + startFixture(t), window, "SSE=1"}
		var err error
		out, err = try(t, env, "node", args...)
		if err == nil && hasLines(out, wants) {
			return
		}
		t.Logf("SLOW=%s: %v", slow, err)
	}
	t.Errorf("node %s; wants the lines %q\n%s", strings.Join(args, " "), wants, out)
}

// fellBack returns what fallback.mjs prints about five connections: one on which WebSockets work, and four on which
// they do not.
func fellBack() []string {
	lines := []string{`--- mode pass: transport=WebSocket state=joined joinsOk=1 memory=[]`}
	for _, broken := range []string{"403", "reset", "hang", "blackhole"} {
		lines = append(lines, `--- mode `+broken+
			`: transport=LongPoll state=joined joinsOk=1 memory=[["phx:fallback:LongPoll","true"]]`)
	}
	return lines
}

func hasLines(out string, wants []string) bool {
	for _, want := range wants {
		if !strings.Contains(out, want+"\n") {
			return false
		}
	}
	return true
}
