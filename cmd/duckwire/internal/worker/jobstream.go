package worker

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/duckwire/duckwire/cmd/duckwire/internal/client"
	"github.com/duckwire/duckwire/cmd/duckwire/internal/terminal"
	"github.com/duckwire/duckwire/hub"
)

// errJobGone is the error of a job that was cancelled, or that another worker has taken over.
var errJobGone = errors.New("the server wants no more of it")

// jobStream writes a job's stream. Not safe for concurrent use.
type jobStream struct {
	c    *client.Client
	id   string // the worker's
	job  *job
	seq  int64
	sent time.Time

	lines bytes.Buffer // entries that are not sent yet
}

func newJobStream(c *client.Client, id string, j *job) *jobStream {
	return &jobStream{c: c, id: id, job: j}
}

// beat returns the maximum time between two requests: it is short enough to extend the lease, and to learn soon of a
// cancellation.
func (s *jobStream) beat() time.Duration {
	return min(2*time.Second, max(100*time.Millisecond, time.Duration(s.job.Lease/3*float64(time.Second))))
}

// add adds an entry, which the next send sends.
func (s *jobStream) add(event string, data any) {
	raw, err := json.Marshal(map[string]any{"event": event, "data": data})
	if err != nil {
		panic(err) // cannot happen: it has only texts and numbers
	}
	s.lines.Write(append(raw, '\n'))
}

// send sends the entries that were added since the last call. Without entries the request only extends the lease. It is
// retried as long as the lease may last, and takes effect once. After errJobGone the job is over.
func (s *jobStream) send(ctx context.Context) error {
	body := bytes.Clone(s.lines.Bytes())
	s.lines.Reset()
	retry := client.NewRetrier(s.c.Pace, time.Duration(s.job.Lease*float64(time.Second)), nil)
	retry.Contact() // the server has answered: it sent the job
	for {
		err := s.post(ctx, body)
		if err == nil {
			s.seq++
			s.sent = time.Now()
			return nil
		}
		var api *client.APIError
		if errors.As(err, &api) {
			switch api.Status {
			case http.StatusConflict, http.StatusForbidden, http.StatusNotFound:
				return fmt.Errorf("%w: %s", errJobGone, terminal.FirstLine(api.Detail))
			}
		}
		if err := retry.After(ctx, err); err != nil {
			return err
		}
	}
}

func (s *jobStream) post(ctx context.Context, body []byte) error {
	ctx, cancel := context.WithTimeout(ctx, client.Timeout)
	defer cancel()
	req, err := s.c.Request(ctx, http.MethodPost, client.StreamPath(s.job.Stream)+"/append", nil)
	if err != nil {
		return err
	}
	if len(body) > 0 {
		req.Body, req.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	}
	_, _, err = s.c.Do(req, []string{
		"Content-Type", "application/x-ndjson", "Producer-Id", s.id,
		"Producer-Epoch", strconv.FormatInt(s.job.Epoch, 10), "Producer-Seq", strconv.FormatInt(s.seq, 10),
	})
	return err
}

// issues adds entries for the issues that were found.
func (s *jobStream) issues(found []hub.Issue) {
	if len(found) > 0 {
		s.add(hub.EntryUpdate, map[string]any{"type": s.job.Type, "issues": found})
	}
}

// fail ends the stream as failed.
func (s *jobStream) fail(ctx context.Context, why error) error {
	reason := map[string]string{"code": "worker_failed", "message": why.Error()}
	return s.end(ctx, map[string]any{"event": "end", "status": "failed", "error": reason})
}

// end sends the last line.
func (s *jobStream) end(ctx context.Context, line map[string]any) error {
	raw, err := json.Marshal(line)
	if err != nil {
		return err
	}
	s.lines.Write(append(raw, '\n'))
	return s.send(ctx)
}
