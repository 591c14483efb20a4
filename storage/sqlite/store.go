package sqlite

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/base32"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/mattn/go-sqlite3"

	"github.com/duckwire/duckwire/storage/sqlite/internal/settle"
)

// FileName is the database's name in the data folder. Beside it stand its log (-wal), the log's index (-shm) and the lock.
const FileName = "duckwire.db"

// Durability says what a commit waits for.
type Durability uint8

// The kinds.
const (
	Full   Durability = iota // the disk: what was acknowledged survives a power loss, if the disk keeps its word
	Normal                   // the kernel: what was acknowledged survives the end of the process
)

// Options says how to open a Store.
type Options struct {
	Dir        string // made if it is not there
	Durability Durability
	Logger     *slog.Logger // nil: slog.Default

	CheckpointEvery time.Duration // how often the log is moved into the database (5 s)
}

// Store is an open database. Safe for concurrent use. Close it after the hub.
type Store struct {
	dir    string
	logger *slog.Logger
	lock   *os.File
	epoch  string

	readers *sql.DB
	writer  *writer
	care    sync.WaitGroup
	stop    context.CancelFunc
	closing sync.Once
	closed  error
}

// The errors of Open.
var (
	ErrLocked  = errors.New("another server is running on the data folder")
	ErrNewer   = errors.New("the database was written by a newer version")
	ErrCorrupt = errors.New("the database is damaged")
)

// Open opens the database in a folder, and makes it where there is none. Errors: ErrLocked, ErrNewer, ErrCorrupt, and the system's.
func Open(o Options) (*Store, error) {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("the data folder cannot be made: %w", err)
	}
	if o.CheckpointEvery <= 0 {
		o.CheckpointEvery = checkpointEvery
	}
	lock, err := lockFolder(o.Dir)
	if err != nil {
		return nil, err
	}
	s := &Store{dir: o.Dir, logger: o.Logger, lock: lock}
	if err := s.open(o); err != nil {
		s.Close()
		return nil, explain(err, o.Dir)
	}
	return s, nil
}

func (s *Store) open(o Options) error {
	path := filepath.Join(s.dir, FileName)
	if err := settle.WAL(path); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	s.stop = cancel
	var err error
	if s.writer, err = newWriter(path, o.Durability, s.logger); err != nil {
		return err
	}
	for _, end := range []string{"", "-wal", "-shm"} { // SQLite would let others read them
		if err := os.Chmod(path+end, 0o600); err != nil {
			return err
		}
	}
	if s.epoch, err = s.writer.epoch(); err != nil {
		return err
	}
	if s.readers, err = sql.Open("sqlite3", dsn(path, "mode", "ro", "_query_only", "1", "_busy_timeout", "5000", "_stmt_cache_size", "8")); err != nil {
		return err
	}
	s.readers.SetMaxOpenConns(4)
	s.readers.SetMaxIdleConns(4)
	s.care.Go(func() { s.takeCare(ctx, o.CheckpointEvery) })
	return nil
}

// Close ends the store. It returns when every request has been answered and every goroutine has ended. A second call does nothing.
func (s *Store) Close() error {
	s.closing.Do(func() { s.closed = s.close() })
	return s.closed
}

func (s *Store) close() error {
	if s.stop != nil {
		s.stop()
	}
	s.care.Wait()
	var errs []error
	if s.readers != nil {
		errs = append(errs, s.readers.Close())
	}
	if s.writer != nil {
		errs = append(errs, s.writer.close())
	}
	errs = append(errs, s.lock.Close()) // last: the folder is free
	return errors.Join(errs...)
}

// Err returns why nothing can be kept at the moment, or nil.
func (s *Store) Err() error { return s.writer.failure() }

// QueueEpoch implements hub.QueueStore.
func (s *Store) QueueEpoch() string { return s.epoch }

// dsn names a file with the driver's and SQLite's parameters.
func dsn(path string, params ...string) string {
	q := url.Values{}
	for i := 0; i < len(params); i += 2 {
		q.Set(params[i], params[i+1])
	}
	return "file:" + (&url.URL{Path: path}).EscapedPath() + "?" + q.Encode()
}

func newEpoch() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	return strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(b[:]))
}

// explain adds to an error of Open what to do about it.
func explain(err error, dir string) error {
	var e sqlite3.Error
	switch {
	case !errors.As(err, &e):
	case e.Code == sqlite3.ErrCorrupt, e.Code == sqlite3.ErrNotADB:
		return fmt.Errorf("%w: %s (%w); stop, keep a copy of the folder, and restore a backup, or try: sqlite3 %[2]s .recover", ErrCorrupt, filepath.Join(dir, FileName), err)
	case e.Code == sqlite3.ErrReadonly, e.Code == sqlite3.ErrCantOpen, e.Code == sqlite3.ErrPerm:
		return fmt.Errorf("the database in %s cannot be written: %w; give the user of the server the right to write the folder and its files", dir, err)
	case e.Code == sqlite3.ErrFull:
		return fmt.Errorf("the disk of %s is full: %w", dir, err)
	}
	return fmt.Errorf("open the database in %s: %w", dir, err)
}
