package pluginhost_test

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/pluginhost"
	"github.com/datasette-secrets/datasette-secrets/internal/sandbox"
)

// needSandbox skips a test on a system that cannot hold what it tests.
func needSandbox(t *testing.T) sandbox.Kernel {
	t.Helper()
	kernel := thisKernel()
	if !kernel.NoNewPrivs || !kernel.Seccomp || kernel.Landlock < 6 {
		t.Skipf("this kernel offers too little: %+v", kernel)
	}
	return kernel
}

// probe runs the plugin that tries everything, and returns what it could do.
func probe(t *testing.T, cfg pluginhost.Config) (w *world, allowed []string) {
	t.Helper()
	folder := t.TempDir()
	database, key, granted := filepath.Join(folder, "internal.db"), filepath.Join(folder, "key"), filepath.Join(shortDir(t), "granted")
	for _, path := range []string{database, key, granted} {
		if err := os.WriteFile(path, make([]byte, 1<<20), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	tcp, udp, abstract := listeners(t)
	other, _, _ := listeners(t)
	cfg.Timings = quick()
	for name, grant := range cfg.Grants {
		if len(grant.Read) > 0 {
			grant.Read = []string{granted}
		}
		if grant.Network {
			grant.Ports = []uint16{uint16(tcp.Addr().(*net.TCPAddr).Port)}
		}
		cfg.Grants[name] = grant
	}
	cfg.Dir = pluginsDir(t, "healthy", "prober")
	found := make(chan map[string]any, 1)
	cfg.Settings = func(plugin string) (any, error) {
		if plugin != "prober" {
			return nil, nil
		}
		return <-found, nil
	}
	w = startWith(t, cfg)
	w.isReady("healthy")
	w.isReady("prober")
	found <- map[string]any{
		"Database": database, "Key": key, "Folder": folder, "Granted": granted,
		"Runtime": w.runtime, "Neighbour": neighbour(t, w), "PID": os.Getpid(),
		"TCP": tcp.Addr().String(), "OtherTCP": other.Addr().String(), "UDP": udp.LocalAddr().String(), "Abstract": abstract.Addr().String(),
	}
	w.says("probes done")
	for line := range strings.Lines(w.log.text()) {
		_, after, found := strings.Cut(line, `msg="probe `)
		if name, yes := strings.CutSuffix(strings.SplitAfter(after+`"`, ".")[0], ": allowed."); found && yes {
			allowed = append(allowed, name)
		}
	}
	return w, allowed
}

// neighbour is the socket of the plugin that is not the prober: the first one
// that was told about HEALTHY_KEY. Only the host can know.
func neighbour(t *testing.T, w *world) string {
	t.Helper()
	for _, process := range processesOf(w.runtime) {
		fields := strings.Fields(process)
		name, err := os.ReadFile(filepath.Join(fields[0], "cmdline"))
		if err == nil && strings.HasPrefix(filepath.Base(strings.TrimRight(string(name), "\x00")), "datasette-secrets-plugin-healthy") {
			return filepath.Join(filepath.Dir(fields[1]), "host.sock")
		}
	}
	t.Fatal("the healthy plugin is not found")
	return ""
}

func listeners(t *testing.T) (tcp net.Listener, udp net.PacketConn, abstract net.Listener) {
	t.Helper()
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if udp, err = net.ListenPacket("udp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	if abstract, err = net.Listen("unix", "@prober-"+filepath.Base(shortDir(t))); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tcp.Close(); udp.Close(); abstract.Close() })
	return tcp, udp, abstract
}

// may is what every plugin can do.
func may(more ...string) []string {
	all := append([]string{
		"may listen at home", "may move at home", "may read libraries", "may signal itself",
		"may use /dev/null", "may use /dev/urandom", "may write at home",
	}, more...)
	slices.Sort(all)
	return all
}

// A plugin that tries everything gains nothing, as root and as anybody else
// (TestProberUnprivileged runs this again).
func TestProber(t *testing.T) {
	t.Parallel()
	kernel := needSandbox(t)
	without, old := kernel, kernel
	without.Namespaces = sandbox.NoNamespaces
	old.Landlock = 1
	for _, test := range []struct {
		name   string
		kernel sandbox.Kernel
		grant  pluginhost.Grant
		more   []string
	}{
		{"whole", kernel, pluginhost.Grant{}, nil},
		{"without namespaces", without, pluginhost.Grant{}, nil},
		{"read", kernel, pluginhost.Grant{Read: []string{"a file"}}, []string{"read granted"}},
		{"network", kernel, pluginhost.Grant{Network: true}, []string{"connect TCP", "send UDP", "netlink socket"}},
		{"old", old, pluginhost.Grant{}, nil},
		{"old network", old, pluginhost.Grant{Network: true}, []string{"abstract socket", "connect TCP", "connect other TCP", "listen TCP", "send UDP", "netlink socket"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, allowed := probe(t, pluginhost.Config{Kernel: &test.kernel, Grants: map[string]pluginhost.Grant{"prober": test.grant}})
			slices.Sort(allowed)
			want := may(test.more...)
			if test.kernel.Landlock < 2 { // which lets nobody move files between folders
				want = slices.DeleteFunc(want, func(name string) bool { return name == "may move at home" })
			}
			if !slices.Equal(allowed, want) {
				t.Errorf("it could\n%q\nand may\n%q", allowed, want)
			}
		})
	}
}

// Without a sandbox the same plugin can do most of it, so the test above does
// test something.
func TestProberWithoutSandbox(t *testing.T) {
	t.Parallel()
	_, allowed := probe(t, pluginhost.Config{Sandbox: sandbox.Off})
	for _, name := range []string{
		"read database", "write database", "truncate database", "remove database", "read key", "list folder", "write into folder",
		"write into tmp", "read passwords", "host status", "host environment", "signal host", "list neighbours", "exec",
		"connect TCP", "send UDP", "listen TCP", "abstract socket", "read granted", "program's own file", "many files",
		"own environment", "netlink socket",
	} {
		if !slices.Contains(allowed, name) && (os.Geteuid() == 0 || name != "host environment") {
			t.Errorf("%q is not possible anyway", name)
		}
	}
}

// The tests of the sandbox pass for a host of no privileges, too.
func TestProberUnprivileged(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("this user has no privileges")
	}
	dir := shortDir(t)
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	own := filepath.Join(dir, "tmp")
	if err := os.Mkdir(own, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(own, 65534, 65534); err != nil {
		t.Fatal(err)
	}
	copyFile(t, os.Args[0], filepath.Join(dir, "tests"))
	copyFile(t, os.Getenv(programVariable), filepath.Join(dir, "program"))
	cmd := exec.Command(filepath.Join(dir, "tests"), "-test.run", "^(TestProber|TestProberWithoutSandbox|TestSandboxModes|TestRestart|TestScript)$", "-test.v")
	cmd.Dir = own
	cmd.Env = []string{"PATH=/usr/bin:/bin", "TMPDIR=" + own, canary + "=chirp", programVariable + "=" + filepath.Join(dir, "program")}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	output, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	if text := string(output); !strings.Contains(text, "--- PASS: TestProber/whole") {
		t.Logf("not everything could be tested:\n%s", text)
	}
}

// Kernels that offer less, and what the three modes make of them.
func TestSandboxModes(t *testing.T) {
	t.Parallel()
	kernel := needSandbox(t)
	without := func(change func(*sandbox.Kernel)) *sandbox.Kernel {
		k := kernel
		change(&k)
		return &k
	}
	noLandlock := without(func(k *sandbox.Kernel) { k.Landlock = 0 })
	nothing := &sandbox.Kernel{Entered: true}
	for _, test := range []struct {
		name    string
		mode    sandbox.Mode
		kernel  *sandbox.Kernel
		refusal string // or
		missing string
	}{
		{"enforced without Landlock", "", noLandlock, "the sandbox is enforced, and this kernel lacks Landlock; \"sandbox: best-effort\"", ""},
		{"enforced without seccomp", sandbox.Enforce, without(func(k *sandbox.Kernel) { k.Seccomp = false }), "lacks seccomp", ""},
		{"enforced without anything", sandbox.Enforce, nothing, "lacks no-new-privs and Landlock and seccomp", ""},
		{"enforced without Enter", sandbox.Enforce, &sandbox.Kernel{}, "does not call host.Enter", ""},
		{"enforced without namespaces", sandbox.Enforce, without(func(k *sandbox.Kernel) { k.Namespaces = "" }), "", "namespaces"},
		{"best effort without Landlock", sandbox.BestEffort, noLandlock, "", "Landlock (files)"},
		{"best effort without anything", sandbox.BestEffort, nothing, "", "no network"},
		{"best effort without Enter", sandbox.BestEffort, &sandbox.Kernel{}, "", "everything"},
		{"off", sandbox.Off, nothing, "", ""},
		// A kernel that refuses what it said it has.
		{"enforced and failing", sandbox.Enforce, without(func(k *sandbox.Kernel) { k.Landlock = 1000 }), "its sandbox could not be made: making Landlock's rules", ""},
		{"best effort and failing", sandbox.BestEffort, without(func(k *sandbox.Kernel) { k.Landlock = 1000 }), "", "making Landlock's rules: invalid argument"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if test.kernel.Landlock == 1000 && kernel.Landlock >= 9 {
				t.Skip("this kernel has everything that there is")
			}
			w := startWith(t, pluginhost.Config{Dir: pluginsDir(t, "healthy"), Timings: quick(), Sandbox: test.mode, Kernel: test.kernel})
			if test.refusal != "" {
				w.failsWith("healthy", test.refusal)
				return
			}
			w.isReady("healthy")
			status := w.status("healthy")
			if missing := strings.Join(status.Missing, "; "); !strings.Contains(missing, test.missing) || (test.missing == "") != (missing == "") {
				t.Errorf("what is missing: %q", missing)
			}
			if warned := strings.Count(w.log.text(), "sandbox is not complete"); (test.missing != "") != (warned == 1) {
				t.Errorf("the log warns %d times", warned)
			}
			if test.missing == "" && (status.Sandbox != "off" || status.LastError != "") {
				t.Errorf("it is %+v", status)
			}
		})
	}
}

// A grant that is not possible is named, and the plugin runs without it.
func TestGrants(t *testing.T) {
	t.Parallel()
	needSandbox(t)
	w := startWith(t, pluginhost.Config{
		Dir: pluginsDir(t, "healthy", "snoop", "greedy"), Timings: quick(),
		Grants: map[string]pluginhost.Grant{
			"healthy": {Read: []string{"/no/such/folder"}},
			"snoop":   {Memory: 64 << 20},
			"greedy":  {Disabled: true},
			"absent":  {Disabled: true},
		},
	})
	if missing := w.status("healthy").Missing; !slices.Contains(missing, "allowing access to /no/such/folder: no such file or directory") {
		t.Errorf("what is missing: %q", missing)
	}
	w.isUnharmed()
	if line := w.says("env ["); !strings.Contains(line, "GOMEMLIMIT=67108864") || !strings.Contains(line, "--max-old-space-size=64") {
		t.Errorf("its environment: %s", line)
	}
	if state := w.status("greedy").State; state != secrets.PluginDisabled {
		t.Errorf("a plugin that is turned off is %s", state)
	}
	if strings.Contains(w.log.text(), "plugin=greedy") {
		t.Error("a plugin that is turned off was started")
	}
	if line := w.says("about a plugin that is not there"); !strings.Contains(line, "plugin=absent") {
		t.Errorf("the line is %s", line)
	}
}

// BenchmarkStart is the time from the start of a host with one plugin until
// that is ready: the copy of its file, the sandbox, handshake and declarations.
func BenchmarkStart(b *testing.B) {
	dir, base, kernel := pluginsDir(b, "quiet"), shortDir(b), thisKernel()
	for _, mode := range []sandbox.Mode{sandbox.Off, sandbox.Enforce} {
		b.Run(string(mode), func(b *testing.B) {
			door := newVault(b)
			for b.Loop() {
				host, err := pluginhost.Start(b.Context(), pluginhost.Config{
					Dir: dir, RuntimeDir: base, Vault: door, Timings: quick(), Sandbox: mode, Entry: entered(), Kernel: &kernel,
				})
				if err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				if status := host.Status()[0]; status.State != secrets.PluginReady {
					b.Fatal(status.LastError)
				}
				if err := host.Close(b.Context()); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
			}
		})
	}
}
