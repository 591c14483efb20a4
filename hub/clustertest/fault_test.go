package clustertest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/log"
)

// An error that another node returns equals the error that the own node would return.
func TestErrorsOfOtherNodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, "a", "b")
		var fault error
		c.hubs["b"].Cluster().OnCall("fail", func([]byte) ([]byte, error) { return nil, fault })
		ask := func(err error) error {
			fault = err
			_, err = c.hubs["a"].Cluster().Call(context.Background(), "b", "fail", nil)
			return err
		}
		place := log.Position{Epoch: "e-1", Offset: 7}
		for _, want := range []error{
			&hub.EndedError{Receipt: hub.Receipt{Position: place, Status: hub.StatusCancelled, Watchers: 2, Lag: 3, Cancelled: true}},
			&hub.FencedError{Epoch: 4}, &hub.FencedError{Epoch: 5, Job: true},
			&hub.GapError{Expected: 1, Received: 3},
			&hub.LeaseError{Left: 9 * time.Second},
			&errs.FieldError{Field: "payload", Reason: "is wrong"},
			&errs.LimitError{Kind: errs.ErrTooLarge, Name: "bytes", Limit: 5},
			&errs.LimitError{Kind: errs.ErrLimited, Name: "streams", Limit: 6, Retry: time.Minute},
			&errs.LimitError{Kind: errs.ErrQueueFull, Name: "messages", Limit: 7},
		} {
			if got := ask(fmt.Errorf("because: %w", want)); !reflect.DeepEqual(got, want) {
				t.Errorf("%#v comes as %#v", want, got)
			}
		}
		for _, want := range []error{
			errs.ErrForbidden, errs.ErrNotFound, errs.ErrConflict, errs.ErrTooLarge, errs.ErrLimited, errs.ErrQueueFull,
			errs.ErrClosed, errs.ErrUnavailable,
		} {
			if got := ask(fmt.Errorf("because: %w", want)); !errors.Is(got, want) {
				t.Errorf("%v comes as %v", want, got)
			}
		}
		if got := ask(errors.New("something else")); got == nil || got.Error() != "something else" || passing(got) {
			t.Errorf("an error of no kind comes as %v", got)
		}
		if _, err := c.hubs["a"].Cluster().Call(context.Background(), "b", "nobody's", nil); !errors.Is(err, errs.ErrUnavailable) {
			t.Errorf("a call that the other node does not know: %v", err)
		}
		if _, err := c.hubs["a"].Cluster().Call(context.Background(), "nobody", "fail", nil); !errors.Is(err, errs.ErrUnavailable) {
			t.Errorf("a call to a node that is not there: %v", err)
		}
	})
}
