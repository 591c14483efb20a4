package openai

import (
	"encoding/json"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/errs"
)

// maxCancelAfter is the maximum time, in seconds, that a stream may continue without watchers.
const maxCancelAfter = 7 * 24 * 60 * 60

// duckwire decodes the additional object "duckwire" (design.md 2.1). Only this server defines its members, so an
// unknown one is an error.
func (d *decoder) duckwire(req *Request) {
	members := d.object("duckwire")
	if members == nil {
		return
	}
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

// cancelAfter decodes seconds. 0 means at once; it becomes the shortest duration, because 0 in hub.Keep means never.
func (d *decoder) cancelAfter() time.Duration {
	raw := d.get("cancel_after")
	if raw == nil {
		d.fail("cancel_after", "is missing")
		return 0
	}
	var seconds float64
	if json.Unmarshal(raw, &seconds) != nil || seconds < 0 || seconds > maxCancelAfter {
		d.fail("cancel_after", "must be a number of seconds from 0 to %d", maxCancelAfter)
		return 0
	}
	return max(time.Duration(math.Round(seconds*float64(time.Second))), 1)
}

func (d *decoder) supersede() hub.Supersede {
	how := hub.Supersede(d.string("supersede"))
	if d.get("supersede") != nil && how != hub.SupersedeStop && how != hub.SupersedeFinish {
		d.fail("supersede", `must be "stop" or "finish"`)
	}
	return how
}
