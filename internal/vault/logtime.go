package vault

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	secrets "github.com/datasette-secrets/datasette-secrets"
)

// logTimes are how a moment may be written, in UTC unless it says otherwise.
func logTimes() []string {
	return []string{
		"2006-01-02", "2006-01-02T15:04", "2006-01-02 15:04",
		"2006-01-02T15:04:05", "2006-01-02 15:04:05", // and fractions of a second
		time.RFC3339,
	}
}

// maxAge bounds how long ago a moment may be, in days.
const maxAge = 100 * 366

// ParseLogTime reads a moment as people write it for a filter of the log: a
// date, a date and time, or how long before now it was, such as 90d, 12h or
// 30m. The error is an ErrInvalid.
func ParseLogTime(text string, now time.Time) (time.Time, error) {
	text = strings.TrimSpace(text)
	if age, ok := parseAge(text); ok {
		return now.Add(-age), nil
	}
	for _, layout := range logTimes() {
		moment, err := time.Parse(layout, text)
		if err == nil && moment.UTC().Year() >= 1 && moment.UTC().Year() <= 9999 {
			return moment.UTC(), nil
		}
	}
	return time.Time{}, fmt.Errorf("%w: %.40q is no time: write a date such as 2026-07-14, with a time such as 2026-07-14 16:30:00 (UTC), or an age such as 90d, 12h or 30m", secrets.ErrInvalid, text)
}

func parseAge(text string) (time.Duration, bool) {
	if text == "" {
		return 0, false
	}
	units := map[byte]time.Duration{'d': 24 * time.Hour, 'h': time.Hour, 'm': time.Minute, 's': time.Second}
	unit, known := units[text[len(text)-1]]
	count, err := strconv.ParseUint(text[:len(text)-1], 10, 32)
	if !known || err != nil || time.Duration(count) > maxAge*24*time.Hour/unit {
		return 0, false
	}
	return time.Duration(count) * unit, true
}
