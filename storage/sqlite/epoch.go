package sqlite

import (
	"crypto/rand"
	"encoding/base32"
	"errors"
	"strings"
)

// The keys of meta.
const (
	metaEpoch = "queue_epoch"
	metaCopy  = "copy" // set in a backup: whoever opens it has a copy before it
	metaProbe = "probe"
)

// epoch returns the epoch of the queues: a new one in a new file, and in a copy. It is called before start.
func (w *writer) epoch() (epoch string, err error) {
	errs := make([]error, 1)
	err = w.transact([]request{{do: func(w *writer) error {
		var copied string
		isCopy, err := w.scan([]any{&copied}, `SELECT value FROM meta WHERE key = ?`, metaCopy)
		if err != nil {
			return err
		}
		found, err := w.scan([]any{&epoch}, `SELECT value FROM meta WHERE key = ?`, metaEpoch)
		if err != nil || found && !isCopy {
			return err
		}
		epoch = newEpoch()
		if _, err := w.exec(`DELETE FROM meta WHERE key = ?`, metaCopy); err != nil {
			return err
		}
		_, err = w.exec(`INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)`, metaEpoch, epoch)
		return err
	}}}, errs)
	return epoch, errors.Join(err, errs[0])
}

func newEpoch() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	return strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(b[:]))
}
