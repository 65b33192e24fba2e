package plugincheck

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// check is one row of the table: a property that every plugin has.
type check struct {
	name  string
	about string   // as a sentence about a plugin
	needs []string // checks that must have passed
	run   func(context.Context, *kit) verdict
}

// verdict is what a check found.
type verdict struct {
	outcome     Outcome
	reason, fix string
}

// checks is the table. A check comes after those that it needs.
func checks() []check {
	greeted := []string{"handshake", "certificate", "address"}
	connected := append([]string{"health"}, greeted...)
	working := append([]string{"sandbox"}, connected...)
	return []check{
		{"handshake", "prints one clean handshake line within 5 seconds of its start", nil, checkHandshake},
		{"certificate", "names no certificate in its handshake, or one without padding", []string{"handshake"}, checkCertificate},
		{"address", "listens on a unix socket in the folder that it is given", []string{"handshake"}, checkAddress},
		{"cookie", "says what it is and ends when a person starts it", []string{"handshake"}, checkCookie},
		{"health", "answers health probes", greeted, checkHealth},
		{"tls", "talks to nobody but its host", connected, checkStrangers},
		{"declarations", "declares the same, valid secrets at every start", connected, checkDeclarations},
		{"sandbox", "works without network and files, with 256 open files and 128 MiB of memory", append([]string{"declarations"}, connected...), checkSandbox},
		{"unknown-calls", "refuses calls that it does not know with UNIMPLEMENTED", connected, checkUnknownCalls},
		{"deadlines", "goes on after calls that the host gave up", working, checkDeadlines},
		{"concurrency", "answers 64 calls at once", working, checkConcurrency},
		{"validator", "tries values out without failing", working, checkValidator},
		{"menu", "gives links that a page can show", working, checkMenu},
		{"actors", "knows people by their ids, or says nothing", working, checkActors},
		{"authenticator", "signs in nobody who does not say who they are", working, checkAuthenticator},
		{"http", "serves its pages to its host only", working, checkHTTP},
		{"watch", "reads a value again after it was told of a new one", working, checkWatch},
		{"shutdown", "answers Shutdown within 3 seconds", working, checkShutdown},
		{"stdin", "ends within 3 seconds after its standard input did", working, checkStdin},
		{"orphan", "ends within 3 seconds after its host was killed", working, checkOrphan},
		{"restarts", "can be started and stopped again and again and leaves nothing behind", []string{"sandbox", "shutdown", "stdin"}, checkRestarts},
		{"stdout", "prints nothing to standard output after the handshake", working, checkStdout},
		{"secrecy", "never writes the value of a secret to its log or its answers", working, checkSecrecy},
	}
}

// Names are the names of all checks, in their order.
func Names() (names []string) {
	for _, c := range checks() {
		names = append(names, c.name)
	}
	return names
}

// chosen are the named checks and what they need, in their order; all if none
// is named.
func chosen(all []check, names []string) (few []check) {
	if len(names) == 0 {
		return all
	}
	for i := len(all) - 1; i >= 0; i-- { // what a check needs comes before it
		if slices.Contains(names, all[i].name) {
			names = append(slices.Clone(names), all[i].needs...)
			few = append(few, all[i])
		}
	}
	slices.Reverse(few)
	return few
}

func passed() verdict { return verdict{outcome: Pass} }

func failed(reason, fix string) verdict { return verdict{Fail, reason, fix} }

func skipped(format string, values ...any) verdict {
	return verdict{outcome: Skip, reason: fmt.Sprintf(format, values...)}
}

// failure is the verdict about an error: what is wrong with the program, or
// what kept the kit from finding out.
func failure(err error) verdict {
	var p problem
	if errors.As(err, &p) {
		return failed(p.wrong, p.fix)
	}
	return failed(err.Error(), "the kit itself could not go on; try again")
}

// during is a check of one launch that start brings about.
func during(ctx context.Context, start func(context.Context) (*launch, error), look func(*launch) verdict) verdict {
	l, err := start(ctx)
	if err != nil {
		return failure(err)
	}
	defer l.close()
	return look(l)
}
