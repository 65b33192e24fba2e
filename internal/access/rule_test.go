package access_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/access"
)

func TestNewRefusesMalformedBlocks(t *testing.T) {
	t.Parallel()
	const block = ": expected true, false, 1, 0 or an allow block such as {id: root}, not "
	const value = ": expected a text, a number, true, false or a list of these, not "
	cases := map[string]struct {
		block any
		want  string // the path of the block before it
	}{
		"text":               {"root", block + "a text"},
		"text that is true":  {"true", block + "a text"},
		"empty text":         {"", block + "a text"},
		"list":               {[]any{"root"}, block + "a list"},
		"empty list":         {[]any{}, block + "a list"},
		"two":                {int64(2), block + "this number"},
		"minus one":          {json.Number("-1"), block + "this number"},
		"one as float":       {1.0, block + "this number"},
		"one as JSON float":  {json.Number("1.0"), block + "this number"},
		"one with exponent":  {json.Number("1e0"), block + "this number"},
		"large":              {json.Number("123456789012345678901234567890"), block + "this number"},
		"date":               {time.Unix(0, 0), block + "a date"},
		"another kind":       {struct{}{}, block + "a value of another kind"},
		"mapping in a block": {map[string]any{"id": map[string]any{"$env": "X"}}, ".id" + value + "a mapping"},
		"mapping in a list":  {map[string]any{"id": []any{"x", map[string]any{}}}, ".id" + value + "a list with a mapping in it"},
		"list in a list":     {map[string]any{"a": "x", "b": []any{[]any{}}}, ".b" + value + "a list with a list in it"},
		"first of two":       {map[string]any{"b": map[string]any{}, "a": struct{}{}}, ".a" + value + "a value of another kind"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, action := range []string{"manage-secrets", "some-plugins-action"} {
				_, err := access.New(access.Config{Permissions: map[string]any{action: c.block}})
				if want := "permissions." + action + c.want; err == nil || err.Error() != want {
					t.Errorf("got %v, want %s", err, want)
				}
			}
			_, err := access.New(access.Config{Allow: c.block})
			if want := "allow" + c.want; err == nil || err.Error() != want {
				t.Errorf("got %v, want %s", err, want)
			}
		})
	}
}

func TestNewNeverRepeatsAValue(t *testing.T) {
	t.Parallel()
	for _, block := range []any{"hunter2", []any{"hunter2"}, map[string]any{"id": map[string]any{"hunter2": "hunter2"}}} {
		_, err := access.New(access.Config{Allow: block})
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("got %v", err)
		}
	}
}

func TestNewAccepts(t *testing.T) {
	t.Parallel()
	date := time.Unix(0, 0)
	blocks := []any{
		nil, true, false, 1, 0, int64(1), uint64(0), json.Number("1"), json.Number("0"), map[string]any{},
		map[string]any{"id": nil, "n": 1.5, "t": true, "d": date, "l": []any{"x", 1, nil, date}, "e": []any{}},
	}
	for _, block := range blocks {
		config := access.Config{Permissions: map[string]any{"manage-secrets": block}, Allow: block}
		if _, err := access.New(config); err != nil {
			t.Errorf("%v: %v", block, err)
		}
	}
}

// TestConfigCannotChangeLater: whoever still holds the configuration's tree
// must not be able to open the door by changing it.
func TestConfigCannotChangeLater(t *testing.T) {
	t.Parallel()
	list := []any{"root"}
	block := map[string]any{"id": list}
	permissions := map[string]any{"manage-secrets": block}
	p, err := access.New(access.Config{Permissions: permissions})
	if err != nil {
		t.Fatal(err)
	}
	list[0], block["name"], permissions["manage-secrets"] = "bob", "*", true
	if got := p.Decide(secrets.Actor{"id": "bob", "name": "Bob"}, access.ManageSecrets); got.Allowed {
		t.Errorf("got %+v", got)
	}
	if got := p.Decide(secrets.NewActor("root"), access.ManageSecrets); !got.Allowed {
		t.Errorf("got %+v", got)
	}
}
