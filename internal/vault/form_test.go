package vault_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	secrets "github.com/datasette-secrets/datasette-secrets"
)

func TestValuesHaveTheDeclaredForm(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		pattern, value string
		ok             bool
	}{
		{"", "anything", true},
		{"sk-[a-z]{3}", "sk-abc", true},
		{"sk-[a-z]{3}", "sk-abcd", false},
		{"sk-[a-z]{3}", " sk-abc", false},
		{"sk-[a-z]{3}", "xsk-abc", false},
		{"sk-[a-z]{3}", "sk-abc\n", false},
		{"a|ab|abc", "abc", true},
		{"a|ab|abc", "abcd", false},
		{"a)|(b", "a", false}, // refused below
		{`\Qa.b`, "a.b", true},
		{`\Qa.b`, "axb", false},
		{"(?i)key", "KEY", true},
		{"(?m)^a$", "a\nb", false},
		{"(?s)-----BEGIN.*END-----", "-----BEGIN\nx\nEND-----", true},
		{"a*", "b", false},
		{"x*?", "xxx", true},
		{"é+", "ééé", true},
	} {
		w := open(t)
		err := introduce(w, "formal", []secrets.Declaration{{Name: "FORMAL", Pattern: test.pattern}})
		if test.pattern == "a)|(b" {
			wantError(t, err, secrets.ErrInvalid)
			continue
		}
		if err != nil {
			t.Errorf("%q: %v", test.pattern, err)
			continue
		}
		_, err = w.Put(ctx, root, "FORMAL", secrets.NewValue(test.value), "")
		if test.ok != (err == nil) || err != nil && !errors.Is(err, secrets.ErrInvalid) {
			t.Errorf("%q for %q: %v", test.value, test.pattern, err)
		}
		if err != nil && strings.Contains(err.Error(), strings.TrimSpace(test.value)) && len(test.value) > 3 {
			t.Errorf("the error holds the value: %v", err)
		}
	}
}

func TestAValueOfAnotherFormIsRefusedEverywhere(t *testing.T) {
	t.Parallel()
	w := open(t)
	put(t, w, "API_KEY", "hunter2", "") // before there was a pattern
	put(t, w, "API_KEY", "7", "")
	pattern := []secrets.Declaration{{Name: "API_KEY", Pattern: "[0-9]+", Example: "12345"}}
	if err := introduce(w, "demo", pattern); err != nil {
		t.Fatal(err)
	}
	_, putErr := w.Put(ctx, root, "API_KEY", secrets.NewValue("hunter3"), "")
	_, restoreErr := w.Restore(ctx, root, "API_KEY", 1)
	for _, err := range []error{putErr, restoreErr} {
		if !errors.Is(err, secrets.ErrInvalid) || !strings.Contains(err.Error(), "such as 12345") || strings.Contains(err.Error(), "hunter") {
			t.Errorf("got %v", err)
		}
	}
	wantValue(t, w, "API_KEY", "7")
	put(t, w, "API_KEY", "8", "")
	if _, err := w.Restore(ctx, root, "API_KEY", 2); err != nil {
		t.Error(err)
	}
	large := secrets.NewValue(strings.Repeat("1", 16<<10+1))
	if _, err := w.Put(ctx, root, "API_KEY", large, ""); !errors.Is(err, secrets.ErrInvalid) || !strings.Contains(err.Error(), "16385 bytes") {
		t.Errorf("a value too large for its pattern: %v", err)
	}

	// Another plugin cannot change what counts.
	if err := introduce(w, "another", []secrets.Declaration{{Name: "API_KEY", Pattern: "never"}}); err != nil {
		t.Fatal(err)
	}
	put(t, w, "API_KEY", "9", "")
}

func TestDeclaredFormsAreChecked(t *testing.T) {
	t.Parallel()
	w := open(t)
	for want, bad := range map[string]secrets.Declaration{
		"missing closing )":                 {Pattern: "(a"},
		"no RE2 expression":                 {Pattern: "(?=a)"},
		"invalid named capture":             {Pattern: "(?P<a"},
		"invalid UTF-8":                     {Pattern: "\xff"},
		"its pattern has 501 bytes":         {Pattern: strings.Repeat("a", 501)},
		"its pattern is too complex":        {Pattern: "[a-z]{1000}[a-z]{1000}"},
		"invalid repeat count":              {Pattern: "((a{100}){100}){100}"},
		"its example has 201 bytes":         {Example: strings.Repeat("x", 201)},
		"its example is not UTF-8 text":     {Example: "\xff"},
		"its example has control":           {Example: "a\nb"},
		"it wants 9 and 0 characters":       {Redact: secrets.Redact{Prefix: 9}},
		"it wants 4 and 5 characters":       {Redact: secrets.Redact{Prefix: 4, Suffix: 5}},
		"it wants -1 and 4 characters":      {Redact: secrets.Redact{Prefix: -1, Suffix: 4}},
		"it wants 4294967295 and 2 charact": {Redact: secrets.Redact{Prefix: 1<<32 - 1, Suffix: 2}},
	} {
		bad.Name = "BAD"
		err := introduce(w, "formal", []secrets.Declaration{bad})
		if !errors.Is(err, secrets.ErrInvalid) || !strings.Contains(err.Error(), "declared secret BAD: ") || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	good := secrets.Declaration{
		Name: "GOOD", Pattern: strings.Repeat("a", 500), Example: "-----BEGIN\n…", Multiline: true,
		Redact: secrets.Redact{Prefix: 3, Suffix: 5},
	}
	if err := introduce(w, "formal", []secrets.Declaration{good}); err != nil {
		t.Error(err)
	}
	if secret, _ := show(t, w, "GOOD"); secret.Declaration != good {
		t.Errorf("got %+v", secret.Declaration)
	}
}

func TestHint(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		redact      secrets.Redact
		value, want string
	}{
		{secrets.Redact{}, "sk-0123456789012345678901234wxyz", ""},
		{secrets.Redact{Prefix: 3, Suffix: 4}, "sk-0123456789012345678901234wxyz", "sk-…wxyz"},
		{secrets.Redact{Prefix: 3, Suffix: 4}, "sk-012345678901234567890wxyz", "sk-…wxyz"},
		{secrets.Redact{Prefix: 3, Suffix: 4}, "sk-01234567890123456789wxyz", ""}, // more than a quarter
		{secrets.Redact{Suffix: 1}, "abcd", "…d"},
		{secrets.Redact{Suffix: 1}, "abc", ""},
		{secrets.Redact{Prefix: 1}, "äöüß", "ä…"},
		{secrets.Redact{Prefix: 8}, "x", ""},
	} {
		w := open(t)
		if err := introduce(w, "hinting", []secrets.Declaration{{Name: "HINTED", Redact: test.redact}}); err != nil {
			t.Fatal(err)
		}
		put(t, w, "HINTED", test.value, "")
		hint, err := w.Hint(ctx, root, "HINTED")
		if err != nil || hint != test.want {
			t.Errorf("%v of %q: %q, %v", test.redact, test.value, hint, err)
		}
		for _, caller := range []secrets.Caller{mallory, anonymous, plugin("hinting", "root")} {
			if hint, err := w.Hint(ctx, caller, "HINTED"); !errors.Is(err, secrets.ErrDenied) || hint != "" {
				t.Errorf("%v got %q, %v", caller, hint, err)
			}
		}
		if secret, _ := show(t, w, "HINTED"); secret.LastUsedAt != "" {
			t.Error("a hint counts as a use")
		}
	}
}

func TestHintOfNothing(t *testing.T) {
	t.Parallel()
	w := open(t)
	if err := introduce(w, "hinting", []secrets.Declaration{{Name: "HINTED", Redact: secrets.Redact{Prefix: 1}}}); err != nil {
		t.Fatal(err)
	}
	_, err := w.Hint(ctx, root, "HINTED")
	wantError(t, err, secrets.ErrNotSet)
	spoil(t, w, "HINTED")
	_, err = w.Hint(ctx, root, "HINTED")
	wantError(t, err, secrets.ErrIntegrity)
	w.Seal()
	_, err = w.Hint(ctx, root, "HINTED")
	wantError(t, err, secrets.ErrSealed)
	if hint, err := w.Hint(ctx, root, "NOTHING"); hint != "" || err != nil {
		t.Errorf("got %q, %v", hint, err)
	}
}

// No pattern that a declaration may have keeps an administrator waiting.
func TestPatternsAreQuick(t *testing.T) {
	t.Parallel()
	value := strings.Repeat("a", 16<<10)
	for _, pattern := range []string{"(a*)*b", "(a|a)*b", "(a?){150}a{150}b", "(.*)(.*)(.*)(.*)(.*)b", strings.Repeat("a?", 240)} {
		w := open(t)
		if err := introduce(w, "slow", []secrets.Declaration{{Name: "SLOW", Pattern: pattern}}); err != nil {
			t.Errorf("%s: %v", pattern, err)
			continue
		}
		ctx, cancel := context.WithTimeout(ctx, patience)
		_, err := w.Put(ctx, root, "SLOW", secrets.NewValue(value), "")
		cancel()
		wantError(t, err, secrets.ErrInvalid)
	}
}
