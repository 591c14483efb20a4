package hub_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/log"
)

func newStream(t *testing.T, h *hub.Hub, spec hub.StreamSpec) *hub.Stream {
	t.Helper()
	if spec.Owner == "" {
		spec.Owner = "u"
	}
	s, _, err := h.CreateStream(spec)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// send is one whole request of a producer.
func send(s *hub.Stream, ref hub.ProducerRef, text string, ending *hub.Ending) (hub.Receipt, error) {
	a, err := s.Append(ref)
	if err != nil {
		return hub.Receipt{}, err
	}
	if a.Duplicate() {
		return a.End(nil)
	}
	if err := a.Add([]hub.Part{{Text: text}}); err != nil {
		a.Abort()
		return hub.Receipt{}, err
	}
	return a.End(ending)
}

func text(s *hub.Stream) string { return string(s.State().Text) }

func TestProducerSequence(t *testing.T) {
	s := newStream(t, newHub(t, hub.Options{}), hub.StreamSpec{})
	ref := func(epoch, seq int64) hub.ProducerRef { return hub.ProducerRef{ID: "p", Epoch: epoch, Seq: seq} }
	steps := []struct {
		name  string
		ref   hub.ProducerRef
		text  string
		check func(hub.Receipt, error) bool
	}{
		{"must begin at 0", ref(0, 1), "x", func(_ hub.Receipt, err error) bool {
			var gap *hub.GapError
			return errors.As(err, &gap) && gap.Expected == 0 && gap.Received == 1
		}},
		{"first", ref(0, 0), "a", func(r hub.Receipt, err error) bool { return err == nil && !r.Duplicate }},
		{"repeated", ref(0, 0), "a", func(r hub.Receipt, err error) bool { return err == nil && r.Duplicate }},
		{"next", ref(0, 1), "b", func(r hub.Receipt, err error) bool { return err == nil && !r.Duplicate }},
		{"gap", ref(0, 3), "d", func(_ hub.Receipt, err error) bool {
			var gap *hub.GapError
			return errors.As(err, &gap) && gap.Expected == 2 && gap.Received == 3
		}},
		{
			"new epoch must begin at 0", ref(2, 5), "x",
			func(_ hub.Receipt, err error) bool { return errors.Is(err, errs.ErrInvalid) },
		},
		{"new epoch", ref(2, 0), "c", func(r hub.Receipt, err error) bool { return err == nil && !r.Duplicate }},
		{"the old epoch is fenced off", ref(0, 2), "x", func(_ hub.Receipt, err error) bool {
			var fenced *hub.FencedError
			return errors.As(err, &fenced) && fenced.Epoch == 2
		}},
		{
			"another producer meets the lease",
			hub.ProducerRef{ID: "q", Epoch: 9},
			"x",
			func(_ hub.Receipt, err error) bool {
				var lease *hub.LeaseError
				return errors.As(err, &lease) && lease.Left > 0
			},
		},
		{
			"so does one without a name",
			hub.ProducerRef{},
			"x",
			func(_ hub.Receipt, err error) bool { return errors.Is(err, errs.ErrConflict) },
		},
	}
	for _, step := range steps {
		if r, err := send(s, step.ref, step.text, nil); !step.check(r, err) {
			t.Errorf("%s: %+v, %v", step.name, r, err)
		}
	}
	if got := text(s); got != "abc" {
		t.Errorf("the text is %q", got)
	}
}

func TestClosingRequestMayBeRepeated(t *testing.T) {
	s := newStream(t, newHub(t, hub.Options{}), hub.StreamSpec{})
	ref := hub.ProducerRef{ID: "p"}
	if _, err := send(s, ref, "a", &hub.Ending{Status: hub.StatusDone}); err != nil {
		t.Fatal(err)
	}
	if r, err := send(s, ref, "a", nil); err != nil || !r.Duplicate || r.Status != hub.StatusDone {
		t.Errorf("repeated: %+v, %v", r, err)
	}
	var ended *hub.EndedError
	if _, err := send(s, hub.ProducerRef{ID: "p", Seq: 1}, "b", nil); !errors.As(err, &ended) ||
		ended.Receipt.Cancelled {
		t.Errorf("after the end: %v", err)
	}
}

// A cut upload is sent again under the same Producer-Seq: the bytes that were appended already are skipped.
func TestCutUploadGoesOnWhereItWasCut(t *testing.T) {
	s := newStream(t, newHub(t, hub.Options{}), hub.StreamSpec{})
	ref := hub.ProducerRef{ID: "p"}
	whole := []byte("one 🦆 two")
	a, err := s.Append(ref)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.AddText(whole[:6]); err != nil { // in the middle of the duck
		t.Fatal(err)
	}
	if got := text(s); got != "one " {
		t.Errorf("half a character was let out: %q", got)
	}
	b, err := s.Append(ref) // the producer reconnects before the server has noticed the cut
	if err != nil {
		t.Fatal(err)
	}
	if err := a.AddText(whole[6:]); !errors.Is(err, errs.ErrForbidden) {
		t.Errorf("the old upload still writes: %v", err)
	}
	a.Abort()
	for _, piece := range [][]byte{whole[:3], whole[3:9], whole[9:]} {
		if err := b.AddText(piece); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := b.End(&hub.Ending{Status: hub.StatusDone}); err != nil {
		t.Fatal(err)
	}
	if got := text(s); got != string(whole) {
		t.Errorf("the text is %q, want %q", got, whole)
	}
}

func TestRawTextMustBeUTF8(t *testing.T) {
	s := newStream(t, newHub(t, hub.Options{}), hub.StreamSpec{})
	a, err := s.Append(hub.ProducerRef{})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Abort()
	if err := a.AddText([]byte("ok")); err != nil {
		t.Fatal(err)
	}
	var field *errs.FieldError
	if err := a.AddText([]byte("a\xffb")); !errors.As(err, &field) ||
		field.Reason != "is not valid UTF-8 at byte 3 of the upload" {
		t.Errorf("got %v", err)
	}
	if got := text(s); got != "ok" {
		t.Errorf("the text is %q", got)
	}
}

func TestLeaseLapsesAndAnotherTakesOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := hub.New(hub.Options{Limits: hub.Limits{Lease: 30 * time.Second}})
		defer h.Close()
		s := newStream(t, h, hub.StreamSpec{})
		wake := log.NewWake()
		r, _ := s.Watch(log.Position{}, wake)
		defer r.Close()
		if _, err := send(s, hub.ProducerRef{ID: "p", Epoch: 1}, "a", nil); err != nil {
			t.Fatal(err)
		}
		time.Sleep(29 * time.Second)
		if _, err := send(s, hub.ProducerRef{ID: "p", Epoch: 1, Seq: 1}, "b", nil); err != nil { // extends the lease
			t.Fatal(err)
		}
		time.Sleep(29 * time.Second)
		if st := s.Status(); st != hub.StatusRunning {
			t.Fatalf("%s before the lease was over", st)
		}
		time.Sleep(2 * time.Second)
		if st := s.State(); st.Status != hub.StatusInterrupted || st.Ending.Error.Code != "lease_expired" ||
			st.Account.EndedBy != "lease" {
			t.Fatalf("%+v after the lease was over", st)
		}
		if _, err := send(s, hub.ProducerRef{ID: "q", Epoch: 1}, "x", nil); !errors.Is(err, errs.ErrForbidden) {
			t.Errorf("a producer of the same epoch: %v", err)
		}
		if _, err := send(s, hub.ProducerRef{ID: "q", Epoch: 2}, "c", &hub.Ending{Status: hub.StatusDone}); err != nil {
			t.Errorf("a producer of a higher epoch: %v", err)
		}
		if st := s.State(); st.Status != hub.StatusDone || string(st.Text) != "abc" {
			t.Errorf("%s with %q", st.Status, st.Text)
		}
		// A read of the whole log gets only the last end.
		items, _ := r.Read(nil)
		ends := 0
		for _, item := range items {
			if item.Event != nil && item.Event.Kind == log.EndEvent {
				ends++
			}
		}
		if ends != 1 || items[len(items)-1].Event == nil {
			t.Errorf("%d ends in %d items", ends, len(items))
		}
	})
}

// The lease does not expire while an upload is open, however long it is silent.
func TestOpenUploadHoldsTheLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := hub.New(hub.Options{})
		defer h.Close()
		s := newStream(t, h, hub.StreamSpec{})
		a, err := s.Append(hub.ProducerRef{})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		if err := a.AddText([]byte("late")); err != nil {
			t.Fatal(err)
		}
		a.Abort()
		time.Sleep(31 * time.Second)
		if st := s.Status(); st != hub.StatusInterrupted {
			t.Errorf("%s after a cut upload and a lease", st)
		}
	})
}

// FuzzAppendedText: valid UTF-8 is appended completely, wherever it is cut, and never with a partial character;
// anything else is refused.
func FuzzAppendedText(f *testing.F) {
	f.Add([]byte("one 🦆 two"), 3)
	f.Add([]byte("\xff"), 1)
	f.Fuzz(func(t *testing.T, raw []byte, size int) {
		if size < 1 || len(raw) > 1000 {
			t.Skip()
		}
		h := newHub(t, hub.Options{})
		s := newStream(t, h, hub.StreamSpec{})
		a, err := s.Append(hub.ProducerRef{})
		if err != nil {
			t.Fatal(err)
		}
		for rest := raw; len(rest) > 0 && err == nil; rest = rest[min(size, len(rest)):] {
			err = a.AddText(rest[:min(size, len(rest))])
			if got := text(s); !strings.HasPrefix(string(raw), got) || strings.ToValidUTF8(got, "") != got {
				t.Fatalf("%q let out %q", raw, got)
			}
		}
		valid := strings.ToValidUTF8(string(raw), "") == string(raw)
		if err == nil {
			_, err = a.End(&hub.Ending{Status: hub.StatusDone})
		} else {
			a.Abort()
		}
		if (err == nil) != valid {
			t.Fatalf("%q: %v", raw, err)
		}
		if valid && text(s) != string(raw) {
			t.Fatalf("%q became %q", raw, text(s))
		}
	})
}
