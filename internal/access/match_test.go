package access_test

import (
	"encoding/json"
	"math"
	"os"
	"strings"
	"testing"
	"time"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/access"
)

// vector is a question that Datasette's actor_matches_allow was asked. Result
// is a bool, or "error" where it raised an exception.
type vector struct{ Actor, Allow, Result any }

func vectors(t testing.TB) []vector {
	t.Helper()
	data, err := os.ReadFile("testdata/allow.json")
	if err != nil {
		t.Fatal(err)
	}
	var vs []vector
	dec := json.NewDecoder(strings.NewReader(string(data)))
	dec.UseNumber()
	if err := dec.Decode(&vs); err != nil {
		t.Fatal(err)
	}
	if len(vs) == 0 {
		t.Fatal("no vectors")
	}
	return vs
}

// tree decodes JSON as the rest of the host does.
func tree(t testing.TB, text string) any {
	t.Helper()
	v, err := decode(text)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return v
}

func decode(text string) (v any, err error) {
	dec := json.NewDecoder(strings.NewReader(text))
	dec.UseNumber()
	err = dec.Decode(&v)
	return v, err
}

// actorOf makes an actor of a JSON value as the reader of cookies does: what is
// no object is nobody.
func actorOf(v any) secrets.Actor {
	fields, _ := v.(map[string]any)
	return fields
}

func show(v any) string {
	data, _ := json.Marshal(v)
	return string(data)
}

func TestMatchesVectors(t *testing.T) {
	t.Parallel()
	for _, v := range vectors(t) {
		t.Run(show(v.Actor)+" "+show(v.Allow), func(t *testing.T) {
			t.Parallel()
			want, _ := v.Result.(bool) // an error never grants
			if got := access.Matches(actorOf(v.Actor), v.Allow); got != want {
				t.Errorf("got %v, want %v", got, v.Result)
			}
		})
	}
}

// TestMatchesMore has what the vectors leave out. Every result that is not a
// Python error is what Datasette answers.
func TestMatchesMore(t *testing.T) {
	t.Parallel()
	cases := []struct {
		actor, allow string
		want         bool
	}{
		{`null`, `true`, true},
		{`{"id":"root"}`, `null`, true},
		{`null`, `{"unauthenticated":true,"id":"x"}`, true},
		{`{"id":"ROOT"}`, `{"id":"root"}`, false},
		{`{"id":1}`, `{"id":"1"}`, false},
		{`{"id":"1"}`, `{"id":1}`, false},
		{`{"id":1}`, `{"id":1.0}`, true},
		{`{"id":1}`, `{"id":true}`, true},
		{`{"id":true}`, `{"id":1.0}`, true},
		{`{"id":false}`, `{"id":0}`, true},
		{`{"id":""}`, `{"id":0}`, false},
		{`{"id":null}`, `{"id":0}`, false},
		{`{"id":2}`, `{"id":true}`, false},
		{`{"id":1e2}`, `{"id":100}`, true},
		{`{"id":9007199254740993}`, `{"id":9007199254740993.0}`, false},
		{`{"id":9007199254740992}`, `{"id":9007199254740993.0}`, true},
		{`{"id":123456789012345678901234567890}`, `{"id":123456789012345678901234567890}`, true},
		{`{"id":123456789012345678901234567890}`, `{"id":123456789012345678901234567891}`, false},
		{`{"id":1e999}`, `{"id":2e999}`, true},
		{`{"id":1e999}`, `{"id":-1e999}`, false},
		{`{"id":1e999}`, `{"id":1}`, false},
		{`{"id":[null]}`, `{"id":null}`, true},
		{`{"id":[null]}`, `{"id":[null]}`, true},
		{`{"id":[]}`, `{"id":[null]}`, false},
		{`{"id":{"a":1}}`, `{"id":"*"}`, true},
		{`{"id":{"a":1}}`, `{"id":{"a":1}}`, false},
		{`{"id":["x",{"a":1}]}`, `{"id":"x"}`, false},
		{`{"id":"x"}`, `{"id":["x",["y"]]}`, false},
		{`{"id":"x"}`, `"*"`, false},
		{`{"id":"x"}`, `1.0`, false},
	}
	for _, c := range cases {
		if got := access.Matches(actorOf(tree(t, c.actor)), tree(t, c.allow)); got != c.want {
			t.Errorf("%s %s: got %v", c.actor, c.allow, got)
		}
	}
}

// TestMatchesYAML: trees from YAML have other Go types than those from JSON.
func TestMatchesYAML(t *testing.T) {
	t.Parallel()
	cases := []struct {
		have, want any
		match      bool
	}{
		{json.Number("1"), int64(1), true},
		{json.Number("1"), 1, true},
		{json.Number("1"), 1.0, true},
		{json.Number("1.5"), 1.5, true},
		{json.Number("18446744073709551615"), uint64(math.MaxUint64), true},
		{json.Number("-1"), uint64(math.MaxUint64), false},
		{json.Number("1"), math.NaN(), false},
		{json.Number("1e999"), math.Inf(1), true},
		{json.Number("x"), int64(0), false},
		{json.Number("0x1"), int64(1), false},
		{json.Number("1_0"), int64(10), false},
		{json.Number("inf"), math.Inf(1), false},
		{"2024-01-01", time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC), false},
		{"x", []string{"x"}, false},
		{"x", func() {}, false},
	}
	for _, c := range cases {
		if got := access.Matches(secrets.Actor{"id": c.have}, map[string]any{"id": c.want}); got != c.match {
			t.Errorf("%#v %#v: got %v", c.have, c.want, got)
		}
	}
}

func TestHugeNumbersAreCheap(t *testing.T) {
	t.Parallel()
	digits := json.Number(strings.Repeat("9", 1<<20))
	exponent := json.Number("1e999999999")
	for _, n := range []json.Number{digits, exponent} {
		if access.Matches(secrets.Actor{"id": n}, map[string]any{"id": json.Number("1")}) {
			t.Errorf("%.20s matches 1", n)
		}
	}
	if access.Matches(secrets.Actor{"id": digits}, map[string]any{"id": digits}) {
		t.Error("a number that Python does not read matches")
	}
}
