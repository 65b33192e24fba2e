package plugincheck

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
	"sync"
)

// canaries are the values that the kit made up, and every form in which one of
// them would be a value that leaked.
type canaries struct {
	mu     sync.Mutex
	values map[string]string // by the name of the secret
	forms  []form
	given  int               // how many values the program got
	leaks  map[string]string // where one was found → the name of its secret
}

// form is one way to write the value of a secret.
type form struct {
	secret string
	text   []byte
}

func newCanaries() *canaries {
	return &canaries{values: map[string]string{}, leaks: map[string]string{}}
}

// value is the made-up value of a secret. It has letters and digits only, so
// that it stays the same in URLs and in JSON. Its versions differ in their
// ends.
func (c *canaries) value(secret string, version uint64) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	value, ok := c.values[secret]
	if !ok {
		value = "canary" + strings.ToLower(rand.Text())
		c.values[secret] = value
		for _, text := range forms(value) {
			c.forms = append(c.forms, form{secret, text})
		}
	}
	return fmt.Sprintf("%sv%d", value, version)
}

// forms are the ways to write a value: as it is, in hexadecimal, and in Base64
// at each of the three places where it can begin in a longer text.
func forms(value string) [][]byte {
	all := [][]byte{
		[]byte(value),
		[]byte(hex.EncodeToString([]byte(value))),
		[]byte(strings.ToUpper(hex.EncodeToString([]byte(value)))),
	}
	for before, drop := range []int{0, 2, 3} { // characters that what is before has a part in
		encoded := base64.RawStdEncoding.EncodeToString([]byte(strings.Repeat("x", before) + value))
		whole := (before + len(value)) / 3 * 4 // those that what follows has no part in
		all = append(all, []byte(encoded[drop:whole]))
	}
	return all
}

// gave counts a value that the program was given.
func (c *canaries) gave() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.given++
}

// longest is the length of the longest form, in bytes.
func (c *canaries) longest() (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, f := range c.forms {
		n = max(n, len(f.text))
	}
	return n
}

// search looks for values in data, which the program wrote or sent to a place.
func (c *canaries) search(place string, data []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, f := range c.forms {
		if bytes.Contains(data, f.text) {
			c.leaks[place] = f.secret
		}
	}
}

// mask hides the values in a text.
func (c *canaries) mask(text string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, f := range c.forms {
		text = strings.ReplaceAll(text, string(f.text), "[redacted]")
	}
	return text
}

// found tells how many values the program was given, and where one of which
// secret was seen.
func (c *canaries) found() (given int, leaks map[string]string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := map[string]string{}
	for place, secret := range c.leaks {
		all[place] = secret
	}
	return c.given, all
}

// searcher is a stream of the program's output, searched across its writes.
type searcher struct {
	canaries *canaries
	place    string
	rest     []byte // of what was written, in which a value may have begun
}

// Write never fails.
func (s *searcher) Write(data []byte) (int, error) {
	s.rest = append(s.rest, data...)
	s.canaries.search(s.place, s.rest)
	if keep := s.canaries.longest(); len(s.rest) > keep {
		s.rest = append([]byte(nil), s.rest[len(s.rest)-keep:]...)
	}
	return len(data), nil
}
