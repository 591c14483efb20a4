package redis

import (
	"crypto/rand"
	_ "embed" // for revoke.lua
	"encoding/json"
	"time"

	"github.com/redis/rueidis"

	"github.com/duckwire/duckwire/hub/rights"
)

func revocationField(user, tokenID string) string {
	if user != "" {
		return "u:" + user
	}
	return "t:" + tokenID
}

//go:embed revoke.lua
var revokeLua string

var revokeScript = newReplicated(revokeLua)

// SaveRevocation implements rights.RevocationStore. It returns when Redis has the revocation; whether that survives a
// restart depends on Redis' persistence settings.
func (s *Store) SaveRevocation(r rights.Revocation) error {
	raw, err := json.Marshal(r)
	if err != nil {
		return err
	}
	args := []string{revocationField(r.User, r.TokenID), rueidis.BinaryString(raw)}
	err = s.run(revokeScript, []string{s.revocationsKey()}, args).Error()
	if err != nil && !rueidis.IsRedisNil(err) {
		return unavailable(err)
	}
	return nil
}

// DeleteRevocation implements rights.RevocationStore.
func (s *Store) DeleteRevocation(user, tokenID string) error {
	return s.dropRevocations(revocationField(user, tokenID))
}

func (s *Store) dropRevocations(fields ...string) error {
	if len(fields) == 0 {
		return nil
	}
	if err := s.do(s.client.B().Hdel().Key(s.revocationsKey()).Field(fields...).Build()).Error(); err != nil {
		return unavailable(err)
	}
	return nil
}

// ForgetRevocations implements rights.RevocationStore.
func (s *Store) ForgetRevocations(now time.Time) error {
	var expired []string
	err := s.LoadRevocations(func(r rights.Revocation) error {
		if !r.Until.After(now) {
			expired = append(expired, revocationField(r.User, r.TokenID))
		}
		return nil
	})
	if err != nil {
		return err
	}
	return s.dropRevocations(expired...)
}

// RevocationsGeneration implements rights.SharedRevocationStore.
func (s *Store) RevocationsGeneration() (string, error) {
	key := s.generationKey()
	get := func() (string, error) { return s.do(s.client.B().Get().Key(key).Build()).ToString() }
	generation, err := get() // first, because a full Redis refuses SET even if it would change nothing
	if rueidis.IsRedisNil(err) {
		_ = s.do(s.client.B().Set().Key(key).Value(rand.Text()).Nx().Build()).Error()
		generation, err = get() // another node may have been faster
	}
	if err != nil {
		return "", unavailable(err)
	}
	return generation, nil
}

// LoadRevocations implements rights.RevocationStore.
func (s *Store) LoadRevocations(f func(rights.Revocation) error) error {
	texts, err := s.do(s.client.B().Hvals().Key(s.revocationsKey()).Build()).AsStrSlice()
	if err != nil {
		return unavailable(err)
	}
	for _, text := range texts {
		var r rights.Revocation
		if err := json.Unmarshal([]byte(text), &r); err != nil {
			return err
		}
		if err := f(r); err != nil {
			return err
		}
	}
	return nil
}
