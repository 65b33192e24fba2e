package browser_test

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/datasette-secrets/datasette-secrets/tests/harness"
)

// startClients starts a host with applications in every state.
func startClients(t *testing.T) *harness.Process {
	t.Helper()
	file, plugins := filepath.Join(t.TempDir(), "internal.db"), harness.PluginDir(t, "demo", "plugins/demo")
	host := harness.Start(t, harness.Options{Args: []string{"--root", "--internal", file, "--plugins-dir", plugins}})
	for _, command := range []string{
		"add billing-of-the-european-region-with-a-very-long-name --secret STRIPE_KEY --secret A_KEY_OF_THE_EUROPEAN_REGION_WITH_A_VERY_LONG_NAME_INDEED --write --expires 90d",
		"add shop --secret SHOP_KEY", "rotate shop --overlap 1h", "refuse shop SHOP_KEY", "add old --expires 1d", "revoke old",
	} {
		r := harness.RunCommand(t, "", harness.Env(), harness.Binary(t), append(append([]string{"client"}, strings.Fields(command)...), "--internal", file)...)
		if r.Code != 0 {
			t.Fatalf("client %s: %s", command, r.Stderr)
		}
	}
	execute(t, file, `insert into datasette_secrets_client_requests (client, name, state, asked_at) values
		('shop', 'MAP_KEY', 'pending', '2026-02-03 04:05:06'), ('shop', 'TILES_KEY', 'pending', '2026-02-03 04:05:06'), ('shop', 'STRIPE_KEY', 'pending', '2026-02-03 04:05:06')`)
	execute(t, file, `update datasette_secrets_clients set declarations = '[{"name": "MAP_KEY"}, {"name": "TILES_KEY"}, {"name": "STRIPE_KEY"}]' where name = 'shop'`)
	waitForText(t, host, "/-/clients", "TILES_KEY")
	return host
}

func TestPagesOfClients(t *testing.T) {
	t.Parallel()
	lookAll(t, startClients(t),
		view{"clients", root(), 200, at("/-/clients")},
		view{"client-share", root(), 200, at("/-/manage-clients/shop/approve?secret:STRIPE_KEY=on")},
		view{"client-refuse", root(), 200, at("/-/manage-clients/shop/refuse?secret:SHOP_KEY=on")},
		view{"client-revoke", root(), 200, at("/-/manage-clients/shop/revoke")},
		view{"clients-403", stranger(), 403, at("/-/clients")},
	)
}

// waitForText waits until a page has what another process wrote.
func waitForText(t *testing.T, host *harness.Process, path, text string) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !strings.Contains(host.Get(t, path, root()).Text, text); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s does not show %s", path, text)
		}
	}
}
