package config_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/datasette-secrets/datasette-secrets/internal/config"
)

// plainNumbers turns numbers to float64, so that -1e3 and -1000.0 are equal.
func plainNumbers(t *testing.T, v any) any {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var out any
	if err := json.Unmarshal(data, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestSettingVectors(t *testing.T) {
	t.Parallel()
	var cases []struct {
		Pairs  [][2]string
		Config map[string]any
	}
	readVectors(t, "testdata/settings.json", &cases)
	for _, c := range cases {
		got, err := config.ParsePairs(c.Pairs)
		if err != nil || !reflect.DeepEqual(plainNumbers(t, got), plainNumbers(t, c.Config)) {
			t.Errorf("%q: got %v, %v; want %v", c.Pairs, got, err, c.Config)
		}
	}
}

func TestParsePairs(t *testing.T) {
	t.Parallel()
	cases := []struct{ key, value, want string }{
		{"default_allow_sql", "OFF", `{"settings": {"default_allow_sql": false}}`},
		{"allow_signed_tokens", "1", `{"settings": {"allow_signed_tokens": true}}`},
		{"sql_time_limit_ms", "20", `{"settings": {"sql_time_limit_ms": int 20}}`},
		{"sql_time_limit_ms", "020", `{"settings": {"sql_time_limit_ms": str "020"}}`},
		{"base_url", "/x/", `{"settings": {"base_url": str "/x/"}}`},
		{"settings.base_url", "on", `{"settings": {"base_url": str "on"}}`},
		{"permissions.manage-secrets.id", "1", `{"permissions": {"manage-secrets": {"id": int 1}}}`},
		{"plugins.p.key", "-LujH=", `{"plugins": {"p": {"key": str "-LujH="}}}`},
		{"a", "NaN", `{"a": str "NaN"}`},
		{"a", "-Infinity", `{"a": str "-Infinity"}`},
		{"a", "1 2", `{"a": str "1 2"}`},
		{"", "x", `{"": str "x"}`},
	}
	for _, c := range cases {
		got, err := config.ParsePairs([][2]string{{c.key, c.value}})
		if err != nil || show(got) != c.want {
			t.Errorf("-s %s %s: got %s, %v; want %s", c.key, c.value, show(got), err, c.want)
		}
	}
}

func TestParsePairsErrors(t *testing.T) {
	t.Parallel()
	const prefix = "Invalid value for '-s' / '--setting': "
	cases := []struct{ key, value, want string }{
		{"default_allow_sql", "yes", `"settings.default_allow_sql" should be on/off/true/false/1/0`},
		{"force_https_urls", "", `"settings.force_https_urls" should be on/off/true/false/1/0`},
		{"sql_time_limit_ms", "x", `"settings.sql_time_limit_ms" should be an integer`},
		{"max_post_body_bytes", "-1", `"settings.max_post_body_bytes" should be an integer`},
		{"max_post_body_bytes", "", `"settings.max_post_body_bytes" should be an integer`},
		{strings.Repeat("a.", 200), "1", "a key should have at most 100 parts"},
	}
	for _, c := range cases {
		_, err := config.ParsePairs([][2]string{{c.key, c.value}})
		if !errors.Is(err, config.ErrUsage) || err.Error() != prefix+c.want {
			t.Errorf("-s %.40s %s: got %v; want %s", c.key, c.value, err, c.want)
		}
	}
}

func FuzzParsePairs(f *testing.F) {
	f.Add("a.b", "1", "a", `{"c": 2}`)
	f.Add("a", "2", "a.b", "x")
	f.Add("base_url", "/", "sql_time_limit_ms", "1")
	f.Add("..", "[[1", "", "null")
	f.Fuzz(func(t *testing.T, key1, value1, key2, value2 string) {
		tree, err := config.ParsePairs([][2]string{{key1, value1}, {key2, value2}})
		if err != nil {
			if !errors.Is(err, config.ErrUsage) {
				t.Errorf("not ErrUsage: %v", err)
			}
			return
		}
		if len(tree) == 0 {
			t.Error("two pairs made nothing")
		}
	})
}
