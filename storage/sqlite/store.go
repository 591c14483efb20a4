package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/duckwire/duckwire/storage/sqlite/internal/settle"
)

// FileName is the database's name in the data folder. Beside it are its write-ahead log (-wal), the index of that log
// (-shm), and the lock file.
const FileName = "duckwire.db"

// Durability says what a commit waits for.
type Durability uint8

const (
	// Full waits for the disk: an acknowledged write survives a power loss, if the disk honours syncs.
	Full Durability = iota
	// Normal waits for the kernel: an acknowledged write survives the end of the process, but perhaps not a power loss.
	// Therefore queues get a new epoch at each opening.
	Normal
)

// Options says how to open a Store.
type Options struct {
	Dir        string // created if it does not exist
	Durability Durability
	Logger     *slog.Logger // nil: slog.Default

	CheckpointEvery time.Duration // interval of checkpoints; 0: 5 s
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

// Open opens the database in a folder, and creates both if they do not exist. Errors: ErrLocked, ErrNewer, ErrCorrupt,
// ErrReadOnly, ErrFull, ErrStaleLog, each with advice, or an error of the operating system.
func Open(o Options) (*Store, error) {
	if o.Dir == "" {
		return nil, errors.New("the data folder (Dir) is not given")
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.CheckpointEvery <= 0 {
		o.CheckpointEvery = checkpointEvery
	}
	if err := makeFolder(o.Dir); err != nil {
		return nil, fmt.Errorf("the data folder cannot be made: %w", advise(err))
	}
	lock, err := lockFolder(o.Dir)
	if err != nil {
		return nil, err
	}
	s := &Store{dir: o.Dir, logger: o.Logger, lock: lock}
	if err := s.open(o); err != nil {
		s.Close()
		return nil, fmt.Errorf("open the database in %s: %w", o.Dir, advise(err))
	}
	return s, nil
}

// makeFolder creates a folder and its missing parents, and syncs each parent. SQLite itself only syncs the names in
// the data folder.
func makeFolder(dir string) error {
	if _, err := os.Stat(dir); err == nil || filepath.Dir(dir) == dir {
		return os.MkdirAll(dir, 0o700) // returns an error if it is not a folder
	}
	if err := makeFolder(filepath.Dir(dir)); err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return syncPath(filepath.Dir(dir))
}

func (s *Store) open(o Options) error {
	path := filepath.Join(s.dir, FileName)
	if err := checkLog(path); err != nil {
		return err
	}
	if err := settle.WAL(path); err != nil {
		return err
	}
	if err := ownFile(path); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	s.stop = cancel
	var err error
	if s.writer, err = newWriter(path, o.Durability, s.logger); err != nil {
		return err
	}
	if s.epoch, err = s.writer.epoch(o.Durability); err != nil {
		return err
	}
	if s.readers, err = openReaders(path); err != nil {
		return err
	}
	if err := quickCheck(s.readers); err != nil {
		return err
	}
	s.writer.start()
	s.care.Go(func() { s.takeCare(ctx, o.CheckpointEvery) })
	return nil
}

func openReaders(path string) (*sql.DB, error) {
	readOnly := dsn(path, "mode", "ro", "_query_only", "1", "_busy_timeout", "5000", "_stmt_cache_size", "8")
	db, err := sql.Open("sqlite3", readOnly)
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(4)
	db.SetMaxIdleConns(4)
	return db, nil
}

// ownFile creates the database file with access for this user only. SQLite gives the WAL and its index the same
// permissions.
func ownFile(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDONLY, 0o600)
	if err != nil {
		return err
	}
	return f.Close()
}

// Close closes the store. It returns when every request has been answered and every goroutine has ended. A second call
// returns the same error.
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
	errs = append(errs, s.lock.Close()) // last, because it lets another process open the folder
	return errors.Join(errs...)
}

// Err returns why the store cannot write at the moment, or nil: ErrFull, ErrReadOnly, ErrCorrupt, or an error of
// SQLite. All but ErrCorrupt may pass.
func (s *Store) Err() error { return s.writer.health.failure() }

// reader returns the pool to read from, and a function to call after the last read. Checkpoints wait in between.
func (s *Store) reader() (pool *sql.DB, done func()) {
	s.writer.reading.RLock()
	return s.readers, s.writer.reading.RUnlock
}

// QueueEpoch implements hub.QueueStore.
func (s *Store) QueueEpoch() string { return s.epoch }

// dsn returns a data source name: the file with parameters of the driver and of SQLite.
func dsn(path string, params ...string) string {
	q := url.Values{}
	for i := 0; i < len(params); i += 2 {
		q.Set(params[i], params[i+1])
	}
	return "file:" + (&url.URL{Path: path}).EscapedPath() + "?" + q.Encode()
}
