package handlers

import (
	"encoding/json"
	"strconv"

	"github.com/duckwire/duckwire/hub/rights"
)

// The names of calls between nodes.
const (
	callKnown      = "known" // a session's token → tokenKnown, or anything else
	callRelay      = "relay"
	callDisconnect = "disconnect"
	callRevoke     = "revoke"
	callLift       = "lift"
)

// joinNodes answers the calls of other nodes. A single node receives none.
func (s *server) joinNodes() {
	cluster := s.hub.Cluster()
	cluster.OnCall(callKnown, s.answerKnown)
	cluster.OnCall(callRelay, s.answerRelay)
	cluster.OnCall(callDisconnect, func(user []byte) ([]byte, error) {
		return count(s.disconnectHere(string(user))), nil
	})
	cluster.OnCall(callRevoke, func(body []byte) ([]byte, error) {
		var told toldRevocation
		if err := json.Unmarshal(body, &told); err != nil {
			return nil, err
		}
		s.Verifier.Revocations().Take(told.Revocation, told.Unsaved)
		return count(s.endRevoked()), nil
	})
	cluster.OnCall(callLift, func(body []byte) ([]byte, error) {
		var one rights.Revocation
		if err := json.Unmarshal(body, &one); err != nil {
			return nil, err
		}
		s.Verifier.Revocations().TakeLift(one)
		return nil, nil
	})
	s.Verifier.Revocations().Follow(func() { s.endRevoked() }, cluster.NotifyMissed)
	cluster.OnMissed(s.reloadRevocations)
	if s.hub.Node() != "" {
		s.reloadRevocations() // revocations between the first load and this node's first call
	}
}

// toldRevocation is a revocation in a call to another node.
type toldRevocation struct {
	rights.Revocation
	Unsaved bool `json:",omitempty"` // the store may not have it
}

// reloadRevocations loads the revocations of other nodes, now or as soon as the store is available.
func (s *server) reloadRevocations() {
	if err := s.Verifier.Revocations().Reload(); err != nil {
		s.logger.Error("what other nodes have revoked is not known; trying again until it is", "error", err)
	}
}

func count(n int) []byte { return strconv.AppendInt(nil, int64(n), 10) }

func sum(answers [][]byte) (n int) {
	for _, answer := range answers {
		one, _ := strconv.Atoi(string(answer)) // written by another node
		n += one
	}
	return n
}

// disconnectEverywhere ends all sockets and long-running requests of a user on all nodes, and returns how many.
func (s *server) disconnectEverywhere(user string) int {
	return s.disconnectHere(user) + sum(s.hub.Cluster().CallAll(callDisconnect, []byte(user)))
}

// tellRevoked makes the other nodes end what uses revoked tokens, and returns how many connections that were.
func (s *server) tellRevoked(one rights.Revocation, unsaved bool) int {
	body, _ := json.Marshal(toldRevocation{one, unsaved}) // strings and times always encode
	return sum(s.hub.Cluster().NotifyAll(callRevoke, body))
}

func (s *server) tellLifted(one rights.Revocation) {
	body, _ := json.Marshal(one) // strings and times always encode
	s.hub.Cluster().NotifyAll(callLift, body)
}
