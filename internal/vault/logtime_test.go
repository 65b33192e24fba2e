package vault_test

import (
	"errors"
	"testing"
	"time"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/vault"
)

var noon = time.Date(2026, 7, 14, 12, 0, 0, 0, time.UTC)

func TestParseLogTime(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Time{
		"2026-07-01":                noon.AddDate(0, 0, -13).Add(-12 * time.Hour),
		" 2026-07-14T11:30 ":        noon.Add(-30 * time.Minute),
		"2026-07-14 11:30":          noon.Add(-30 * time.Minute),
		"2026-07-14 11:30:00":       noon.Add(-30 * time.Minute),
		"2026-07-14 11:59:59.500":   noon.Add(-500 * time.Millisecond),
		"2026-07-14T14:00:00+02:00": noon,
		"2026-07-14T12:00:00Z":      noon,
		"90d":                       noon.AddDate(0, 0, -90),
		"12h":                       noon.Add(-12 * time.Hour),
		"30m":                       noon.Add(-30 * time.Minute),
		"0s":                        noon,
	} {
		got, err := vault.ParseLogTime(text, noon)
		if err != nil || !got.Equal(want) {
			t.Errorf("%q is %v, %v; want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "d", "-1d", "1.5h", "99999999999d", "4294967295d", "yesterday", "2026-13-01", "2026-07-14 25:00", "\x00", "2026-07-01' or 1=1 --"} {
		if got, err := vault.ParseLogTime(text, noon); !errors.Is(err, secrets.ErrInvalid) {
			t.Errorf("%q is %v, %v", text, got, err)
		}
	}
}

func FuzzParseLogTime(f *testing.F) {
	for _, text := range []string{"2026-07-01", "90d", "2026-07-14T14:00:00+02:00", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", ""} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := vault.ParseLogTime(text, noon)
		if err != nil {
			if !errors.Is(err, secrets.ErrInvalid) {
				t.Errorf("%v", err)
			}
			return
		}
		if got.UTC().Year() < 1 || got.UTC().Year() > 9999 {
			t.Errorf("%q is in the year %d", text, got.Year())
		}
	})
}
