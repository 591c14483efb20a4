package log_test

import (
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/duckwire/duckwire/hub/log"
)

// positionBytes are the bytes that may occur in a position, all of which are allowed in an SSE id.
const positionBytes = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._~-"

// FuzzPosition checks that a position has only one text that is accepted, of positionBytes and at most MaxPosition
// long.
func FuzzPosition(f *testing.F) {
	for _, s := range []string{
		"abc-1.7", "0", "now", "a.0", "a.00", "a.-1", ".1", "a.", "a.9223372036854775808", "é.1",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := log.ParsePosition(s)
		if err != nil {
			if p != (log.Position{}) {
				t.Fatalf("%q: an error and %+v", s, p)
			}
			return
		}
		if p.String() != s {
			t.Fatalf("%q came back as %q", s, p)
		}
		if len(s) > log.MaxPosition || strings.Trim(s, positionBytes) != "" {
			t.Fatalf("%q was accepted", s)
		}
	})
}

// FuzzVector checks that ParseVector never panics, and that a vector of n positions has n.
func FuzzVector(f *testing.F) {
	f.Add("boot.VAgEEAg", 2)
	f.Add("0", 3)
	f.Add("boot.V", 0)
	f.Fuzz(func(t *testing.T, s string, n int) {
		if n < 0 || n > 64 {
			t.Skip("no such number of topics")
		}
		if v, err := log.ParseVector(s, n); err == nil && len(v) != n {
			t.Fatalf("%q of %d has %d", s, n, len(v))
		}
	})
}

// TestVectorRoundTrip checks that a vector is parsed as it was written, also with several BOOTs, and that sixteen
// positions of one BOOT are within MaxVector.
func TestVectorRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 16).Draw(t, "n")
		boots := rapid.SliceOfN(rapid.SampledFrom([]string{"AbCd_-12", "zzzzzzzz"}), n, n).Draw(t, "boots")
		var v log.Vector
		for i := range n {
			count := rapid.Uint64Range(0, 1<<20).Draw(t, "count")
			offset := rapid.Uint64Range(0, 1<<40).Draw(t, "offset")
			v = append(v, log.Position{Epoch: boots[i] + "-" + base36(count), Offset: offset})
		}
		text := string(v.Append(nil))
		back, err := log.ParseVector(text, n)
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		for i := range v {
			if v[i] != back[i] {
				t.Fatalf("%+v came back as %+v", v[i], back[i])
			}
		}
		if _, err := log.ParseVector(text, n+1); err == nil {
			t.Fatal("accepted for another number of topics")
		}
	})
	var v log.Vector
	for i := range 16 {
		v = append(v, log.Position{Epoch: "AbCd_-12-" + base36(uint64(8000+i)), Offset: 2_000_000})
	}
	if n := len(v.Append(nil)); n > log.MaxVector {
		t.Errorf("sixteen topics take %d bytes, more than %d", n, log.MaxVector)
	}
}

func base36(n uint64) string {
	const digits = "0123456789abcdefghijklmnopqrstuvwxyz"
	s := ""
	for {
		s = string(digits[n%36]) + s
		if n /= 36; n == 0 {
			return s
		}
	}
}

// FuzzPlaces checks that what ParsePlaces accepts is written as places that it reads the same, in positionBytes.
func FuzzPlaces(f *testing.F) {
	for _, s := range []string{"0", "now", "a-1.7", "a-1.7~", "a-1.7~AWEEBAA", "now~AWEEBAA", "a-1.7~AWEDAWIEAA"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		ps, err := log.ParsePlaces(s)
		if err != nil || ps.Topic.Epoch == "" {
			return
		}
		text := string(ps.Append(nil))
		again, err := log.ParsePlaces(text)
		if err != nil || !reflect.DeepEqual(ps, again) || strings.Trim(text, positionBytes) != "" {
			t.Fatalf("%q is %+v, and %q is %+v, %v", s, ps, text, again, err)
		}
	})
}

// TestPlacesRoundTrip checks that places are parsed as they were written, up to MaxPlaces.
func TestPlacesRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		position := func() log.Position {
			boot := rapid.SampledFrom([]string{"AbCd_-12", "zzzzzzzz"}).Draw(t, "boot")
			count := rapid.Uint64Range(0, 1<<20).Draw(t, "count")
			return log.Position{Epoch: boot + "-" + base36(count), Offset: rapid.Uint64Range(0, 1<<40).Draw(t, "offset")}
		}
		want := log.Places{Topic: position()}
		n := rapid.IntRange(0, log.MaxPlaces+1).Draw(t, "n")
		for range n {
			id := rapid.StringMatching(`[ -~]{1,128}`).Draw(t, "id")
			sent := rapid.IntRange(0, 9).Draw(t, "sent")
			want.Streams = append(want.Streams, log.Place{Stream: id, At: position(), Sent: sent})
		}
		got, err := log.ParsePlaces(string(want.Append(nil)))
		if n > log.MaxPlaces {
			if err == nil {
				t.Fatal("more than MaxPlaces were accepted")
			}
			return
		}
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("%+v came back as %+v, %v", want, got, err)
		}
	})
}
