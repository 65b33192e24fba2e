package config_test

import (
	"fmt"
	"strings"
	"testing"
)

func TestLogConfig(t *testing.T) {
	t.Parallel()
	cases := map[string]string{
		`{}`:                       "{false [] 0 0s}",
		`{audit: durable}`:         "{false [] 0 0s}",
		`{audit: relaxed}`:         "{true [] 0 0s}",
		`{log: {keep: forever}}`:   "{false [] 0 0s}",
		`{log: {keep: 10000}}`:     "{false [] 10000 0s}",
		`{log: {keep: '500'}}`:     "{false [] 500 0s}",
		`{log: {keep: 90d}}`:       "{false [] 0 2160h0m0s}",
		`{audit: {mode: relaxed}}`: "{true [] 0 0s}",
		`{audit: {heads: [/a/b]}}`: "{false [/a/b] 0 0s}",
		`{audit: {heads: ['https://e.org/h', 'http://127.0.0.1:1/']}}`: "{false [https://e.org/h http://127.0.0.1:1/] 0 0s}",

		`{audit: fast}`:                              "plugins.datasette-secrets.audit: should be durable or relaxed",
		`{audit: true}`:                              "plugins.datasette-secrets.audit: should be durable or relaxed",
		`{audit: {head: [/a]}}`:                      `plugins.datasette-secrets.audit: unknown key "head"; did you mean "heads"?`,
		`{audit: {heads: /a}}`:                       "plugins.datasette-secrets.audit.heads: should be a list",
		`{audit: {heads: [a]}}`:                      "plugins.datasette-secrets.audit.heads: number 1 should be",
		`{audit: {heads: ['http://e.org/']}}`:        "plugins.datasette-secrets.audit.heads: number 1 should be",
		`{audit: {heads: ['https://u:hunter2@e/']}}`: "plugins.datasette-secrets.audit.heads: number 1 should be",
		`{log: 5}`:                                   "plugins.datasette-secrets.log: should be a mapping",
		`{log: {kep: 5}}`:                            `plugins.datasette-secrets.log: unknown key "kep"; did you mean "keep"?`,
		`{log: {keep: 0}}`:                           "plugins.datasette-secrets.log.keep: should be",
		`{log: {keep: -5}}`:                          "plugins.datasette-secrets.log.keep: should be",
		`{log: {keep: 90h}}`:                         "plugins.datasette-secrets.log.keep: should be",
		`{log: {keep: 99999999999d}}`:                "plugins.datasette-secrets.log.keep: should be",
		`{log: {keep: true}}`:                        "plugins.datasette-secrets.log.keep: should be",
		`{log: {keep: [1]}}`:                         "plugins.datasette-secrets.log.keep: should be",
	}
	for block, want := range cases {
		s, err := loadEnv(t, "plugins: {datasette-secrets: "+block+"}", nil).Secrets()
		got := fmt.Sprint(s.Log)
		if err != nil {
			got = err.Error()
		}
		if got != want && (err == nil || !strings.HasPrefix(got, want)) {
			t.Errorf("%s: got %s, want %s", block, got, want)
		}
		if strings.Contains(got, "hunter2") {
			t.Errorf("%s: the error repeats a value", block)
		}
	}
}
