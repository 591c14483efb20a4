package sqlite

import (
	"database/sql"
	"errors"
)

// storageError marks an error of SQLite within a request, as opposed to a refusal by the request's own checks.
type storageError struct{ error }

func (e *storageError) Unwrap() error { return e.error }

// storageFailure marks an error as one of SQLite.
func storageFailure(err error) error {
	if err == nil {
		return nil
	}
	return &storageError{err}
}

// stmt returns a prepared statement. Only requests, on the writer's goroutine, may use it.
func (w *writer) stmt(query string) (*sql.Stmt, error) {
	if s := w.stmts[query]; s != nil {
		return s, nil
	}
	s, err := w.conn.PrepareContext(w.ctx, query)
	if err != nil {
		return nil, storageFailure(err)
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
		return 0, storageFailure(err)
	}
	rows, err = res.RowsAffected()
	return rows, storageFailure(err)
}

// scan reads one row; found is false if there is none.
func (w *writer) scan(dest []any, query string, args ...any) (found bool, err error) {
	s, err := w.stmt(query)
	if err != nil {
		return false, err
	}
	err = s.QueryRowContext(w.ctx, args...).Scan(dest...)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return err == nil, storageFailure(err)
}
