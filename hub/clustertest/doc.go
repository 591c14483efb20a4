// Package clustertest tests the promises that several hubs make together. Random histories, each generated from a seed,
// have clients publish, read, resume on other nodes, write and leave while network and nodes fail. Directed tests cover
// single faults. It contains tests only.
package clustertest
