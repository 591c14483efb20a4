package redis_test

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/hub/rights"
	"github.com/duckwire/duckwire/storage/redis"
	"github.com/duckwire/duckwire/storage/redis/redistest"
)

// TestReplicasHaveIt checks that with Options.Replicas a message is acknowledged only when the replica has it, so that
// nothing acknowledged is lost with the master.
func TestReplicasHaveIt(t *testing.T) {
	master, replica := startRedis(t), redistest.Start(t)
	replica.Follow(master)
	s := open(t, redis.Options{URL: master.URL(), Replicas: 1, Timeout: 2 * time.Second})
	h := hub.New(hub.Options{Queue: s})
	defer h.Close()
	send := func(n int) error {
		message := hub.MessageInput{User: "ada", ID: fmt.Sprint(n), Event: "e", Payload: []byte(`{}`)}
		_, err := h.Enqueue("bob", []hub.MessageInput{message})
		return err
	}
	for n := range 100 {
		if err := send(n); err != nil {
			t.Fatal(err)
		}
	}
	revoke := func() error {
		return s.SaveRevocation(rights.Revocation{User: "eve", Until: time.Now().Add(time.Hour)})
	}
	replica.Signal(syscall.SIGSTOP)
	for again := range 2 { // the second time the master has it already, and the replica still lacks it
		if err := send(100); !errors.Is(err, errs.ErrUnavailable) || !strings.Contains(err.Error(), "redis_replicas") {
			t.Fatalf("with a replica that does not answer, try %d: %v", again, err)
		}
		if err := revoke(); !errors.Is(err, errs.ErrUnavailable) || !strings.Contains(err.Error(), "redis_replicas") {
			t.Fatalf("a revocation with a replica that does not answer, try %d: %v", again, err)
		}
	}
	replica.Signal(syscall.SIGCONT)
	if err := revoke(); err != nil {
		t.Fatalf("a revocation again: %v", err)
	}
	if err := send(100); err != nil {
		t.Fatalf("again: %v", err)
	}
	master.Kill()
	replica.Command("REPLICAOF", "NO", "ONE")
	page, err := open(t, redis.Options{URL: replica.URL()}).Messages("ada", 0, 1000)
	if err != nil || len(page.Messages) != 101 {
		t.Fatalf("%d messages are left of 101, %v", len(page.Messages), err)
	}
}
