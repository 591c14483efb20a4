package sqlite

import (
	"crypto/rand"
	"encoding/base32"
	"errors"
	"strings"
)

// The keys of meta.
const (
	metaEpoch  = "queue_epoch"
	metaCopy   = "copy"   // set in a backup: whoever opens it has a copy before it
	metaNormal = "normal" // set while the store is open with Normal, and after
	metaProbe  = "probe"
)

// epoch returns the epoch of the queues: a new one in a new file, in a copy, and wherever a power loss may have set offsets back: at each opening
// with Normal, and at the first one after that. It is called before start.
func (w *writer) epoch(d Durability) (epoch string, err error) {
	errs := make([]error, 1)
	err = w.transact([]request{{do: func(w *writer) error {
		var marks int
		if _, err := w.scan([]any{&marks}, `SELECT count(*) FROM meta WHERE key IN (?, ?)`, metaCopy, metaNormal); err != nil {
			return err
		}
		found, err := w.scan([]any{&epoch}, `SELECT value FROM meta WHERE key = ?`, metaEpoch)
		if err != nil || found && marks == 0 && d == Full {
			return err
		}
		epoch = newEpoch()
		if _, err := w.exec(`DELETE FROM meta WHERE key IN (?, ?)`, metaCopy, metaNormal); err != nil {
			return err
		}
		if d == Normal {
			if err := w.putMeta(metaNormal, "1"); err != nil {
				return err
			}
		}
		return w.putMeta(metaEpoch, epoch)
	}}}, errs)
	return epoch, errors.Join(err, errs[0])
}

func (w *writer) putMeta(key, value string) error {
	_, err := w.exec(`INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)`, key, value)
	return err
}

func newEpoch() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	return strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(b[:]))
}
