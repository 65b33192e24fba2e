package ui

import (
	"encoding/csv"
	"net/http"

	"github.com/datasette-secrets/datasette-secrets/internal/vault"
)

// maxCSV is how many entries a CSV file of the log has at most; the command
// "audit export" writes all.
const maxCSV = 100_000

// logJSON answers with one page of the log, under the names of its columns.
func (s *site) logJSON(w http.ResponseWriter, r *request) error {
	q, err := s.logQuery(r)
	if err != nil {
		return err
	}
	found, err := s.readLog(r, &q)
	if err != nil {
		return err
	}
	rows := []any{}
	for _, e := range found.Entries {
		rows = append(rows, entryObject(e))
	}
	var next, nextURL any
	if found.More {
		key := "_before"
		if q.newer {
			key = "_after"
		}
		id := sprintValue(found.Next)
		next, nextURL = id, s.scheme(r.Request)+"://"+r.Host+s.url(logPath+".json"+q.with(key, id))
	}
	return s.json(w, r, object{{"ok", true}, {"next", next}, {"next_url", nextURL}, {"rows", rows}})
}

// entryJSON answers with one entry.
func (s *site) entryJSON(w http.ResponseWriter, r *request, id int64) error {
	e, err := s.Vault.LogRow(r.Context(), r.caller, id)
	if err != nil {
		return err
	}
	return s.json(w, r, object{{"ok", true}, {"row", entryObject(e)}})
}

func entryObject(e vault.LogRow) object {
	values := e.Values()
	o := make(object, len(values))
	for i, column := range vault.LogColumns() {
		o[i] = member{column, values[i]}
	}
	return o
}

// logCSV sends the entries that a filter means as they are read, newest first.
// A file that ends early for a failure is a broken download, and not a short
// file.
func (s *site) logCSV(w http.ResponseWriter, r *request) error {
	q, err := s.logQuery(r)
	if err != nil {
		return err
	}
	q.size = vault.MaxLogPage
	found, err := s.readLog(r, &q)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/csv; charset=utf-8")
	w.Header().Set("Content-Disposition", `attachment; filename="audit-log.csv"`)
	w.WriteHeader(http.StatusOK)
	if r.Method == http.MethodHead {
		return nil
	}
	out := csv.NewWriter(w)
	_ = out.Write(vault.LogColumns()) // whether writing works is asked below
	for sent := 0; ; {
		for _, e := range found.Entries[:min(len(found.Entries), maxCSV-sent)] {
			_ = out.Write(e.Cells())
		}
		sent += len(found.Entries)
		if out.Flush(); out.Error() != nil {
			return nil // the client has gone
		}
		if !found.More || q.newer || sent >= maxCSV {
			return nil
		}
		q.from = found.Next
		if found, err = s.readLog(r, &q); err != nil {
			s.Log.Warn("sending the log failed", "error", err)
			panic(http.ErrAbortHandler)
		}
	}
}
