package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/datasette-secrets/datasette-secrets/internal/pluginpb"
)

// behaviours are the modes of a plugin that serves. The zero behaviour, for an
// unknown mode, is that of a good plugin that needs nothing.
func behaviours() map[string]behaviour {
	return map[string]behaviour{
		"healthy":   {declares: secret("HEALTHY_KEY"), start: (*misbehave).useForEver},
		"hclog":     {declares: secret("HCLOG_KEY"), start: writeOddLog},
		"hung":      {register: forever},
		"stops":     {start: stopLater},
		"stopearly": {register: func() { stopItself(); forever() }},
		"forks":     {start: func(*misbehave) { fork(); os.Exit(0) }},
		"escapes":   {start: func(*misbehave) { escape() }},
		"forkstays": {start: func(*misbehave) { fork() }},
		"unlinks":   {start: func(*misbehave) { removeSocket() }},
		"unwilling": {declares: secret("UNWILLING_KEY"), unready: errors.New("not today")},
		"panics":    {declares: secret("PANICS_KEY"), start: func(*misbehave) { panic("at the disco") }},
		"huge":      {codec: true},
		"chatty":    {start: func(*misbehave) { writeLongLines() }},
		"printer":   {start: func(*misbehave) { fmt.Println("printed"); fmt.Fprintln(os.Stderr, "complained") }},
		"forgelog":  {stays: true, start: func(*misbehave) { forge() }},
		"flood":     {start: func(*misbehave) { flood() }},
		"snoop":     {stays: true, start: func(*misbehave) { snoop() }},
		"stubborn":  {stays: true, shutdown: forever, register: func() { signal.Ignore(syscall.SIGTERM) }},
		"many":      {declares: many(10_000)},
		"wordy":     {declares: []*pluginpb.Secret{{Name: "W", Description: strings.Repeat("d", 5<<20)}}},
		"prolix":    {declares: []*pluginpb.Secret{{Name: "P", Description: strings.Repeat("d", 5000)}}},
		"badname":   {declares: secret("no good\nname")},
		"twice":     {declares: append(secret("TWICE"), &pluginpb.Secret{Name: "TWICE", Description: "again"})},
		"twofaced":  {ownCert: true, declares: secret("HEALTHY_KEY"), start: (*misbehave).showBothFaces},
		"greedy":    {declares: secret("GREEDY_KEY"), start: (*misbehave).ask},
		"batcher": {declares: append(secret("HEALTHY_KEY"), secret("UNSET_KEY")...), start: func(m *misbehave) {
			report("batch %s", m.getMany("HEALTHY_KEY", "UNSET_KEY", "HEALTHY_KEY"))
		}},
		"watcher":  {declares: append(secret("WATCHED"), secret("WATCHED_TOO")...), start: func(m *misbehave) { m.watch() }},
		"stranger": {declares: secret("STRANGER_KEY"), start: func(m *misbehave) { m.watch("HEALTHY_KEY") }},
		"forger":   {declares: secret("FORGER_KEY"), start: (*misbehave).forge},
		"blabber":  {declares: append(secret("BLAB_KEY"), secret("BLAB_LINES")...), start: (*misbehave).blab},
		"dawdler":  {declares: append(secret("GO"), many(999)...), start: (*misbehave).dawdle},
		"last":     {declares: secret("MANY_LAST"), start: func(m *misbehave) { m.watch() }},
		"intruder": {declares: secret("INTRUDER_KEY"), start: (*misbehave).intrude},
		"crowd":    {start: (*misbehave).crowd},
		"prober":   {declares: secret("PROBER_KEY"), start: (*misbehave).probe},
	}
}

func secret(name string) []*pluginpb.Secret {
	return []*pluginpb.Secret{{Name: name, Description: "A secret of " + name}}
}

func many(n int) []*pluginpb.Secret {
	var all []*pluginpb.Secret
	for i := range n {
		all = append(all, secret(fmt.Sprintf("MANY_%d", i))...)
	}
	return all
}

// report writes one line for the test to read.
func report(format string, values ...any) { fmt.Fprintf(rawStderr, format+"\n", values...) }

func writeOddLog(*misbehave) {
	for _, line := range []string{
		`{"@message":1}`,
		`{"@message":"odd","@level":5}`,
		`{"@message":"odd","@timestamp":{"a":[1]}}`,
		`{"@message":{"a":1},"@level":"warn","plugin":"healthy","x":[[[[1]]]]}`,
		`{"@message":null}`, `{"@level":5}`, `{`, `[]`, `null`, "\x00\x1b[2J\xff",
		`{"@level":"error","@message":"survived","count":3}`,
	} {
		report("%s", line)
	}
}

// stopLater stops the process when it has been ready for a while.
func stopLater(*misbehave) {
	time.Sleep(200 * time.Millisecond)
	stopItself()
}

func stopItself() { _ = syscall.Kill(os.Getpid(), syscall.SIGSTOP) }

// removeSocket takes away the file by which the host reaches this process.
func removeSocket() {
	sockets, _ := filepath.Glob(filepath.Join(os.Getenv("PLUGIN_UNIX_SOCKET_DIR"), "*"))
	for _, socket := range sockets {
		if err := os.Remove(socket); err != nil {
			complain(err)
		}
	}
	report("removed %d", len(sockets))
}

// fork leaves a process behind that holds this one's pipes.
func fork() {
	child := &exec.Cmd{Path: "/proc/self/exe", Args: []string{"datasette-secrets-plugin-silent"}}
	child.Stdout, child.Stderr = rawStdout, rawStderr
	if err := child.Start(); err != nil {
		complain(err)
	}
	report("child %d", child.Process.Pid)
}

// escape leaves processes behind that are not of this one's group.
func escape() {
	for _, way := range []*syscall.SysProcAttr{{Setsid: true}, {Setpgid: true}} {
		child := &exec.Cmd{Path: "/proc/self/exe", Args: []string{"datasette-secrets-plugin-silent"}, SysProcAttr: way}
		report("escape %v", child.Start())
	}
	report("escapes tried")
}

func writeLongLines() {
	for range 4 {
		fmt.Fprintln(rawStdout, strings.Repeat("x", 1<<20))
	}
	report("all written")
}

func flood() {
	line := []byte(strings.Repeat("a line of no interest\n", 100))
	for {
		if _, err := rawStderr.Write(line); err != nil {
			return
		}
	}
}

// snoop tells what it can find of its host.
func snoop() {
	var names []string
	for _, variable := range os.Environ() {
		name, _, _ := strings.Cut(variable, "=")
		names = append(names, name)
	}
	report("env %q", os.Environ())
	report("variables %s.", strings.Join(names, ","))
	folder, _ := os.Getwd()
	report("cwd %s", folder)
	input := make(chan int)
	go func() {
		n, _ := os.Stdin.Read(make([]byte, 1))
		input <- n
	}()
	select {
	case n := <-input:
		report("stdin %d bytes", n)
	case <-time.After(200 * time.Millisecond):
		report("stdin nothing")
	}
	forever()
}

// forge writes lines that try to look like others, plainly and in the form of
// hclog.
func forge() {
	const hostile = "x\n2026-01-01 00:00:00 ERROR host    forged\r\n{\"level\":\"ERROR\",\"msg\":\"forged\"}\x1b[2J\u202e\xff"
	fmt.Fprintln(os.Stderr, hostile)
	line, err := json.Marshal(map[string]string{"@level": "info", "@message": hostile, "@module": hostile, "key": hostile, hostile: "value", "msg": "forged"})
	if err != nil {
		panic(err)
	}
	fmt.Fprintf(os.Stderr, "%s\nforged all\n", line)
}
