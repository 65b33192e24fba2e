// Package plugincheck tells whether a program is a plugin that hosts will get
// along with, whatever language it is written in. It is the conformance kit
// behind "datasette-secrets plugin test".
//
// # The idea
//
// The kit is a small host of its own. It starts the program as a host does, in
// the same sandbox and with the same certificates, and serves it secrets that
// it made up. Then it does what a good host does and what a hostile neighbour
// does, and looks at what the program makes of it. Each property is one check
// with a name, in the order of the table in checks.go: a plugin's life from its
// handshake to its end.
//
//	kit                                     the program, in its sandbox
//	 │ one launch for each check        ──▶  │
//	 │ ◀── the fake host: made-up values     │
//	 │ ◀── everything it prints: searched    │
//	 └─ another process of this program, killed to see the plugin end with it
//
// # Distrust
//
// The program may be anybody's, so that nothing runs outside the sandbox, not
// even to find out whether the sandbox is what it cannot stand. The values are
// made up for one run; whatever of the program's output is shown is cleaned,
// and the values in it are masked.
package plugincheck

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/datasette-secrets/datasette-secrets/internal/rundir"
	"github.com/datasette-secrets/datasette-secrets/internal/sandbox"
)

// Restarts is how often a program is usually started and stopped again.
const Restarts = 20

// Config says which program is checked, and how. It crosses to the process that
// is killed as JSON, but for what only this process can use.
type Config struct {
	Path     string          // of the program's file
	Args     []string        // given to it, as an administrator may
	Read     []string        // files and folders that it may read, as an administrator may grant
	Settings string          // its block of the host's configuration, as JSON; empty for none
	Base     string          // folder for temporary files, with a short path; empty for a usual one
	Only     []string        // the names of checks that are wanted, with those that they need; none for all
	Restarts int             // how often it is started and stopped again; 0 for Restarts
	Slow     int             // every limit on time is multiplied by it; 0 for 1
	Kernel   *sandbox.Kernel // what the system offers for sandboxes; nil means to ask it

	// Entry is what main got of sandbox.Enter.
	Entry sandbox.Entry `json:"-"`

	// Holder are the arguments with which this executable calls Hold.
	Holder []string `json:"-"`

	// Began and Done are told about each check. Both may be nil.
	Began func(name, about string) `json:"-"`
	Done  func(Result)             `json:"-"`
}

// Outcome is what a check found.
type Outcome string

// The outcomes of a check.
const (
	Pass Outcome = "pass"
	Fail Outcome = "fail"
	Skip Outcome = "skip" // it says nothing about this program, or not yet
)

// Result is what one check found.
type Result struct {
	Name    string
	About   string // what it asks of a plugin, as a sentence about one
	Outcome Outcome
	Reason  string   // what is wrong, or why it was skipped; empty for Pass
	Fix     string   // what to do about it; empty but for Fail
	Log     []string // the last lines that the program logged meanwhile; only for Fail
	Blocked bool     // it was skipped because it builds upon a check that does not stand
	Took    time.Duration
}

// Report is what all checks found.
type Report struct {
	Program string   // its path
	Hash    string   // its SHA-256, in hexadecimal
	Read    []string // what it was allowed to read
	Results []Result
	Missing []string // what of the sandbox this system lacks, for people
}

// Passed tells whether no check failed.
func (r Report) Passed() bool { return r.Count(Fail) == 0 }

// Count is how many checks had this outcome.
func (r Report) Count(outcome Outcome) (n int) {
	for _, result := range r.Results {
		if result.Outcome == outcome {
			n++
		}
	}
	return n
}

// Run checks a program. The error is about the kit itself: the file cannot be
// read, say, or ctx ended.
func Run(ctx context.Context, cfg Config) (report Report, err error) {
	k, err := newKit(cfg)
	if err != nil {
		return Report{}, err
	}
	defer func() { err = errors.Join(err, k.close()) }()
	report = Report{Program: k.cfg.Path, Hash: k.program.Hash, Read: k.cfg.Read, Missing: k.policy().Missing()}
	stand := map[string]bool{} // checks that others can build upon
	for _, c := range chosen(checks(), cfg.Only) {
		result := k.perform(ctx, c, stand)
		if err := context.Cause(ctx); err != nil {
			return report, fmt.Errorf("checking the plugin: %w", err)
		}
		report.Results = append(report.Results, result)
		if cfg.Done != nil {
			cfg.Done(result)
		}
	}
	return report, nil
}

// perform does one check, unless one that it builds upon does not stand.
func (k *kit) perform(ctx context.Context, c check, stand map[string]bool) Result {
	if k.cfg.Began != nil {
		k.cfg.Began(c.name, c.about)
	}
	k.log.reset()
	began := time.Now()
	found, tried := verdict{}, true
	for _, need := range c.needs {
		if tried && !stand[need] {
			found, tried = skipped("it cannot be tried before %q passes", need), false
		}
	}
	if tried {
		found = c.run(ctx, k)
	}
	stand[c.name] = tried && found.outcome != Fail
	result := Result{Name: c.name, About: c.about, Outcome: found.outcome, Reason: found.reason, Fix: found.fix, Blocked: !tried, Took: time.Since(began)}
	if found.outcome == Fail {
		result.Log = k.log.last()
	}
	return result
}

// kit is the checks of one program in progress.
type kit struct {
	cfg      Config
	folder   *rundir.Dir
	dir      string // its path; everything below is in it
	program  *sandbox.Program
	canaries *canaries
	log      *logTail
	printed  *sample // what came on standard output after the handshake
	launches int

	greeting       []string // the fields of the first handshake
	addressProblem error    // what was wrong with the address in it
}

func newKit(cfg Config) (*kit, error) {
	path, err := filepath.Abs(cfg.Path)
	if err != nil {
		return nil, fmt.Errorf("finding the program: %w", err)
	}
	cfg.Path, cfg.Slow, cfg.Restarts = path, cmp.Or(cfg.Slow, 1), cmp.Or(cfg.Restarts, Restarts)
	if cfg.Kernel == nil {
		kernel := cfg.Entry.Probe()
		cfg.Kernel = &kernel
	}
	folder, err := rundir.Make(cfg.Base, longestBelow)
	if err != nil {
		return nil, fmt.Errorf("making a folder for the checks: %w", err)
	}
	k := &kit{cfg: cfg, folder: folder, dir: folder.Path, canaries: newCanaries()}
	k.log, k.printed = &logTail{canaries: k.canaries}, &sample{}
	err = executable(path)
	if err == nil {
		k.program, err = sandbox.Seal(path, filepath.Join(k.dir, "store"), k.script())
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("taking %s for a plugin: %w", path, err), folder.Remove())
	}
	return k, nil
}

func (k *kit) close() error {
	_ = k.program.Close() // it is memory, and not needed any more
	if err := k.folder.Remove(); err != nil {
		return fmt.Errorf("removing the folder of the checks: %w", err)
	}
	return nil
}

// limit is a limit on time, on this machine.
func (k *kit) limit(usual time.Duration) time.Duration { return usual * time.Duration(k.cfg.Slow) }
