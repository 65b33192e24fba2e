package ui

import (
	"html/template"
	"net/http"
	"strconv"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/vault"
)

// secretPage is /-/secrets/NAME.
type secretPage struct {
	basePage
	notices
	Name        string
	Action      template.HTMLAttr // the form's address
	Description template.HTML     // with the obtain link
	Stored      bool              // it has a value in the database
	Deleted     bool
	Environment bool
	Variable    string
	Multiline   bool   // values have several lines
	OneLine     bool   // a value that lost its line ends would be refused
	Pattern     string // that a value has to match
	Example     string
	Hint        string // a few characters of the stored value
	Note        string
	MaxNote     int
	Version     int64
	Updated     when
	DeletedWhen when
	LastUsed    when
	UsedBy      []string
	PluginsURL  string
	Delete      template.HTMLAttr // link to the confirmation; empty: nothing to delete
	Test        template.HTMLAttr // where the form to test the value goes
	Testers     []string          // plugins that can test it; none: no form
	History     []historyRow
	MoreHistory bool   // there are older versions
	Damage      string // why the stored value cannot be trusted
	secretLog
	Who secretWho
}

// secretLog is what the log says of a secret.
type secretLog struct {
	Uses     chart
	Log      entryTable
	LogURL   string
	MoreLog  bool // there are older entries
	LogFails bool // it cannot be read for now
}

func (secretPage) file() string { return "secret.html" }

// historyRow is one version of a secret.
type historyRow struct {
	Version  int64
	Note     string
	Current  bool
	Deleted  bool
	Damage   string // why it cannot be trusted
	Created  when
	Changed  when // empty unless the note was changed later
	LastUsed when
	Restore  template.HTMLAttr // link to the confirmation; empty: cannot be restored
}

// name is the secret that the address names, as it was sent.
func (r *request) name() string { return segment(r.path, 2) }

func (s *site) showSecret(w http.ResponseWriter, r *request) error {
	v, versions, err := s.Vault.Show(r.Context(), r.caller, r.name())
	if err != nil {
		return err
	}
	return s.showPageOf(w, r, v, versions)
}

// showPageOf shows the page of a secret.
func (s *site) showPageOf(w http.ResponseWriter, r *request, v vault.Secret, versions []vault.Version) (err error) {
	page := s.secretPage(r, v, versions)
	if page.Who, err = s.who(r, v.Name); err != nil {
		return err
	}
	if !page.Who.You {
		page.Testers = nil // they would use it on behalf of who asks
	}
	return s.show(w, r, page)
}

// isStored reports whether the database has a value of the secret.
func isStored(v vault.Secret) bool { return v.Version > 0 && !v.Deleted }

func (s *site) secretPage(r *request, v vault.Secret, versions []vault.Version) secretPage {
	page := secretPage{
		basePage:    s.page(r, verb(v)+" secret: "+v.Name, s.secretsCrumb()),
		notices:     s.noticesFor(r),
		Name:        v.Name,
		Action:      attribute("action", s.secretURL(v.Name, "")),
		Description: s.description(v),
		Stored:      isStored(v),
		Deleted:     v.Deleted,
		Environment: v.State == vault.StateEnvironment,
		Variable:    v.Variable,
		Multiline:   v.Declaration.Multiline,
		OneLine:     isOneLine(v.Declaration),
		Pattern:     v.Declaration.Pattern,
		Example:     v.Declaration.Example,
		MaxNote:     vault.MaxNote,
		Version:     v.Version,
		Updated:     newWhen(v.UpdatedAt, v.UpdatedBy),
		DeletedWhen: newWhen(v.DeletedAt, v.DeletedBy),
		LastUsed:    newWhen(v.LastUsedAt, v.LastUsedBy),
		UsedBy:      v.DeclaredBy,
		PluginsURL:  s.url("/-/plugins"),
		MoreHistory: len(versions) >= vault.HistoryLimit,
		Damage:      damage(v.Damage),
	}
	if page.Stored {
		page.Note = v.Note
		page.Hint = s.hint(r, v)
		page.Delete = attribute("href", s.secretURL(v.Name, "/-/delete"))
	}
	if r.signedIn() && (page.Stored || page.Environment) {
		page.Test = attribute("action", s.secretURL(v.Name, "/-/test"))
		page.Testers = s.testers(r, v.Name)
	}
	for _, version := range versions {
		page.History = append(page.History, s.historyRow(v.Name, version))
	}
	page.secretLog = s.logOf(r, v.Name)
	page.named(s.namesOf(r, peopleOf(v, versions)))
	return page
}

// logOf reads the newest entries about a secret, and draws its uses. The rest of
// the page is of use without.
func (s *site) logOf(r *request, name string) secretLog {
	l := secretLog{LogURL: s.nameLogURL(name), Log: entryTable{Label: "Log", Caption: "The newest entries of the audit log about this secret. Times are in UTC."}}
	found, err := s.Vault.OlderLog(r.Context(), r.caller, vault.LogFilter{Name: name}, 0, secretLogSize)
	if err == nil {
		l.Uses, err = s.usesOf(r, name)
	}
	if err != nil {
		s.Log.Warn("reading the log of a secret failed", "path", r.path, "error", err)
		l.LogFails = true
		return l
	}
	l.Log.Rows, l.MoreLog = s.entryRows(r, found.Entries), found.More
	return l
}

// isOneLine reports whether values are entered in a field that hides what is
// typed, and from which a browser drops line ends without a word. That is safe
// only where the pattern refuses what it leaves; plugins that know nothing of
// Multiline may need keys of several lines.
func isOneLine(d secrets.Declaration) bool { return d.Pattern != "" && !d.Multiline }

// hint is what the plugin wants to be shown of the stored value. A page without
// it is still of use, and says itself why a value cannot be read.
func (s *site) hint(r *request, v vault.Secret) string {
	hint, err := s.Vault.Hint(r.Context(), r.caller, v.Name)
	if err != nil {
		return ""
	}
	return hint
}

// damage says for people why something stored cannot be trusted.
func damage(err error) string {
	if err == nil {
		return ""
	}
	return sentence(err, secrets.ErrIntegrity)
}

// peopleOf are the ids of all who left one on a secret.
func peopleOf(v vault.Secret, versions []vault.Version) []string {
	ids := []string{v.UpdatedBy, v.DeletedBy, v.LastUsedBy}
	for _, version := range versions {
		ids = append(ids, version.CreatedBy, version.UpdatedBy, version.DeletedBy, version.LastUsedBy)
	}
	return ids
}

// named shows people by their names.
func (p *secretPage) named(n names) {
	p.Updated, p.DeletedWhen, p.LastUsed = p.Updated.named(n), p.DeletedWhen.named(n), p.LastUsed.named(n)
	for i := range p.History {
		row := &p.History[i]
		row.Created, row.Changed, row.LastUsed = row.Created.named(n), row.Changed.named(n), row.LastUsed.named(n)
	}
}

// verb is what the form does.
func verb(v vault.Secret) string {
	if isStored(v) {
		return "Update"
	}
	return "Add"
}

// description is the declared description, a full stop, and the obtain link.
func (s *site) description(v vault.Secret) template.HTML {
	var w writer
	d := v.Declaration
	w.raw(string(s.markup.html(d.Description)))
	if d.Description != "" && d.ObtainLabel != "" {
		w.raw(". ")
	}
	writeObtain(&w, d.ObtainURL, d.ObtainLabel)
	return template.HTML(w.String())
}

func (s *site) historyRow(name string, v vault.Version) historyRow {
	row := historyRow{
		Version:  v.Version,
		Note:     v.Note,
		Current:  v.Current && !v.Deleted,
		Deleted:  v.Deleted,
		Damage:   damage(v.Damage),
		Created:  newWhen(v.CreatedAt, v.CreatedBy),
		LastUsed: newWhen(v.LastUsedAt, v.LastUsedBy),
	}
	if v.Deleted {
		row.Created = newWhen(v.DeletedAt, v.DeletedBy)
	}
	if v.UpdatedAt != v.CreatedAt {
		row.Changed = newWhen(v.UpdatedAt, v.UpdatedBy)
	}
	if !v.Current && !v.Deleted && v.Damage == nil {
		row.Restore = attribute("href", s.secretURL(name, "/-/restore?version="+strconv.FormatInt(v.Version, 10)))
	}
	return row
}
