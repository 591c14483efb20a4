//go:build linux

package faulttest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"

	_ "github.com/mattn/go-sqlite3"

	"github.com/duckwire/duckwire/storage/sqlite/internal/settle"
)

// A store is what the workload drives.
type store interface {
	// publish returns nil once the message is kept. An id that it has kept already is no error.
	publish(user, publisher, id string, payload []byte) error
	// messages returns what is kept for a user, in order.
	messages(user string) ([]message, error)
	close() error
}

type message struct {
	publisher, id string
	payload       []byte
}

const (
	plainSettled   = "plain, settled"
	plainUnsettled = "plain, not settled"
	plainNormal    = "plain, synchronous=NORMAL"
	plainOff       = "plain, synchronous=OFF"

	target = plainSettled // what the promises are tested with
)

// stores opens each kind of store on a folder.
var stores = map[string]func(dir string) (store, error){
	plainUnsettled: func(dir string) (store, error) { return openPlain(dir, "FULL") },
	plainSettled: func(dir string) (store, error) {
		if err := settle.WAL(filepath.Join(dir, databaseName)); err != nil {
			return nil, err
		}
		return openPlain(dir, "FULL")
	},
	plainNormal: func(dir string) (store, error) { return openPlain(dir, "NORMAL") },
	plainOff:    func(dir string) (store, error) { return openPlain(dir, "OFF") },
}

// plain is a queue as one would write it at first: one writer with group commit and nothing else. It is the control of the experiment: the tests
// must find what is wrong with it, or they would find nothing in the real store either.
type plain struct {
	db   *sql.DB
	conn *sql.Conn
	jobs chan plainJob
	done sync.WaitGroup
}

type plainJob struct {
	user, publisher, id string
	payload             []byte
	answer              chan error
}

const databaseName = "duckwire.db"

func dsn(dir, synchronous string) string {
	return "file:" + filepath.Join(dir, databaseName) + "?_journal_mode=WAL&_synchronous=" + synchronous + "&_busy_timeout=5000&_txlock=immediate"
}

func openPlain(dir, synchronous string) (store, error) {
	db, err := sql.Open("sqlite3", dsn(dir, synchronous))
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	conn, err := db.Conn(context.Background())
	if err != nil {
		db.Close()
		return nil, err
	}
	p := &plain{db: db, conn: conn, jobs: make(chan plainJob, 256)}
	for _, s := range []string{
		"PRAGMA wal_autocheckpoint = 64",
		`CREATE TABLE IF NOT EXISTS messages (n INTEGER PRIMARY KEY, user TEXT NOT NULL, publisher TEXT NOT NULL, id TEXT NOT NULL, payload BLOB NOT NULL,
			UNIQUE (user, id)) STRICT`,
	} {
		if err := p.exec(s); err != nil {
			conn.Close()
			db.Close()
			return nil, err
		}
	}
	p.done.Go(p.run)
	return p, nil
}

func (p *plain) exec(q string, args ...any) error {
	_, err := p.conn.ExecContext(context.Background(), q, args...)
	return err
}

func (p *plain) run() {
	for job := range p.jobs {
		batch := []plainJob{job}
		for len(p.jobs) > 0 && len(batch) < 64 {
			batch = append(batch, <-p.jobs)
		}
		err := p.commit(batch)
		for _, j := range batch {
			j.answer <- err
		}
	}
}

func (p *plain) commit(batch []plainJob) error {
	if err := p.exec("BEGIN IMMEDIATE"); err != nil {
		return err
	}
	for _, j := range batch {
		if err := p.exec("INSERT INTO messages (user, publisher, id, payload) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING", j.user, j.publisher, j.id, j.payload); err != nil {
			return errors.Join(err, p.rollback())
		}
	}
	if err := p.exec("COMMIT"); err != nil {
		return errors.Join(err, p.rollback())
	}
	return nil
}

func (p *plain) rollback() error {
	if err := p.exec("ROLLBACK"); err != nil && !strings.Contains(err.Error(), "no transaction is active") {
		return err
	}
	return nil
}

func (p *plain) publish(user, publisher, id string, payload []byte) error {
	answer := make(chan error, 1)
	p.jobs <- plainJob{user, publisher, id, payload, answer}
	return <-answer
}

func (p *plain) messages(user string) ([]message, error) {
	rows, err := p.conn.QueryContext(context.Background(), "SELECT publisher, id, payload FROM messages WHERE user = ? ORDER BY n", user)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var found []message
	for rows.Next() {
		var m message
		if err := rows.Scan(&m.publisher, &m.id, &m.payload); err != nil {
			return nil, err
		}
		found = append(found, m)
	}
	return found, rows.Err()
}

func (p *plain) close() error {
	close(p.jobs)
	p.done.Wait()
	return errors.Join(p.conn.Close(), p.db.Close())
}

// integrity asks SQLite whether the file is sound.
func integrity(dir string) error {
	db, err := sql.Open("sqlite3", dsn(dir, "OFF"))
	if err != nil {
		return err
	}
	defer db.Close()
	var answer string
	if err := db.QueryRow("PRAGMA integrity_check").Scan(&answer); err != nil {
		return err
	}
	if answer != "ok" {
		return fmt.Errorf("integrity_check: %s", answer)
	}
	return nil
}
