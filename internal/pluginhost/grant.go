package pluginhost

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/datasette-secrets/datasette-secrets/internal/sandbox"
)

// Grant is what an administrator decided about one plugin. The zero Grant is
// that of a plugin of which nothing is said: it runs, and may do nothing but
// talk to its host.
type Grant struct {
	Disabled bool          // it is not started
	Network  bool          // it may use the network, and connect over TCP to Ports
	Ports    []uint16      // of any machine: the kernel does not know names
	Read     []string      // files and folders that it may read
	Memory   int64         // bytes that it must stay below; 0 for no limit
	Args     []string      // given to its program
	MaxAge   time.Duration // how long it may keep a value while it watches; 0 forbids it
	Headers  []string      // of people's requests that it may see, in lower case
}

// policy is the sandbox of one plugin, but for what differs by launch.
func (h *Host) policy(name string) sandbox.Policy {
	grant := h.cfg.Grants[name]
	policy := sandbox.Policy{
		Mode:    h.cfg.Sandbox,
		Read:    slices.Concat(grant.Read, h.certificates(grant)),
		Network: grant.Network,
		Ports:   grant.Ports,
		Memory:  grant.Memory,
	}
	if h.cfg.Kernel != nil {
		policy.Kernel = *h.cfg.Kernel
	}
	return policy
}

// The variables that name the certificates to trust.
const (
	certificateFile    = "SSL_CERT_FILE"
	certificateFolders = "SSL_CERT_DIR" // separated by colons
)

// networkVariables are those of the host's environment that say how to use the
// network, for a plugin that may. A port of a proxy has to be granted as well.
func (h *Host) networkVariables(grant Grant) (found []string) {
	if !grant.Network {
		return nil
	}
	for _, name := range []string{
		"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY",
		"http_proxy", "https_proxy", "all_proxy", "no_proxy",
		certificateFile, certificateFolders,
	} {
		if value, set := h.cfg.LookupEnv(name); set {
			found = append(found, name+"="+value)
		}
	}
	return found
}

// certificates are the files and folders that those variables name. Without
// them a plugin that may use the network could trust nobody.
func (h *Host) certificates(grant Grant) (paths []string) {
	if !grant.Network {
		return nil
	}
	file, _ := h.cfg.LookupEnv(certificateFile)
	folders, _ := h.cfg.LookupEnv(certificateFolders)
	for _, path := range append(filepath.SplitList(folders), file) {
		if _, err := os.Stat(path); err == nil && filepath.IsAbs(path) {
			paths = append(paths, path)
		}
	}
	return paths
}

// memoryVariables tell the runtimes of Go and Node about the limit, so that
// they collect garbage rather than grow.
func memoryVariables(limit int64) []string {
	if limit == 0 {
		return nil
	}
	return []string{
		"GOMEMLIMIT=" + strconv.FormatInt(limit, 10),
		"NODE_OPTIONS=--max-old-space-size=" + strconv.FormatInt(max(limit>>20, 1), 10),
	}
}

// seal makes sure that program is the plugin's file as it is now.
// The copy of an unchanged file is used again.
func (s *supervised) seal() error {
	if err := allowed(s.path); err != nil {
		return err
	}
	if s.program != nil && s.program.Fresh(s.path) {
		return nil
	}
	s.forget()
	program, err := sandbox.Seal(s.path, s.host.store(), s.script())
	if err != nil {
		return err
	}
	s.program = program
	return nil
}

// script says how a script is run. When it may read its own folder, it is taken
// for one of several files that belong together.
func (s *supervised) script() sandbox.Script {
	folder := filepath.Dir(s.path) + "/"
	several := slices.ContainsFunc(s.host.cfg.Grants[s.name].Read, func(path string) bool {
		return strings.HasPrefix(folder, strings.TrimSuffix(path, "/")+"/")
	})
	return sandbox.Script{InPlace: s.host.cfg.Sandbox == sandbox.Off, Folder: several, Others: prefix}
}

// hashOf is a program's hash as it is shown and compared.
func hashOf(p *sandbox.Program) string { return "sha256:" + p.Hash }

// forget gives up the copy.
func (s *supervised) forget() {
	if s.program != nil {
		_ = s.program.Close() // it is memory, and not needed any more
	}
	s.program = nil
}

// unprotected names what the sandbox of a running launch lacks, and tells the
// log when that is news.
func (s *supervised) unprotected(l *launch) []string {
	missing := slices.Concat(s.host.policy(s.name).Missing(), l.runner.lacks())
	if len(missing) > 0 && !slices.Equal(missing, s.told) {
		s.log.Warn("the plugin's sandbox is not complete", "missing", fmt.Sprintf("%q", missing))
	}
	s.told = missing
	return missing
}
