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

// maxBatch is how many requests share one transaction at most.
const maxBatch = 256

// maxWaiting is the capacity of the writer's channel of requests. Further callers block in write.
const maxWaiting = 1024

// A WAL of more than veryLongLog bytes is checkpointed at once. Its size is looked at every relieveEvery commits.
const (
	veryLongLog  = 32 << 20
	relieveEvery = 64
)

// request is a write. do must make all its checks before it writes anything: a refusal does not roll the transaction
// back, so it must leave nothing behind.
type request struct {
	do   func(w *writer) error
	done chan error
}

// writer owns the only connection that writes.
type writer struct {
	path string
	db   *sql.DB
	conn *sql.Conn
	// Background. A context that can be cancelled costs a goroutine per statement, and cancelling it may roll back a
	// batch of others.
	ctx   context.Context
	stmts map[string]*sql.Stmt

	requests chan request
	chores   chan chore
	work     sync.WaitGroup

	// Readers of the pool take reading for reading, and checkpoints take it for writing. While others read, SQLite
	// would leave out the pages that they still need, count the rest as copied, and sync the database only when all is
	// copied. If that sync then failed, it would not copy those pages again.
	reading sync.RWMutex

	mu     sync.RWMutex // taken for reading while a request is sent, and for writing to close
	closed bool

	health  health
	figures figures
}

// newWriter opens the file and migrates it to the newest schema.
func newWriter(path string, d Durability, logger *slog.Logger) (_ *writer, err error) {
	synchronous := "FULL"
	if d == Normal {
		synchronous = "NORMAL"
	}
	db, err := sql.Open("sqlite3", dsn(path, "_auto_vacuum", "2", "_journal_mode", "WAL", "_synchronous", synchronous,
		"_busy_timeout", "5000",
		"_foreign_keys", "1", "_cache_size", "-16000"))
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	w := &writer{
		path: path, db: db, ctx: context.Background(), stmts: make(map[string]*sql.Stmt),
		requests: make(chan request, maxWaiting), chores: make(chan chore),
		health: health{logger: logger}, figures: newFigures(),
	}
	defer func() {
		if err != nil {
			_ = w.close() // the first error is the one to return
		}
	}()
	if w.conn, err = db.Conn(w.ctx); err != nil {
		return nil, err
	}
	if err := migrate(w.ctx, w.conn); err != nil {
		return nil, err
	}
	// No checkpoints within commits: SQLite does not report their errors there. See relieve and takeCare.
	for _, pragma := range []string{`PRAGMA wal_autocheckpoint = 0`, `PRAGMA journal_size_limit = 8388608`} {
		if _, err := w.conn.ExecContext(w.ctx, pragma); err != nil {
			return nil, err
		}
	}
	return w, nil
}

// start starts the writer's goroutine. Until then the caller may use the connection.
func (w *writer) start() { w.work.Go(w.run) }

func (w *writer) close() error {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	close(w.requests)
	w.work.Wait()
	var errs []error
	// an open statement would keep SQLite's connection open, and prevent the last checkpoint
	for _, stmt := range w.stmts {
		errs = append(errs, stmt.Close())
	}
	if w.conn != nil {
		errs = append(errs, w.conn.Close()) // before db.Close, which would leave it open
	}
	return errors.Join(append(errs, w.db.Close())...)
}

// write runs do in a transaction of the writer's goroutine, and returns when it is committed. Errors: those of do, and
// ErrUnavailable if the transaction failed.
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

// chore is a statement that runs outside of transactions.
type chore struct {
	query string
	done  chan error
}

// tidy runs a statement between two batches. ctx cancels it only before it starts. It must not be called after close.
func (w *writer) tidy(ctx context.Context, query string) error {
	c := chore{query, make(chan error, 1)}
	select {
	case w.chores <- c:
		return <-c.done
	case <-ctx.Done():
		return ctx.Err()
	}
}

// drain runs a statement and discards its rows. Some pragmas only work while their rows are read.
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

// chore settles the WAL if necessary, runs a statement, and records its failure.
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

// relieve checkpoints a WAL that grows faster than the timer of takeCare allows for.
func (w *writer) relieve() {
	if w.figures.commits.Load()%relieveEvery != 0 || w.health.failure() != nil || size(w.path+"-wal") < veryLongLog {
		return
	}
	if err := w.chore(`PRAGMA wal_checkpoint(PASSIVE)`); err != nil {
		w.health.logger.Warn("checkpoint of a long write-ahead log failed", "error", err)
	}
}

// settle makes the WAL durable after an I/O error. It must run before the next write: a sync that succeeds after a
// failed one says nothing about the pages of the failed one.
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

// gather adds the requests that already wait to a batch.
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

// serve commits a batch and answers it. If the batch fails and the disk is not the cause, each request is tried in a
// transaction of its own, so that one bad request does not fail the others.
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

// transact runs the requests in one transaction. Refusals of requests go to errs. If it returns an error, nothing was
// written.
func (w *writer) transact(batch []request, errs []error) error {
	if err := w.settle(); err != nil {
		return err
	}
	if _, err := w.exec(`BEGIN IMMEDIATE`); err != nil {
		w.rollBack() // in case the last transaction is still open
		return err
	}
	for i := range batch {
		errs[i] = batch[i].do(w)
		var failure *storageError
		if errors.As(errs[i], &failure) {
			w.rollBack()
			return failure.error
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

// rollBack ignores the error: it fails if SQLite has rolled back already.
func (w *writer) rollBack() { _, _ = w.conn.ExecContext(w.ctx, `ROLLBACK`) }

// answer sends each request its result, and updates the health of the store.
func (w *writer) answer(batch []request, errs []error, err error) {
	switch {
	case err == nil:
		w.health.succeeded()
	case isDisk(err):
		w.figures.failures.Add(1)
		w.health.failed(err, time.Now())
		refuse(batch, errs, w.health.failure())
		return
	default: // serve has tried the request alone, so the batch has only one
		w.figures.failures.Add(1)
		errs[0] = err
	}
	for i := range batch {
		batch[i].done <- errs[i]
	}
}

// refuse answers every request with the reason why nothing was written.
func refuse(batch []request, errs []error, err error) {
	for i := range batch {
		errs[i] = unavailable(err)
		batch[i].done <- errs[i]
	}
}
