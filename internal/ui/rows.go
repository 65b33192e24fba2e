package ui

import (
	"html"
	"html/template"
	"strconv"
	"strings"
	"time"

	"github.com/datasette-secrets/datasette-secrets/internal/vault"
)

// The three lists of /-/secrets are written here and not in the template:
// html/template takes several times the budget of the whole page for a
// thousand secrets. Every text that is not ours goes through writer.text, and
// nothing else does, so that this file is all there is to check.

// writer builds HTML.
type writer struct{ strings.Builder }

// raw writes HTML of ours.
func (w *writer) raw(pieces ...string) {
	for _, piece := range pieces {
		w.WriteString(piece)
	}
}

// text writes somebody else's text, escaped for content and for attributes.
func (w *writer) text(s string) { w.WriteString(html.EscapeString(s)) }

// unusedDays is after how many days a secret that nobody uses is marked.
const unusedDays = 90

// isUnused reports whether a stored secret is as it was for unusedDays, and was
// not used for as long. Times in another form than that of this program tell
// nothing.
func isUnused(v *vault.Secret, now time.Time) bool {
	since := now.UTC().AddDate(0, 0, -unusedDays).Format(storedTime)
	return isoTime(v.UpdatedAt) != "" && v.UpdatedAt < since &&
		(v.LastUsedAt == "" || isoTime(v.LastUsedAt) != "" && v.LastUsedAt < since)
}

// storedRows are the rows of the table of secrets with a stored value.
func (s *site) storedRows(all []*vault.Secret, n names) template.HTML {
	var w writer
	w.Grow(600 * len(all))
	for _, v := range all {
		s.storedRow(&w, v, n)
	}
	return template.HTML(w.String())
}

func (s *site) storedRow(w *writer, v *vault.Secret, n names) {
	w.raw(`<tr`)
	if d := v.Declaration.Description; d != "" { // not shown, but found by the filter
		w.raw(` data-description="`)
		w.text(d)
		w.raw(`"`)
	}
	w.raw(`><th scope="row">`)
	s.nameLink(w, v.Name)
	w.raw(`</th><td data-label="Note">`)
	w.text(v.Note)
	w.raw(`</td><td data-label="Version" class="number">`, strconv.FormatInt(v.Version, 10), `</td><td data-label="Last updated">`)
	writeTime(w, v.UpdatedAt)
	w.raw(`</td><td data-label="Updated by">`)
	writeBy(w, v.UpdatedBy, n)
	w.raw(`</td><td data-label="Last used">`)
	writeUse(w, v, n)
	if isUnused(v, s.Now()) {
		w.raw(` <span class="badge badge-unset">Unused for 90 days</span>`)
	}
	w.raw("</td></tr>\n")
}

// nameLink writes <strong><a href="/-/secrets/NAME">NAME</a></strong>.
func (s *site) nameLink(w *writer, name string) {
	if !linkable(name) {
		w.raw(`<strong title="No address can hold this name">`)
		w.text(name)
		w.raw(`</strong>`)
		return
	}
	w.raw(`<strong><a href="`)
	w.text(s.secretURL(name, ""))
	w.raw(`">`)
	w.text(name)
	w.raw(`</a></strong>`)
}

func writeTime(w *writer, stored string) {
	if iso := isoTime(stored); iso != "" {
		w.raw(`<time datetime="`, iso, `">`, stored, `</time>`)
		return
	}
	w.text(stored)
}

func writeUse(w *writer, v *vault.Secret, n names) {
	if v.LastUsedAt == "" {
		w.raw(`<span class="never">never</span>`)
		return
	}
	writeTime(w, v.LastUsedAt)
	if v.LastUsedBy != "" {
		w.raw(` <span class="by">by `)
		writeBy(w, v.LastUsedBy, n)
		w.raw(`</span>`)
	}
}

// unsetItems are the list items of secrets without a value. A deleted one says
// who deleted it, and its link leads to its history.
func (s *site) unsetItems(all []*vault.Secret, n names) template.HTML {
	var w writer
	for _, v := range all {
		w.raw(`<li>`)
		s.nameLink(&w, v.Name)
		s.writeDescription(&w, v)
		if v.Deleted {
			writeDeleted(&w, v, n)
		}
		w.raw(" </li>\n")
	}
	return template.HTML(w.String())
}

// writeDescription writes " - DESCRIPTION, <a href=…>LABEL</a>", as much of it
// as there is.
func (s *site) writeDescription(w *writer, v *vault.Secret) {
	d := v.Declaration
	if d.Description == "" && d.ObtainLabel == "" {
		return
	}
	w.raw(" - ", string(s.markup.html(d.Description)))
	if d.Description != "" && d.ObtainLabel != "" {
		w.raw(", ")
	}
	writeObtain(w, d.ObtainURL, d.ObtainLabel)
}

// writeObtain writes the link to where a value can be had. Without a label
// there is none, and an address that is not on the web is only a label.
func writeObtain(w *writer, address, label string) {
	if label == "" || !webURL(address) {
		w.text(label)
		return
	}
	w.raw(`<a href="`)
	w.text(address)
	w.raw(`" rel="noopener noreferrer">`)
	w.text(label)
	w.raw(`</a>`)
}

func writeDeleted(w *writer, v *vault.Secret, n names) {
	w.raw(` <span class="note-line"><span class="badge badge-deleted">Deleted</span>`)
	if v.DeletedBy != "" {
		w.raw(" by ")
		writeBy(w, v.DeletedBy, n)
	}
	w.raw(" at ")
	writeTime(w, v.DeletedAt)
	w.raw(` UTC</span>`)
}

// environmentItems are the list items of secrets that a variable sets.
func (s *site) environmentItems(all []*vault.Secret) template.HTML {
	var w writer
	for _, v := range all {
		w.raw(`<li>`)
		s.nameLink(&w, v.Name)
		if v.Declaration.Description != "" {
			w.raw(" - ", string(s.markup.html(v.Declaration.Description)))
		}
		w.raw(`<br> <span class="note-line">Set by <code>`)
		w.text(v.Variable)
		w.raw("</code></span></li>\n")
	}
	return template.HTML(w.String())
}
