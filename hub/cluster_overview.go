package hub

import (
	"cmp"
	"encoding/json"
	"slices"
)

// callOverview asks another node for its state.
const callOverview = "overview" // the question is the length limit of lists, the answer an Overview

// Overview is the state of one hub, or of all nodes together, at one moment.
type Overview struct {
	LogBytes  int64
	Topics    []TopicSummary // those with the most readers
	AllTopics int            // how many there are; of several nodes, a lower bound
	Sessions  []UserSessions // those with the most
	Users     int            // how many there are; of several nodes, a lower bound
	By        [Transports]int
}

// overviewHere returns the state of this node.
func (h *Hub) overviewHere(limit int) Overview {
	o := Overview{LogBytes: h.LogBytes()}
	o.Topics, o.AllTopics = h.TopicSummaries(limit)
	o.Sessions, o.Users, o.By = h.Sessions(limit)
	return o
}

// Overview returns the state of all nodes together, with at most limit entries in each list. A node that does not
// answer is left out.
func (h *Hub) Overview(limit int) Overview {
	o := h.overviewHere(limit)
	if !h.cluster.sharesStreams() {
		return o
	}
	for _, answer := range h.cluster.callAll(callOverview, limit) {
		var other Overview
		if err := json.Unmarshal(answer, &other); err != nil {
			h.logger.Warn("how another node stands is not understood; nodes of different versions?", "error", err)
			continue
		}
		o.add(&other)
	}
	o.Topics, o.Sessions = sortTopics(o.Topics, limit), sortSessions(o.Sessions, limit)
	return o
}

// add adds the state of another node. All nodes that have a topic have the same log and presences of it, but each has
// readers of its own.
func (o *Overview) add(other *Overview) {
	o.LogBytes += other.LogBytes
	for _, t := range other.Topics {
		i := slices.IndexFunc(o.Topics, func(mine TopicSummary) bool { return mine.Name == t.Name })
		if i < 0 {
			o.Topics = append(o.Topics, t)
			continue
		}
		mine := &o.Topics[i]
		mine.Readers += t.Readers
		mine.Events, mine.Bytes = max(mine.Events, t.Events), max(mine.Bytes, t.Bytes)
		mine.Present = max(mine.Present, t.Present)
		if t.Used.After(mine.Used) {
			mine.Used = t.Used
		}
	}
	o.AllTopics = max(o.AllTopics, other.AllTopics, len(o.Topics))
	for _, u := range other.Sessions {
		i := slices.IndexFunc(o.Sessions, func(mine UserSessions) bool { return mine.User == u.User })
		if i < 0 {
			o.Sessions = append(o.Sessions, u)
			continue
		}
		mine := &o.Sessions[i]
		mine.Total += u.Total
		for via, n := range u.By {
			mine.By[via] += n
		}
		if u.Since.Before(mine.Since) {
			mine.Since = u.Since
		}
	}
	o.Users = max(o.Users, other.Users, len(o.Sessions))
	for via, n := range other.By {
		o.By[via] += n
	}
}

func sortTopics(list []TopicSummary, limit int) []TopicSummary {
	slices.SortFunc(list, func(a, b TopicSummary) int {
		return cmp.Or(cmp.Compare(b.Readers, a.Readers), b.Used.Compare(a.Used), cmp.Compare(a.Name, b.Name))
	})
	return list[:min(limit, len(list))]
}

func sortSessions(list []UserSessions, limit int) []UserSessions {
	slices.SortFunc(list, func(a, b UserSessions) int {
		return cmp.Or(cmp.Compare(b.Total, a.Total), cmp.Compare(a.User, b.User))
	})
	return list[:min(limit, len(list))]
}
