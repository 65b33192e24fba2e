package token

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// Argument tells this executable to become a helper.
const Argument = "__pkcs11-helper"

// The descriptors that a helper begins with, besides the standard ones.
const (
	requestFD = 3
	answerFD  = 4
)

// maxRequest bounds a request, in bytes.
const maxRequest = 1 << 20

// Enter must be called by main before anything else, with os.Args. In a process
// that was started to be a helper it does not return.
func Enter(args []string) {
	if len(args) != 2 || args[1] != Argument {
		return
	}
	runtime.LockOSThread() // some modules know their sessions by the thread
	os.Exit(serve(os.NewFile(requestFD, "request"), os.NewFile(answerFD, "answer")))
}

// serve does one request and returns the exit code.
func serve(in io.Reader, out io.Writer) int {
	hideMemory()
	decoder := json.NewDecoder(io.LimitReader(in, maxRequest))
	var request Request
	if err := decoder.Decode(&request); err != nil {
		fmt.Fprintln(os.Stderr, "this is how PKCS#11 modules are used; it is of no use by hand")
		return 1
	}
	go func() { // the host is gone, or has lost its patience
		_, _ = io.Copy(io.Discard, in)
		os.Exit(1)
	}()
	encoder := json.NewEncoder(out)
	tell := func(stage Stage) { _ = encoder.Encode(Answer{Stage: stage}) }
	tell(StageLoading)
	m, err := load(request.URI)
	if err != nil {
		return answer(encoder, Result{Report: &Report{Problems: []string{err.Error()}}}, err)
	}
	result, err := m.do(request, tell)
	code := answer(encoder, result, err)
	_ = m.Finalize() // after the answer: it may hang, and what it returns matters to nobody
	return code
}

// answer writes the last words, and returns the exit code.
func answer(encoder *json.Encoder, result Result, err error) int {
	if err != nil {
		result.Failure = asFailure(err)
	}
	if encoder.Encode(Answer{Result: &result}) != nil {
		return 1
	}
	return 0
}

func asFailure(err error) *Failure {
	var f *Failure
	if errors.As(err, &f) {
		// What was wrapped around it says what was being done.
		return &Failure{Class: f.Class, Call: f.Call, Code: f.Code, Text: err.Error()}
	}
	return &Failure{Class: ClassRefused, Text: err.Error()}
}

// hideMemory keeps the PIN and the root key from other processes and from core
// dumps, as far as the kernel lets it.
func hideMemory() {
	_ = unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0)
	_ = syscall.Setrlimit(unix.RLIMIT_CORE, &syscall.Rlimit{})
}

// do does one request. Its sessions end with the module.
func (m *module) do(r Request, tell func(Stage)) (Result, error) {
	switch r.Op {
	case OpWrap:
		return m.wrap(r, tell)
	case OpUnwrap:
		return m.unwrap(r, tell)
	case OpInit:
		return m.init(r, tell)
	case OpDoctor:
		return m.doctor(r, tell)
	}
	return Result{}, setup("the operation %q is not known", r.Op)
}
