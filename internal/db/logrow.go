package db

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"strconv"
	"strings"
)

// LogRow is one row of datasette_secrets_log as it is stored. A text column
// that is null reads as empty, and a number as 0.
type LogRow struct {
	ID         int64
	Time       string // UTC, as audit.TimeLayout has it
	Action     string
	Name       string
	SecretID   int64
	Version    int64
	ActorID    string
	ActorProof string
	Plugin     string
	Client     string
	Source     string
	Allowed    bool
	Reason     string
	RequestID  string
	Remote     string
	Salt       []byte
	Leaf       []byte
	Pruned     bool // only ID and Leaf are left
}

// LogColumns are the columns of datasette_secrets_log in their order.
func LogColumns() []string {
	return []string{"id", "time", "action", "name", "secret_id", "version", "actor_id", "actor_proof",
		"plugin", "client", "source", "allowed", "reason", "request_id", "remote", "salt", "leaf"}
}

// Values are the values of the columns, in the order of LogColumns: an int64, a
// string, or nil for what the entry has not. Salt and leaf are hexadecimal.
func (e LogRow) Values() []any {
	allowed := any(int64(0))
	switch {
	case e.Pruned:
		allowed = nil
	case e.Allowed:
		allowed = int64(1)
	}
	return []any{e.ID, orNull(e.Time), orNull(e.Action), orNull(e.Name), numberOrNull(e.SecretID), numberOrNull(e.Version),
		orNull(e.ActorID), orNull(e.ActorProof), orNull(e.Plugin), orNull(e.Client), orNull(e.Source), allowed,
		orNull(e.Reason), orNull(e.RequestID), orNull(e.Remote),
		orNull(hex.EncodeToString(e.Salt)), orNull(hex.EncodeToString(e.Leaf))}
}

// MarshalJSON writes an object with a member for each column.
func (e LogRow) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	b.WriteByte('{')
	values := e.Values()
	for i, column := range LogColumns() {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(strconv.Quote(column) + ":")
		if err := encoder.Encode(values[i]); err != nil {
			return nil, err
		}
		b.Truncate(b.Len() - 1) // the line end that Encode adds
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// Cells are the values for a CSV file. Spreadsheets take a cell that begins in
// certain ways for a formula, and the texts are others': such a cell gets an
// apostrophe in front.
func (e LogRow) Cells() []string {
	values := e.Values()
	cells := make([]string, len(values))
	for i, value := range values {
		switch value := value.(type) {
		case int64:
			cells[i] = strconv.FormatInt(value, 10)
		case string:
			cells[i] = value
			if strings.ContainsRune("=+-@\t\r\n", rune(value[0])) || strings.HasPrefix(value, "＝") ||
				strings.HasPrefix(value, "＋") || strings.HasPrefix(value, "－") || strings.HasPrefix(value, "＠") {
				cells[i] = "'" + value
			}
		}
	}
	return cells
}
