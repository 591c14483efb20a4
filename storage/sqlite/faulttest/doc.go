// Package faulttest injects faults below SQLite, and checks that storage/sqlite keeps its promise: every accepted
// message is stored, in order, exactly once. The package has tests only. They need Linux and gcc.
//
// A child process runs the store, with publishers that enqueue and readers that acknowledge. testdata/shim.c is loaded
// between SQLite and the C library (LD_PRELOAD). It logs each call that changes a file, and makes calls fail as a
// control page says, which it shares with the tests. The child adds its requests to the store and the answers to the
// same log (child_test.go). So the log has a total order of what was done and what was promised.
//
// The faults (fault_test.go): writes that fail, are short, or are torn; no space; syncs that fail, with the pages kept
// in memory or dropped; files that cannot be created, truncated or removed; each while the store opens and while it
// works, once, for a time, or for ever; and SIGKILL between any two calls and within a sync. After each, the folder is
// opened again and compared with the promises; and a power loss is simulated.
//
// A power loss is reconstructed from the log (disk_test.go, loss_test.go). Data is on the disk if a sync began after
// it was written and succeeded. Of all other data, the disk has nothing, all of it, a prefix, any subset of the
// writes, or any subset of their 512-byte sectors, in any order. File names are durable when their folder was synced.
// Data that a failed sync covered stays uncertain whatever is synced later, unless it is written again. The real store
// opens each image.
//
// A restart passes (ledger_test.go) if the store opens; integrity_check finds nothing; the epoch is the same; each
// accepted message is at its promised offset, unless its user acknowledged it; no acknowledged message is back, and no
// other is missing; nothing is duplicated, was never sent, or differs; each publisher's messages are in order; each
// unanswered request is stored completely or not at all; acknowledged messages are not delivered again; and a repeated
// request gets the same offsets.
//
// Real are: the store as the server runs it, the driver, SQLite, the C library, processes and their ends, and for
// restarts without a power loss the kernel's page cache, which is compared with the model after each run. Simulated
// are the disk below the page cache and the faults: no call reaches a file system that fails, and syncs are not passed
// on. So these tests do not test a kernel, a file system or a disk.
//
// They prove nothing about a disk that lies. TestPowerLossIsSeen simulates one whose syncs succeed and do nothing:
// accepted messages are lost, and the file may be damaged beyond opening. No software above the disk can prevent that.
// The model also lacks disks that damage sectors which were not written, that tear a sector, or that read wrong data;
// SQLite assumes that they do not. Not tested either: streams and expiry, faults during a backup, write-ahead logs
// long enough to be truncated (16 MiB), and several kinds of fault at once.
//
// The control tests fail if these tests detect nothing: Durability Normal, the disk that lies, and a store that does
// not settle its write-ahead log (package settle).
//
// FAULTTEST_SEED repeats the random choices, not the timing. A failed power loss keeps its log, and prints how to
// replay it exactly. make faults is the long form.
package faulttest
