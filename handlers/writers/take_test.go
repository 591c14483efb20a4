package writers

import "testing"

// numbered is a job that does nothing.
type numbered int

func (numbered) Flush(*Try) {}

// TestTakeMovesNoOther: jobs are taken in order, each once, while others are added. Taking touches only the taken jobs,
// so that the cost of a job does not depend on the number of waiting jobs.
func TestTakeMovesNoOther(t *testing.T) {
	p := &Pool{running: 1 << 30} // so that no goroutine is started
	added, taken := 0, 0
	add := func(n int) {
		for range n {
			p.Add(numbered(added))
			added++
		}
	}
	var mine [share]Job
	take := func() (n int) {
		n = p.take(mine[:])
		for _, j := range mine[:n] {
			if j != numbered(taken) {
				t.Fatalf("job %d was taken in the place of job %d", j, taken)
			}
			taken++
		}
		return n
	}
	add(1000)
	take()
	last := &p.next[len(p.next)-1]
	for *last != nil {
		add(100) // faster than jobs are taken
		if take() == 0 {
			t.Fatal("jobs are ready, and were not taken")
		}
		if taken < 1000 && *last != numbered(999) {
			t.Fatalf("after %d jobs were taken, job 999 is not where it was", taken)
		}
	}
	for take() > 0 {
	}
	if taken != added {
		t.Errorf("%d of %d jobs were taken", taken, added)
	}
	for _, list := range [][]Job{p.ready[:cap(p.ready)], p.next[:cap(p.next)]} {
		for _, j := range list {
			if j != nil {
				t.Fatalf("job %d is still in memory", j)
			}
		}
	}
}
