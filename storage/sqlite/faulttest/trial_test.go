//go:build linux

package faulttest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// trial is a folder and the log of what was done to it.
type trial struct {
	t       testing.TB
	seed    uint64
	dir     string
	log     string
	ctl     control
	ctlPath string
	start   map[string]startFile // what the folder held at the start of the log
	prior   *ledger              // what was accepted before it
	next    int                  // records that were seen
}

// shimDir is where the shim is, once it is built.
var shimDir string

var shim = sync.OnceValues(func() (string, error) {
	gcc, err := exec.LookPath("gcc")
	if err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp("", "faulttest-shim-")
	if err != nil {
		return "", err
	}
	shimDir = dir
	so := filepath.Join(dir, "shim.so")
	if out, err := exec.Command(gcc, "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o", so, "testdata/shim.c", "-ldl", "-lpthread").CombinedOutput(); err != nil {
		return "", fmt.Errorf("gcc: %v\n%s", err, out)
	}
	return so, nil
})

func needShim(t testing.TB) string {
	t.Helper()
	so, err := shim()
	if errors.Is(err, exec.ErrNotFound) {
		t.Skip("SKIPPED: nothing is injected below SQLite, for there is no gcc to build the shim with")
	}
	if err != nil {
		t.Fatal(err)
	}
	return so
}

// newTrial starts with the image, or an empty folder if it is nil.
func newTrial(t testing.TB, seed uint64, from *image) *trial {
	t.Helper()
	needShim(t)
	top, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	tr := &trial{t: t, seed: seed, dir: filepath.Join(top, "data"), log: filepath.Join(top, "log"), ctlPath: filepath.Join(top, "control")}
	must(t, os.Mkdir(tr.dir, 0o700))
	must(t, os.WriteFile(tr.log, nil, 0o600))
	if from != nil {
		must(t, from.write(tr.dir, rand.New(rand.NewPCG(seed, 0))))
	}
	if tr.ctl, err = newControl(tr.ctlPath); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tr.ctl.close)
	if tr.start, err = readStart(tr.dir); err != nil {
		t.Fatal(err)
	}
	return tr
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// run lets a child do its work and returns its records.
func (tr *trial) run(w workload) []record {
	tr.t.Helper()
	w.Dir, w.Log, w.Control = tr.dir, tr.log, tr.ctlPath
	config, err := json.Marshal(w)
	must(tr.t, err)
	tr.ctl.set(ctlLoaded, 0)
	ctx, cancel := context.WithTimeout(tr.t.Context(), 3*patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+string(config), "LD_PRELOAD="+needShim(tr.t), "FAULTTEST_ROOT="+tr.dir, "FAULTTEST_LOG="+tr.log,
		"FAULTTEST_CONTROL="+tr.ctlPath, "GORACE=atexit_sleep_ms=0") // the race detector would wait for a second
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err = cmd.Run()
	records := tr.records()
	fresh := records[tr.next:]
	tr.next = len(records)
	killed := slices.ContainsFunc(fresh, func(r record) bool { return r.op == opKill })
	if err != nil && !killed {
		tr.t.Fatalf("seed %d: the child: %v\n%s", tr.seed, err, tail(out.Bytes()))
	}
	return fresh
}

func tail(b []byte) []byte { return b[max(0, len(b)-4000):] }

func (tr *trial) records() []record {
	b, err := os.ReadFile(tr.log)
	must(tr.t, err)
	records, err := parseLog(b)
	must(tr.t, err)
	return records
}

// A ledger knows when each message was tried and accepted.
type ledger struct {
	Tried, Accepted map[string]int // by id, the record; -1 if it was before the log began
	Order           []string       // the ids in order of their first try
}

func (tr *trial) ledger() *ledger { return tr.prior.and(tr.records()) }

// and adds what records tell.
func (l *ledger) and(records []record) *ledger {
	sum := l.until(math.MaxInt)
	for i, r := range records {
		if r.op != opMark {
			continue
		}
		switch word, id, _ := split(r); word {
		case markTry:
			if _, ok := sum.Tried[id]; !ok {
				sum.Tried[id] = i
				sum.Order = append(sum.Order, id)
			}
		case markOK:
			if _, ok := sum.Accepted[id]; !ok {
				sum.Accepted[id] = i
			}
		}
	}
	return sum
}

// until is the ledger as it was at a record, for a log that begins there.
func (l *ledger) until(k int) *ledger {
	before := &ledger{map[string]int{}, map[string]int{}, nil}
	if l == nil {
		return before
	}
	for _, id := range l.Order {
		if l.Tried[id] < k {
			before.Tried[id] = -1
			before.Order = append(before.Order, id)
		}
		if at, ok := l.Accepted[id]; ok && at < k {
			before.Accepted[id] = -1
		}
	}
	return before
}

// next is where each publisher goes on: with the last message that it tried, unless that was accepted. Those before it are settled, for a
// publisher that gave one up does not come back to it.
func (l *ledger) next(publishers int) []int {
	next := make([]int, publishers)
	for p := range next {
		next[p] = 1
	}
	for id := range l.Tried {
		p, n := number(id)
		if _, ok := l.Accepted[id]; ok {
			n++
		}
		next[p] = max(next[p], n)
	}
	return next
}

// check opens a folder as a restart does, and returns what is wrong: with what it holds at record k, or with what it does next.
func (l *ledger) check(w workload, dir string, k int) error {
	s, err := stores[w.Store](dir)
	if err != nil {
		return fmt.Errorf("it does not open: %w", err)
	}
	err = l.checkOpen(w, s, dir, k)
	if cerr := s.close(); err == nil && cerr != nil {
		return fmt.Errorf("close: %w", cerr)
	}
	return err
}

func (l *ledger) checkOpen(w workload, s store, dir string, k int) error {
	if err := integrity(dir); err != nil {
		return err
	}
	if err := l.checkMessages(w, s, k, ""); err != nil {
		return err
	}
	// The last that was accepted comes again, and a new one.
	var last string
	for _, id := range l.Order {
		if at, ok := l.Accepted[id]; ok && at < k {
			last = id
		}
	}
	for _, id := range []string{last, "p0-1000000"} {
		if id == "" {
			continue
		}
		m := w.byID(id)
		if err := s.publish(m.user, m.publisher, m.id, m.payload); err != nil {
			return fmt.Errorf("publishing %s afterwards: %w", id, err)
		}
	}
	return l.checkMessages(w, s, k, "p0-1000000")
}

func (w workload) byID(id string) sent {
	p, n := number(id)
	return w.message(p, n)
}

func number(id string) (p, n int) {
	ps, ns, _ := strings.Cut(strings.TrimPrefix(id, "p"), "-")
	p, perr := strconv.Atoi(ps)
	n, nerr := strconv.Atoi(ns)
	if perr != nil || nerr != nil {
		return -1, -1
	}
	return p, n
}

// checkMessages compares what is kept with what must be, and may be, at record k.
func (l *ledger) checkMessages(w workload, s store, k int, extra string) error {
	found := map[string]bool{}
	for u := range w.Users {
		user := fmt.Sprintf("user%d", u)
		messages, err := s.messages(user)
		if err != nil {
			return fmt.Errorf("reading: %w", err)
		}
		last := map[string]int{}
		for _, m := range messages {
			p, n := number(m.id)
			if at, ok := l.Tried[m.id]; m.id != extra && (!ok || at >= k) {
				return fmt.Errorf("message %q was never sent", m.id)
			}
			want := w.message(p, n)
			switch {
			case want.user != user || want.publisher != m.publisher || !bytes.Equal(want.payload, m.payload):
				return fmt.Errorf("message %s of %s is not what was sent: %.80q", m.id, m.publisher, m.payload)
			case found[m.id]:
				return fmt.Errorf("message %s is there twice", m.id)
			case n <= last[m.publisher]:
				return fmt.Errorf("message %s comes after %s-%d", m.id, m.publisher, last[m.publisher])
			}
			found[m.id] = true
			last[m.publisher] = n
		}
	}
	var missing []string
	for _, id := range l.Order {
		if at, ok := l.Accepted[id]; ok && at < k && !found[id] {
			missing = append(missing, id)
		}
	}
	if extra != "" && !found[extra] {
		missing = append(missing, extra)
	}
	if len(missing) > 0 {
		return fmt.Errorf("%d accepted messages are missing: %.200v", len(missing), missing)
	}
	return nil
}

// A verdict is what became of one crash point.
type verdict struct {
	point, variant int
	way            way
	err            error
}

// crash rebuilds the folder as a power loss at each of some points may leave it, and returns the failures. The points are drawn between two
// records.
func (tr *trial) crash(w workload, from, to, points int) (failures []verdict) {
	tr.t.Helper()
	records := tr.records()
	if to < 0 {
		to = len(records)
	}
	l := tr.ledger()
	d := newDisk(tr.start)
	at := drawPoints(records, from, to, points, tr.rng(0, 0))
	type job struct {
		verdict
		image image
	}
	jobs := make(chan job)
	var mu sync.Mutex
	var workers sync.WaitGroup
	for range 2 {
		workers.Go(func() {
			for j := range jobs {
				if j.err = tr.try(w, l, j.image, j.point, j.variant); j.err != nil {
					mu.Lock()
					failures = append(failures, j.verdict)
					mu.Unlock()
				}
			}
		})
	}
	for i := 0; i <= to; i++ {
		for v := range at[i] {
			img := d.lose(tr.rng(i, v))
			jobs <- job{verdict{i, v, img.way, nil}, img}
		}
		if i < to {
			must(tr.t, d.apply(records[i]))
		}
	}
	close(jobs)
	workers.Wait()
	return failures
}

// image is the folder after one more power loss, and what is known of it.
func (tr *trial) image() (*image, *ledger) {
	tr.t.Helper()
	records := tr.records()
	rng := tr.rng(0, 2)
	k := len(records)/4 + rng.IntN(len(records)-len(records)/4)
	d := newDisk(tr.start)
	for _, r := range records[:k] {
		must(tr.t, d.apply(r))
	}
	img := d.lose(rng)
	return &img, tr.ledger().until(k)
}

// rng is the source of chance at a point: the log and the seed tell everything.
func (tr *trial) rng(point, variant int) *rand.Rand {
	return rand.New(rand.NewPCG(tr.seed, uint64(point)<<16|uint64(variant)))
}

func (tr *trial) try(w workload, l *ledger, img image, point, variant int) error {
	dir, err := os.MkdirTemp("", "faulttest-image-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := img.write(dir, tr.rng(point, variant)); err != nil {
		return err
	}
	return l.check(w, dir, point)
}

// drawPoints returns how often to crash before each record: anywhere, beside what matters, and soon after the store opened.
func drawPoints(records []record, from, to, points int, rng *rand.Rand) map[int]int {
	var hot, opened []int
	for i := from; i < to; i++ {
		r := records[i]
		word, _, _ := split(r)
		switch {
		case r.op == opMark && word == markOpened:
			opened = append(opened, i+1)
			fallthrough
		case r.op == opMark && (word == markOK || word == markOpening), r.op == opSyncBegin, r.op == opSyncEnd, r.op == opSyncFail, r.op == opTruncate,
			r.op == opUnlink, r.op == opRename, r.op == opOpen:
			hot = append(hot, i+1)
		}
	}
	at := map[int]int{}
	for i := range points {
		switch {
		case i%4 == 0 && len(opened) > 0:
			at[min(to, opened[rng.IntN(len(opened))]+rng.IntN(40))]++
		case i%4 < 2 && len(hot) > 0:
			at[hot[rng.IntN(len(hot))]]++
		default:
			at[from+rng.IntN(to-from+1)]++
		}
	}
	return at
}

// report tells of failures, and keeps what a replay needs.
func (tr *trial) report(w workload, failures []verdict) {
	tr.t.Helper()
	if len(failures) == 0 {
		return
	}
	kept, err := os.MkdirTemp("", "faulttest-failure-")
	must(tr.t, err)
	b, err := os.ReadFile(tr.log)
	must(tr.t, err)
	must(tr.t, os.WriteFile(filepath.Join(kept, "log"), b, 0o600))
	config, err := json.Marshal(keptTrial{w, tr.start, tr.prior})
	must(tr.t, err)
	must(tr.t, os.WriteFile(filepath.Join(kept, "trial"), config, 0o600))
	for i, f := range failures {
		if i == 5 {
			tr.t.Errorf("and %d more", len(failures)-i)
			break
		}
		tr.t.Errorf("power loss before record %d (%v): %v\n    again: %s=%s:%d:%d:%d go test -run TestReplay ./storage/sqlite/faulttest", f.point, f.way, f.err,
			replayEnv, kept, tr.seed, f.point, f.variant)
	}
}

// keptTrial is what a replay needs beside the log.
type keptTrial struct {
	Workload workload
	Start    map[string]startFile
	Prior    *ledger
}

const (
	seedEnv   = "FAULTTEST_SEED"
	replayEnv = "FAULTTEST_REPLAY"
	roundsEnv = "FAULTTEST_ROUNDS"
)

// newSeed returns the seed that the environment asks for, or a new one, and prints it.
func newSeed(t testing.TB) uint64 {
	seed := uint64(time.Now().UnixNano()) % 1e9
	if s := os.Getenv(seedEnv); s != "" {
		var err error
		seed, err = strconv.ParseUint(s, 10, 64)
		must(t, err)
	}
	t.Logf("%s=%d", seedEnv, seed)
	return seed
}

// rounds is how many times the short form to run.
func rounds(t testing.TB) int {
	n := 1
	if s := os.Getenv(roundsEnv); s != "" {
		var err error
		n, err = strconv.Atoi(s)
		must(t, err)
	}
	return n
}

// TestReplay tries one crash point of a kept log again.
func TestReplay(t *testing.T) {
	which := os.Getenv(replayEnv)
	if which == "" {
		t.Skip("SKIPPED: nothing to replay; " + replayEnv + " is what a failure prints")
	}
	part := strings.Split(which, ":")
	if len(part) != 4 {
		t.Fatal(which)
	}
	seed, err := strconv.ParseUint(part[1], 10, 64)
	must(t, err)
	point, err := strconv.Atoi(part[2])
	must(t, err)
	variant, err := strconv.Atoi(part[3])
	must(t, err)
	config, err := os.ReadFile(filepath.Join(part[0], "trial"))
	must(t, err)
	var kept keptTrial
	must(t, json.Unmarshal(config, &kept))
	w := kept.Workload
	tr := &trial{t: t, seed: seed, log: filepath.Join(part[0], "log")}
	d := newDisk(kept.Start)
	records := tr.records()
	for _, r := range records[:point] {
		must(t, d.apply(r))
	}
	for i := max(0, point-12); i < min(len(records), point+3); i++ {
		t.Logf("%d: %v", i, records[i])
	}
	img := d.lose(tr.rng(point, variant))
	dir := t.TempDir()
	must(t, img.write(dir, tr.rng(point, variant)))
	if err := kept.Prior.and(records).check(w, dir, point); err != nil {
		t.Error(err)
	}
}
