package host

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"

	"github.com/datasette-secrets/datasette-secrets/internal/db"
	"github.com/datasette-secrets/datasette-secrets/internal/keymem"
	"github.com/datasette-secrets/datasette-secrets/internal/pluginhost"
	"github.com/datasette-secrets/datasette-secrets/internal/sandbox"
	"github.com/datasette-secrets/datasette-secrets/internal/vault"
)

// Health is how one thing is that Doctor looks at.
type Health string

// The kinds of health, best first.
const (
	HealthOK      Health = "ok"
	HealthWarning Health = "warning" // it works, and could be better
	HealthFailed  Health = "failed"
	HealthSkipped Health = "skipped" // it could not be looked at, for another thing has failed
)

// Finding is what Doctor says of one thing, in one line.
type Finding struct {
	Check  string // what was looked at, one word
	Health Health
	Text   string
	Fix    string // what to do about it; empty if nothing has to be done
}

// Doctor looks at everything that a host with this configuration stands on,
// starts nothing and, but for new tables of an old database, changes nothing.
// Every check gives one finding.
func Doctor(ctx context.Context, cfg Config) []Finding {
	cfg = cfg.withDefaults()
	cfg.Create = false
	p := &patient{cfg: cfg, host: &Host{log: slog.New(slog.DiscardHandler)}}
	defer p.host.Close(context.WithoutCancel(ctx))
	var all []Finding
	for _, check := range checks() {
		f := Finding{Health: HealthOK}
		if missing := check.needs(p); missing != "" {
			f = Finding{Health: HealthSkipped, Text: missing}
		} else {
			check.look(ctx, p, &f)
		}
		f.Check = check.name
		all = append(all, f)
	}
	return all
}

// patient is what the checks have found so far.
type patient struct {
	cfg    Config
	host   *Host
	base   *base  // nil if the configuration cannot be read
	path   string // of the database; empty: none is named
	opened bool   // the database is
	sealed bool   // the keys are
}

type check struct {
	name  string
	needs func(*patient) string // why it cannot be made; empty if it can
	look  func(context.Context, *patient, *Finding)
}

// checks are all of them, each after those that it builds on.
func checks() []check {
	return []check{
		{"configuration", needsNothing, lookAtConfiguration},
		{"database", needsConfiguration, lookAtDatabase},
		{"keys", needsDatabase, lookAtKeys},
		{"secrets", needsKeys, lookAtSecrets},
		{"audit", needsDoor, lookAtLog},
		{"files", needsConfiguration, lookAtFiles},
		{"memory", needsKeys, lookAtMemory},
		{"volume", needsConfiguration, lookAtVolume},
		{"plugins", needsConfiguration, lookAtPlugins},
	}
}

func needsNothing(*patient) string { return "" }

func needsConfiguration(p *patient) string {
	if p.base == nil {
		return "the configuration cannot be read"
	}
	return ""
}

func needsDatabase(p *patient) string {
	if !p.opened {
		return "there is no open database"
	}
	return ""
}

func needsDoor(p *patient) string {
	if p.opened && p.base.door == nil {
		return "the keys cannot be read"
	}
	return needsDatabase(p)
}

func needsKeys(p *patient) string {
	switch {
	case !p.opened:
		return needsDatabase(p)
	case p.sealed:
		return "the keys are sealed"
	case p.base.keys == nil:
		return "there are no keys"
	}
	return ""
}

func (f *Finding) set(health Health, fix, format string, args ...any) {
	f.Health, f.Fix, f.Text = health, fix, fmt.Sprintf(format, args...)
}

func lookAtConfiguration(ctx context.Context, p *patient, f *Finding) {
	files, loaded, own, err := load(ctx, p.cfg)
	b := &base{files: files, loaded: loaded, own: own, lookup: p.cfg.LookupEnv}
	if err == nil {
		err = b.check(p.cfg)
	}
	if err == nil {
		p.path, err = databasePath(p.cfg, own.Database, files)
	}
	if err != nil {
		f.set(HealthFailed, "put it right; the host does not start like this", "%v", err)
		return
	}
	p.base = b
	if warnings := append(loaded.Warnings(), own.Warnings...); len(warnings) > 0 {
		f.set(HealthWarning, "README.md lists the keys of the configuration", "%s", strings.Join(warnings, "; "))
		return
	}
	f.Text = "can be read"
}

func lookAtDatabase(ctx context.Context, p *patient, f *Finding) {
	if p.path == "" {
		f.set(HealthWarning, "name a file with --internal", "no file is named, so that secrets are lost when the host ends")
		return
	}
	if _, err := os.Stat(p.path); errors.Is(err, os.ErrNotExist) {
		f.set(HealthWarning, "start the host, or name the right file", "%s is not there; the host makes it when it starts", p.path)
		return
	}
	err := db.Check(ctx, p.path)
	if err == nil {
		err = p.host.openDatabase(ctx, p.cfg, p.base.own.Database, p.base.files)
	}
	if err == nil {
		err = p.host.db.CheckAll(ctx)
	}
	if err != nil {
		f.set(HealthFailed, "put it right, or restore the database from a backup", "%v", err)
		return
	}
	p.opened = true
	f.Text = p.path + " is sound"
	if len(p.host.warnings) > 0 {
		f.set(HealthWarning, "see there", "%s", strings.Join(p.host.warnings, "; "))
	}
}

func lookAtKeys(ctx context.Context, p *patient, f *Finding) {
	if err := p.base.readKeys(p.host.log); err != nil {
		f.set(HealthFailed, "put it right; the host does not start like this", "%v", err)
		return
	}
	p.host.openDoor(p.cfg, p.base)
	has, err := p.base.door.HasSeals(ctx)
	switch {
	case err != nil:
		f.set(HealthFailed, "restore the database from a backup", "%v", err)
		return
	case has:
		p.sealed = true
		p.base.door.Seal()
		f.Text = "they are sealed in the database"
		return
	case p.base.keys == nil:
		f.set(HealthFailed, "make one with: datasette-secrets key add --out secrets.key", "no encryption key is configured, so that no secret can be stored or read")
		return
	}
	names := p.base.keys.Names()
	f.Text = fmt.Sprintf("%s encrypts, %d in all", names[0], len(names))
	if _, arguments := p.base.loaded.LiteralKey(); arguments {
		f.set(HealthWarning, "give the key as {$file: PATH} or {$env: NAME}", "a key stands in the arguments of the command, which every user of this machine can read")
	}
}

func lookAtSecrets(ctx context.Context, p *patient, f *Finding) {
	report, err := p.base.door.ReportKeys(ctx, Operator())
	if err != nil {
		f.set(HealthFailed, "see the cause", "%v", err)
		return
	}
	f.Text = fmt.Sprintf("%d rows, all of which can be read", report.Rows)
	switch {
	case report.Damages > 0:
		f.set(HealthFailed, "look at them with: datasette-secrets key status; set them anew",
			"%d of %d rows cannot be trusted, the first is %s", report.Damages, report.Rows, firstDamage(report))
	case !report.UnderFirst():
		f.set(HealthWarning, "datasette-secrets key rotate --resume", "some of %d rows are not under the key that encrypts", report.Rows)
	case len(report.Keys) > 1:
		last := report.Keys[len(report.Keys)-1].Name
		f.set(HealthWarning, "datasette-secrets key retire "+last, "no row needs the key %s", last)
	}
}

// lookAtLog verifies the log of acts, as "audit verify" does.
func lookAtLog(ctx context.Context, p *patient, f *Finding) {
	check, err := p.base.door.VerifyLog(ctx, Operator(), nil, nil)
	if err != nil {
		f.set(HealthFailed, "see the cause", "%v", err)
		return
	}
	f.Text = fmt.Sprintf("%d entries, all as they were written; %d are covered by a signed head", check.Entries, check.Covered)
	if check.Doubt != "" {
		f.set(HealthWarning, "compare the public key with one that you kept: datasette-secrets audit keys", "%s", check.Doubt)
	}
	if len(check.Bad) > 0 {
		f.set(HealthFailed, "look at it with: datasette-secrets audit verify; compare with a backup", "the log was changed: %s", check.Bad[0])
	}
}

func firstDamage(report vault.KeyReport) string {
	d := report.Damaged[0]
	if d.Version == 0 {
		return fmt.Sprintf("%q: %v", d.Name, d.Err)
	}
	return fmt.Sprintf("version %d of %q: %v", d.Version, d.Name, d.Err)
}

func lookAtFiles(_ context.Context, p *patient, f *Finding) {
	all := exposures(p.path, p.base.loaded)
	if len(all) == 0 {
		f.Text = "nobody else can read the database, its keys and what opens its seals"
		return
	}
	texts, fixes := make([]string, len(all)), make([]string, len(all))
	for i, e := range all {
		texts[i], fixes[i] = e.String(), e.fix()
	}
	f.set(HealthFailed, strings.Join(fixes, "; "), "%s", strings.Join(texts, "; "))
}

func lookAtMemory(_ context.Context, p *patient, f *Finding) {
	switch kind := p.base.keys.Memory(); kind {
	case keymem.Unlocked:
		f.set(HealthWarning, "allow the host's user more locked memory: LimitMEMLOCK= in systemd, or ulimit -l", "keys may be written to swap, because the kernel locks no memory for them")
	default:
		f.Text = fmt.Sprintf("keys are in memory that is never written to disk (%s)", kind)
	}
}

func lookAtPlugins(_ context.Context, p *patient, f *Finding) {
	folder := p.cfg.PluginsDir
	if folder == "" {
		folder = p.base.own.PluginsDir
	}
	if folder == "" {
		f.Text = "no folder of plugins is named"
		return
	}
	plugins, err := pluginhost.Examine(folder)
	if err != nil {
		f.set(HealthFailed, "make the folder, or name another one with --plugins-dir", "%v", err)
		return
	}
	for _, plugin := range plugins {
		if plugin.Problem != nil {
			f.set(HealthFailed, "see there", "the plugin %s is not started: %v", plugin.Name, plugin.Problem)
			return
		}
	}
	policy := sandbox.Policy{Mode: sandbox.Mode(p.base.own.Sandbox), Kernel: p.cfg.Entry.Probe()}
	missing := policy.Missing()
	switch {
	case len(plugins) > 0 && policy.Refusal() != nil:
		f.set(HealthFailed, "see there", "%v", policy.Refusal())
	case policy.Mode == sandbox.Off:
		f.set(HealthWarning, "remove sandbox: off from the configuration", "%d in %s, started without a sandbox", len(plugins), folder)
	case len(missing) > 0:
		f.set(HealthWarning, "allow the host more, such as namespaces, or use a newer kernel", "%d in %s; their sandbox lacks %s", len(plugins), folder, strings.Join(missing, ", "))
	default:
		f.Text = fmt.Sprintf("%d in %s", len(plugins), folder)
	}
}
