package hub

import (
	"strconv"
	"sync"
	"time"
)

// remoteAppends are the uploads that reach this node's streams through other nodes.
type remoteAppends struct {
	mu   sync.Mutex
	open map[string]*remoteUpload
	made uint64
}

// remoteUpload is one of them. Its node asks one thing at a time.
type remoteUpload struct {
	mu    sync.Mutex
	a     *Appender
	idle  *time.Timer // its node may have died
	ended bool
}

// uploadIdle is after how long of silence an upload counts as cut. A node with an upload under way that is slow says so.
const uploadIdle = time.Minute

func (r *remoteAppends) init() { r.open = make(map[string]*remoteUpload) }

func (r *remoteAppends) begin(s *Stream, req *nodeRequest, a *nodeAnswer) error {
	appender, err := s.Append(*req.Ref)
	if err != nil {
		return err
	}
	if a.Duplicate = appender.Duplicate(); a.Duplicate {
		receipt, err := appender.End(nil)
		a.Receipt = &receipt
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.made++
	a.Append = strconv.FormatUint(r.made, 36)
	u := &remoteUpload{a: appender}
	u.idle = time.AfterFunc(uploadIdle, func() { r.abort(a.Append) })
	r.open[a.Append] = u
	return nil
}

func (r *remoteAppends) take(id string, last bool) *remoteUpload {
	r.mu.Lock()
	defer r.mu.Unlock()
	u := r.open[id]
	if u != nil && last {
		delete(r.open, id)
	}
	return u
}

func (r *remoteAppends) abort(id string) {
	if u := r.take(id, true); u != nil {
		u.mu.Lock()
		defer u.mu.Unlock()
		u.end()
		u.a.Abort()
	}
}

func (u *remoteUpload) end() {
	u.ended = true
	u.idle.Stop()
}

// work does the next thing that an upload asks for.
func (r *remoteAppends) work(req *nodeRequest, a *nodeAnswer) error {
	u := r.take(req.Append, req.Do == endAppend || req.Do == abortAppend)
	if u == nil {
		return errAway // it was silent for too long, or this node has begun anew
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.ended {
		return errAway
	}
	u.idle.Reset(uploadIdle)
	switch req.Do {
	case addParts:
		return u.a.Add(req.Parts)
	case addText:
		return u.a.AddText(req.Text)
	case abortAppend:
		u.end()
		u.a.Abort()
		return nil
	}
	u.end()
	receipt, err := u.a.End(req.Ending.ending())
	a.Receipt = &receipt
	return err
}

// remoteAppender is an Appender's other half, where another node writes the stream.
type remoteAppender struct {
	node    string
	id      string // of the upload there
	receipt *Receipt
	whole   *wholeBody // of a request that the node has not been asked about yet; nil: it has
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
	if len(b.parts) > 0 {
		err = a.Add(b.parts)
	}
	if err == nil && len(b.text) > 0 {
		err = a.AddText(b.text)
	}
	if err != nil {
		a.Abort()
		return receipt, err
	}
	return a.End(ending)
}

// appendRemote begins a request at the stream's node.
func (s *Stream) appendRemote(ref ProducerRef) (*Appender, error) {
	answer, taken, err := s.askOwner(&nodeRequest{Do: beginAppend, Ref: &ref})
	if err != nil {
		return nil, err
	}
	if taken {
		return s.Append(ref)
	}
	return &Appender{s: s, ref: ref, duplicate: answer.Duplicate, remote: &remoteAppender{node: s.remoteNode(), id: answer.Append, receipt: answer.Receipt}}, nil
}

// addRemote sends what an upload adds, or keeps it for the end.
func (a *Appender) addRemote(req *nodeRequest) error {
	if w := a.remote.whole; w != nil {
		w.parts, w.text = append(w.parts, req.Parts...), append(w.text, req.Text...)
		return nil
	}
	_, err := a.ask(req)
	return err
}

// ask has the stream's node do something for an upload.
func (a *Appender) ask(req *nodeRequest) (nodeAnswer, error) {
	req.Append = a.remote.id
	return a.s.hub.ask(a.remote.node, req)
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
	answer, err := a.ask(&nodeRequest{Do: endAppend, Ending: remoteEndingOf(ending)})
	return answer.receipt(), err
}

// endWhole has the stream's node do all of a request.
func (a *Appender) endWhole(ending *Ending) (Receipt, error) {
	w := a.remote.whole
	answer, taken, err := a.s.askOwner(&nodeRequest{Do: wholeAppend, Ref: &a.ref, Parts: w.parts, Text: w.text, Ending: remoteEndingOf(ending)})
	if taken && err == nil {
		return w.append(a.s, a.ref, ending)
	}
	return answer.receipt(), err
}

func remoteEndingOf(e *Ending) *remoteEnding {
	if e == nil {
		return nil
	}
	return &remoteEnding{Ending: *e, By: e.by}
}

// ending returns what remoteEndingOf was given.
func (e *remoteEnding) ending() *Ending {
	if e == nil {
		return nil
	}
	ending := e.Ending
	ending.by = e.By
	return &ending
}

func (a *nodeAnswer) receipt() (r Receipt) {
	if a.Receipt != nil {
		r = *a.Receipt
	}
	return r
}
