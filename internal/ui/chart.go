package ui

import (
	"strconv"
	"time"
)

// chartDays is how many days a chart of uses shows.
const chartDays = 90

// The parts of a chart, in the units of its own drawing.
const (
	chartHeight = 60
	barWidth    = 8
	barGap      = 2
)

// chart is how often a secret was used on each of some days, drawn as bars. The
// page has the same numbers as a table, for who does not see the bars.
type chart struct {
	Total  int64
	Most   int64
	First  string // days
	Last   string
	Width  int
	Height int
	Bars   []bar
	Days   []dayUses // those with uses, the latest first
}

// bar is one day's.
type bar struct {
	X, Y, Width, Height int
	Title               string
}

type dayUses struct {
	Day  string
	Uses int64
}

// newChart draws the counts of days, the first of which is first.
func newChart(first time.Time, counts []int64) chart {
	c := chart{Width: len(counts)*barWidth - barGap, Height: chartHeight}
	for _, n := range counts {
		c.Total += n
		c.Most = max(c.Most, n)
	}
	for i, n := range counts {
		day := first.AddDate(0, 0, i).Format(time.DateOnly)
		if c.Last = day; i == 0 {
			c.First = day
		}
		if n == 0 {
			continue
		}
		// A day with any use has a bar that can be seen.
		height := max(2, int(float64(n)/float64(c.Most)*chartHeight))
		c.Bars = append(c.Bars, bar{i * barWidth, chartHeight - height, barWidth - barGap, height, day + ": " + strconv.FormatInt(n, 10)})
		c.Days = append([]dayUses{{day, n}}, c.Days...)
	}
	return c
}

// usesOf draws how often a secret was used lately.
func (s *site) usesOf(r *request, name string) (chart, error) {
	today := s.Now().UTC().Truncate(24 * time.Hour)
	first := today.AddDate(0, 0, 1-chartDays)
	counts, err := s.Vault.UsesPerDay(r.Context(), r.caller, name, first, chartDays)
	if err != nil {
		return chart{}, err
	}
	return newChart(first, counts), nil
}
