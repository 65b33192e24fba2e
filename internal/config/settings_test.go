package config_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/datasette-secrets/datasette-secrets/internal/config"
)

func TestSettings(t *testing.T) {
	t.Parallel()
	c, err := loadText(t, "settings: {base_url: /x/, force_https_urls: yes, max_post_body_bytes: 010, sql_time_limit_ms: null}",
		[2]string{"allow_signed_tokens", "off"}, [2]string{"settings.max_signed_tokens_ttl", "60"})
	if err != nil {
		t.Fatal(err)
	}
	s := c.Settings()
	got := fmt.Sprintln(s.BaseURL, s.ForceHTTPSURLs, s.MaxPostBodyBytes, s.AllowSignedTokens, s.MaxSignedTokensTTL)
	if want := "/x/ true 8 false 60\n"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	all := s.All()
	if len(all) != 24 || all["base_url"] != "/x/" || all["sql_time_limit_ms"] != int64(1000) || all["allow_signed_tokens"] != false {
		t.Errorf("all: %v", all)
	}
}

func TestSettingErrors(t *testing.T) {
	t.Parallel()
	const hint = " Hint: In YAML/JSON config files, remove quotes from boolean and integer values."
	wrong := func(name, want, got, value string) string {
		return fmt.Sprintf("Setting '%s' in config file has incorrect type. Expected %s, got %s. Value: %s.", name, want, got, value) + hint
	}
	cases := []struct{ key, value, want string }{
		{"settings.nope", "1", "Invalid setting 'nope' in config file"},
		{"settings.sql_time_limit_ms", `"1"`, wrong("sql_time_limit_ms", "int", "str", "'1'")},
		{"settings.sql_time_limit_ms", "1.0", wrong("sql_time_limit_ms", "int", "float", "1.0")},
		{"settings.sql_time_limit_ms", "true", wrong("sql_time_limit_ms", "int", "bool", "True")},
		{"sql_time_limit_ms", "01", wrong("sql_time_limit_ms", "int", "str", "'01'")},
		{"settings.allow_facet", "1", wrong("allow_facet", "bool", "int", "1")},
		{"settings.base_url", `{"a": [1, "it's", null, true]}`, wrong("base_url", "str", "dict", `{'a': [1, "it's", None, True]}`)},
		{"settings.base_url", "[]", wrong("base_url", "str", "list", "[]")},
		{"settings.sql_time_limit_ms", "99999999999999999999", "settings.sql_time_limit_ms: the number is too large"},
		{"settings.max_post_body_bytes", "-1", "settings.max_post_body_bytes: should not be negative; write 0 for no limit"},
		{"settings.max_signed_tokens_ttl", "-1", "settings.max_signed_tokens_ttl: should not be negative; write 0 for no limit"},
	}
	for _, c := range cases {
		_, err := config.Load(config.Source{Sets: [][2]string{{c.key, c.value}}})
		if err == nil || err.Error() != c.want {
			t.Errorf("-s %s %s:\ngot  %v\nwant %s", c.key, c.value, err, c.want)
		}
	}
}

func TestBaseURL(t *testing.T) {
	t.Parallel()
	for _, ok := range []string{"/", "/pre/", "/a/b-c_d.e~/", "/%20/"} {
		if _, err := config.Load(config.Source{Sets: [][2]string{{"base_url", ok}}}); err != nil {
			t.Errorf("%s: %v", ok, err)
		}
	}
	cases := []struct{ url, fix string }{
		{"", "/"}, {"x", "/x/"}, {"/x", "/x/"}, {"x/", "/x/"}, {"//evil.test/", "/evil.test/"},
		{"/a//b/", "/"}, {`/\evil.test/`, "/"}, {"/a b/", "/"}, {"/a\r\nSet-Cookie: x/", "/"}, {"/a?b/", "/"}, {"/a#b/", "/"}, {`/"><script>/`, "/"},
	}
	for _, c := range cases {
		_, err := config.Load(config.Source{Sets: [][2]string{{"base_url", c.url}}})
		if err == nil || !strings.HasSuffix(err.Error(), fmt.Sprintf("; write %q", c.fix)) {
			t.Errorf("%q: got %v, want the fix %q", c.url, err, c.fix)
		}
	}
}

func TestSettingsHelp(t *testing.T) {
	t.Parallel()
	help := config.SettingsHelp()
	for name := range mustLoad(t, config.Source{}).Settings().All() {
		if !strings.Contains(help, "\n  "+name+" ") {
			t.Errorf("%s is not in the help", name)
		}
	}
	for _, want := range []string{"Settings:\n", "(default=2097152)\n", "(default=True)\n", "(default=/)\n"} {
		if !strings.Contains(help, want) {
			t.Errorf("the help has no %q:\n%s", want, help)
		}
	}
}
