package sqlite_test

import (
	"bytes"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/rights"
	"github.com/duckwire/duckwire/storage/sqlite"
)

// refuses fails unless opening a folder returns the given error, with advice.
func refuses(t *testing.T, dir string, kind error, advice string) {
	t.Helper()
	s, err := sqlite.Open(sqlite.Options{Dir: dir, Logger: quiet})
	if err == nil {
		s.Close()
	}
	if !errors.Is(err, kind) || !strings.Contains(fmt.Sprint(err), advice) {
		t.Errorf("%v; want %q with %q", err, kind, advice)
	}
}

func TestOpenWantsAFolder(t *testing.T) {
	if _, err := sqlite.Open(sqlite.Options{}); err == nil || !strings.Contains(err.Error(), "Dir") {
		t.Error(err)
	}
}

func TestFolderBelowAFile(t *testing.T) {
	dir := t.TempDir()
	openIn(t, dir)
	if _, err := sqlite.Open(sqlite.Options{
		Dir:    filepath.Join(dir, sqlite.FileName, "a", "b"),
		Logger: quiet,
	}); !errors.Is(err, syscall.ENOTDIR) {
		t.Error(err)
	}
}

func TestFolderIsTheUsersOwn(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	openIn(t, dir)
	info, err := os.Stat(dir)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

func TestSecondServer(t *testing.T) {
	dir := t.TempDir()
	s := openIn(t, dir)
	refuses(t, dir, sqlite.ErrLocked, "stop it first")
	s.Close()
	openIn(t, dir)
}

func TestNewerFile(t *testing.T) {
	dir := t.TempDir()
	openIn(t, dir).Close()
	change(t, dir, `PRAGMA user_version = 1000`)
	refuses(t, dir, sqlite.ErrNewer, "newer program")
}

// TestOlderFile checks that a file without revocations is migrated without losing data.
func TestOlderFile(t *testing.T) {
	dir := t.TempDir()
	s := openIn(t, dir)
	if err := s.Save([]hub.StreamChange{{ID: "a"}}); err != nil {
		t.Fatal(err)
	}
	s.Close()
	change(t, dir, `DROP TABLE revocations; PRAGMA user_version = 1`)
	s = openIn(t, dir)
	if err := s.SaveRevocation(rights.Revocation{User: "ada"}); err != nil {
		t.Error(err)
	}
	var have []string
	err := s.Load(func(rec *hub.StreamRecord) error { have = append(have, rec.ID); return nil })
	if err != nil || len(have) != 1 || have[0] != "a" {
		t.Errorf("%v, %v", have, err)
	}
}

// change runs a statement on a database that is not open.
func change(t *testing.T, dir, query string) {
	t.Helper()
	db, err := sql.Open("sqlite3", "file:"+filepath.Join(dir, sqlite.FileName))
	if err != nil {
		t.Fatal(err)
	}
	_, err = db.Exec(query)
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
}

func TestDamagedFile(t *testing.T) {
	for name, damage := range map[string]func(file []byte) []byte{
		"something else": func([]byte) []byte { return bytes.Repeat([]byte("duck"), 4096) },
		"too short":      func(file []byte) []byte { return file[:len(file)/2] },
		"a page": func(file []byte) []byte {
			copy(file[len(file)-3*4096:], bytes.Repeat([]byte{0xff}, 2*4096))
			return file
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := openIn(t, dir)
			for n := range 100 {
				enqueue(t, s, message("u", fmt.Sprint(n), 500))
			}
			s.Close()
			path := filepath.Join(dir, sqlite.FileName)
			file, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, damage(file), 0o600); err != nil {
				t.Fatal(err)
			}
			refuses(t, dir, sqlite.ErrCorrupt, "restore a backup")
		})
	}
}

func TestLogOfAnotherDatabase(t *testing.T) {
	dir := t.TempDir()
	s := openIn(t, dir)
	enqueue(t, s, message("u", "a", 1))
	backup := filepath.Join(t.TempDir(), "backup.db")
	if err := sqlite.Backup(t.Context(), dir, backup); err != nil {
		t.Fatal(err)
	}
	enqueue(t, s, message("u", "b", 1))
	path := filepath.Join(dir, sqlite.FileName)
	crashed := t.TempDir() // a copy of the folder while the server runs
	move(t, path+"-wal", filepath.Join(crashed, sqlite.FileName+"-wal"))
	refuses(t, crashed, sqlite.ErrStaleLog, "put back")
	move(t, backup, filepath.Join(crashed, sqlite.FileName))
	refuses(t, crashed, sqlite.ErrStaleLog, "-wal")
	if err := os.Remove(filepath.Join(crashed, sqlite.FileName+"-wal")); err != nil {
		t.Fatal(err)
	}
	if got := ids(t, openIn(t, crashed), "u"); len(got) != 1 {
		t.Errorf("%v", got)
	}
}

// move copies a file.
func move(t *testing.T, from, to string) {
	t.Helper()
	content, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, content, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// openEnv makes the test binary open a folder and print the error.
const openEnv = "DUCKWIRE_TEST_OPEN"

func openAlone(dir string) int {
	s, err := sqlite.Open(sqlite.Options{Dir: dir, Logger: quiet})
	if err == nil {
		err = s.Close()
	}
	fmt.Println(err)
	return 0
}

// TestReadOnlyFolder opens folders as a user without write permission. Root may write anywhere, so as root the test
// runs its child as another user.
func TestReadOnlyFolder(t *testing.T) {
	top, err := os.MkdirTemp("", "duckwire-test-*") // unlike folders of t.TempDir, other users can be allowed in
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(top) })
	program := filepath.Join(top, "program")
	copyProgram(t, program)
	dir := filepath.Join(top, "data")
	openIn(t, dir).Close()
	modes := func(folder, file os.FileMode) {
		t.Helper()
		if err := errors.Join(os.Chmod(top, 0o755), os.Chmod(dir, folder),
			os.Chmod(filepath.Join(dir, "duckwire.lock"), 0o666),
			os.Chmod(filepath.Join(dir, sqlite.FileName), file)); err != nil {
			t.Fatal(err)
		}
	}
	open := func(dir string) string {
		t.Helper()
		cmd := exec.Command(program)
		cmd.Env = append(os.Environ(), openEnv+"="+dir)
		if os.Getuid() == 0 {
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		}
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return string(out)
	}
	wanted := []string{sqlite.ErrReadOnly.Error(), "give the user of the server the right"}
	expect := func(what, got string) {
		t.Helper()
		for _, want := range wanted {
			if !strings.Contains(got, want) {
				t.Errorf("%s: %swant %q", what, got, want)
			}
		}
	}
	modes(0o777, 0o444)
	expect("a file that cannot be written", open(dir))
	modes(0o555, 0o444)
	expect("nor can the folder", open(dir))
	if os.Getuid() != 0 {
		top = dir // which is read-only now; of root's own folders the one above is to another user
	}
	expect("a folder that cannot be made", open(filepath.Join(top, "more")))
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
}

func copyProgram(t *testing.T, to string) {
	t.Helper()
	self, err := os.Open("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	defer self.Close()
	f, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	_, err = io.Copy(f, self)
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
}

// TestFullDisk uses a full device as the WAL.
func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	if err := os.Symlink("/dev/full", filepath.Join(dir, sqlite.FileName+"-wal")); err != nil {
		t.Fatal(err)
	}
	refuses(t, dir, sqlite.ErrFull, "make room")
}

// TestCloseLeavesOneFile checks that Close copies the WAL into the file, so that the file alone is complete.
func TestCloseLeavesOneFile(t *testing.T) {
	dir := t.TempDir()
	s := openIn(t, dir)
	enqueue(t, s, message("u", "a", 1))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	left, err := filepath.Glob(filepath.Join(dir, sqlite.FileName+"*"))
	if err != nil || len(left) != 1 {
		t.Errorf("%v, %v", left, err)
	}
}
