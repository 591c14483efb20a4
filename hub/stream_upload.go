package hub

import (
	"encoding/json"
	"strconv"
	"time"

	"github.com/duckwire/duckwire/hub/lock"
)

// Calls for uploads to a stream that another node owns. A whole body is one call. A body that arrives in pieces is a
// call that begins the upload, one for each piece, and one that ends it.
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

// uploadTimeout is how long an upload may be silent before it is aborted: the node that forwards it may have died.
const uploadTimeout = time.Minute

// uploads are the open uploads that other nodes forward to this node's streams.
type uploads struct {
	mu     lock.Mutex
	open   map[string]*upload
	lastID uint64
}

// upload is one forwarded upload. The other node makes one call at a time.
type upload struct {
	mu    lock.Mutex
	a     *Appender
	idle  *time.Timer
	ended bool
}

func (u *uploads) init() { u.open = make(map[string]*upload) }

// answerCalls registers what answers the calls of other nodes for uploads.
func (u *uploads) answerCalls(h *Hub) {
	h.cluster.OnCall(callAppend, onStream(h, func(s *Stream, q *appendQuestion, text []byte) (any, error) {
		body := wholeBody{q.Parts, text}
		receipt, err := body.append(s, q.Ref, q.Ending.ending())
		return uploadAnswer{Receipt: &receipt}, err
	}))
	h.cluster.OnCall(callBeginUpload, onStream(h, func(s *Stream, q *beginQuestion, _ []byte) (any, error) {
		return u.begin(s, q.Ref)
	}))
	for _, name := range []string{callAddToUpload, callEndUpload, callAbortUpload} {
		h.cluster.OnCall(name, func(body []byte) ([]byte, error) {
			q := new(uploadQuestion)
			text, err := cutBytes(body, q)
			if err != nil {
				return nil, err
			}
			answer, err := u.handle(name, q, text)
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
	u.lastID++
	id := strconv.FormatUint(u.lastID, 36)
	one := &upload{a: a}
	one.mu.SetClass(lock.Upload)
	one.idle = time.AfterFunc(uploadTimeout, func() {
		_, _ = u.handle(callAbortUpload, &uploadQuestion{Upload: id}, nil)
	})
	u.open[id] = one
	return uploadAnswer{Upload: id}, nil
}

// lookUp returns an open upload, or nil. With last it also removes it.
func (u *uploads) lookUp(id string, last bool) *upload {
	u.mu.Lock()
	defer u.mu.Unlock()
	one := u.open[id]
	if last {
		delete(u.open, id)
	}
	return one
}

// handle does what a call asks of an open upload.
func (u *uploads) handle(call string, q *uploadQuestion, text []byte) (answer uploadAnswer, err error) {
	one := u.lookUp(q.Upload, call != callAddToUpload)
	if one == nil {
		return answer, errOwnerUnreachable // it was silent for too long, or this node has restarted
	}
	one.mu.Lock()
	defer one.mu.Unlock()
	if one.ended {
		return answer, errOwnerUnreachable
	}
	if call == callAddToUpload {
		one.idle.Reset(uploadTimeout)
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

// addBoth appends parts and text. Either may be empty.
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

// wholeBody is the whole body of an append request.
type wholeBody struct {
	parts []Part
	text  []byte
}

// append appends the body to a stream that this node owns.
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

// remoteAppender is the part of an Appender that is needed if another node owns the stream.
type remoteAppender struct {
	node    string     // the owner
	upload  string     // the upload's id there
	receipt *Receipt   // of a duplicate
	whole   *wholeBody // buffered until the end of the request; nil: the owner has an open upload
}

// appendRemote begins an upload at the node that owns the stream.
func (s *Stream) appendRemote(ref ProducerRef) (*Appender, error) {
	question := beginQuestion{streamQuestion{s.ID}, ref}
	raw, tookOver, err := s.askOwner(callTimeout, callBeginUpload, withBytes(question, nil))
	if err != nil {
		return nil, err
	}
	if tookOver {
		return s.Append(ref)
	}
	answer, err := parseUploadAnswer(raw)
	if err != nil {
		return nil, err
	}
	remote := &remoteAppender{node: s.remoteNode(), upload: answer.Upload, receipt: answer.Receipt}
	return &Appender{s: s, ref: ref, duplicate: answer.Duplicate, remote: remote}, nil
}

// addRemote sends parts and text to the owner, or buffers them.
func (a *Appender) addRemote(parts []Part, text []byte) error {
	if w := a.remote.whole; w != nil {
		w.parts, w.text = append(w.parts, parts...), append(w.text, text...)
		return nil
	}
	_, err := a.askUpload(callAddToUpload, &uploadQuestion{Parts: parts}, text)
	return err
}

// askUpload makes a call for the open upload to the owner.
func (a *Appender) askUpload(call string, q *uploadQuestion, text []byte) (uploadAnswer, error) {
	q.Upload = a.remote.upload
	raw, err := a.s.hub.cluster.callWithin(callTimeout, a.remote.node, call, withBytes(q, text))
	if err != nil {
		return uploadAnswer{}, err
	}
	return parseUploadAnswer(raw)
}

// endRemote ends a request at the node that owns the stream.
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

// endWhole sends a whole request to the owner.
func (a *Appender) endWhole(ending *Ending) (Receipt, error) {
	w := a.remote.whole
	q := appendQuestion{beginQuestion{streamQuestion{a.s.ID}, a.ref}, w.parts, remoteEndingOf(ending)}
	raw, tookOver, err := a.s.askOwner(callTimeout, callAppend, withBytes(q, w.text))
	if err != nil {
		return Receipt{}, err
	}
	if tookOver {
		return w.append(a.s, a.ref, ending)
	}
	answer, err := parseUploadAnswer(raw)
	return answer.receipt(), err
}

func parseUploadAnswer(raw []byte) (answer uploadAnswer, err error) {
	if err := json.Unmarshal(raw, &answer); err != nil {
		return answer, errOwnerUnreachable
	}
	return answer, nil
}

func (a *uploadAnswer) receipt() (r Receipt) {
	if a.Receipt != nil {
		r = *a.Receipt
	}
	return r
}
