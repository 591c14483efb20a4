// Package metrics shows what the server counts in Prometheus's format. It is a package of its own because it is the only one that knows Prometheus:
// whoever counts does so without it (hub.Stats, hub/meter, middleware.Responses), and what is counted is read when somebody asks.
//
// Names begin with duckwire_. Labels have values out of small, fixed sets: no user, topic, stream or address is ever one.
package metrics
