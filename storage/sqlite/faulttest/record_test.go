//go:build linux

package faulttest

import (
	"encoding/binary"
	"fmt"
	"os"
)

// An op is a kind of record in the log. The shim writes all but opMark.
type op uint32

const (
	opOpen op = iota + 1 // a file was created or truncated
	opWrite
	opTruncate
	opSyncBegin
	opSyncEnd
	opSyncFail
	opUnlink
	opRename
	opFault
	opKill
	opMark op = 100 // a mark of the child, in order with the calls of the store
)

func (o op) String() string {
	names := map[op]string{
		opOpen: "open", opWrite: "write", opTruncate: "truncate", opSyncBegin: "sync begins", opSyncEnd: "sync ends",
		opSyncFail: "sync fails",
		opUnlink:   "unlink", opRename: "rename", opFault: "fault", opKill: "kill", opMark: "mark",
	}
	return names[o]
}

const (
	openCreated   = 1
	openTruncated = 2
	openDir       = 8
)

const (
	syncOfDir   = 1 << 63
	syncEvicted = 1 << 62
)

// record is one entry of the log: a call that changed files, a fault, or a mark.
type record struct {
	op   op
	ino  uint64
	off  int64
	arg  uint64
	path string
	data []byte
}

func (r record) String() string {
	return fmt.Sprintf("%v %s ino %d off %d arg %x, %d bytes %.60q", r.op, r.path, r.ino, r.off, r.arg, len(r.data),
		r.data)
}

const (
	recordMagic  = 0x4c465744
	recordHeader = 40
)

// parseLog splits a log. The records share its memory.
func parseLog(b []byte) ([]record, error) {
	var records []record
	for at := 0; at < len(b); {
		h := b[at:]
		if len(h) < recordHeader || binary.LittleEndian.Uint32(h) != recordMagic {
			return nil, fmt.Errorf("log: no record at %d, after %d", at, len(records))
		}
		npath, ndata := int(binary.LittleEndian.Uint32(h[32:])), int(binary.LittleEndian.Uint32(h[36:]))
		if len(h) < recordHeader+npath+ndata {
			return nil, fmt.Errorf("log: record %d is cut off", len(records))
		}
		records = append(records, record{
			op: op(binary.LittleEndian.Uint32(h[4:])), ino: binary.LittleEndian.Uint64(h[8:]),
			off: int64(binary.LittleEndian.Uint64(h[16:])),
			arg: binary.LittleEndian.Uint64(h[24:]), path: string(h[recordHeader : recordHeader+npath]),
			data: h[recordHeader+npath : recordHeader+npath+ndata : recordHeader+npath+ndata],
		})
		at += recordHeader + npath + ndata
	}
	return records, nil
}

// marker appends records to the log, each with one write, so that they are complete and in order with those of the
// shim.
type marker struct{ f *os.File }

func openMarker(path string) (marker, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	return marker{f}, err
}

func (m marker) mark(format string, args ...any) {
	m.put(record{op: opMark, data: fmt.Appendf(nil, format, args...)})
}

func (m marker) put(r record) {
	b := binary.LittleEndian.AppendUint32(nil, recordMagic)
	b = binary.LittleEndian.AppendUint32(b, uint32(r.op))
	b = binary.LittleEndian.AppendUint64(b, r.ino)
	b = binary.LittleEndian.AppendUint64(b, uint64(r.off))
	b = binary.LittleEndian.AppendUint64(b, r.arg)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(r.path)))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(r.data)))
	if _, err := m.f.Write(append(append(b, r.path...), r.data...)); err != nil {
		panic(err)
	}
}
