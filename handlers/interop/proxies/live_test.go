package proxies_test

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/duckwire/duckwire/hub/hubtest"
)

// patience is how long to wait for a first piece that is expected to be held until the end.
const patience = 3 * time.Second

// expected returns how long to wait for the first piece of a rung: as long as a busy machine may take if the rung
// should be live, otherwise patience.
type expected func(rung string) time.Duration

// allLive expects that every rung is live.
func allLive(string) time.Duration { return hubtest.Hung }

// result is the outcome of one rung.
type result struct {
	works   bool
	live    bool // the first piece came while the stream was open
	resumed bool
	first   time.Duration // from the request to the first piece
	why     string        // if it does not work
}

// String returns a cell of the table. It contains no times, so that it is the same on every machine.
func (r result) String() string {
	switch {
	case !r.works:
		return "–"
	case !r.live:
		return "held"
	case r.resumed:
		return "live, resumed"
	}
	return "live"
}

// pieces are the text of a stream, cut as a model might cut it.
var pieces = strings.SplitAfter(
	"func größe() int {\n\treturn 42 // 鴨\n}\n\nfunc main() { println(größe()) }\n", " ",
)

// readAll reads one stream by each rung, all at the same time. A producer makes each of these streams: the first piece,
// then, once all readers had time to get it, the trouble, then the rest.
func readAll(direct, through *caller, expects expected, trouble func()) map[string]result {
	var (
		mu      sync.Mutex
		results = map[string]result{}
		first   sync.WaitGroup // readers that wait for their first piece
		all     sync.WaitGroup
		after   = make(chan struct{})
	)
	for _, how := range restRungs {
		first.Add(1)
		all.Go(func() {
			r, err := readOne(direct, through, how, expects(how.name), first.Done, after)
			if err != nil {
				r.why = err.Error()
			}
			r.works = err == nil
			mu.Lock()
			defer mu.Unlock()
			results[how.name] = r
		})
	}
	first.Wait()
	trouble()
	close(after)
	all.Wait()
	return results
}

func readOne(
	direct, through *caller, how rung, wait time.Duration, firstDone func(), after <-chan struct{},
) (res result, err error) {
	p := producer{caller: direct}
	err = p.begin()
	if err == nil {
		err = p.append(pieces[0])
	}
	if err != nil {
		firstDone()
		return res, err
	}
	r := newReader(through, p.id)
	begun := time.Now()
	read := make(chan error, 1)
	go func() { read <- r.follow(how) }()
	var came time.Time
	select {
	case came = <-r.got:
		res.live = true
	case <-time.After(wait):
	}
	firstDone()
	<-after
	for _, piece := range pieces[1:] {
		if err := p.append(piece); err != nil {
			return res, err
		}
	}
	if err := p.end(); err != nil {
		return res, err
	}
	select {
	case err := <-read:
		if err != nil {
			return res, err
		}
	case <-time.After(readingTimeout):
		return res, fmt.Errorf("no end within %v", readingTimeout)
	}
	if !res.live {
		came = <-r.got
	}
	res.first, res.resumed = came.Sub(begun), r.answers > 1 && how.name != "long-poll"
	if want := strings.Join(pieces, ""); r.text != want {
		return res, fmt.Errorf("read %q, want %q", r.text, want)
	}
	return res, nil
}

// producer writes a stream, without passing through the proxy.
type producer struct {
	caller *caller
	id     string
}

func (p *producer) begin() error {
	var s struct{ ID string }
	err := p.caller.call("POST", "/v1/streams", map[string]string{"kind": "completion"}, &s)
	p.id = s.ID
	return err
}

func (p *producer) append(text string) error {
	return p.caller.call("POST", "/v1/streams/"+p.id+"/append", map[string]string{"text": text}, nil)
}

func (p *producer) end() error {
	return p.caller.call("POST", "/v1/streams/"+p.id+"/append", map[string]string{"event": "end"}, nil)
}
