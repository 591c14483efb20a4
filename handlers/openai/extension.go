package openai

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/errs"
)

// HeaderKeep is the header with the value of duckwire.keep, for clients that cannot add a member to the body.
const HeaderKeep = "Duckwire-Keep"

// maxCancelAfter is the maximum time, in seconds, that a stream may continue without watchers.
const maxCancelAfter = 7 * 24 * 60 * 60

// duckwire decodes the additional object "duckwire" (openapi.yaml: Extension). Only this server defines its members, so
// an unknown one is an error.
func (d *decoder) duckwire(req *Request) {
	members := d.object("duckwire")
	if members == nil {
		return
	}
	req.Extended = true
	in := decoder{members: members, path: "duckwire.", err: d.err}
	in.rejectUnknown("id", "topic", "keep", "slot", "supersede")
	req.ID = in.name("id")
	req.Slot = in.name("slot")
	req.Topic = in.topic()
	req.Keep = in.keep()
	req.Supersede = in.supersede()
	d.err = in.err
}

// rejectUnknown rejects members with other names, and suggests the nearest known name.
func (d *decoder) rejectUnknown(names ...string) {
	for _, got := range slices.Sorted(func(yield func(string) bool) {
		for name := range d.members {
			if !slices.Contains(names, name) && !yield(name) {
				return
			}
		}
	}) {
		d.fail(got, "is unknown; %s", suggest(got, names))
	}
}

// name decodes an id or a slot: 1 to 128 bytes of [A-Za-z0-9._~:-].
func (d *decoder) name(name string) string {
	s := d.string(name)
	if d.get(name) != nil && !validName(s) {
		d.fail(name, "must be 1 to 128 characters of A-Z a-z 0-9 . _ ~ : -")
	}
	return s
}

func validName(s string) bool {
	if s == "" || len(s) > 128 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && strings.IndexByte("._~:-", c) < 0 {
			return false
		}
	}
	return true
}

func (d *decoder) topic() string {
	s := d.string("topic")
	if d.get("topic") == nil {
		return ""
	}
	if err, ok := hub.ValidTopic(s).(*errs.FieldError); ok {
		d.fail("topic", "%s", err.Reason)
	}
	return s
}

// keep decodes "finish" or {"cancel_after": seconds}.
func (d *decoder) keep() *hub.IdlePolicy {
	const want = `must be "finish" or {"cancel_after": seconds}`
	raw := d.get("keep")
	switch {
	case raw == nil:
		return nil
	case string(raw) == `"finish"`:
		return &hub.IdlePolicy{}
	case raw[0] != '{':
		d.fail("keep", "%s", want)
		return nil
	}
	in := decoder{members: d.object("keep"), path: d.path + "keep.", err: d.err}
	in.rejectUnknown("cancel_after")
	keep := &hub.IdlePolicy{CancelAfter: in.cancelAfter()}
	d.err = in.err
	return keep
}

func (d *decoder) cancelAfter() time.Duration {
	raw := d.get("cancel_after")
	if raw == nil {
		d.fail("cancel_after", "is missing")
		return 0
	}
	after, ok := keepFor(string(raw))
	if !ok {
		d.fail("cancel_after", "must be a number of seconds from 0 to %d", maxCancelAfter)
	}
	return after
}

// keepFor parses seconds. 0 means at once; it becomes the shortest duration, because 0 in hub.IdlePolicy means never.
func keepFor(text string) (after time.Duration, ok bool) {
	seconds, err := strconv.ParseFloat(text, 64)
	if err != nil || !(seconds >= 0 && seconds <= maxCancelAfter) {
		return 0, false
	}
	return max(time.Duration(math.Round(seconds*float64(time.Second))), 1), true
}

// ParseKeep parses the header Duckwire-Keep: "finish", or the seconds that a stream continues without watchers. Errors:
// *errs.FieldError.
func ParseKeep(text string) (hub.IdlePolicy, error) {
	if text == "finish" {
		return hub.IdlePolicy{}, nil
	}
	after, ok := keepFor(text)
	if !ok {
		return hub.IdlePolicy{}, errs.Invalid(HeaderKeep, "must be finish, or a number of seconds from 0 to %d",
			maxCancelAfter)
	}
	return hub.IdlePolicy{CancelAfter: after}, nil
}

func (d *decoder) supersede() hub.Supersede {
	how := hub.Supersede(d.string("supersede"))
	if d.get("supersede") != nil && how != hub.SupersedeStop && how != hub.SupersedeFinish {
		d.fail("supersede", `must be "stop" or "finish"`)
	}
	return how
}
