package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mattn/go-sqlite3"

	"github.com/duckwire/duckwire/hub"
)

// maxBatch is how many requests share a transaction at most.
const maxBatch = 256

// maxWaiting is how many requests may wait for the writer; more wait to wait.
const maxWaiting = 1024

// request is something to be written. do makes all its checks before it writes anything: what it refuses leaves no trace.
type request struct {
	do   func(w *writer) error
	done chan error
}

// writer owns the one connection that writes.
type writer struct {
	db     *sql.DB
	conn   *sql.Conn
	logger *slog.Logger
	ctx    context.Context // Background: a context that can end would cost a goroutine for each statement, and may roll back others' work
	stmts  map[string]*sql.Stmt
	begin  *sql.Stmt
	commit *sql.Stmt

	requests chan request
	chores   chan chore
	work     sync.WaitGroup

	mu      sync.RWMutex // held for reading while a request is handed over
	closed  bool
	failing atomic.Pointer[error]

	commits, committed, failures atomic.Int64
	commitTime                   atomic.Int64 // nanoseconds, of all commits together
}

// newWriter opens the file, brings it to the newest version, and starts the goroutine.
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
	w := &writer{db: db, logger: logger, ctx: context.Background(), stmts: make(map[string]*sql.Stmt), requests: make(chan request, maxWaiting), chores: make(chan chore)}
	defer func() {
		if err != nil {
			if w.conn != nil {
				w.conn.Close()
			}
			db.Close()
		}
	}()
	if w.conn, err = db.Conn(w.ctx); err != nil {
		return nil, err
	}
	if err := migrate(w.ctx, w.conn); err != nil {
		return nil, err
	}
	// Checkpoints are made by takeCare, not within somebody's commit, but for a log that has become very long.
	for _, pragma := range []string{`PRAGMA wal_autocheckpoint = 8192`, `PRAGMA journal_size_limit = 8388608`} {
		if _, err := w.conn.ExecContext(w.ctx, pragma); err != nil {
			return nil, err
		}
	}
	if w.begin, err = w.conn.PrepareContext(w.ctx, `BEGIN IMMEDIATE`); err != nil {
		return nil, err
	}
	if w.commit, err = w.conn.PrepareContext(w.ctx, `COMMIT`); err != nil {
		return nil, err
	}
	w.work.Go(w.run)
	return w, nil
}

func (w *writer) close() error {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	close(w.requests)
	w.work.Wait()
	errs := []error{w.begin.Close(), w.commit.Close()}
	for _, s := range w.stmts {
		errs = append(errs, s.Close())
	}
	return errors.Join(append(errs, w.conn.Close(), w.db.Close())...) // the last connection empties the log
}

// write has a request done, and returns when it is on disk. Errors: do's own; ErrUnavailable where it could not be written.
func (w *writer) write(do func(w *writer) error) error {
	req := request{do: do, done: make(chan error, 1)}
	w.mu.RLock()
	if w.closed {
		w.mu.RUnlock()
		return fmt.Errorf("the store is closed: %w", hub.ErrUnavailable)
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
		case c := <-w.chores:
			c.done <- w.drain(c.query)
		}
	}
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
	if _, err := w.begin.ExecContext(w.ctx); err != nil {
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
	if _, err := w.commit.ExecContext(w.ctx); err != nil {
		w.rollBack()
		return err
	}
	w.commits.Add(1)
	w.committed.Add(int64(len(batch)))
	w.commitTime.Add(int64(time.Since(began)))
	return nil
}

// rollBack fails where SQLite has rolled back already.
func (w *writer) rollBack() { _, _ = w.conn.ExecContext(w.ctx, `ROLLBACK`) }

// answer tells everybody, and notes how the store is doing.
func (w *writer) answer(batch []request, errs []error, err error) {
	w.note(err)
	for i := range batch {
		if err != nil {
			errs[i] = fmt.Errorf("%w: %w", hub.ErrUnavailable, err)
		}
		batch[i].done <- errs[i]
	}
}

func (w *writer) note(err error) {
	before := w.failing.Load()
	switch {
	case err != nil:
		w.failures.Add(1)
		w.failing.Store(&err)
		if before == nil {
			w.logger.Error("nothing can be kept; it is tried again", "error", err)
		}
	case before != nil:
		w.failing.Store(nil)
		w.logger.Info("things can be kept again")
	}
}

func (w *writer) failure() error {
	if p := w.failing.Load(); p != nil {
		return *p
	}
	return nil
}

// storageError is an error of SQLite's within a request, as opposed to a refusal.
type storageError struct{ error }

func (e *storageError) Unwrap() error { return e.error }

func broken(err error) error {
	if err == nil {
		return nil
	}
	return &storageError{err}
}

// isDisk reports whether an error is no fault of a request's.
func isDisk(err error) bool {
	var e sqlite3.Error
	if !errors.As(err, &e) {
		return true
	}
	return e.Code != sqlite3.ErrConstraint && e.Code != sqlite3.ErrMismatch && e.Code != sqlite3.ErrTooBig && e.Code != sqlite3.ErrError
}

// stmt returns a prepared statement. Only requests, on the writer's goroutine, may use it.
func (w *writer) stmt(query string) (*sql.Stmt, error) {
	if s := w.stmts[query]; s != nil {
		return s, nil
	}
	s, err := w.conn.PrepareContext(w.ctx, query)
	if err != nil {
		return nil, broken(err)
	}
	w.stmts[query] = s
	return s, nil
}

func (w *writer) exec(query string, args ...any) (rows int64, err error) {
	s, err := w.stmt(query)
	if err != nil {
		return 0, err
	}
	res, err := s.ExecContext(w.ctx, args...)
	if err != nil {
		return 0, broken(err)
	}
	rows, err = res.RowsAffected()
	return rows, broken(err)
}

// scan reads one row; found is false where there is none.
func (w *writer) scan(dest []any, query string, args ...any) (found bool, err error) {
	s, err := w.stmt(query)
	if err != nil {
		return false, err
	}
	err = s.QueryRowContext(w.ctx, args...).Scan(dest...)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return err == nil, broken(err)
}

// The keys of meta.
const (
	metaEpoch = "queue_epoch"
	metaCopy  = "copy" // set in a backup: whoever opens it has a copy before it
	metaProbe = "probe"
)

// epoch returns the epoch of the queues: a new one in a new file, and in a copy.
func (w *writer) epoch() (epoch string, err error) {
	err = w.write(func(w *writer) error {
		var copied string
		isCopy, err := w.scan([]any{&copied}, `SELECT value FROM meta WHERE key = ?`, metaCopy)
		if err != nil {
			return err
		}
		found, err := w.scan([]any{&epoch}, `SELECT value FROM meta WHERE key = ?`, metaEpoch)
		if err != nil || found && !isCopy {
			return err
		}
		epoch = newEpoch()
		if _, err := w.exec(`DELETE FROM meta WHERE key = ?`, metaCopy); err != nil {
			return err
		}
		_, err = w.exec(`INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)`, metaEpoch, epoch)
		return err
	})
	return epoch, err
}
