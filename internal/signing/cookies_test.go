package signing_test

import (
	"encoding/json"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/datasette-secrets/datasette-secrets/internal/signing"
)

// now is between the two expiry times of the vectors.
func now() time.Time { return time.Unix(1700000000, 0) }

func TestActorOfVectors(t *testing.T) {
	t.Parallel()
	anonymous := map[string]bool{
		"expired 2001-09-09T01:46:40Z": true, "null actor": true,
		"empty actor": true, "no a": true, "badexp": true,
	}
	for _, v := range vectors(t) {
		t.Run(v.Name, func(t *testing.T) {
			t.Parallel()
			actor, ok := signing.New(v.Secret).Actor(v.Signed, now())
			if anonymous[v.Name] || v.Namespace != "actor" {
				if ok || actor != nil {
					t.Errorf("got %v, want nobody", actor)
				}
				return
			}
			want := v.Value.(map[string]any)["a"]
			if !ok || !reflect.DeepEqual(actor, want) {
				t.Errorf("got %v, want %v", actor, want)
			}
		})
	}
}

func TestActorExpiry(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name, e string
		now     time.Time
		valid   bool
	}{
		{"to the second", `"CEIkYu"`, time.Unix(1893456000, 0), true},
		{"a nanosecond later", `"CEIkYu"`, time.Unix(1893456000, 1), false},
		{"a second later", `"CEIkYu"`, time.Unix(1893456001, 0), false},
		{"null", `null`, now(), true},
		{"empty text", `""`, now(), true},
		{"false", `false`, now(), true},
		{"zero", `0`, now(), true},
		{"zero as float", `0.0`, now(), true},
		{"tiny float", `1e-999`, now(), true},
		{"empty list", `[]`, now(), true},
		{"empty object", `{}`, now(), true},
		{"int read as digits", `1893456000`, now(), true},
		{"short int read as digits", `12345`, now(), false},
		{"int with 30 digits", `111111111111111111111111111111`, now(), true},
		{"text with 30 digits", `"zzzzzzzzzzzzzzzzzzzzzzzzzzzzzz"`, now(), true},
		{"largest", `"KzVInA8FImH"`, now(), true},
		{"epoch", `"A"`, now(), false},
		{"negative int", `-5`, now(), false},
		{"negative text", `"-CEIkYu"`, now(), false},
		{"very negative text", `"-zzzzzzzzzzzzzzzzzzzz"`, now(), false},
		{"only a sign", `"-"`, now(), false},
		{"not base 62", `"!!"`, now(), false},
		{"float", `1893456000.0`, now(), false},
		{"huge float", `1e999`, now(), false},
		{"true", `true`, now(), false},
		{"list", `["CEIkYu"]`, now(), false},
		{"object", `{"x":1}`, now(), false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			cookie := signJSON("actor", `{"a":{"id":"root"},"e":`+c.e+`}`)
			if actor, ok := signing.New(secret).Actor(cookie, c.now); ok != c.valid {
				t.Errorf("got %v, %v; want %v", actor, ok, c.valid)
			}
		})
	}
}

func TestActorMalformed(t *testing.T) {
	t.Parallel()
	payloads := []string{
		`null`, `[]`, `"root"`, `1`, `true`, `{}`, `{"A":{"id":"root"}}`, `{"id":"root"}`,
		`{"a":"root"}`, `{"a":[]}`, `{"a":["root"]}`, `{"a":1}`, `{"a":true}`, `{"a":{}}`, `{"a":null}`,
		`{"a":{"id":"root"},"a":null}`, `[{"a":{"id":"root"}}]`,
		strings.Repeat("[", 20000) + strings.Repeat("]", 20000),
	}
	for _, payload := range payloads {
		if actor, ok := signing.New(secret).Actor(signJSON("actor", payload), now()); ok || actor != nil {
			t.Errorf("%.40s: got %v", payload, actor)
		}
	}
}

func TestTokenIsNoCookie(t *testing.T) {
	t.Parallel()
	s := signing.New(secret)
	for _, namespace := range []string{"token", "messages", "default"} {
		if actor, ok := s.Actor(signJSON(namespace, `{"a":{"id":"root"}}`), now()); ok {
			t.Errorf("%s: got %v", namespace, actor)
		}
	}
}

func TestSignActor(t *testing.T) {
	t.Parallel()
	s := signing.New(secret)
	root := map[string]any{"id": "root"}
	cookie, err := s.SignActor(root, time.Time{})
	if err != nil || cookie != rootCookie {
		t.Errorf("got %s, %v; want the cookie that Datasette makes", cookie, err)
	}
	cookie, err = s.SignActor(root, time.Unix(1893456000, 5))
	if want := "eyJhIjp7ImlkIjoicm9vdCJ9LCJlIjoiQ0VJa1l1In0.bts8iXxxXzhgsZxoEwbXLgx_YFY"; err != nil || cookie != want {
		t.Errorf("got %s, %v", cookie, err)
	}
	for _, nobody := range []map[string]any{nil, {}} {
		if cookie, err := s.SignActor(nobody, time.Time{}); err == nil {
			t.Errorf("signed nobody: %s", cookie)
		}
	}
}

func TestActorKeepsNumbers(t *testing.T) {
	t.Parallel()
	actor, _ := signing.New(secret).Actor(signJSON("actor", `{"a":{"id":12345678901234567890}}`), now())
	if actor["id"] != json.Number("12345678901234567890") {
		t.Errorf("got %#v", actor["id"])
	}
}

func TestMessages(t *testing.T) {
	t.Parallel()
	s := signing.New(secret)
	want := []signing.Message{{"a", signing.Info}, {"b", signing.Warning}, {"c", signing.Error}}
	const cookie = "W1siYSIsMV0sWyJiIiwyXSxbImMiLDNdXQ.QCFnRgVLFSl5zoXDkAxZAs6M6O0"
	if got := s.Messages(cookie); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v", got)
	}
	if got, err := s.SignMessages(want); err != nil || got != cookie {
		t.Errorf("got %s, %v", got, err)
	}
	const updated = "W1siU2VjcmV0IEVYQU1QTEVfU0VDUkVUIHVwZGF0ZWQiLDFdXQ.soCfoP4I2frLgTPGrMbSpt4JZBU"
	if got, _ := s.SignMessages([]signing.Message{{"Secret EXAMPLE_SECRET updated", signing.Info}}); got != updated {
		t.Errorf("got %s", got)
	}
	if got, _ := s.SignMessages(nil); got != signJSON("messages", "[]") {
		t.Errorf("no messages: got %s", got)
	}
}

func TestMessagesMalformed(t *testing.T) {
	t.Parallel()
	s := signing.New(secret)
	payloads := []string{
		`null`, `{}`, `"x"`, `1`, `["a",1]`, `[["a"]]`, `[["a",1,2]]`, `[[1,"a"]]`, `[["a",0]]`, `[["a",4]]`,
		`[["a",1.0]]`, `[["a",true]]`, `[["a",99999999999999999999]]`, `[["a",1],null]`, `[[["a"],1]]`,
	}
	for _, payload := range payloads {
		if got := s.Messages(signJSON("messages", payload)); len(got) != 0 {
			t.Errorf("%s: got %v", payload, got)
		}
	}
	if got := s.Messages(signJSON("actor", `[["a",1]]`)); got != nil {
		t.Errorf("other namespace: got %v", got)
	}
}

func TestFarFutureExpiryDoesNotWrap(t *testing.T) {
	t.Parallel()
	cookie := signJSON("actor", `{"a":{"id":"root"},"e":"`+signing.EncodeBase62(math.MaxInt64)+`"}`)
	if _, ok := signing.New(secret).Actor(cookie, now()); !ok {
		t.Error("the last second there is has already passed")
	}
}
