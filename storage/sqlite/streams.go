package sqlite

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/duckwire/duckwire/hub"
	"github.com/duckwire/duckwire/hub/log"
	"github.com/duckwire/duckwire/storage/internal/record"
)

// mark is a run of log entries without its text. The texts of the runs of one save are concatenated in a column of
// their own.
type mark struct {
	First   uint64          `json:"f"`
	Bytes   int             `json:"b"` // length of the text
	Lengths []int           `json:"l,omitempty"`
	Kind    log.EventKind   `json:"k,omitempty"`
	Name    string          `json:"n,omitempty"`
	Data    json.RawMessage `json:"d,omitempty"`
	Time    *time.Time      `json:"t,omitempty"`
}

// Save implements hub.StreamStore.
func (s *Store) Save(changes []hub.StreamChange) error {
	rows, err := encodeStreams(changes) // not on the writer's goroutine, which all callers share
	if err != nil || len(rows) == 0 {
		return err
	}
	return s.writer.write(func(w *writer) error {
		for i := range rows {
			if err := rows[i].put(w); err != nil {
				return err
			}
		}
		return nil
	})
}

// streamRow is what one Save adds to one stream.
type streamRow struct {
	id     string
	record []byte
	first  uint64 // offset of the first entry; 0: no runs
	text   []byte
	marks  []byte
}

func encodeStreams(changes []hub.StreamChange) ([]streamRow, error) {
	rows := make([]streamRow, len(changes))
	for i := range changes {
		row := &rows[i]
		runs := changes[i].Runs
		var err error
		if row.record, err = record.Encode(changes[i]); err != nil {
			return nil, fmt.Errorf("stream %s: %w", changes[i].ID, err)
		}
		row.id = changes[i].ID
		if len(runs) == 0 {
			continue
		}
		row.first, row.text = runs[0].First, []byte{}
		marks := make([]mark, len(runs))
		for j := range runs {
			r := &runs[j]
			row.text = append(row.text, r.Text...)
			marks[j] = mark{
				First: r.First, Bytes: len(r.Text), Lengths: r.Lengths, Kind: r.Kind, Name: r.Name, Data: r.Data,
			}
			if !r.Time.IsZero() {
				marks[j].Time = &r.Time
			}
		}
		if row.marks, err = json.Marshal(marks); err != nil {
			return nil, fmt.Errorf("stream %s: %w", row.id, err)
		}
	}
	return rows, nil
}

// put writes the row. It replaces runs with the same first offset: the hub sends a run again, perhaps longer, if it
// did not learn that the Save before succeeded.
func (r *streamRow) put(w *writer) error {
	_, err := w.exec(`INSERT INTO streams (id, record) VALUES (?, ?)
		ON CONFLICT (id) DO UPDATE SET record = excluded.record`, r.id, r.record)
	if err != nil {
		return err
	}
	if r.first == 0 {
		return nil
	}
	_, err = w.exec(`INSERT OR REPLACE INTO runs (stream, first, text, marks) VALUES (?, ?, ?, ?)`, r.id,
		int64(r.first), r.text, r.marks)
	return err
}

// loadPage is how many records Load reads at a time: a long read delays checkpoints.
const loadPage = 100

// Load implements hub.StreamStore. It returns the streams in the order of their first Save.
func (s *Store) Load(f func(*hub.StreamRecord) error) error {
	for after := int64(0); ; {
		records, last, err := s.loadRecords(after)
		if err != nil {
			return err
		}
		for _, rec := range records {
			if err := s.loadRuns(rec); err != nil {
				return err
			}
			if err := f(rec); err != nil {
				return err
			}
		}
		if len(records) < loadPage {
			return nil
		}
		after = last
	}
}

// loadRecords returns a page of records without their runs, and the last record's rowid.
func (s *Store) loadRecords(after int64) (records []*hub.StreamRecord, last int64, err error) {
	db, done := s.reader()
	defer done()
	rows, err := db.QueryContext(context.Background(),
		`SELECT rowid, id, record FROM streams WHERE rowid > ? ORDER BY rowid LIMIT ?`, after, loadPage)
	if err != nil {
		return nil, 0, unavailable(err)
	}
	defer rows.Close()
	for rows.Next() {
		var id string
		var raw []byte
		if err := rows.Scan(&last, &id, &raw); err != nil {
			return nil, 0, unavailable(err)
		}
		rec, err := record.Decode(raw)
		if err != nil {
			return nil, 0, fmt.Errorf("stream %s in the database: %w", id, err)
		}
		records = append(records, rec)
	}
	return records, last, unavailable(rows.Err())
}

func (s *Store) loadRuns(rec *hub.StreamRecord) error {
	db, done := s.reader()
	defer done()
	rows, err := db.QueryContext(context.Background(), `SELECT text, marks FROM runs WHERE stream = ? ORDER BY first`,
		rec.ID)
	if err != nil {
		return unavailable(err)
	}
	defer rows.Close()
	for rows.Next() {
		var text, raw []byte
		if err := rows.Scan(&text, &raw); err != nil {
			return unavailable(err)
		}
		var marks []mark
		if err := json.Unmarshal(raw, &marks); err != nil {
			return fmt.Errorf("stream %s in the database: %w", rec.ID, err)
		}
		for i := range marks {
			m := &marks[i]
			if m.Bytes > len(text) {
				return fmt.Errorf("stream %s in the database: entry %d is longer than the stored text", rec.ID, m.First)
			}
			run := log.Run{First: m.First, Lengths: m.Lengths, Kind: m.Kind, Name: m.Name, Data: m.Data}
			if m.Bytes > 0 {
				run.Text = text[:m.Bytes:m.Bytes]
			}
			if m.Time != nil {
				run.Time = *m.Time
			}
			text = text[m.Bytes:]
			rec.Runs = append(rec.Runs, run)
		}
	}
	return unavailable(rows.Err())
}

// deleteStep is how many rows one transaction deletes at most.
const deleteStep = 200

// Delete implements hub.StreamStore. It deletes in small steps, so that other requests do not wait long.
func (s *Store) Delete(ids []string) error {
	for len(ids) > 0 {
		var left []string
		err := s.writer.write(func(w *writer) (err error) {
			left, err = w.deleteSome(ids)
			return err
		})
		if err != nil {
			return err
		}
		ids = left
	}
	return nil
}

// deleteSome deletes up to deleteStep rows, and returns the ids that remain. It deletes a stream's record after its
// last run.
func (w *writer) deleteSome(ids []string) (left []string, err error) {
	for budget := int64(deleteStep); len(ids) > 0; ids = ids[1:] {
		n, err := w.exec(
			`DELETE FROM runs WHERE rowid IN (SELECT rowid FROM runs WHERE stream = ? LIMIT ?)`, ids[0], budget)
		if budget -= n; err != nil || budget <= 0 {
			return ids, err
		}
		if _, err := w.exec(`DELETE FROM streams WHERE id = ?`, ids[0]); err != nil {
			return ids, err
		}
		budget--
	}
	return nil, nil
}
