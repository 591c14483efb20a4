package log

import (
	"crypto/rand"
	"encoding/base64"
	"strconv"
	"strings"
	"sync/atomic"
)

// Epochs generates the epochs of one hub: BOOT-N, where BOOT is random for each start of the program and N is a
// counter. So no two logs ever have the same epoch, and a position in many logs (Vector) contains BOOT only once.
type Epochs struct {
	boot string
	next atomic.Uint64
}

// NewEpochs returns the epochs of one start of the program.
func NewEpochs() *Epochs {
	var b [6]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	return &Epochs{boot: base64.RawURLEncoding.EncodeToString(b[:])}
}

// Next returns a new epoch. BOOT itself may contain a '-': the counter follows the last one.
func (e *Epochs) Next() string {
	return e.boot + "-" + strconv.FormatUint(e.next.Add(1), 36)
}

// Boot returns BOOT, which all these epochs have in common.
func (e *Epochs) Boot() string { return e.boot }

// splitEpoch splits an epoch into BOOT and N.
func splitEpoch(epoch string) (string, uint64) {
	i := strings.LastIndexByte(epoch, '-')
	if i < 0 {
		return epoch, 0
	}
	n, _ := strconv.ParseUint(epoch[i+1:], 36, 62)
	return epoch[:i], n
}
