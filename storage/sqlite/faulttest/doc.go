// Package faulttest puts faults below SQLite: writes and syncs that fail, disks that are full, processes that are killed, and power that is
// lost.
package faulttest
