package audit_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/datasette-secrets/datasette-secrets/internal/audit"
)

func signedHeads(t testing.TB, n int) (signed []string, verifying string) {
	t.Helper()
	signing, verifying, err := audit.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		text, err := audit.Head{Size: int64(i), Time: "2026-01-02 03:04:05.678"}.Sign(signing)
		if err != nil {
			t.Fatal(err)
		}
		signed = append(signed, text)
	}
	return signed, verifying
}

func TestSplitHeads(t *testing.T) {
	t.Parallel()
	want, key := signedHeads(t, 3)
	for name, text := range map[string]string{
		"as the host keeps them": strings.Join(want, "\n") + "\n",
		"nothing between them":   strings.Join(want, ""),
		"much between them":      "\n\n" + strings.Join(want, "\n\n\n") + "\n\n",
		"lines of Windows":       strings.ReplaceAll(strings.Join(want, "\n"), "\n", "\r\n"),
		"no line end at the end": strings.TrimRight(strings.Join(want, "\n"), "\n"),
	} {
		got, err := audit.SplitHeads(text)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %q, %v", name, got, err)
			continue
		}
		for i, head := range got {
			if opened, err := audit.OpenHead(head, key); err != nil || opened.Size != int64(i) {
				t.Errorf("%s: %+v, %v", name, opened, err)
			}
		}
	}
	for _, text := range []string{"", "\n\n", "x\n" + want[0], key} {
		if got, err := audit.SplitHeads(text); err == nil {
			t.Errorf("%q has the heads %q", text, got)
		}
	}
}

func TestSplitKeys(t *testing.T) {
	t.Parallel()
	_, one := signedHeads(t, 0)
	_, two := signedHeads(t, 0)
	got, err := audit.SplitKeys("\n" + one + "\r\n\n " + two)
	if err != nil || !slices.Equal(got, []string{one, two}) {
		t.Errorf("%q, %v", got, err)
	}
	for _, text := range []string{"", " \n", one[1:], one + "x", one + "\n# mine", strings.Replace(one, "+", "-", 1)} {
		if got, err := audit.SplitKeys(text); err == nil {
			t.Errorf("%q has the keys %q", text, got)
		}
	}
}

func FuzzSplitHeads(f *testing.F) {
	heads, key := signedHeads(f, 2)
	f.Add(strings.Join(heads, "\n"))
	f.Add(audit.Origin + "\n\n" + audit.Origin)
	f.Add(key)
	f.Fuzz(func(t *testing.T, text string) {
		_, _ = audit.SplitKeys(text)
		all, err := audit.SplitHeads(text)
		if err != nil {
			return
		}
		again, err := audit.SplitHeads(strings.Join(all, "\n"))
		if err != nil || !slices.Equal(all, again) {
			t.Errorf("%q are %q the second time, %v", all, again, err)
		}
	})
}
