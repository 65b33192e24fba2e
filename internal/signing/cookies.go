package signing

import (
	"encoding/json"
	"errors"
	"math"
	"strings"
	"time"
)

const (
	actorNamespace    = "actor"
	messagesNamespace = "messages"
)

// SignActor returns the value of a ds_actor cookie. It is valid until expires,
// to the second, or for as long as the secret when expires is the zero time.
// Nobody cannot be signed: an actor without keys is an error.
func (s Signer) SignActor(actor map[string]any, expires time.Time) (string, error) {
	if len(actor) == 0 {
		return "", errors.New("signing an actor: nobody is signed in")
	}
	cookie := struct {
		Actor   map[string]any `json:"a"`
		Expires string         `json:"e,omitempty"`
	}{Actor: actor}
	if !expires.IsZero() {
		cookie.Expires = EncodeBase62(expires.Unix())
	}
	return s.Sign(actorNamespace, cookie)
}

// Actor returns the actor of a ds_actor cookie. Whatever is wrong with the
// cookie, the answer is nil and false: nobody is signed in.
func (s Signer) Actor(cookie string, now time.Time) (map[string]any, bool) {
	// Not a struct: encoding/json would take "A" for "a".
	var payload any
	if s.Unsign(actorNamespace, cookie, &payload) != nil {
		return nil, false
	}
	fields, _ := payload.(map[string]any)
	actor, _ := fields["a"].(map[string]any)
	if len(actor) == 0 || cookieExpired(fields["e"], now) {
		return nil, false
	}
	return actor, true
}

// cookieExpired tells whether the "e" of a cookie has passed. It is base 62
// text, and what Python calls false means that there is no expiry. A number is
// not Unix seconds: as Datasette does, its decimal digits are read as base 62
// digits. What cannot be read has expired.
func cookieExpired(e any, now time.Time) bool {
	if falsy(e) {
		return false
	}
	var text string
	switch e := e.(type) {
	case string:
		text = e
	case json.Number:
		text = e.String()
	default:
		return true
	}
	seconds, err := DecodeBase62(text)
	if errors.Is(err, errBase62Range) && !strings.HasPrefix(text, "-") {
		// Python has no largest number: this is a time that never comes.
		seconds, err = math.MaxInt64, nil
	}
	return err != nil || after(now, seconds)
}

// falsy tells whether Python takes a JSON value for false.
func falsy(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case bool:
		return !v
	case string:
		return v == ""
	case json.Number:
		f, err := v.Float64()
		return err == nil && f == 0
	case []any:
		return len(v) == 0
	case map[string]any:
		return len(v) == 0
	}
	return false
}

// after tells whether a time is past a number of Unix seconds. It compares
// numbers because time.Unix wraps around for very large ones.
func after(now time.Time, seconds int64) bool {
	if now.Unix() == seconds {
		return now.Nanosecond() > 0
	}
	return now.Unix() > seconds
}

// The types of message, as Datasette numbers them.
const (
	Info    = 1
	Warning = 2
	Error   = 3
)

// Message is a short text that the next page shows once.
type Message struct {
	Text string
	Type int // Info, Warning or Error
}

// SignMessages returns the value of a ds_messages cookie: a list of
// [text, type].
func (s Signer) SignMessages(messages []Message) (string, error) {
	pairs := make([][2]any, len(messages))
	for i, m := range messages {
		pairs[i] = [2]any{m.Text, m.Type}
	}
	return s.Sign(messagesNamespace, pairs)
}

// Messages returns the messages of a ds_messages cookie, or nil when anything
// is wrong with it.
func (s Signer) Messages(cookie string) []Message {
	var rows []any
	if s.Unsign(messagesNamespace, cookie, &rows) != nil {
		return nil
	}
	messages := make([]Message, 0, len(rows))
	for _, row := range rows {
		m, ok := message(row)
		if !ok {
			return nil
		}
		messages = append(messages, m)
	}
	return messages
}

func message(row any) (Message, bool) {
	pair, _ := row.([]any)
	if len(pair) != 2 {
		return Message{}, false
	}
	text, isText := pair[0].(string)
	kind, isInt := integer(pair[1])
	if !isText || !isInt || kind < Info || kind > Error {
		return Message{}, false
	}
	return Message{Text: text, Type: int(kind)}, true
}

// integer returns a JSON number that is written as an integer: 1, but neither
// 1.0 nor true.
func integer(v any) (int64, bool) {
	number, ok := v.(json.Number)
	if !ok {
		return 0, false
	}
	n, err := number.Int64()
	return n, err == nil
}
