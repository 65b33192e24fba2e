package ui

import (
	"log/slog"
	"net/http"
	"slices"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/vault"
)

// maxLogRows is how many lines of a plugin's log a page shows.
const maxLogRows = 200

// historyPage is what was decided about a plugin, and what its log says.
type historyPage struct {
	basePage
	Name      string
	Running   bool
	Decisions []decisionRow
	Log       []logRow
	MaxLog    int
}

func (historyPage) file() string { return "history.html" }

type decisionRow struct {
	When     when
	Decision string
	What     string
	Program  string // short hash
	Hash     string
}

type logRow struct {
	When  when
	Level string
	Loud  bool
	Text  string
}

func (s *site) pluginHistory(w http.ResponseWriter, r *request) error {
	p, status, err := s.managed(r)
	if err != nil {
		return err
	}
	decisions, err := s.Vault.PluginDecisions(r.Context(), r.caller, p.Name)
	if err != nil {
		return err
	}
	page := historyPage{
		basePage: s.page(r, "Plugin "+p.Name, s.pluginsCrumb()),
		Name:     p.Name, Running: status.Name != "" && s.Running != nil, MaxLog: maxLogRows,
	}
	for _, d := range decisions {
		page.Decisions = append(page.Decisions, newDecisionRow(d))
	}
	if page.Running {
		lines := s.Running.Log(p.Name, 0)
		lines = lines[max(0, len(lines)-maxLogRows):]
		for _, line := range slices.Backward(lines) {
			page.Log = append(page.Log, newLogRow(line))
		}
	}
	return s.show(w, r, page)
}

func newDecisionRow(d vault.PluginDecision) decisionRow {
	row := decisionRow{
		When: newWhen(d.Time, d.ActorID+how(d.Proof)), Decision: decisionWord(d.Decision),
		Program: shortHash(d.Hash), Hash: d.Hash,
	}
	if d.Request.Name != "" {
		row.What = d.Request.String()
	}
	return row
}

// how says what was special about the way somebody decided.
func how(proof secrets.Proof) string {
	switch proof {
	case secrets.ProofLocal:
		return " at the command line"
	case secrets.ProofToken:
		return " with a token"
	}
	return ""
}

func decisionWord(decision string) string {
	switch decision {
	case "first-use":
		return "Granted on first use"
	case "approve":
		return "Approved"
	case "share":
		return "Shared"
	case "refuse":
		return "Refused"
	case "disable":
		return "Disabled"
	case "enable":
		return "Enabled"
	}
	return decision
}

func newLogRow(line secrets.LogLine) logRow {
	return logRow{
		When: whenTime(line.Time, ""), Level: line.Level.String(), Loud: line.Level >= slog.LevelWarn, Text: line.Text,
	}
}
