package bench

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
)

// BareLoop is the baseline: it serves the same paths as Duckwire and only writes prepared bytes. Each reader is a plain
// connection with a goroutine that writes what is queued for it. A POST to a path that ends in /events or /append
// queues as many copies of the block as the header Bench-Events says for the readers of that path. There is no JSON,
// authorization, history, resumption or logging.
type BareLoop struct {
	Block int // bytes of a block; the size of Duckwire's, so that both write the same amount

	mu    sync.RWMutex
	rooms map[string]*room
}

// room has the readers of one path.
type room struct {
	mu     sync.Mutex
	seq    uint64
	single bool // the path is a stream's: text instead of numbered events
	frames bool // the readers are WebSockets
	queues []chan []byte
}

// bareQueue is the length of a reader's queue; a reader whose queue is full is dropped.
const bareQueue = 1024

// Serve runs until ctx ends. Like the server, it logs the URL at which it listens.
func (l *BareLoop) Serve(ctx context.Context, log io.Writer) error {
	l.rooms = make(map[string]*room)
	var writers sync.WaitGroup
	if err := serveLoopback(ctx, log, l.handler(ctx, &writers)); err != nil {
		return err
	}
	l.mu.RLock()
	for _, r := range l.rooms {
		r.close()
	}
	l.mu.RUnlock()
	writers.Wait()
	return nil
}

func (l *BareLoop) handler(ctx context.Context, writers *sync.WaitGroup) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/streams", func(w http.ResponseWriter, _ *http.Request) {
		l.mu.RLock()
		n := len(l.rooms)
		l.mu.RUnlock()
		id := "bare" + strconv.Itoa(n)
		l.room("/v1/streams/" + id)
		_, _ = fmt.Fprintf(w, `{"id":%q}`, id)
	})
	mux.HandleFunc("GET /", func(w http.ResponseWriter, r *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		path, head := r.URL.Path, bareStream
		if path == socketPath {
			path, head = r.URL.Query().Get("room"), bareUpgrade
		}
		queue := make(chan []byte, bareQueue)
		room := l.room(path)
		room.mu.Lock()
		room.frames = r.URL.Path == socketPath
		room.queues = append(room.queues, queue)
		room.mu.Unlock()
		writers.Go(func() { writeLoop(ctx, conn, head, queue) })
	})
	mux.HandleFunc("POST /", func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		n, _ := strconv.Atoi(r.Header.Get(eventsHeader))
		l.room(strings.TrimSuffix(r.URL.Path, "/append")).write(l.Block, n)
		_, _ = w.Write([]byte("{}"))
	})
	return mux
}

// The heads of the bare loop's responses, reduced to what its readers need.
const (
	bareStream = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
	// includes the reply to the join, which is not read
	bareUpgrade = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n" +
		"\x81\x0b\"phx_reply\""
)

// writeLoop writes what is queued for a reader.
func writeLoop(ctx context.Context, conn net.Conn, head string, queue <-chan []byte) {
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	defer conn.Close()
	if _, err := io.WriteString(conn, head); err != nil {
		return
	}
	for b := range queue {
		if _, err := conn.Write(b); err != nil {
			return
		}
	}
}

func (l *BareLoop) room(path string) *room {
	l.mu.RLock()
	r := l.rooms[path]
	l.mu.RUnlock()
	if r != nil {
		return r
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if r = l.rooms[path]; r == nil {
		r = &room{single: strings.HasPrefix(path, "/v1/streams/")}
		l.rooms[path] = r
	}
	return r
}

// write queues the next n blocks for every reader of the room. All readers share the same bytes.
func (r *room) write(size, n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	b := make([]byte, 0, n*size)
	for range n {
		r.seq++
		if r.frames {
			b = appendBareFrame(b, size, r.seq)
		} else {
			b = appendBareBlock(b, size, r.seq, r.single)
		}
	}
	kept := r.queues[:0]
	for _, q := range r.queues {
		select {
		case q <- b:
			kept = append(kept, q)
		default:
			close(q)
		}
	}
	clear(r.queues[len(kept):])
	r.queues = kept
}

// close ends the writers' goroutines.
func (r *room) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, q := range r.queues {
		close(q)
	}
	r.queues = nil
}

// appendBareBlock appends block n with the given size, or the smallest possible one if the size is too small.
func appendBareBlock(dst []byte, size int, n uint64, text bool) []byte {
	begin := len(dst)
	dst = append(dst, "data: {"...)
	if text {
		dst = append(appendToken(append(dst, textMark...), n), '"')
	} else {
		dst = strconv.AppendUint(append(dst, eventMark...), n, 10)
	}
	dst = append(dst, `,"pad":"`...)
	end := "\"}\nid: 1\n\n"
	if pad := size - (len(dst) - begin) - len(end); pad > 0 {
		dst = append(dst, bytes.Repeat([]byte{'x'}, pad)...)
	}
	return append(dst, end...)
}

// appendBareFrame appends text frame n with the given size, or the smallest possible one if the size is too small.
func appendBareFrame(dst []byte, size int, n uint64) []byte {
	payload := strconv.AppendUint(append([]byte{'{'}, eventMark...), n, 10)
	payload = append(payload, `,"pad":"`...)
	const end = `"}`
	if pad := size - 4 - len(payload) - len(end); pad > 0 {
		payload = append(payload, bytes.Repeat([]byte{'x'}, pad)...)
	}
	payload = append(payload, end...)
	dst = append(dst, 0x81)
	if len(payload) < 126 {
		dst = append(dst, byte(len(payload)))
	} else {
		dst = binary.BigEndian.AppendUint16(append(dst, 126), uint16(len(payload)))
	}
	return append(dst, payload...)
}
