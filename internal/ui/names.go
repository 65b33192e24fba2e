package ui

import (
	"strings"
	"unicode"
)

const maxName = 100 // bytes of a name that is shown

// names are what plugins call people, by their ids. Who has no other name is
// not in it.
type names map[string]string

// namesOf asks the plugins for the names of people. A name stands in place of
// an id, so it must not pass for somebody else's: for root there is none.
func (s *site) namesOf(r *request, ids []string) names {
	found := names{}
	for id, actor := range s.Hooks.Actors(r.Context(), ids) {
		name := strings.TrimSpace(actor.Display())
		if id == "root" || name == "" || name == id || len(name) > maxName || strings.EqualFold(name, "root") ||
			strings.ContainsFunc(name, func(c rune) bool { return !unicode.IsPrint(c) }) {
			continue
		}
		found[id] = name
	}
	return found
}

// named shows the name of who was there, if there is one.
func (w when) named(n names) when {
	if name, ok := n[w.By]; ok {
		w.By, w.ID = name, w.By
	}
	return w
}

// writeBy writes a person's name, or the id.
func writeBy(w *writer, id string, n names) {
	name, ok := n[id]
	if !ok {
		w.text(id)
		return
	}
	w.raw(`<span title="`)
	w.text(id)
	w.raw(`">`)
	w.text(name)
	w.raw(`</span>`)
}
