package doctor

import (
	"encoding/json"
	"os"
	"os/exec"
	"testing"
)

// childTask is the environment variable that makes this test program run one check, as a child process with limits of
// its own.
const (
	childTask = "DOCTOR_TEST_CHILD"
	childDir  = "DOCTOR_TEST_DIR"
)

// inChild runs the task and prints the report if this process is such a child.
func inChild() bool {
	r, l := &Report{}, &Local{Connections: 1000, DataDir: os.Getenv(childDir)}
	switch os.Getenv(childTask) {
	case "":
		return false
	case "files":
		l.checkFiles(r)
	case "data":
		l.checkData(r)
	}
	_ = json.NewEncoder(os.Stdout).Encode(r.Findings)
	return true
}

// examineInChild runs a task in this test program, started by a shell script as "$0".
func examineInChild(t *testing.T, task, dir string, command ...string) (*Report, error) {
	t.Helper()
	cmd := exec.Command(command[0], append(command[1:], os.Args[0])...)
	cmd.Env = append(os.Environ(), childTask+"="+task, childDir+"="+dir)
	out, err := cmd.Output()
	if err != nil {
		return nil, err
	}
	var findings []struct{ Check, Level, Found, Do string }
	if err := json.Unmarshal(out, &findings); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	r := &Report{}
	for _, f := range findings {
		for level, name := range levelNames {
			if name == f.Level {
				r.Findings = append(r.Findings, Finding{f.Check, Level(level), f.Found, f.Do})
			}
		}
	}
	return r, nil
}

// TestFewFiles runs the check in a process with a low limit of open files.
func TestFewFiles(t *testing.T) {
	t.Parallel()
	for limit, want := range map[string]struct {
		level Level
		found string
	}{
		"300": {Broken, "300 open files at most"}, "1100": {Warning, "connections is 1000"},
		"2000": {Fine, "2000 open files"},
	} {
		r, err := examineInChild(t, "files", "", "sh", "-c", "ulimit -n "+limit+` && exec "$0"`)
		if err != nil {
			t.Fatal(err)
		}
		holds(t, r, "file limit", want.level, want.found)
	}
}

// TestFullDisk runs the check on a disk that is too small for a write, and on one that is nearly full.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	for size, want := range map[string]struct {
		check string
		level Level
		found string
	}{
		"32k": {"data folder", Broken, "no space left"},
		"32m": {"disk", Broken, "MiB left"},
		"99m": {"disk", Warning, "MiB left"},
	} {
		dir := t.TempDir()
		r, err := examineInChild(t, "data", dir, "unshare", "--user", "--map-root-user", "--mount", "sh", "-c",
			"mount -t tmpfs -o size="+size+" none "+dir+` && exec "$0"`)
		if err != nil {
			t.Skipf("SKIPPED: no small disk can be mounted here: %v", err)
		}
		holds(t, r, want.check, want.level, want.found)
		if size != "32k" {
			holds(t, r, "disk", Warning, "tmpfs")
		}
	}
}
