package vault

import (
	"fmt"
	"regexp"
	"sort"
	"strings"
	"unicode/utf8"

	secrets "github.com/datasette-secrets/datasette-secrets"
)

// Limits of what one plugin may declare.
const (
	MaxDeclarations = 1000 // secrets of one plugin
	maxDescription  = 4000 // bytes
	maxObtainURL    = 2000 // bytes
	maxObtainLabel  = 200  // bytes
)

var secretName = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,255}$`)

// wellFormed reports whether a new secret may have this name. A browser would
// take "." and ".." in an address for folders.
func wellFormed(name string) bool {
	return secretName.MatchString(name) && name != "." && name != ".."
}

// declarations is everything that the plugins declared. It never changes: a
// new declaration makes a new one.
//
// Of several declarations of one name, that of the plugin counts which was
// granted the secret first, so that a newcomer cannot tell administrators
// another story about it. Without any grant, the plugins' names decide. Whom
// the secret's list leaves out tells nothing about it.
type declarations struct {
	plugins map[string][]secrets.Declaration
	merged  []secrets.Declaration // one of each name
	users   map[string][]string   // secret → plugins that declared it, sorted
	byName  map[string]secrets.Declaration
}

// newDeclarations takes what each plugin declared, the plugins that each secret
// is granted to, oldest first, and which of them its list leaves out.
func newDeclarations(plugins map[string][]secrets.Declaration, holders map[string][]string, leftOut func(plugin, secret string) bool) *declarations {
	d := &declarations{
		plugins: plugins,
		users:   map[string][]string{},
		byName:  map[string]secrets.Declaration{},
	}
	names := make([]string, 0, len(plugins))
	for name := range plugins {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, plugin := range names {
		for _, declaration := range plugins[plugin] {
			d.users[declaration.Name] = append(d.users[declaration.Name], plugin)
		}
	}
	for _, plugin := range names {
		for _, declaration := range plugins[plugin] {
			switch d.teller(declaration.Name, holders[declaration.Name], leftOut) {
			case plugin:
				d.add(declaration)
			case "":
				d.add(secrets.Declaration{Name: declaration.Name})
			}
		}
	}
	if len(d.merged) == 0 {
		// Like upstream, give a new administrator something to try out.
		d.add(secrets.Declaration{Name: "EXAMPLE_SECRET", Description: "An example secret"})
	}
	return d
}

// teller is the plugin whose declaration of a secret counts, empty if there is
// none.
func (d *declarations) teller(secret string, holders []string, leftOut func(plugin, secret string) bool) string {
	for _, holder := range holders {
		if d.declaredBy(holder, secret) && !leftOut(holder, secret) {
			return holder
		}
	}
	for _, user := range d.users[secret] {
		if !leftOut(user, secret) {
			return user
		}
	}
	return ""
}

func (d *declarations) add(declaration secrets.Declaration) {
	if _, taken := d.byName[declaration.Name]; taken {
		return
	}
	d.byName[declaration.Name] = declaration
	d.merged = append(d.merged, declaration)
}

func (d *declarations) declaredBy(plugin, name string) bool {
	for _, user := range d.users[name] {
		if user == plugin {
			return true
		}
	}
	return false
}

func checkDeclarations(ds []secrets.Declaration) ([]secrets.Declaration, error) {
	var own []secrets.Declaration
	seen := map[string]bool{}
	for i, d := range ds {
		if !wellFormed(d.Name) {
			return nil, fmt.Errorf("%w: the name of declared secret %d must be 1 to 255 of A-Z a-z 0-9 _ . -", secrets.ErrInvalid, i+1)
		}
		if err := checkDeclaration(d); err != nil {
			return nil, fmt.Errorf("%w: declared secret %s: %w", secrets.ErrInvalid, d.Name, err)
		}
		if !seen[d.Name] {
			own = append(own, d)
		}
		seen[d.Name] = true
	}
	return own, nil
}

func checkDeclaration(d secrets.Declaration) error {
	fields := []struct {
		what, text string
		limit      int
	}{
		{"description", d.Description, maxDescription},
		{"obtain URL", d.ObtainURL, maxObtainURL},
		{"obtain label", d.ObtainLabel, maxObtainLabel},
	}
	for _, field := range fields {
		if len(field.text) > field.limit {
			return fmt.Errorf("its %s has %d bytes, at most %d are allowed", field.what, len(field.text), field.limit)
		}
		if !utf8.ValidString(field.text) {
			return fmt.Errorf("its %s is not UTF-8 text", field.what)
		}
	}
	url := strings.ToLower(d.ObtainURL)
	if url != "" && !strings.HasPrefix(url, "https://") && !strings.HasPrefix(url, "http://") {
		return fmt.Errorf("its obtain URL must begin with https:// or http://")
	}
	return d.CheckForm()
}
