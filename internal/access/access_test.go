package access_test

import (
	"slices"
	"strings"
	"testing"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/access"
)

// policy makes a policy of a configuration in JSON: {"permissions": …,
// "allow": …}.
func policy(t testing.TB, config string, set func(*access.Config)) *access.Policy {
	t.Helper()
	c := configOf(t, config)
	if set != nil {
		set(&c)
	}
	p, err := access.New(c)
	if err != nil {
		t.Fatalf("%s: %v", config, err)
	}
	return p
}

func configOf(t testing.TB, config string) access.Config {
	t.Helper()
	fields, _ := tree(t, config).(map[string]any)
	permissions, _ := fields["permissions"].(map[string]any)
	return access.Config{Permissions: permissions, Allow: fields["allow"]}
}

func withRoot(c *access.Config) { c.Root = true }

const (
	root      = `{"id":"root"}`
	admin     = `{"id":"admin"}`
	bob       = `{"id":"bob"}`
	anonymous = `null`
)

// TestManageSecretsTruthTable is what a running Datasette answered, without
// and with --root.
func TestManageSecretsTruthTable(t *testing.T) {
	t.Parallel()
	cases := []struct {
		block, actor   string // block: permissions.manage-secrets; "" for none
		plain, rootRun bool
	}{
		{``, root, false, true},
		{`null`, root, false, true},
		{``, bob, false, false},
		{``, anonymous, false, false},
		{`{"id":"root"}`, root, true, true},
		{`{"id":"admin"}`, root, false, false},
		{`{"id":"admin"}`, admin, true, true},
		{`true`, anonymous, true, true},
		{`1`, anonymous, true, true},
		{`false`, root, false, false},
		{`0`, root, false, false},
		{`{}`, root, false, false},
		{`{"unauthenticated":true}`, anonymous, true, true},
		{`{"unauthenticated":true}`, root, false, false},
		{`{"id":"root"}`, `{"id":"root","_r":{"a":["manage-secrets"]}}`, true, true},
		{`{"id":"root"}`, `{"id":"root","_r":{}}`, false, false},
		{`{"id":"root"}`, `{"id":"root","_r":{"a":["vi"]}}`, false, false},
		{`{"id":"root"}`, `{"id":"root","_r":{"d":{"data":["manage-secrets"]}}}`, false, false},
		{`{"id":"root"}`, `{"id":"root","_r":{"r":{"data":{"t":["manage-secrets"]}}}}`, false, false},
		{``, `{"id":"bob","_r":{"a":["manage-secrets"]}}`, false, false},
		{``, `{"id":"root","_r":{"a":["manage-secrets"]}}`, false, true},
		{``, `{"id":"root","_r":{}}`, false, false},
		{`{"name":"x"}`, `{"name":"x"}`, true, true},
		{`{"id":1}`, `{"id":"1"}`, false, false},
	}
	for _, c := range cases {
		config := `{}`
		if c.block != "" {
			config = `{"permissions":{"manage-secrets":` + c.block + `}}`
		}
		t.Run(c.block+" "+c.actor, func(t *testing.T) {
			t.Parallel()
			actor := actorOf(tree(t, c.actor))
			if got := policy(t, config, nil).Decide(actor, access.ManageSecrets); got.Allowed != c.plain {
				t.Errorf("without --root: got %+v", got)
			}
			if got := policy(t, config, withRoot).Decide(actor, access.ManageSecrets); got.Allowed != c.rootRun {
				t.Errorf("with --root: got %+v", got)
			}
		})
	}
}

func TestViewInstance(t *testing.T) {
	t.Parallel()
	cases := []struct {
		config, actor      string
		allowed            bool
		defaultDenyAllowed bool
	}{
		{`{}`, anonymous, true, false},
		{`{}`, bob, true, false},
		{`{"allow":null}`, bob, true, false},
		{`{"allow":true}`, anonymous, true, true},
		{`{"allow":1}`, anonymous, true, true},
		{`{"allow":0}`, bob, false, false},
		{`{"allow":{}}`, bob, false, false},
		{`{"allow":{"id":"bob"}}`, bob, true, true},
		{`{"allow":{"id":"bob"}}`, root, false, false},
		{`{"permissions":{"view-instance":{"id":"bob"}}}`, bob, true, true},
		{`{"permissions":{"view-instance":{"id":"bob"}}}`, anonymous, false, false},
		{`{"permissions":{"view-instance":{"id":"bob"}},"allow":{"id":"admin"}}`, bob, false, false},
		{`{"permissions":{"view-instance":{"id":"admin"}},"allow":{"id":"bob"}}`, bob, false, false},
		{`{"permissions":{"view-instance":{"id":"bob"}},"allow":{"id":"*"}}`, bob, true, true},
		{`{}`, `{"id":"bob","_r":{"a":["vi"]}}`, true, false},
		{`{}`, `{"id":"bob","_r":{"a":["view-instance"]}}`, true, false},
		{`{}`, `{"id":"bob","_r":{"a":["manage-secrets"]}}`, false, false},
	}
	for _, c := range cases {
		t.Run(c.config+" "+c.actor, func(t *testing.T) {
			t.Parallel()
			actor := actorOf(tree(t, c.actor))
			if got := policy(t, c.config, nil).Decide(actor, access.ViewInstance); got.Allowed != c.allowed {
				t.Errorf("got %+v", got)
			}
			deny := policy(t, c.config, func(c *access.Config) { c.DefaultDeny = true })
			if got := deny.Decide(actor, access.ViewInstance); got.Allowed != c.defaultDenyAllowed {
				t.Errorf("with --default-deny: got %+v", got)
			}
		})
	}
}

// TestBlocksAreIndependent: the allow block speaks of view-instance only, and
// --default-deny of defaults only.
func TestBlocksAreIndependent(t *testing.T) {
	t.Parallel()
	p := policy(t, `{"permissions":{"manage-secrets":{"id":"root"}},"allow":{"id":"bob"}}`, func(c *access.Config) {
		c.Root, c.DefaultDeny = true, true
	})
	actor := secrets.NewActor("root")
	if got := p.Decide(actor, access.ManageSecrets); !got.Allowed {
		t.Errorf("manage-secrets: %+v", got)
	}
	if got := p.Decide(actor, access.ViewInstance); got.Allowed {
		t.Errorf("view-instance: %+v", got)
	}
}

func TestDebugActionsAreDeniedByDefault(t *testing.T) {
	t.Parallel()
	for _, action := range []string{access.PermissionsDebug, access.DebugMenu} {
		for _, actor := range []secrets.Actor{nil, secrets.NewActor("bob"), secrets.NewActor("root")} {
			if got := policy(t, `{}`, nil).Decide(actor, action); got.Allowed {
				t.Errorf("%s, %v: %+v", action, actor, got)
			}
		}
		if !policy(t, `{}`, withRoot).Allowed(secrets.NewActor("root"), action) {
			t.Errorf("%s: root with --root is denied", action)
		}
		if !policy(t, `{"permissions":{"`+action+`":{"id":"bob"}}}`, nil).Allowed(secrets.NewActor("bob"), action) {
			t.Errorf("%s: the block does not allow bob", action)
		}
	}
}

// TestOnlyRootIsRoot: nothing that merely looks like the id "root" gets its
// powers.
func TestOnlyRootIsRoot(t *testing.T) {
	t.Parallel()
	p := policy(t, `{}`, withRoot)
	actors := []string{
		`null`, `{}`, `{"id":"Root"}`, `{"id":"root "}`, `{"id":["root"]}`, `{"id":{"id":"root"}}`,
		`{"id":null}`, `{"id":true}`, `{"ID":"root"}`, `{"name":"root"}`, `{"username":"root"}`,
	}
	for _, actor := range actors {
		if got := p.Decide(actorOf(tree(t, actor)), access.ManageSecrets); got.Allowed {
			t.Errorf("%s: %+v", actor, got)
		}
	}
}

// TestOddRestrictionsAllowNothing: an actor with a "_r" that cannot be
// understood is not an actor without one.
func TestOddRestrictionsAllowNothing(t *testing.T) {
	t.Parallel()
	p := policy(t, `{"permissions":{"manage-secrets":true}}`, withRoot)
	restrictions := []string{
		`null`, `false`, `0`, `""`, `"manage-secrets"`, `[]`, `["manage-secrets"]`, `{}`, `{"a":null}`,
		`{"a":"manage-secrets"}`, `{"a":{"manage-secrets":1}}`, `{"a":[["manage-secrets"]]}`, `{"a":[null,1,""]}`,
		`{"a":["*"]}`, `{"a":["Manage-Secrets"]}`, `{"A":["manage-secrets"]}`, `{"a":["ms"]}`,
	}
	for _, r := range restrictions {
		actor := actorOf(tree(t, `{"id":"root","_r":`+r+`}`))
		for _, action := range access.Actions() {
			if got := p.Decide(actor, action.Name); got.Allowed {
				t.Errorf("_r %s, %s: %+v", r, action.Name, got)
			}
		}
	}
}

func TestUnknownActions(t *testing.T) {
	t.Parallel()
	p := policy(t, `{"permissions":{"nope":true,"vi":true,"":true}}`, withRoot)
	for _, action := range []string{"nope", "", "vi", "Manage-Secrets", "manage-secrets "} {
		got := p.Decide(secrets.NewActor("root"), action)
		if got.Allowed || !strings.HasPrefix(got.Reason, "there is no action ") {
			t.Errorf("%q: %+v", action, got)
		}
	}
}

func TestReasons(t *testing.T) {
	t.Parallel()
	const block = `{"permissions":{"manage-secrets":{"id":"bob"}},"allow":{"id":"*"}}`
	cases := []struct {
		config, actor, action, want string
		allowed                     bool
	}{
		{block, admin, access.ManageSecrets, "permissions.manage-secrets does not match this actor", false},
		{block, bob, access.ManageSecrets, "permissions.manage-secrets matches this actor", true},
		{block, anonymous, access.ManageSecrets, "permissions.manage-secrets does not match someone who is not signed in", false},
		{block, bob, access.ViewInstance, "allow matches this actor", true},
		{block, anonymous, access.ViewInstance, "allow does not match someone who is not signed in", false},
		{`{}`, bob, access.ManageSecrets, "no rule allows manage-secrets", false},
		{`{}`, root, access.ManageSecrets, "root is allowed everything, because of --root", true},
		{`{}`, bob, access.ViewInstance, "view-instance is allowed by default", true},
		{`{"permissions":{"manage-secrets":0}}`, root, access.ManageSecrets, "permissions.manage-secrets is false", false},
		{`{"permissions":{"manage-secrets":1}}`, bob, access.ManageSecrets, "permissions.manage-secrets is true", true},
		{
			`{}`, `{"id":"root","_r":{}}`, access.ManageSecrets,
			"this actor is restricted (_r), and manage-secrets is not on its list", false,
		},
	}
	for _, c := range cases {
		got := policy(t, c.config, withRoot).Decide(actorOf(tree(t, c.actor)), c.action)
		if got.Allowed != c.allowed || got.Reason != c.want {
			t.Errorf("%s %s: got %+v, want %v: %s", c.config, c.actor, got, c.allowed, c.want)
		}
		if inFile := strings.HasPrefix(c.want, "permissions.") || strings.HasPrefix(c.want, "allow "); inFile != (got.Place != "") {
			t.Errorf("%s %s: the place is %q", c.config, c.actor, got.Place)
		}
	}
}

func TestActions(t *testing.T) {
	t.Parallel()
	actions := access.Actions()
	byName := func(a, b access.Action) int { return strings.Compare(a.Name, b.Name) }
	if !slices.IsSortedFunc(actions, byName) {
		t.Error("not sorted by name")
	}
	for _, a := range actions {
		if a.Description == "" {
			t.Errorf("%s has no description", a.Name)
		}
		if a.Default != (a.Name == access.ViewInstance || a.Name == access.DatasetteSecret) {
			t.Errorf("%s: default %v", a.Name, a.Default)
		}
		if a.Name == access.ManageSecrets && a.Abbr != "" {
			t.Errorf("manage-secrets has the abbreviation %q", a.Abbr)
		}
	}
}
