// Package redis joins several nodes: what the hub keeps in memory or SQLite on one node is kept in Redis for all of them, and what one node
// changes the others hear of by pub/sub. Pub/sub may lose messages: whoever follows a key finds gaps by offsets and reads again.
//
// What the keys and channels are called is in names.go. Scripts use only what Redis 7.0 and miniredis both have. Times come from the nodes, or from Redis' own clock where nodes must agree (leases).
package redis
