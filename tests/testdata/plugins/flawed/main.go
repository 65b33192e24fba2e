// Command flawed is a plugin that offers everything and does it right, but for
// one flaw: the one that its first argument names. The tests of the conformance
// kit run it, to see each check find what it is for.
package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"
	plugin "github.com/hashicorp/go-plugin"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc"

	"github.com/datasette-secrets/datasette-secrets/internal/pluginwire"
)

// The real ones: go-plugin replaces those of package os.
var rawStdout, rawStderr = os.Stdout, os.Stderr

func init() { runtime.LockOSThread() } // main runs on the thread that a parent's death is told to

func main() {
	flaw := ""
	if len(os.Args) > 1 {
		flaw = os.Args[1]
	}
	if flaw == "child" {
		forever()
	}
	beforeHandshake(flaw)
	if os.Getenv(pluginwire.CookieKey) != pluginwire.CookieValue {
		withoutHost(flaw)
	}
	serve(flaw)
}

func forever() {
	for {
		time.Sleep(time.Hour)
	}
}

func complain(err error) {
	fmt.Fprintln(rawStderr, err)
	os.Exit(1)
}

// beforeHandshake are the flaws of a plugin that never serves anything.
func beforeHandshake(flaw string) {
	switch flaw {
	case "silent":
		forever()
	case "exits":
		complain(errors.New("something is missing"))
	case "closes":
		os.Stdout.Close()
		forever()
	case "garbage":
		fmt.Println("Hello! I am a very nice plugin.")
		forever()
	case "longline":
		fmt.Println(strings.Repeat("x", 100<<10))
		forever()
	case "unended":
		fmt.Print("1|1|unix|")
		os.Exit(0)
	case "core", "version", "netrpc":
		fmt.Println(map[string]string{
			"core": "2|1|unix|/tmp/x|grpc|", "version": "1|9|unix|/tmp/x|grpc|", "netrpc": "1|1|unix|/tmp/x|netrpc|",
		}[flaw])
		forever()
	case "environment":
		var names []string
		for _, variable := range os.Environ() {
			name, _, _ := strings.Cut(variable, "=")
			names = append(names, name)
		}
		slices.Sort(names)
		complain(fmt.Errorf("variables: %s", strings.Join(names, " ")))
	}
}

// withoutHost is what a person sees who starts the plugin.
func withoutHost(flaw string) {
	switch flaw {
	case "cookie-succeeds":
		fmt.Fprintln(os.Stderr, "this is a plugin")
		os.Exit(0)
	case "cookie-silent":
		os.Exit(1)
	case "cookie-crash":
		panic("no host")
	case "cookie-stays":
		forever()
	}
	fmt.Println("this line of standard output is nobody's")
	complain(errors.New("this is a plugin, which datasette-secrets starts by itself"))
}

func serve(flaw string) {
	bootstrap, err := pluginwire.ReadBootstrap(os.Stdin)
	if err != nil {
		complain(err)
	}
	config, err := bootstrap.PluginTLS()
	if err != nil {
		complain(err)
	}
	p := &flawed{flaw: flaw, tls: config.Clone()}
	p.changeHandshake()
	switch flaw {
	case "tls":
		config.ClientAuth, config.VerifyConnection = tls.NoClientCert, nil
	case "tls-any":
		config.ClientAuth, config.VerifyConnection = tls.RequireAnyClientCert, nil
	case "tls-itself": // both certificates are good for either end
		own, err := x509.ParseCertificate(config.Certificates[0].Certificate[0])
		if err != nil {
			complain(err)
		}
		config.ClientCAs.AddCert(own)
		config.VerifyConnection = nil
	}
	if flaw == "address" {
		os.Setenv("PLUGIN_UNIX_SOCKET_DIR", os.Getenv("HOME"))
	}
	if flaw == "orphan" {
		signal.Ignore(unix.SIGPIPE) // what it still logs would end it
		if err := unix.Prctl(unix.PR_SET_PDEATHSIG, 0, 0, 0, 0); err != nil {
			complain(err)
		}
	}
	plugin.Serve(&plugin.ServeConfig{
		HandshakeConfig: pluginwire.Handshake(),
		TLSProvider:     func() (*tls.Config, error) { return config, nil },
		Plugins:         plugin.PluginSet{pluginwire.SetName: set{p: p}},
		Logger:          hclog.New(&hclog.LoggerOptions{Level: hclog.Off}),
		GRPCServer: func(options []grpc.ServerOption) *grpc.Server {
			p.server = grpc.NewServer(append(options, p.options()...)...)
			go p.untilOrphaned()
			return p.server
		},
	})
	if flaw == "stdin" {
		forever()
	}
}

// changeHandshake puts a flaw into the line that go-plugin prints.
func (p *flawed) changeHandshake() {
	change := map[string]func(string) string{
		"handshake":   func(line string) string { return "Starting…\n" + line },
		"space":       func(line string) string { return strings.TrimSuffix(line, "\n") + " \n" },
		"certificate": func(line string) string { return field(line, 5, strings.Repeat("QUFB", 20)+"QQ==") },
		"unpadded":    func(line string) string { return field(line, 5, strings.Repeat("QUFB", 20)) },
		"nobase64":    func(line string) string { return field(line, 5, strings.Repeat("!", 60)) },
		"tcp":         func(line string) string { return field(field(line, 2, "tcp"), 3, "127.0.0.1:1") },
		"nosocket":    func(line string) string { return field(line, 3, os.Getenv("PLUGIN_UNIX_SOCKET_DIR")+"/none") },
		"stdout":      func(line string) string { return line + "ready!\n" },
	}[p.flaw]
	if change == nil {
		return
	}
	r, w, err := os.Pipe()
	if err != nil {
		complain(err)
	}
	os.Stdout = w
	go func() {
		line, _ := bufio.NewReader(r).ReadString('\n')
		fmt.Fprint(rawStdout, change(line))
	}()
}

// field replaces one field of a handshake line.
func field(line string, number int, text string) string {
	fields := strings.Split(strings.TrimSuffix(line, "\n"), "|")
	fields[number] = text
	return strings.Join(fields, "|") + "\n"
}

// untilOrphaned waits for the end of standard input.
func (p *flawed) untilOrphaned() {
	_, _ = io.Copy(io.Discard, os.Stdin)
	switch p.flaw {
	case "stdin":
		return
	case "orphan":
		for range 10 { // a process that is killed loses one thing after the other
			if !p.hostLives() {
				forever()
			}
			time.Sleep(50 * time.Millisecond)
		}
	case "restarts":
		os.Exit(0) // without closing what is open
	}
	p.server.Stop() // removes the socket; then plugin.Serve returns
}

// set registers the services in go-plugin's way.
type set struct {
	plugin.NetRPCUnsupportedPlugin
	p *flawed
}

func (s set) GRPCServer(_ *plugin.GRPCBroker, server *grpc.Server) error {
	s.p.register(server)
	return nil
}

func (set) GRPCClient(context.Context, *plugin.GRPCBroker, *grpc.ClientConn) (any, error) {
	return nil, errors.New("a plugin has no client")
}
