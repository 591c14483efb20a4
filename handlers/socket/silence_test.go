package socket

import (
	"testing"
	"time"
)

// TestSilence: the columns are seconds since the client was heard, and since it was pinged (0: never); the timeout is
// 60 s.
func TestSilence(t *testing.T) {
	for _, c := range []struct {
		heard, pinged int
		noPing        bool
		want          silenceAction
	}{
		{heard: 29, want: waitMore},
		{heard: 30, want: sendPing},
		{heard: 30, pinged: 40, want: sendPing}, // it answered that ping
		{heard: 44, pinged: 14, want: waitMore},
		{heard: 45, pinged: 15, want: sendPing},
		{heard: 59, pinged: 14, want: waitMore},
		{heard: 60, pinged: 15, want: closeSilent},
		{heard: 60, pinged: 14, want: waitMore},     // the ping was late
		{heard: 3600, want: sendPing},               // the process was stopped
		{heard: 3600, pinged: 3610, want: sendPing}, // likewise
		{heard: 3601, pinged: 1, want: waitMore},
		{heard: 3615, pinged: 15, want: closeSilent},
		{heard: 59, noPing: true, want: waitMore},
		{heard: 60, noPing: true, want: closeSilent},
	} {
		o := Options{IdleTimeout: time.Minute, NoPing: c.noPing}
		now, pinged := time.Now(), time.Time{}
		if c.pinged > 0 {
			pinged = now.Add(-time.Duration(c.pinged) * time.Second)
		}
		if got := o.onSilence(now, now.Add(-time.Duration(c.heard)*time.Second), pinged); got != c.want {
			t.Errorf("%+v: %d", c, got)
		}
	}
}

// TestLongAnswersTakeTheirTime: a session outlives the time in which its client reads a long answer.
func TestLongAnswersTakeTheirTime(t *testing.T) {
	began := time.Now()
	ses := &session{idleLimit: 30 * time.Second, lastUsed: began}
	ses.sends(900_000) // 36 s on a link of 25 KB/s
	if ses.isLate(began.Add(45 * time.Second)) {
		t.Error("the session ends while its client reads")
	}
	if !ses.isLate(began.Add(5 * time.Minute)) {
		t.Error("the session never ends")
	}
}
