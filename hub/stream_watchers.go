package hub

import "time"

// A node that watches another node's streams repeats that to the owner: a report that is not repeated expires.
const (
	reportWatchedEvery = 3 * time.Second
	remoteWatchTTL     = 10 * time.Second
)

// reportWatched tells the owner of streams whether they are watched on this node. s.log may be locked.
func (c *Cluster) reportWatched(node string, streams []string, watched bool) {
	if node == "" {
		return // the owner is unknown: reportAllWatched tells the next one
	}
	body := mustJSON(watchQuestion{streams, watched})
	c.hub.background.TryGo(func() {
		_, _ = c.callWithin(callTimeout, node, callWatchStreams, body) // reportAllWatched repeats it
	})
}

// reportAllWatched tells the owners which of their streams are watched on this node, until the hub closes.
func (c *Cluster) reportAllWatched() {
	for c.hub.background.Pause(reportWatchedEvery) {
		watched := make(map[string][]string)
		for _, s := range c.hub.streams.all() {
			s.log.Lock()
			if s.remote != nil && s.remote.node != "" && s.watchers > 0 && !s.status.Ended() {
				watched[s.remote.node] = append(watched[s.remote.node], s.ID)
			}
			s.expireRemoteWatchers()
			s.log.Unlock()
		}
		for node, streams := range watched {
			c.reportWatched(node, streams, true)
			if !c.orphaned(node) {
				continue
			}
			for _, id := range streams {
				if s := c.hub.streams.find("", id); s != nil {
					s.takeOverIfOrphaned()
				}
			}
		}
	}
}

// setRemoteWatchers notes whether the stream is watched on another node.
func (s *Stream) setRemoteWatchers(node string, watched bool) {
	s.log.Lock()
	defer s.log.Unlock()
	if !watched {
		delete(s.remoteWatchers, node)
		s.armIdleCancel(s.Idle.CancelAfter)
		return
	}
	if s.remoteWatchers == nil {
		s.remoteWatchers = make(map[string]time.Time)
	}
	s.remoteWatchers[node] = time.Now().Add(remoteWatchTTL)
	if s.idleTimer != nil {
		s.idleTimer.Stop()
		s.idleTimer = nil
	}
}

// expireRemoteWatchers forgets the nodes whose reports have expired. s.log is locked.
func (s *Stream) expireRemoteWatchers() {
	now, had := time.Now(), len(s.remoteWatchers)
	for node, until := range s.remoteWatchers {
		if now.After(until) {
			delete(s.remoteWatchers, node)
		}
	}
	if had > 0 && len(s.remoteWatchers) == 0 {
		s.armIdleCancel(s.Idle.CancelAfter)
	}
}
