package ui

import (
	"html"
	"html/template"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/microcosm-cc/bluemonday"
)

// markup turns a plugin's description into HTML. A description may use
// <a href> (http and https), <code>, <em>, <strong> and <br>; everything else
// in it is shown as the text it is.
//
// bluemonday alone would drop what it does not allow, and a reader would miss
// a part of the sentence. So tags are sorted out first: what is not exactly an
// allowed, properly nested tag is escaped. bluemonday then has the last word,
// with the same list.
type markup struct{ policy *bluemonday.Policy }

func newMarkup() markup {
	p := bluemonday.NewPolicy()
	p.AllowElements("code", "em", "strong", "br")
	p.AllowAttrs("href").OnElements("a")
	p.AllowAttrs("rel").Matching(regexp.MustCompile(`^noopener noreferrer$`)).OnElements("a")
	p.AllowURLSchemes("http", "https")
	p.RequireParseableURLs(true)
	return markup{p}
}

var tag = regexp.MustCompile(`(?i)<(?:(/?)(code|em|strong|a)|(br)\s*/?|a\s+href\s*=\s*(?:"([^"<>]*)"|'([^'<>]*)'))\s*>`)

// html returns the description as safe HTML.
func (m markup) html(description string) template.HTML {
	if !strings.Contains(description, "<") {
		return template.HTML(html.EscapeString(description))
	}
	var b strings.Builder
	var open []string // elements that are open, outermost first
	rest := description
	for {
		at := tag.FindStringSubmatchIndex(rest)
		if at == nil {
			break
		}
		b.WriteString(html.EscapeString(rest[:at[0]]))
		text := rest[at[0]:at[1]]
		safe, ok := "", false
		if safe, open, ok = element(tag.FindStringSubmatch(text), open); !ok {
			safe = html.EscapeString(text)
		}
		b.WriteString(safe)
		rest = rest[at[1]:]
	}
	b.WriteString(html.EscapeString(rest))
	for _, name := range slices.Backward(open) {
		b.WriteString("</" + name + ">")
	}
	return template.HTML(m.policy.Sanitize(b.String()))
}

// element writes one allowed tag in its plain form. It is not ok for a tag
// that would not nest.
func element(match, open []string) (safe string, _ []string, ok bool) {
	closing, name := match[1] == "/", strings.ToLower(match[2])
	switch {
	case match[3] != "":
		return "<br>", open, true
	case closing && len(open) > 0 && open[len(open)-1] == name:
		return "</" + name + ">", open[:len(open)-1], true
	case closing, name == "a": // <a> without href does nothing
		return "", open, false
	case name != "":
		return "<" + name + ">", append(open, name), true
	}
	href := html.UnescapeString(match[4] + match[5])
	if !webURL(href) || slices.Contains(open, "a") {
		return "", open, false
	}
	return `<a href="` + html.EscapeString(href) + `" rel="noopener noreferrer">`, append(open, "a"), true
}

// webURL reports whether text is a link to a web page, and nothing that a
// browser would run.
func webURL(text string) bool {
	u, err := url.Parse(text)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != ""
}

// attribute returns name="value" for use inside a tag. html/template would
// rewrite an address: it percent-encodes what it thinks needs it, and in a
// secret's name that makes another name.
func attribute(name, value string) template.HTMLAttr {
	return template.HTMLAttr(name + `="` + html.EscapeString(value) + `"`)
}
