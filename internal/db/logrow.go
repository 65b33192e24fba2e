package db

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/datasette-secrets/datasette-secrets/internal/audit"
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

// ParseLogEntry reads an entry that LogRow.MarshalJSON wrote. One whose fields have
// values that no entry has comes without its salt: it is not what its leaf says.
func ParseLogEntry(text []byte) (audit.Stored, error) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var members map[string]any
	if err := decoder.Decode(&members); err != nil {
		return audit.Stored{}, errors.New("it is not an entry as JSON")
	}
	if decoder.More() {
		return audit.Stored{}, errors.New("it has more than one entry")
	}
	var values []any
	for _, column := range LogColumns() {
		value, err := logValue(column, members[column])
		if err != nil {
			return audit.Stored{}, fmt.Errorf("%s: %w", column, err)
		}
		values = append(values, value)
		delete(members, column)
	}
	for name := range members {
		return audit.Stored{}, fmt.Errorf("an entry has no %.40q", name)
	}
	id, ok := values[0].(int64)
	if !ok {
		return audit.Stored{}, errors.New("it has no id")
	}
	return scanLog(func(into ...any) error {
		*into[0].(*int64) = id
		for i, value := range values[1:] {
			*into[i+1].(*any) = value
		}
		return nil
	})
}

// logValue is what a column holds whose value stands in JSON like this.
func logValue(column string, value any) (any, error) {
	switch value := value.(type) {
	case nil:
		return nil, nil
	case json.Number:
		n, err := value.Int64()
		if err != nil {
			return nil, errors.New("it is not a whole number")
		}
		return n, nil
	case string:
		if column != "salt" && column != "leaf" {
			return value, nil
		}
		raw, err := hex.DecodeString(value)
		if err != nil {
			return nil, errors.New("it is not hexadecimal")
		}
		return raw, nil
	}
	return nil, errors.New("it is neither text nor a number")
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
