package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/duckwire/duckwire/hub/errs"
	"github.com/duckwire/duckwire/storage/sqlite/internal/settle"
)

// maxBatch is how many requests share a transaction at most.
const maxBatch = 256

// maxWaiting is how many requests may wait for the writer; more wait to wait.
const maxWaiting = 1024

// A log longer than that is shortened at once; each so many commits it is looked at.
const (
	veryLongLog  = 32 << 20
	relieveEvery = 64
)

// request is something to be written. do makes all its checks before it writes anything: what it refuses leaves no trace.
type request struct {
	do   func(w *writer) error
	done chan error
}

// writer owns the one connection that writes.
type writer struct {
	path  string
	db    *sql.DB
	conn  *sql.Conn
	ctx   context.Context // Background: a context that can end would cost a goroutine for each statement, and may roll back others' work
	stmts map[string]*sql.Stmt

	requests chan request
	chores   chan chore
	work     sync.WaitGroup

	// Whoever reads from the pool holds it for reading, so that nobody does while the log is moved into the database. SQLite would leave out what
	// readers still need, count the rest as moved, and not sync it before all is; should that sync fail, it would not move the rest again.
	reading sync.RWMutex

	mu     sync.RWMutex // held for reading while a request is handed over
	closed bool

	health  health
	figures figures
}

// newWriter opens the file and brings it to the newest version.
func newWriter(path string, d Durability, logger *slog.Logger) (_ *writer, err error) {
	synchronous := "FULL"
	if d == Normal {
		synchronous = "NORMAL"
	}
	db, err := sql.Open("sqlite3", dsn(path, "_auto_vacuum", "2", "_journal_mode", "WAL", "_synchronous", synchronous, "_busy_timeout", "5000",
		"_foreign_keys", "1", "_cache_size", "-16000"))
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	w := &writer{
		path: path, db: db, ctx: context.Background(), stmts: make(map[string]*sql.Stmt),
		requests: make(chan request, maxWaiting), chores: make(chan chore), health: health{logger: logger}, figures: newFigures(),
	}
	defer func() {
		if err != nil {
			_ = w.close() // the first error counts
		}
	}()
	if w.conn, err = db.Conn(w.ctx); err != nil {
		return nil, err
	}
	if err := migrate(w.ctx, w.conn); err != nil {
		return nil, err
	}
	// No checkpoints within commits: SQLite would keep their errors to itself. See relieve and takeCare.
	for _, pragma := range []string{`PRAGMA wal_autocheckpoint = 0`, `PRAGMA journal_size_limit = 8388608`} {
		if _, err := w.conn.ExecContext(w.ctx, pragma); err != nil {
			return nil, err
		}
	}
	return w, nil
}

// start begins to serve. Before it, the caller has the connection for itself.
func (w *writer) start() { w.work.Go(w.run) }

func (w *writer) close() error {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	close(w.requests)
	w.work.Wait()
	var errs []error
	for _, stmt := range w.stmts { // one that is left open would keep SQLite's connection open, and the log from being moved into the file
		errs = append(errs, stmt.Close())
	}
	if w.conn != nil {
		errs = append(errs, w.conn.Close()) // before db, which would leave it open
	}
	return errors.Join(append(errs, w.db.Close())...)
}

// write has a request done, and returns when it is on disk. Errors: do's own; ErrUnavailable where it could not be written.
func (w *writer) write(do func(w *writer) error) error {
	req := request{do: do, done: make(chan error, 1)}
	w.mu.RLock()
	if w.closed {
		w.mu.RUnlock()
		return fmt.Errorf("the store is closed: %w", errs.ErrUnavailable)
	}
	w.requests <- req
	w.mu.RUnlock()
	return <-req.done
}

// chore is a statement that stands outside of transactions.
type chore struct {
	query string
	done  chan error
}

// tidy runs a statement between two batches, to its end, unless ctx ends before its turn comes. It must not be called once close may have been.
func (w *writer) tidy(ctx context.Context, query string) error {
	c := chore{query, make(chan error, 1)}
	select {
	case w.chores <- c:
		return <-c.done
	case <-ctx.Done():
		return ctx.Err()
	}
}

// drain runs a statement and passes over its rows: some work only as they are read.
func (w *writer) drain(query string) error {
	rows, err := w.conn.QueryContext(w.ctx, query)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
	}
	return rows.Err()
}

func (w *writer) run() {
	batch := make([]request, 0, maxBatch)
	for {
		select {
		case req, ok := <-w.requests:
			if !ok {
				return
			}
			w.serve(w.gather(append(batch[:0], req)))
			w.relieve()
		case c := <-w.chores:
			c.done <- w.chore(c.query)
		}
	}
}

// chore runs a statement on a log that can be trusted, and notes what its failure says about the disk.
func (w *writer) chore(query string) error {
	if err := w.settle(); err != nil {
		return err
	}
	w.reading.Lock()
	err := w.drain(query)
	w.reading.Unlock()
	if err != nil {
		w.figures.choreFailures.Add(1)
		w.health.doubt(err)
	}
	return err
}

// relieve shortens a log that grows faster than takeCare looks after it.
func (w *writer) relieve() {
	if w.figures.commits.Load()%relieveEvery != 0 || w.health.failure() != nil || size(w.path+"-wal") < veryLongLog {
		return
	}
	if err := w.chore(`PRAGMA wal_checkpoint(PASSIVE)`); err != nil {
		w.health.logger.Warn("the log of the database cannot be shortened at the moment", "error", err)
	}
}

// settle makes the log durable where the disk has failed since it was: a sync that succeeds after one that failed says nothing about what that one
// should have written.
func (w *writer) settle() error {
	if !w.health.doubtful {
		return nil
	}
	if err := settle.WAL(w.path); err != nil {
		return err
	}
	w.health.doubtful = false
	return nil
}

// gather adds to a batch what waits already.
func (w *writer) gather(batch []request) []request {
	for len(batch) < maxBatch {
		select {
		case req, ok := <-w.requests:
			if !ok {
				return batch
			}
			batch = append(batch, req)
		default:
			return batch
		}
	}
	return batch
}

// serve commits a batch and answers it. Where the batch fails and it was not the disk, each request is tried by itself: one that cannot be done
// does not take the others with it.
func (w *writer) serve(batch []request) {
	errs := make([]error, len(batch))
	if err := w.health.tooEarly(time.Now()); err != nil {
		refuse(batch, errs, err)
		return
	}
	err := w.transact(batch, errs)
	if err != nil && len(batch) > 1 && !isDisk(err) {
		for i := range batch {
			w.answer(batch[i:i+1], errs[i:i+1], w.transact(batch[i:i+1], errs[i:i+1]))
		}
		return
	}
	w.answer(batch, errs, err)
}

// transact does the requests in one transaction: their own refusals go to errs, and an error means that nothing was written.
func (w *writer) transact(batch []request, errs []error) error {
	if err := w.settle(); err != nil {
		return err
	}
	if _, err := w.exec(`BEGIN IMMEDIATE`); err != nil {
		w.rollBack() // in case the last one was left open
		return err
	}
	for i := range batch {
		errs[i] = batch[i].do(w)
		var broken *storageError
		if errors.As(errs[i], &broken) {
			w.rollBack()
			return broken.error
		}
	}
	began := time.Now()
	if _, err := w.exec(`COMMIT`); err != nil {
		w.rollBack()
		return err
	}
	w.figures.committed(len(batch), time.Since(began))
	return nil
}

// rollBack fails where SQLite has rolled back already.
func (w *writer) rollBack() { _, _ = w.conn.ExecContext(w.ctx, `ROLLBACK`) }

// answer tells everybody, and notes how the store is doing.
func (w *writer) answer(batch []request, errs []error, err error) {
	switch {
	case err == nil:
		w.health.succeeded()
	case isDisk(err):
		w.figures.failures.Add(1)
		w.health.failed(err, time.Now())
		refuse(batch, errs, w.health.failure())
		return
	default: // serve has tried the request by itself
		w.figures.failures.Add(1)
		errs[0] = err
	}
	for i := range batch {
		batch[i].done <- errs[i]
	}
}

// refuse tells everybody that nothing was written, and why.
func refuse(batch []request, errs []error, err error) {
	for i := range batch {
		errs[i] = unavailable(err)
		batch[i].done <- errs[i]
	}
}
