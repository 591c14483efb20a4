// Package clustertest holds several hubs to what they promise together: random histories, each made of a seed, of
// clients who publish, read, resume elsewhere, write, ask and leave, while the network and the nodes between them fail.
// It has tests only.
package clustertest
