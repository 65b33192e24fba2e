package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// progress shows how far a long command is: a bar on a terminal, and otherwise
// a line for every tenth.
type progress struct {
	w     io.Writer
	what  string
	bar   bool
	quiet bool
	shown int64 // tenths that were told, or columns of the bar
	drawn bool
}

// barWidth is the width of a bar in columns.
const barWidth = 40

// newProgress shows progress on standard error. A command whose output is for
// programs shows only a bar, and only to a person.
func newProgress(sys system, what string, forPrograms bool) *progress {
	p := &progress{w: sys.stderr, what: what, shown: -1}
	if file, ok := sys.stderr.(*os.File); ok {
		_, err := unix.IoctlGetTermios(int(file.Fd()), unix.TCGETS)
		p.bar = err == nil
	}
	p.quiet = forPrograms && !p.bar
	return p
}

// show tells that done of total are done.
func (p *progress) show(done, total int64) {
	if p.quiet || total == 0 {
		return
	}
	if !p.bar {
		if tenths := 10 * done / total; tenths > max(p.shown, 0) {
			p.shown = tenths
			fmt.Fprintf(p.w, "%d %%: %d of %d %s\n", 10*tenths, done, total, p.what)
		}
		return
	}
	columns := int(barWidth * done / total)
	fmt.Fprintf(p.w, "\r[%s%s] %d of %d %s", strings.Repeat("#", columns), strings.Repeat("-", barWidth-columns), done, total, p.what)
	p.drawn = true
}

// end leaves the bar as it is and begins a new line.
func (p *progress) end() {
	if p.drawn {
		fmt.Fprintln(p.w)
	}
}
