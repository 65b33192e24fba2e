// Package hsm seals with a key inside an HSM, a smart card or a TPM. It starts
// a process of its own for each use of the vendor's module, see package token,
// and never loads a module itself: a module that crashes or hangs costs one
// error.
//
// # PINs
//
// A token locks itself after a few wrong PINs. So a PIN that was refused is
// never given to that token again by this process, and the error is seal.ErrPIN,
// so that whoever keeps seals can remember it for longer.
//
// # Tries
//
// A token that was put in again or a service that was started anew invalidates
// sessions. When the module reports that, or dies, it is tried once more in a
// new process, which is as new as a module can be. It is not tried again if it
// died with the PIN on its way, because nobody knows whether that was counted.
package hsm

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"sync"
	"syscall"
	"time"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/seal"
	"github.com/datasette-secrets/datasette-secrets/internal/token"
)

// DefaultTimeout is how long one use of a token may take.
const DefaultTimeout = time.Minute

// endGrace is how long a helper that has answered may take to end.
const endGrace = 3 * time.Second

// maxAnswers bounds what a helper may write, in bytes.
const maxAnswers = 4 << 20

// Helper starts helpers. It is safe for concurrent use, and must not be copied.
type Helper struct {
	// Entered says that the main of this program calls token.Enter. Without
	// that there are no helpers.
	Entered bool
	// Env is the environment of a helper, as NAME=value: modules find their own
	// configuration there.
	Env []string
	// Stderr receives what modules write there; nil: nobody does.
	Stderr io.Writer

	mu      sync.Mutex
	refused map[[sha256.Size]byte]bool // tokens with the PINs that they refused
}

// errDied: the helper ended without an answer.
var errDied = errors.New("the process of the PKCS#11 module ended without an answer")

// use does one request, and tries again where that makes sense.
func (h *Helper) use(ctx context.Context, r token.Request, timeout time.Duration) (token.Result, error) {
	if !h.Entered {
		return token.Result{}, fmt.Errorf("%w: this program cannot use PKCS#11 modules, because its main does not call host.Enter first", secrets.ErrInvalid)
	}
	if timeout <= 0 {
		timeout = DefaultTimeout
	}
	pin := fingerprint(r)
	if h.wasRefused(pin) {
		return token.Result{}, fmt.Errorf("%w before, and is not asked again with the same one; correct it first", seal.ErrPIN)
	}
	result, stage, err := h.once(ctx, r, timeout)
	if again(result, stage, err) && ctx.Err() == nil {
		result, stage, err = h.once(ctx, r, timeout)
	}
	if err != nil {
		if stage == token.StageLogin {
			err = fmt.Errorf("%w, with the PIN on its way: look at how many tries the token has left", err)
		}
		return result, fmt.Errorf("%w: %w", secrets.ErrUnavailable, err)
	}
	if result.Failure != nil {
		if result.Failure.Class == token.ClassPIN {
			h.refuse(pin)
		}
		return result, classified(result.Failure)
	}
	return result, nil
}

// again reports whether a second try in a new process makes sense.
func again(result token.Result, stage token.Stage, err error) bool {
	if err != nil {
		return errors.Is(err, errDied) && stage != token.StageLogin
	}
	return result.Failure != nil && result.Failure.Class == token.ClassGone && result.Failure.Code != 0
}

// classified gives a failure the class that callers know.
func classified(f *token.Failure) error {
	switch f.Class {
	case token.ClassPIN:
		return fmt.Errorf("%w: %w", seal.ErrPIN, f)
	case token.ClassData:
		return fmt.Errorf("%w: the key on the token does not open it: %w", secrets.ErrDenied, f)
	case token.ClassSetup:
		return fmt.Errorf("%w: %w", secrets.ErrInvalid, f)
	}
	return fmt.Errorf("%w: %w", secrets.ErrUnavailable, f)
}

// fingerprint is a token and a PIN, in a form that says nothing of the PIN to
// who sees this process's memory later.
func fingerprint(r token.Request) [sha256.Size]byte {
	u := r.URI
	u.Object, u.ID, u.Type, u.PINFile, u.PINEnv = "", nil, "", "", ""
	return sha256.Sum256([]byte(u.String() + "\x00" + r.PIN))
}

func (h *Helper) wasRefused(pin [sha256.Size]byte) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.refused[pin]
}

func (h *Helper) refuse(pin [sha256.Size]byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.refused == nil {
		h.refused = map[[sha256.Size]byte]bool{}
	}
	h.refused[pin] = true
}

// once starts one helper for one request. stage is how far it came.
func (h *Helper) once(ctx context.Context, r token.Request, timeout time.Duration) (result token.Result, stage token.Stage, err error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	p, err := h.start()
	if err != nil {
		return token.Result{}, "", err
	}
	defer p.end()
	request, err := json.Marshal(r)
	if err != nil {
		return token.Result{}, "", fmt.Errorf("asking the process of the PKCS#11 module: %w", err)
	}
	defer clear(request)
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		if _, err = p.request.Write(request); err == nil {
			result, stage, err = readAnswers(p.answers)
		}
	}()
	select {
	case <-answered:
	case <-ctx.Done():
		p.kill()
		<-answered // the pipe ends with the process
		if err != nil {
			return result, stage, fmt.Errorf("the PKCS#11 module did not answer within %s, and was ended while %s: %w", timeout, doing(stage), ctx.Err())
		}
	}
	if err != nil {
		return result, stage, fmt.Errorf("%w while %s (%s)", errDied, doing(stage), p.ending())
	}
	return result, stage, nil
}

// doing says in words how far a helper came.
func doing(stage token.Stage) string {
	switch stage {
	case token.StageLoading:
		return "loading it or looking for the token"
	case token.StageLogin:
		return "logging in"
	case token.StageLoggedIn:
		return "using the key"
	}
	return "starting"
}

// readAnswers reads up to the last words of a helper.
func readAnswers(r io.Reader) (result token.Result, stage token.Stage, err error) {
	decoder := json.NewDecoder(io.LimitReader(r, maxAnswers))
	for {
		var answer token.Answer
		if err := decoder.Decode(&answer); err != nil {
			return token.Result{}, stage, fmt.Errorf("reading the answer: %w", err)
		}
		if answer.Result != nil {
			return *answer.Result, stage, nil
		}
		stage = answer.Stage
	}
}

// process is a running helper with the host's ends of its pipes.
type process struct {
	cmd     *exec.Cmd
	request *os.File // its end ends the helper
	answers *os.File
	ended   chan struct{}
}

func (h *Helper) start() (*process, error) {
	theirRequest, request, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("making a pipe: %w", err)
	}
	answers, theirAnswers, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("making a pipe: %w", err), request.Close(), theirRequest.Close())
	}
	cmd := &exec.Cmd{
		Path: "/proc/self/exe", Args: []string{"datasette-secrets", token.Argument},
		Env: append(slices.Clone(h.Env), "GOTRACEBACK=none"), Dir: "/", Stderr: h.Stderr,
		ExtraFiles:  []*os.File{theirRequest, theirAnswers},
		SysProcAttr: &syscall.SysProcAttr{Setpgid: true}, // CTRL+C is for the host, which then ends the helper in order
		WaitDelay:   endGrace,                            // something that the module started may hold on to standard error
	}
	err = cmd.Start()
	theirRequest.Close()
	theirAnswers.Close()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("starting a process for the PKCS#11 module: %w", err), request.Close(), answers.Close())
	}
	p := &process{cmd: cmd, request: request, answers: answers, ended: make(chan struct{})}
	go func() {
		_ = cmd.Wait() // the state says how it ended
		close(p.ended)
	}()
	return p, nil
}

// end closes the pipes, gives the helper a moment to say good-bye to its token,
// and makes sure that it has ended.
func (p *process) end() {
	p.request.Close()
	p.answers.Close()
	select {
	case <-p.ended:
	case <-time.After(endGrace):
		p.kill()
		<-p.ended
	}
}

// kill ends the helper, if it still runs.
func (p *process) kill() { _ = p.cmd.Process.Kill() }

// crashed is the exit code of a Go program that ends itself after a signal in
// the code of a module.
const crashed = 2

// ending waits for the end, and says how it was.
func (p *process) ending() string {
	select {
	case <-p.ended:
	case <-time.After(endGrace):
		p.kill()
		<-p.ended
	}
	if p.cmd.ProcessState.ExitCode() == crashed {
		return "it crashed"
	}
	return p.cmd.ProcessState.String()
}
