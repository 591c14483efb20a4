package hub

import (
	"encoding/json"
	"strconv"
	"time"

	"github.com/duckwire/duckwire/hub/lock"
)

// Uploads to a stream that another node writes. One whose body is known is one call; one that comes in pieces is begun
// there, sent on a piece at a time, and ended.
const (
	callAppend      = "append"        // appendQuestion and its text → uploadAnswer
	callBeginUpload = "begin upload"  // beginQuestion → uploadAnswer
	callAddToUpload = "add to upload" // uploadQuestion and text
	callEndUpload   = "end upload"    // uploadQuestion → uploadAnswer
	callAbortUpload = "abort upload"  // uploadQuestion
)

type beginQuestion struct {
	streamQuestion
	Ref ProducerRef `json:"ref"`
}

type appendQuestion struct {
	beginQuestion
	Parts  []Part        `json:"parts,omitempty"`
	Ending *remoteEnding `json:"ending,omitempty"`
}

type uploadQuestion struct {
	Upload string        `json:"upload"`
	Parts  []Part        `json:"parts,omitempty"`
	Ending *remoteEnding `json:"ending,omitempty"`
}

type uploadAnswer struct {
	Upload    string   `json:"upload,omitempty"`
	Duplicate bool     `json:"duplicate,omitempty"`
	Receipt   *Receipt `json:"receipt,omitempty"`
}

// uploadIdle is after how long of silence an upload counts as cut: its node may have died. A node with an upload under
// way that is slow says so.
const uploadIdle = time.Minute

// uploads are those that reach this node's streams through other nodes.
type uploads struct {
	mu   lock.Mutex
	open map[string]*upload
	made uint64
}

// upload is one of them. Its node asks one thing at a time.
type upload struct {
	mu    lock.Mutex
	a     *Appender
	idle  *time.Timer
	ended bool
}

func (u *uploads) init() { u.open = make(map[string]*upload) }

// answerUploads has this node take uploads to its streams from other nodes.
func (h *Hub) answerUploads() {
	u := &h.cluster.uploads
	h.cluster.OnCall(callAppend, onStream(h, func(s *Stream, q *appendQuestion, text []byte) (any, error) {
		body := wholeBody{q.Parts, text}
		receipt, err := body.append(s, q.Ref, q.Ending.ending())
		return uploadAnswer{Receipt: &receipt}, err
	}))
	h.cluster.OnCall(callBeginUpload, onStream(h, func(s *Stream, q *beginQuestion, _ []byte) (any, error) { return u.begin(s, q.Ref) }))
	for _, name := range []string{callAddToUpload, callEndUpload, callAbortUpload} {
		h.cluster.OnCall(name, func(body []byte) ([]byte, error) {
			q := new(uploadQuestion)
			text, err := cutBytes(body, q)
			if err != nil {
				return nil, err
			}
			answer, err := u.goOn(name, q, text)
			if err != nil {
				return nil, err
			}
			return json.Marshal(answer)
		})
	}
}

func (u *uploads) begin(s *Stream, ref ProducerRef) (answer uploadAnswer, err error) {
	a, err := s.Append(ref)
	if err != nil {
		return answer, err
	}
	if a.Duplicate() {
		receipt, err := a.End(nil)
		return uploadAnswer{Duplicate: true, Receipt: &receipt}, err
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.made++
	id := strconv.FormatUint(u.made, 36)
	one := &upload{a: a}
	one.mu.SetClass(lock.Upload)
	one.idle = time.AfterFunc(uploadIdle, func() { _, _ = u.goOn(callAbortUpload, &uploadQuestion{Upload: id}, nil) })
	u.open[id] = one
	return uploadAnswer{Upload: id}, nil
}

// take returns an upload that is under way, or nil; after the last question there is none.
func (u *uploads) take(id string, last bool) *upload {
	u.mu.Lock()
	defer u.mu.Unlock()
	one := u.open[id]
	if last {
		delete(u.open, id)
	}
	return one
}

// goOn does the next thing that an upload asks for.
func (u *uploads) goOn(call string, q *uploadQuestion, text []byte) (answer uploadAnswer, err error) {
	one := u.take(q.Upload, call != callAddToUpload)
	if one == nil {
		return answer, errAway // it was silent for too long, or this node has begun anew
	}
	one.mu.Lock()
	defer one.mu.Unlock()
	if one.ended {
		return answer, errAway
	}
	if call == callAddToUpload {
		one.idle.Reset(uploadIdle)
		return answer, one.a.addBoth(q.Parts, text)
	}
	one.ended = true
	one.idle.Stop()
	if call == callAbortUpload {
		one.a.Abort()
		return answer, nil
	}
	receipt, err := one.a.End(q.Ending.ending())
	return uploadAnswer{Receipt: &receipt}, err
}

// addBoth appends parts and text, whichever there are.
func (a *Appender) addBoth(parts []Part, text []byte) error {
	if len(parts) > 0 {
		if err := a.Add(parts); err != nil {
			return err
		}
	}
	if len(text) > 0 {
		return a.AddText(text)
	}
	return nil
}

// wholeBody is what a request appends.
type wholeBody struct {
	parts []Part
	text  []byte
}

// append appends it to a stream that this node writes.
func (b *wholeBody) append(s *Stream, ref ProducerRef, ending *Ending) (receipt Receipt, err error) {
	a, err := s.Append(ref)
	if err != nil {
		return receipt, err
	}
	if a.Duplicate() {
		return a.End(nil)
	}
	if err := a.addBoth(b.parts, b.text); err != nil {
		a.Abort()
		return receipt, err
	}
	return a.End(ending)
}

// remoteAppender is an Appender's other half, where another node writes the stream.
type remoteAppender struct {
	node    string
	upload  string // there
	receipt *Receipt
	whole   *wholeBody // of a request that the node has not been asked about yet; nil: it has
}

// appendRemote begins a request at the stream's node.
func (s *Stream) appendRemote(ref ProducerRef) (*Appender, error) {
	raw, taken, err := s.askOwner(callTimeout, callBeginUpload, withBytes(beginQuestion{streamQuestion{s.ID}, ref}, nil))
	if err != nil {
		return nil, err
	}
	if taken {
		return s.Append(ref)
	}
	answer, err := parseUploadAnswer(raw)
	if err != nil {
		return nil, err
	}
	return &Appender{s: s, ref: ref, duplicate: answer.Duplicate, remote: &remoteAppender{node: s.remoteNode(), upload: answer.Upload, receipt: answer.Receipt}}, nil
}

// addRemote sends what an upload adds, or buffers it for the end.
func (a *Appender) addRemote(parts []Part, text []byte) error {
	if w := a.remote.whole; w != nil {
		w.parts, w.text = append(w.parts, parts...), append(w.text, text...)
		return nil
	}
	_, err := a.askUpload(callAddToUpload, &uploadQuestion{Parts: parts}, text)
	return err
}

// askUpload has the stream's node do something for an upload.
func (a *Appender) askUpload(call string, q *uploadQuestion, text []byte) (uploadAnswer, error) {
	q.Upload = a.remote.upload
	raw, err := a.s.hub.cluster.callWithin(callTimeout, a.remote.node, call, withBytes(q, text))
	if err != nil {
		return uploadAnswer{}, err
	}
	return parseUploadAnswer(raw)
}

// endRemote ends a request at the stream's node.
func (a *Appender) endRemote(ending *Ending) (Receipt, error) {
	if a.duplicate {
		r := *a.remote.receipt
		r.Duplicate = true
		return r, nil
	}
	a.done = true
	if a.remote.whole != nil {
		return a.endWhole(ending)
	}
	answer, err := a.askUpload(callEndUpload, &uploadQuestion{Ending: remoteEndingOf(ending)}, nil)
	return answer.receipt(), err
}

// endWhole has the stream's node do all of a request.
func (a *Appender) endWhole(ending *Ending) (Receipt, error) {
	w := a.remote.whole
	q := appendQuestion{beginQuestion{streamQuestion{a.s.ID}, a.ref}, w.parts, remoteEndingOf(ending)}
	raw, taken, err := a.s.askOwner(callTimeout, callAppend, withBytes(q, w.text))
	if err != nil {
		return Receipt{}, err
	}
	if taken {
		return w.append(a.s, a.ref, ending)
	}
	answer, err := parseUploadAnswer(raw)
	return answer.receipt(), err
}

func parseUploadAnswer(raw []byte) (answer uploadAnswer, err error) {
	if err := json.Unmarshal(raw, &answer); err != nil {
		return answer, errAway
	}
	return answer, nil
}

func (a *uploadAnswer) receipt() (r Receipt) {
	if a.Receipt != nil {
		r = *a.Receipt
	}
	return r
}
