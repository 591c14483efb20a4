// Package redis is the shared store of several nodes. Redis holds for all nodes what the hub of a single node holds in
// memory or SQLite. A node publishes its changes by pub/sub. Pub/sub may lose messages, so whoever follows a key
// detects gaps by offsets and reads the key again.
//
// The names of keys and channels are in names.go. Scripts only use what both Redis 7.0 and miniredis have. Times come
// from the nodes, or from Redis' own clock where nodes must agree (leases).
package redis
