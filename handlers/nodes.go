package handlers

import (
	"encoding/json"
	"strconv"

	"github.com/duckwire/duckwire/hub/rights"
)

// What this edge asks of those on other nodes.
const (
	callKnown      = "known" // a session's token → tokenKnown, or anything else
	callRelay      = "relay"
	callDisconnect = "disconnect"
	callRevoke     = "revoke"
	callLift       = "lift"
)

// joinNodes answers what other nodes ask. On one node nobody asks.
func (s *server) joinNodes() {
	s.hub.Cluster().OnCall(callKnown, s.answerKnown)
	s.hub.Cluster().OnCall(callRelay, s.answerRelay)
	s.hub.Cluster().OnCall(callDisconnect, func(user []byte) ([]byte, error) { return count(s.disconnectHere(string(user))), nil })
	s.hub.Cluster().OnCall(callRevoke, func(body []byte) ([]byte, error) {
		var told toldRevocation
		if err := json.Unmarshal(body, &told); err != nil {
			return nil, err
		}
		s.Verifier.Revocations().Take(told.Revocation, told.Unsaved)
		return count(s.endRevoked()), nil
	})
	s.hub.Cluster().OnCall(callLift, func(body []byte) ([]byte, error) {
		var one rights.Revocation
		if err := json.Unmarshal(body, &one); err != nil {
			return nil, err
		}
		s.Verifier.Revocations().TakeLift(one)
		return nil, nil
	})
	s.Verifier.Revocations().Follow(func() { s.endRevoked() }, s.hub.Cluster().NotifyMissed)
	s.hub.Cluster().OnMissed(s.reloadRevocations)
	if s.hub.Node() != "" {
		s.reloadRevocations() // what was revoked after they were read first, and before this node could be told
	}
}

// toldRevocation is a revocation on its way to another node.
type toldRevocation struct {
	rights.Revocation
	Unsaved bool `json:",omitempty"` // the store may not have it
}

// reloadRevocations takes what other nodes have revoked, now or as soon as the store can be asked.
func (s *server) reloadRevocations() {
	if err := s.Verifier.Revocations().Reload(); err != nil {
		s.logger.Error("what other nodes have revoked is not known; trying again until it is", "error", err)
	}
}

func count(n int) []byte { return strconv.AppendInt(nil, int64(n), 10) }

func sum(answers [][]byte) (n int) {
	for _, answer := range answers {
		one, _ := strconv.Atoi(string(answer)) // another node's count wrote it
		n += one
	}
	return n
}

// disconnectEverywhere ends everything of a user that goes on, on all nodes, and reports how much.
func (s *server) disconnectEverywhere(user string) int {
	return s.disconnectHere(user) + sum(s.hub.Cluster().CallAll(callDisconnect, []byte(user)))
}

// tellRevoked has the other nodes end what is open with revoked tokens, and returns how much that was.
func (s *server) tellRevoked(one rights.Revocation, unsaved bool) int {
	body, _ := json.Marshal(toldRevocation{one, unsaved}) // of strings and times
	return sum(s.hub.Cluster().NotifyAll(callRevoke, body))
}

func (s *server) tellLifted(one rights.Revocation) {
	body, _ := json.Marshal(one) // of strings and times
	s.hub.Cluster().NotifyAll(callLift, body)
}
