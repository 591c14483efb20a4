// Package faulttest puts faults below SQLite, and looks whether storage/sqlite keeps its promise: what was accepted is there, in order, once.
// All of it is tests. They need Linux and gcc.
//
// A child process runs the store: publishers that enqueue, readers that acknowledge. testdata/shim.c stands between SQLite and the C library
// (LD_PRELOAD). It logs each call that changes a file, and makes calls fail as a page that it shares with the tests says. The child adds to the
// same log what it asks the store for, and what is answered (child_test.go). So the log tells in one order what was done and what was promised.
//
// The faults (fault_test.go): writes that fail, are short, or are torn; no space; syncs that fail, whose pages stay in memory or are thrown away;
// files that cannot be made, cut or removed; all while the store opens and while it works, once, for a time, or for ever; and SIGKILL between any
// two calls and within a sync. After each, the folder is opened again and compared with the promises; and power is lost.
//
// Power loss is rebuilt from the log (disk_test.go, loss_test.go). What a sync covered that began later and succeeded is on the disk. Of all else
// there is nothing, all, what came before some moment, any of the writes, or any 512-byte sectors of them, in any order; names of files are
// durable when their folder was synced. What a failed sync covered stays uncertain whatever is synced later, unless it is written anew. Each image
// is opened by the real store.
//
// A restart holds (ledger_test.go) if the store opens; integrity_check finds nothing; the epoch is the same; each accepted message is there at the
// offset that was told, unless its user acknowledged it; nothing acknowledged is back, nothing else is gone; nothing is there twice, or was never
// sent, or differs; each publisher's messages are in order; of a request that was not answered there is all or nothing; what was read is not
// given back; and a request that comes again gets its offsets again.
//
// Real are: the store as the server runs it, the driver, SQLite, the C library, processes and their ends, and for restarts without a power loss
// the kernel's page cache, which is compared with the model after each run. Simulated are the disk below the page cache and the faults: no call
// reaches a file system that fails, and syncs are not passed on. So this does not test a kernel, a file system or a disk.
//
// It proves nothing about a disk that lies. TestPowerLossIsSeen has one, whose syncs succeed and do nothing: then accepted messages are lost, and
// the file may be damaged beyond opening. No software above can help that. Nor does the model have disks that damage sectors which were not
// written, that tear a sector, or that read wrong; SQLite trusts them not to. Not tested either: streams and expiry, faults during a backup, logs so
// long that they are cut (16 MiB), and several kinds of fault at once.
//
// The controls fail if these tests see nothing: Durability Normal, the disk that lies, and a store that does not settle its log (package settle).
//
// FAULTTEST_SEED repeats the choices, not the timing. A failed power loss keeps its log and prints how to try it again, exactly. make faults is the
// long form.
package faulttest
