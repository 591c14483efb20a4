// Package metrics exports the server's metrics in Prometheus's format. Only this package depends on Prometheus: other
// packages count without it (hub.Stats, hub/meter, middleware.Responses), and their counts are read at each scrape.
//
// Names begin with duckwire_. The values of labels are from small, fixed sets, and never users, topics, streams or
// addresses.
package metrics
