package sqlite

import (
	"crypto/rand"
	"encoding/base32"
	"errors"
	"strings"
)

// The keys of the table meta.
const (
	metaEpoch  = "queue_epoch"
	metaCopy   = "copy"   // set in a backup; the process that opens it assigns a new epoch
	metaNormal = "normal" // set when the store is opened with Normal, and removed by the next opening with Full
	metaProbe  = "probe"
)

// epoch returns the epoch of the queues. It assigns a new one to a new file, to a copy, and whenever a power loss may
// have set offsets back: at each opening with Normal, and at the first opening with Full after that. It must be called
// before start.
func (w *writer) epoch(d Durability) (epoch string, err error) {
	errs := make([]error, 1)
	err = w.transact([]request{{do: func(w *writer) error {
		var marks int
		const marked = `SELECT count(*) FROM meta WHERE key IN (?, ?)`
		if _, err := w.scan([]any{&marks}, marked, metaCopy, metaNormal); err != nil {
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
	_, _ = rand.Read(b[:]) // crypto/rand never returns an error
	return strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(b[:]))
}
