//go:build linux

package faulttest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"
)

// trial is a folder, and the log of what was done and promised. The log is complete: it begins with the workload, and
// with the folder's initial content.
type trial struct {
	t      testing.TB
	w      workload
	ctl    control
	before int // records in the log before the first run
	seen   int // records that run has returned
}

// past is the result of a power loss, and the marks of what was known then.
type past struct {
	image image
	marks []record
}

// newTrial starts with an empty folder, or with a past.
func newTrial(t testing.TB, w workload, p past) *trial {
	t.Helper()
	needShim(t)
	top, err := filepath.EvalSymlinks(t.TempDir())
	must(t, err)
	w.Dir, w.Log, w.Control = filepath.Join(top, "data"), filepath.Join(top, "log"), filepath.Join(top, "control")
	must(t, os.Mkdir(w.Dir, 0o700))
	must(t, os.WriteFile(w.Log, nil, 0o600))
	tr := &trial{t: t, w: w}
	tr.ctl, err = newControl(w.Control)
	must(t, err)
	t.Cleanup(tr.ctl.close)

	m, err := openMarker(w.Log)
	must(t, err)
	defer m.f.Close()
	config, err := json.Marshal(w)
	must(t, err)
	m.put(record{op: opMark, data: config})
	for _, r := range p.marks {
		m.put(r)
	}
	must(t, p.image.write(w.Dir, tr.rng(0, 0)))
	tr.logFolder(m)
	tr.before = len(tr.records())
	tr.seen = tr.before
	return tr
}

// logFolder logs the folder's files as durable.
func (tr *trial) logFolder(m marker) {
	entries, err := os.ReadDir(tr.w.Dir)
	must(tr.t, err)
	for i, e := range entries {
		if filepath.Ext(e.Name()) == ".db-shm" {
			continue
		}
		f, err := os.Open(filepath.Join(tr.w.Dir, e.Name()))
		must(tr.t, err)
		ino := inodeOf(f)
		f.Close()
		b, err := os.ReadFile(f.Name())
		must(tr.t, err)
		m.put(record{op: opOpen, ino: ino, arg: openCreated, path: e.Name()})
		m.put(record{op: opWrite, ino: ino, data: b})
		m.put(record{op: opSyncBegin, ino: ino, arg: uint64(i)})
		m.put(record{op: opSyncEnd, ino: ino, arg: uint64(i)})
	}
	m.put(record{op: opSyncBegin, arg: syncOfDir})
	m.put(record{op: opSyncEnd, arg: syncOfDir})
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// run runs a child, and returns its records.
func (tr *trial) run(w workload) []record {
	tr.t.Helper()
	w.Dir, w.Log, w.Control = tr.w.Dir, tr.w.Log, tr.w.Control
	config, err := json.Marshal(w)
	must(tr.t, err)
	for _, word := range []counter{ctlLoaded, ctlStopped, ctlBusy} {
		tr.ctl.set(word, 0)
	}
	ctx, cancel := context.WithTimeout(tr.t.Context(), 4*patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0])
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.Env = append(os.Environ(), childEnv+"="+string(config), "LD_PRELOAD="+needShim(tr.t), "FAULTTEST_ROOT="+w.Dir,
		"FAULTTEST_LOG="+w.Log,
		"FAULTTEST_CONTROL="+w.Control, "GORACE=atexit_sleep_ms=0") // otherwise the race detector waits for a second
	out, err := cmd.CombinedOutput()
	records := tr.records()
	fresh := records[tr.seen:]
	tr.seen = len(records)
	killed := slices.ContainsFunc(fresh, func(r record) bool { return r.op == opKill })
	if err != nil && !killed {
		tr.t.Fatalf("seed %d: the child: %v\n%s", w.Seed, err, out[max(0, len(out)-4000):])
	}
	return fresh
}

func (tr *trial) records() []record {
	tr.t.Helper()
	b, err := os.ReadFile(tr.w.Log)
	must(tr.t, err)
	records, err := parseLog(b)
	must(tr.t, err)
	return records
}

// disk is the model after the records.
func (tr *trial) disk(records []record) *disk {
	tr.t.Helper()
	d := newDisk()
	for _, r := range records {
		must(tr.t, d.apply(r))
	}
	return d
}

// rng returns the random source at a point of the log, so that log and seed determine everything.
func (tr *trial) rng(point, variant int) *rand.Rand {
	return rand.New(rand.NewPCG(tr.w.Seed, uint64(point)<<16|uint64(variant)))
}

// checkRestart compares the model with the folder, and restarts on a copy of it, as after the end of the process
// alone.
func (tr *trial) checkRestart() error {
	tr.t.Helper()
	records := tr.records()
	img := tr.disk(records).image()
	if err := img.differs(tr.w.Dir); err != nil {
		tr.t.Errorf("seed %d: the shim or the model is wrong: %v", tr.w.Seed, err)
	}
	return tr.try(records, img, 0)
}

// A verdict is the result of one power loss.
type verdict struct {
	point, variant int
	way            way
	err            error
}

// crash reconstructs the folder after a power loss at some points after a record, and returns the failures.
func (tr *trial) crash(from, points int) (failures []verdict) {
	tr.t.Helper()
	records := tr.records()
	at := drawPoints(records, from, points, tr.rng(0, 1))
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
				if j.err = tr.try(records[:j.point], j.image, j.variant); j.err != nil {
					mu.Lock()
					failures = append(failures, j.verdict)
					mu.Unlock()
				}
			}
		})
	}
	d := newDisk()
	for i := range len(records) + 1 {
		for v := range at[i] {
			img := d.lose(tr.rng(i, v))
			jobs <- job{verdict{i, v, img.way, nil}, img}
		}
		if i < len(records) {
			must(tr.t, d.apply(records[i]))
		}
	}
	close(jobs)
	workers.Wait()
	return failures
}

// try restarts on an image. The callers know what the records say.
func (tr *trial) try(records []record, img image, variant int) error {
	l, err := newLedger(tr.w, records)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("/dev/shm", "faulttest-image-") // where syncs are free: the disk is the model's
	if err != nil {
		if dir, err = os.MkdirTemp("", "faulttest-image-"); err != nil {
			return err
		}
	}
	defer os.RemoveAll(dir)
	if err := img.write(dir, tr.rng(len(records), variant)); err != nil {
		return err
	}
	return l.check(dir)
}

// past draws another power loss, with which the next trial begins.
func (tr *trial) past() past {
	tr.t.Helper()
	rng := tr.rng(0, 2)
	records := tr.records()
	records = records[:tr.before+(len(records)-tr.before)/4+rng.IntN((len(records)-tr.before)*3/4)]
	p := past{image: tr.disk(records).lose(rng)}
	for _, r := range records[1:] {
		if r.op == opMark {
			p.marks = append(p.marks, r)
		}
	}
	return p
}

// drawPoints returns how many power losses to try before each record: at random, around important calls, and soon
// after the store opened.
func drawPoints(records []record, from, points int, rng *rand.Rand) map[int]int {
	var hot, opened []int
	for i, r := range records[from:] {
		word, _, _ := split(r)
		switch {
		case word == markOpened:
			opened = append(opened, from+i+1)
			fallthrough
		case word == markOK, word == markAcked, word == markOpening, r.op != opMark && r.op != opWrite:
			hot = append(hot, from+i+1)
		}
	}
	at := map[int]int{}
	for i := range points {
		switch {
		case i%4 == 0 && len(opened) > 0:
			at[min(len(records), opened[rng.IntN(len(opened))]+rng.IntN(40))]++
		case i%4 < 2 && len(hot) > 0:
			at[hot[rng.IntN(len(hot))]]++
		default:
			at[from+rng.IntN(len(records)-from+1)]++
		}
	}
	return at
}

const (
	seedEnv   = "FAULTTEST_SEED"
	forEnv    = "FAULTTEST_FOR"
	replayEnv = "FAULTTEST_REPLAY"
)

// newSeed returns the seed that the environment asks for, or a new one, and prints it.
func newSeed(t testing.TB) uint64 {
	seed := uint64(time.Now().UnixNano()) % 1e9
	if testing.Short() {
		seed = 1 // the quick run is the same each time
	}
	if s := os.Getenv(seedEnv); s != "" {
		var err error
		seed, err = strconv.ParseUint(s, 10, 64)
		must(t, err)
	}
	t.Logf("%s=%d", seedEnv, seed)
	return seed
}

// rounds counts from 0 on for as long as the environment asks, and at least to 0.
func rounds(t testing.TB) func(yield func(uint64) bool) {
	var long time.Duration
	if s := os.Getenv(forEnv); s != "" {
		var err error
		long, err = time.ParseDuration(s)
		must(t, err)
	}
	began := time.Now()
	return func(yield func(uint64) bool) {
		for n := uint64(0); yield(n) && time.Since(began) < long && !t.Failed(); n++ {
		}
	}
}

// report reports failures, and keeps the log for a replay.
func (tr *trial) report(failures []verdict) {
	tr.t.Helper()
	if len(failures) == 0 {
		return
	}
	f, err := os.CreateTemp("", "faulttest-failure-")
	must(tr.t, err)
	defer f.Close()
	b, err := os.ReadFile(tr.w.Log)
	must(tr.t, err)
	_, err = f.Write(b)
	must(tr.t, err)
	for i, v := range failures {
		if i == 5 {
			tr.t.Errorf("and %d more", len(failures)-i)
			break
		}
		tr.t.Errorf("power loss before record %d (%v): %v\n    again: %s=%s:%d:%d go test -run TestReplay "+
			"./storage/sqlite/faulttest", v.point, v.way, v.err,
			replayEnv, f.Name(), v.point, v.variant)
	}
}

// TestReplay replays one power loss of a kept log.
func TestReplay(t *testing.T) {
	which := os.Getenv(replayEnv)
	if which == "" {
		t.Skip("SKIPPED: nothing to replay; " + replayEnv + " is what a failure prints")
	}
	part := bytes.Split([]byte(which), []byte(":"))
	if len(part) != 3 {
		t.Fatal(which)
	}
	tr := &trial{t: t, w: workload{Log: string(part[0])}}
	records := tr.records()
	must(t, json.Unmarshal(records[0].data, &tr.w))
	point, err := strconv.Atoi(string(part[1]))
	must(t, err)
	variant, err := strconv.Atoi(string(part[2]))
	must(t, err)
	for i := max(0, point-12); i < min(len(records), point+3); i++ {
		t.Logf("%d: %v", i, records[i])
	}
	if err := tr.try(records[:point], tr.disk(records[:point]).lose(tr.rng(point, variant)), variant); err != nil {
		t.Error(fmt.Errorf("seed %d: %w", tr.w.Seed, err))
	}
}
