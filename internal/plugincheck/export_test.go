package plugincheck

// Leaks tells whether output, written in pieces of that many bytes, is found to
// hold the value of a secret. The output is made of the value.
func Leaks(output func(value string) string, piece int) bool {
	c := newCanaries()
	s := &searcher{canaries: c, place: "output"}
	rest := output(c.value("KEY", 1))
	for len(rest) > 0 {
		n := min(piece, len(rest))
		_, _ = s.Write([]byte(rest[:n]))
		rest = rest[n:]
	}
	_, leaks := c.found()
	return leaks["output"] == "KEY"
}

// LastLines is what is shown of a program's log.
func LastLines(output func(value string) string) []string {
	c := newCanaries()
	t := &logTail{canaries: c}
	_, _ = t.Write([]byte(output(c.value("KEY", 1))))
	return t.last()
}

// Handshake is what is wrong with a handshake line; nil if hosts take it, but
// for its address.
func Handshake(line string) error {
	parts, err := fields(line)
	if err == nil {
		_, err = certificateIn(parts)
	}
	return err
}
