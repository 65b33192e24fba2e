package access

import (
	"fmt"
	"slices"

	secrets "github.com/datasette-secrets/datasette-secrets"
)

// The actions of this host.
const (
	DatasetteSecret  = "datasette-secret"
	ManagePlugins    = "manage-plugins"
	ManageSecrets    = "manage-secrets"
	ViewInstance     = "view-instance"
	PermissionsDebug = "permissions-debug"
	DebugMenu        = "debug-menu"
	ViewMetrics      = "view-metrics"
)

// Action is something that an actor may be allowed to do.
type Action struct {
	Name        string
	Abbr        string // the short name that restrictions may use; often none
	Description string
	Default     bool // allowed when no rule speaks of it
	Secret      bool // about one secret
}

// Actions returns every action, sorted by name. Names, abbreviations and
// descriptions are those of Datasette and datasette-secrets, which know no
// datasette-secret, manage-plugins and view-metrics.
func Actions() []Action {
	return []Action{
		{Name: DatasetteSecret, Description: "Have a secret used on one's behalf", Default: true, Secret: true},
		{Name: DebugMenu, Abbr: "dm", Description: "View debug menu items"},
		{Name: ManagePlugins, Description: "Manage the plugins of this host"},
		{Name: ManageSecrets, Description: "Manage Datasette secrets", Secret: true},
		{Name: PermissionsDebug, Abbr: "pd", Description: "Access permission debug tool"},
		{Name: ViewInstance, Abbr: "vi", Description: "View Datasette instance", Default: true},
		{Name: ViewMetrics, Description: "View the metrics of this host"},
	}
}

func find(name string) (Action, bool) {
	actions := Actions()
	i := slices.IndexFunc(actions, func(a Action) bool { return a.Name == name })
	if i < 0 {
		return Action{}, false
	}
	return actions[i], true
}

// AboutSecret reports whether an action is about one secret.
func AboutSecret(name string) bool {
	a, _ := find(name)
	return a.Secret
}

// CheckAction tells whether there is an action, and whether it is about the
// secret of a name, or with an empty one about none. The error is an
// ErrInvalid.
func CheckAction(name, secret string) error {
	a, ok := find(name)
	switch {
	case !ok:
		var names []string
		for _, a := range Actions() {
			names = append(names, a.Name)
		}
		return fmt.Errorf("%w: there is no action %q; %s", secrets.ErrInvalid, clip(name), suggestion(name, names))
	case !a.Secret && secret != "":
		return fmt.Errorf("%w: %s is not about one secret; leave the name out", secrets.ErrInvalid, name)
	case name == DatasetteSecret && secret == "":
		return fmt.Errorf("%w: %s is about one secret; say which", secrets.ErrInvalid, name)
	}
	return nil
}
