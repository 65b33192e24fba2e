package secrets

import (
	"fmt"
	"log/slog"
)

// redacted is what a Value shows of itself.
const redacted = "[redacted]"

// Value is the clear text of a secret. It hides itself: whatever prints,
// logs or encodes a Value gets "[redacted]", and comparing two Values with ==
// says nothing about their text. The zero Value is the empty text.
//
// The text is behind a pointer because fmt reads the unexported fields of a
// struct, but prints a pointer inside a struct only as an address.
type Value struct{ text *string }

// NewValue returns a Value that holds text.
func NewValue(text string) Value { return Value{text: &text} }

// Reveal returns the clear text. Every call of it is a place where a secret
// can leak: keep the result in the smallest possible scope.
func (v Value) Reveal() string {
	if v.text == nil {
		return ""
	}
	return *v.text
}

// Len is the length of the clear text in bytes.
func (v Value) Len() int { return len(v.Reveal()) }

// String returns "[redacted]".
func (Value) String() string { return redacted }

// GoString returns "[redacted]", for the %#v verb.
func (Value) GoString() string { return redacted }

// Format writes "[redacted]" for every verb and flag of package fmt.
func (Value) Format(s fmt.State, _ rune) { fmt.Fprint(s, redacted) }

// MarshalText returns "[redacted]"; encoding/json and encoding/xml use it.
func (Value) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// LogValue makes log/slog write "[redacted]".
func (Value) LogValue() slog.Value { return slog.StringValue(redacted) }
