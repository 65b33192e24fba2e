package ui

import "time"

// when is a moment as <time> shows it, and who was there.
type when struct {
	Text string // as stored, "2006-01-02 15:04:05" in UTC; empty: never
	ISO  string // for machines; empty when Text is no time
	By   string
	ID   string // of who is called By; empty: By is the id
}

const storedTime = "2006-01-02 15:04:05"

func newWhen(text, by string) when {
	return when{Text: text, ISO: isoTime(text), By: by}
}

// isoTime is the stored text in ISO 8601. Python's SQLite writes the same
// text, but other programs may have written something else.
func isoTime(text string) string {
	if len(text) != len(storedTime) || text[10] != ' ' {
		return ""
	}
	for i := range len(text) {
		if digit := text[i] >= '0' && text[i] <= '9'; digit != (storedTime[i] >= '0' && storedTime[i] <= '9') {
			return ""
		}
	}
	return text[:10] + "T" + text[11:] + "Z"
}

func whenTime(t time.Time, by string) when {
	if t.IsZero() {
		return when{}
	}
	return newWhen(t.UTC().Format(storedTime), by)
}
